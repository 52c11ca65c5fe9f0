import type {
  AliasType,
  ArrayType,
  BaseEncoding,
  EnumType,
  OtherType,
  PointerType,
  TypeDescription,
  VoidType,
} from '../types.ts';
import * as dw from './constants.ts';
import { DwarfError } from './dwarf-error.ts';
import type { DwarfFile } from './dwarf-file.ts';
import type { EntryPlace, EntryReader } from './entry-reader.ts';
import { StructDescription, tagged } from './struct-type.ts';

/** Finds the definition of a struct of which a unit says only that it exists. */
export type DefinitionFinder = (declaration: EntryPlace, name: string) => EntryPlace | undefined;

/**
 * The types of a program, as descriptions; each entry is read once. Members and targets of pointers are read when
 * they are looked at, so a type that leads back into itself is no loop.
 */
export class TypeReader {
  readonly #types: Map<DwarfFile, Map<number, TypeDescription>> = new Map();
  readonly #definitionOf: DefinitionFinder;
  #naming: number = 0;

  constructor(definitionOf: DefinitionFinder = () => undefined) {
    this.#definitionOf = definitionOf;
  }

  /** The type that the entry's DW_AT_type names; void where it has none. */
  typeOf(entry: EntryReader): TypeDescription {
    return this.#typeOf(entry, 0);
  }

  /**
   * The type that the entry at `place` describes. A type that cannot be read is `other`, so that one bad entry does not
   * take the others away.
   */
  at(place: EntryPlace): TypeDescription {
    return this.#at(place, 0);
  }

  /** Where a struct that is only declared in its unit is defined; `undefined` if nowhere. */
  definitionOf(declaration: EntryPlace, name: string): TypeDescription | undefined {
    const place = this.#definitionOf(declaration, name);
    return place === undefined ? undefined : this.at(place);
  }

  #typeOf(entry: EntryReader, depth: number): TypeDescription {
    if (!entry.has(dw.DW_AT_type)) return voidType;
    const place = entry.reference(dw.DW_AT_type);
    return place === undefined ? unreadable : this.#at(place, depth);
  }

  #at(place: EntryPlace, depth: number): TypeDescription {
    let types = this.#types.get(place.file);
    if (types === undefined) {
      types = new Map();
      this.#types.set(place.file, types);
    }
    let type = types.get(place.offset);
    if (type === undefined) {
      // A chain of arrays and typedefs that is so long leads back into itself.
      if (depth > mostDepth) return unreadable;
      try {
        type = this.#read(place, depth);
      } catch (error) {
        if (!(error instanceof DwarfError)) throw error;
        type = unreadable;
      }
      types.set(place.offset, type);
    }
    return type;
  }

  #read(place: EntryPlace, depth: number): TypeDescription {
    const entry = place.file.entry(place.offset);
    // What stands here is the name at most: the type is in a unit of its own.
    const elsewhere = entry.has(dw.DW_AT_signature) ? entry.reference(dw.DW_AT_signature) : undefined;
    if (elsewhere !== undefined) return this.#at(elsewhere, depth + 1);
    const name = entry.string(dw.DW_AT_name);
    const byteSize = entry.size(dw.DW_AT_byte_size);
    switch (entry.tag) {
      case dw.DW_TAG_base_type:
        return baseType(entry, name ?? '?', byteSize ?? 0);
      case dw.DW_TAG_unspecified_type:
        return { kind: 'other', name: name ?? '?', byteSize: byteSize ?? 0 };
      case dw.DW_TAG_enumeration_type:
        return this.#enumType(entry, depth);
      case dw.DW_TAG_structure_type:
      case dw.DW_TAG_class_type:
      case dw.DW_TAG_union_type:
      case dw.DW_TAG_interface_type:
        return new StructDescription(this, place, entry);
      case dw.DW_TAG_pointer_type:
      case dw.DW_TAG_reference_type:
      case dw.DW_TAG_rvalue_reference_type:
        return this.#pointerType(entry, name, byteSize);
      case dw.DW_TAG_ptr_to_member_type:
        return { kind: 'other', name: name ?? 'pointer to member', byteSize: byteSize ?? 8 };
      case dw.DW_TAG_array_type:
        return this.#arrayType(entry, depth);
      case dw.DW_TAG_subroutine_type:
      case dw.DW_TAG_subprogram:
        return { kind: 'function', name: this.#functionName(entry), byteSize: 0 };
      case dw.DW_TAG_typedef:
        return this.#alias('typedef', entry, depth, name);
      case dw.DW_TAG_const_type:
        return this.#alias('const', entry, depth);
      case dw.DW_TAG_volatile_type:
        return this.#alias('volatile', entry, depth);
      case dw.DW_TAG_atomic_type:
        return this.#alias('atomic', entry, depth);
      case dw.DW_TAG_restrict_type:
        return this.#alias('restrict', entry, depth);
      default:
        return { kind: 'other', name: name ?? '?', byteSize: byteSize ?? 0 };
    }
  }

  #alias(alias: AliasType['alias'], entry: EntryReader, depth: number, name?: string): AliasType {
    const target = this.#typeOf(entry, depth + 1);
    const reader = this;
    return {
      kind: 'alias',
      alias,
      target,
      get byteSize() {
        return target.byteSize;
      },
      get name() {
        return name ?? reader.naming(() => qualified(alias === 'atomic' ? '_Atomic' : alias, target));
      },
    };
  }

  #pointerType(entry: EntryReader, name: string | undefined, byteSize: number | undefined): PointerType {
    const mark =
      entry.tag === dw.DW_TAG_pointer_type ? '*' : entry.tag === dw.DW_TAG_reference_type ? '&' : '&&';
    const place = entry.has(dw.DW_AT_type) ? entry.reference(dw.DW_AT_type) : undefined;
    const reader = this;
    return {
      kind: 'pointer',
      byteSize: byteSize ?? entry.unit.addressBytes,
      reference: mark !== '*',
      get target() {
        return place === undefined ? voidType : reader.at(place);
      },
      get name() {
        return name ?? reader.naming(() => spellPointer(this.target, mark));
      },
    };
  }

  #enumType(entry: EntryReader, depth: number): EnumType {
    const underlying = entry.has(dw.DW_AT_type) ? this.#typeOf(entry, depth + 1) : undefined;
    const byteSize = entry.size(dw.DW_AT_byte_size) ?? underlying?.byteSize ?? 4;
    const encoding = entry.size(dw.DW_AT_encoding);
    const name = tagged(entry, 'enum', entry.string(dw.DW_AT_name));
    const stored: { name: string; value: bigint }[] = [];
    entry.seek(entry.offset).next();
    while (entry.next()) {
      if (entry.depth === 1 && entry.tag === dw.DW_TAG_enumerator) {
        stored.push({
          name: entry.string(dw.DW_AT_name) ?? '?',
          value: entry.constant(dw.DW_AT_const_value) ?? 0n,
        });
      }
      entry.skipChildren();
    }
    const signed =
      signOf(underlying) ??
      (encoding === undefined
        ? stored.some(({ value }) => value < 0n)
        : encoding === dw.DW_ATE_signed || encoding === dw.DW_ATE_signed_char);
    const bits = Math.min(byteSize, 16) * 8;
    const enumerators = stored.map(({ name: one, value }) => ({
      name: one,
      value: signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value),
    }));
    return { kind: 'enum', name, byteSize, signed, enumerators };
  }

  #arrayType(entry: EntryReader, depth: number): ArrayType | OtherType {
    let element = this.#typeOf(entry, depth + 1);
    const vector = entry.flag(dw.DW_AT_GNU_vector);
    const counts: (number | undefined)[] = [];
    entry.seek(entry.offset).next();
    while (entry.next()) {
      if (entry.depth === 1 && entry.tag === dw.DW_TAG_subrange_type) counts.push(countOf(entry));
      entry.skipChildren();
    }
    if (counts.length === 0) counts.push(undefined);
    if (counts.length > mostDimensions) return unreadable;
    for (let i = counts.length - 1; i > 0; i--) element = arrayOf(this, element, counts[i], vector);
    return arrayOf(this, element, counts[0], vector);
  }

  #functionName(entry: EntryReader): string {
    return this.naming(() => {
      const result = this.typeOf(entry).name;
      const parameters: string[] = [];
      entry.seek(entry.offset).next();
      while (entry.next() && parameters.length < mostParameters) {
        if (entry.depth === 1 && entry.tag === dw.DW_TAG_formal_parameter) {
          parameters.push(this.typeOf(entry).name);
        }
        entry.skipChildren();
      }
      return `${result} (${parameters.length === 0 ? 'void' : parameters.join(', ')})`;
    });
  }

  /** Makes a name; where names nest too deep, because types lead back into themselves, it is cut. */
  naming(make: () => string): string {
    if (this.#naming >= mostNaming) return '…';
    this.#naming++;
    try {
      const name = make();
      return name.length > mostNameLength ? `${name.slice(0, mostNameLength)}…` : name;
    } finally {
      this.#naming--;
    }
  }
}

const voidType: VoidType = { kind: 'void', name: 'void', byteSize: 0 };
const unreadable: OtherType = { kind: 'other', name: '(a type that cannot be read)', byteSize: 0 };
const mostDepth = 128;
const mostNaming = 24;
const mostNameLength = 4_096;
const mostDimensions = 64;
const mostParameters = 64;

function baseType(entry: EntryReader, name: string, byteSize: number): TypeDescription {
  const encoding = encodings.get(entry.size(dw.DW_AT_encoding) ?? 0) ?? 'other';
  return { kind: 'base', name, byteSize, encoding };
}

const encodings: ReadonlyMap<number, BaseEncoding> = new Map([
  [dw.DW_ATE_address, 'unsigned'],
  [dw.DW_ATE_boolean, 'boolean'],
  [dw.DW_ATE_complex_float, 'complex'],
  [dw.DW_ATE_float, 'float'],
  [dw.DW_ATE_signed, 'signed'],
  [dw.DW_ATE_signed_char, 'signed-char'],
  [dw.DW_ATE_unsigned, 'unsigned'],
  [dw.DW_ATE_unsigned_char, 'unsigned-char'],
  [dw.DW_ATE_UTF, 'utf'],
  [dw.DW_ATE_ASCII, 'unsigned-char'],
]);

function signOf(type: TypeDescription | undefined): boolean | undefined {
  let inner = type;
  for (let i = 0; i < mostDepth && inner?.kind === 'alias'; i++) inner = inner.target;
  if (inner?.kind !== 'base') return undefined;
  return inner.encoding === 'signed' || inner.encoding === 'signed-char';
}

function countOf(entry: EntryReader): number | undefined {
  const count = entry.size(dw.DW_AT_count);
  if (count !== undefined) return count;
  const upper = entry.constant(dw.DW_AT_upper_bound);
  if (upper === undefined) return undefined;
  const lower = entry.constant(dw.DW_AT_lower_bound) ?? 0n;
  // An array of no elements ends at -1, in as many bytes as its index has.
  const size = BigInt.asIntN(64, upper) - lower + 1n;
  if (size < 0n || upper === 0xffff_ffffn) return 0;
  return size > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(size);
}

function arrayOf(
  reader: TypeReader,
  element: TypeDescription,
  count: number | undefined,
  vector: boolean,
): ArrayType {
  return {
    kind: 'array',
    element,
    count,
    vector,
    get byteSize() {
      const byteSize = element.byteSize * (count ?? 0);
      return Number.isSafeInteger(byteSize) ? byteSize : 0;
    },
    get name() {
      return reader.naming(() => spellArray(element, count));
    },
  };
}

/** `int[2][3]` for an array of 2 of `int[3]`; `int (*[4])(void)` for one of pointers to functions. */
function spellArray(element: TypeDescription, count: number | undefined): string {
  const { name } = element;
  const bounds = `[${count ?? ''}]`;
  const inner = element.kind === 'pointer' ? name.indexOf('(*') : -1;
  if (inner >= 0) return `${name.slice(0, inner + 2)}${bounds}${name.slice(inner + 2)}`;
  const bracket = element.kind === 'array' ? name.indexOf('[') : -1;
  return bracket < 0 ? `${name}${bounds}` : `${name.slice(0, bracket)}${bounds}${name.slice(bracket)}`;
}

function spellPointer(target: TypeDescription, mark: string): string {
  const { name } = target;
  if (target.kind === 'function') return `${name.replace(' (', ` (${mark})(`)}`;
  if (target.kind === 'array') {
    const bracket = name.indexOf('[');
    if (bracket >= 0) return `${name.slice(0, bracket)} (${mark})${name.slice(bracket)}`;
  }
  return name.endsWith('*') ? `${name}${mark}` : `${name} ${mark}`;
}

function qualified(word: string, target: TypeDescription): string {
  return target.kind === 'pointer' ? `${target.name} ${word}` : `${word} ${target.name}`;
}
