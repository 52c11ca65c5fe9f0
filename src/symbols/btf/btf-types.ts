import type {
  ArrayType,
  BaseEncoding,
  Enumerator,
  EnumType,
  PointerType,
  StructMember,
  StructType,
  TypeDescription,
} from '../types.ts';
import type { Btf } from './btf.ts';
import {
  BTF_KIND_ARRAY,
  BTF_KIND_CONST,
  BTF_KIND_DECL_TAG,
  BTF_KIND_ENUM,
  BTF_KIND_ENUM64,
  BTF_KIND_FLOAT,
  BTF_KIND_FUNC,
  BTF_KIND_FUNC_PROTO,
  BTF_KIND_FWD,
  BTF_KIND_INT,
  BTF_KIND_PTR,
  BTF_KIND_RESTRICT,
  BTF_KIND_STRUCT,
  BTF_KIND_TYPE_TAG,
  BTF_KIND_TYPEDEF,
  BTF_KIND_UNION,
  BTF_KIND_VOLATILE,
  type BtfEntry,
} from './btf-format.ts';

const pointerBytes = 8;
// C allows 12 declarators at least; a hostile file may nest types without an end, or in a ring.
const deepest = 64;
const mostNameCharacters = 4096;

/** Makes descriptions of BTF's types; each is made once, and what it leads to when it is looked at. */
export class BtfTypes {
  readonly #btf: Btf;
  readonly #known: Map<number, TypeDescription> = new Map();

  constructor(btf: Btf) {
    this.#btf = btf;
  }

  /** The description of a type number. What is no type is `other`. */
  describe(id: number): TypeDescription {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const type = this.#describe(id);
    this.#known.set(id, type);
    return type;
  }

  #describe(id: number): TypeDescription {
    const entry = this.#btf.entry(id);
    if (entry === undefined) return id === 0 ? voidType : { kind: 'other', name: `type ${id}`, byteSize: 0 };
    const name = this.#spell(id, '', 0);
    switch (entry.kind) {
      case BTF_KIND_INT:
        return { kind: 'base', name, byteSize: entry.sizeOrType, encoding: this.#encoding(id, entry) };
      case BTF_KIND_FLOAT:
        return { kind: 'base', name, byteSize: entry.sizeOrType, encoding: 'float' };
      case BTF_KIND_PTR:
        return new LazyPointer(name, () => this.describe(entry.sizeOrType));
      case BTF_KIND_ARRAY:
        return this.#array(id, entry, name);
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
        return new LazyStruct(name, {
          keyword: entry.kind === BTF_KIND_UNION ? 'union' : 'struct',
          byteSize: entry.sizeOrType,
          incomplete: false,
          read: () => this.#members(id, entry),
        });
      case BTF_KIND_FWD:
        return new LazyStruct(name, {
          keyword: entry.flag ? 'union' : 'struct',
          byteSize: 0,
          incomplete: true,
          read: () => [],
        });
      case BTF_KIND_ENUM:
      case BTF_KIND_ENUM64:
        return new LazyEnum(name, entry, () => this.#enumerators(id, entry));
      case BTF_KIND_TYPEDEF:
      case BTF_KIND_CONST:
      case BTF_KIND_VOLATILE:
      case BTF_KIND_RESTRICT:
        return new LazyAlias(name, {
          alias: aliasWords.get(entry.kind) ?? 'typedef',
          byteSize: this.#byteSize(id, 0),
          read: () => this.describe(entry.sizeOrType),
        });
      case BTF_KIND_TYPE_TAG:
      case BTF_KIND_DECL_TAG:
        // A remark for checkers: no type of its own.
        return this.#byteSize(id, 0) === 0
          ? { kind: 'other', name, byteSize: 0 }
          : this.describe(entry.sizeOrType);
      case BTF_KIND_FUNC:
      case BTF_KIND_FUNC_PROTO:
        return { kind: 'function', name, byteSize: 0 };
      default:
        return { kind: 'other', name, byteSize: 0 };
    }
  }

  #encoding(id: number, entry: BtfEntry): BaseEncoding {
    const bits = (this.#btf.viewOf(id).getUint32(entry.at, true) >>> 24) & 15;
    if ((bits & 4) !== 0) return 'boolean';
    const signed = (bits & 1) !== 0;
    // The kernel's BTF marks no characters; a byte named so is one.
    const isChar = (bits & 2) !== 0 || /\bchar$/.test(this.#btf.string(entry.nameOffset));
    if (isChar) return signed ? 'signed-char' : 'unsigned-char';
    return signed ? 'signed' : 'unsigned';
  }

  #array(id: number, entry: BtfEntry, name: string): ArrayType {
    const view = this.#btf.viewOf(id);
    const element = view.getUint32(entry.at, true);
    const count = view.getUint32(entry.at + 8, true);
    const byteSize = this.#byteSize(element, 0) * count;
    return new LazyArray(name, { byteSize, count, read: () => this.describe(element) });
  }

  #members(id: number, entry: BtfEntry): StructMember[] {
    const view = this.#btf.viewOf(id);
    const members: StructMember[] = [];
    for (let i = 0; i < entry.count; i++) {
      const at = entry.at + i * 12;
      const name = this.#btf.string(view.getUint32(at, true));
      const typeId = view.getUint32(at + 4, true);
      const place = view.getUint32(at + 8, true);
      const bits = entry.flag ? place >>> 24 : 0;
      const bitOffset = entry.flag ? place & 0xff_ffff : place;
      members.push(this.#member({ name: name === '' ? undefined : name, typeId, bitOffset, bits }));
    }
    return members;
  }

  #member(member: {
    name: string | undefined;
    typeId: number;
    bitOffset: number;
    bits: number;
  }): StructMember {
    const { name, typeId, bitOffset, bits } = member;
    const common = { name, type: this.describe(typeId), isBaseClass: false, isVirtual: false };
    if (bits === 0) {
      return { ...common, byteOffset: Math.floor(bitOffset / 8), storageBytes: this.#byteSize(typeId, 0) };
    }
    // The smallest aligned unit that holds all of the field.
    let storageBytes = 1;
    while (storageBytes < 16 && (bitOffset % (storageBytes * 8)) + bits > storageBytes * 8) storageBytes *= 2;
    const byteOffset = Math.floor(bitOffset / (storageBytes * 8)) * storageBytes;
    return { ...common, byteOffset, storageBytes, bits: { offset: bitOffset - byteOffset * 8, size: bits } };
  }

  #enumerators(id: number, entry: BtfEntry): Enumerator[] {
    const view = this.#btf.viewOf(id);
    const enumerators: Enumerator[] = [];
    for (let i = 0; i < entry.count; i++) {
      const at = entry.at + i * (entry.kind === BTF_KIND_ENUM64 ? 12 : 8);
      const low = BigInt(view.getUint32(at + 4, true));
      const high = entry.kind === BTF_KIND_ENUM64 ? BigInt(view.getUint32(at + 8, true)) : 0n;
      const bits = entry.kind === BTF_KIND_ENUM64 ? 64 : 32;
      const value = low | (high << 32n);
      enumerators.push({
        name: this.#btf.string(view.getUint32(at, true)),
        value: entry.flag ? BigInt.asIntN(bits, value) : value,
      });
    }
    return enumerators;
  }

  #byteSize(id: number, depth: number): number {
    const entry = this.#btf.entry(id);
    if (entry === undefined || depth > deepest) return 0;
    switch (entry.kind) {
      case BTF_KIND_PTR:
        return pointerBytes;
      case BTF_KIND_ARRAY: {
        const view = this.#btf.viewOf(id);
        const element = this.#byteSize(view.getUint32(entry.at, true), depth + 1);
        return element * view.getUint32(entry.at + 8, true);
      }
      case BTF_KIND_TYPEDEF:
      case BTF_KIND_CONST:
      case BTF_KIND_VOLATILE:
      case BTF_KIND_RESTRICT:
      case BTF_KIND_TYPE_TAG:
        return this.#byteSize(entry.sizeOrType, depth + 1);
      case BTF_KIND_INT:
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
      case BTF_KIND_ENUM:
      case BTF_KIND_ENUM64:
      case BTF_KIND_FLOAT:
        return entry.sizeOrType;
      default:
        return 0;
    }
  }

  /** A type in C around `inner`, the declarator so far: "int (*)[4]" is an array of int around "*". */
  #spell(id: number, inner: string, depth: number): string {
    const entry = this.#btf.entry(id);
    if (depth > deepest || inner.length > mostNameCharacters) return `… ${inner}`;
    if (entry === undefined) return joined(id === 0 ? 'void' : `type ${id}`, inner);
    const own = this.#btf.string(entry.nameOffset);
    const wrapped = inner.startsWith('*') ? `(${inner})` : inner;
    const next = (declarator: string, target: number = entry.sizeOrType): string =>
      this.#spell(target, declarator, depth + 1);
    switch (entry.kind) {
      case BTF_KIND_PTR:
        return next(`*${inner}`);
      case BTF_KIND_ARRAY: {
        const view = this.#btf.viewOf(id);
        return next(`${wrapped}[${view.getUint32(entry.at + 8, true)}]`, view.getUint32(entry.at, true));
      }
      case BTF_KIND_FUNC:
      case BTF_KIND_FUNC_PROTO:
        return entry.kind === BTF_KIND_FUNC
          ? next(inner)
          : next(`${wrapped}(${this.#parameters(id, entry, depth)})`);
      case BTF_KIND_CONST:
      case BTF_KIND_VOLATILE:
      case BTF_KIND_RESTRICT: {
        const word = aliasWords.get(entry.kind) ?? '';
        const target = this.#btf.entry(entry.sizeOrType);
        // "char *const" qualifies the pointer, "const char *" what it points to.
        if (target?.kind === BTF_KIND_PTR) return next(joined(` ${word}`, inner));
        return `${word} ${next(inner)}`;
      }
      case BTF_KIND_TYPE_TAG:
        return next(inner);
      case BTF_KIND_STRUCT:
      case BTF_KIND_UNION:
      case BTF_KIND_FWD: {
        const isUnion = entry.kind === BTF_KIND_UNION || (entry.kind === BTF_KIND_FWD && entry.flag);
        return joined(`${isUnion ? 'union' : 'struct'} ${own === '' ? '{...}' : own}`, inner);
      }
      case BTF_KIND_ENUM:
      case BTF_KIND_ENUM64:
        return joined(`enum ${own === '' ? '{...}' : own}`, inner);
      default:
        return joined(own, inner);
    }
  }

  #parameters(id: number, entry: BtfEntry, depth: number): string {
    const view = this.#btf.viewOf(id);
    if (entry.count === 0) return 'void';
    // Parameters may be functions with parameters: what is deep or long is not spelled out.
    if (depth > 2 || entry.count > 16) return '...';
    const parameters: string[] = [];
    for (let i = 0; i < entry.count; i++) {
      const type = view.getUint32(entry.at + i * 8 + 4, true);
      // A last one of no name and no type: "...".
      parameters.push(type === 0 ? '...' : this.#spell(type, '', depth + 1));
    }
    return parameters.join(', ');
  }
}

const voidType: TypeDescription = { kind: 'void', name: 'void', byteSize: 0 };

const aliasWords: ReadonlyMap<number, 'typedef' | 'const' | 'volatile' | 'restrict'> = new Map([
  [BTF_KIND_TYPEDEF, 'typedef'],
  [BTF_KIND_CONST, 'const'],
  [BTF_KIND_VOLATILE, 'volatile'],
  [BTF_KIND_RESTRICT, 'restrict'],
] as const);

function joined(type: string, declarator: string): string {
  if (declarator === '') return type;
  return declarator.startsWith('[') || declarator.startsWith(' ')
    ? `${type}${declarator}`
    : `${type} ${declarator}`;
}

class LazyPointer implements PointerType {
  readonly kind = 'pointer';
  readonly byteSize: number = pointerBytes;
  readonly reference: boolean = false;
  readonly name: string;
  readonly #read: () => TypeDescription;

  constructor(name: string, read: () => TypeDescription) {
    this.name = name;
    this.#read = read;
  }

  get target(): TypeDescription {
    return this.#read();
  }
}

class LazyAlias {
  readonly kind = 'alias';
  readonly name: string;
  readonly byteSize: number;
  readonly alias: 'typedef' | 'const' | 'volatile' | 'restrict';
  readonly #read: () => TypeDescription;

  constructor(
    name: string,
    parts: {
      alias: 'typedef' | 'const' | 'volatile' | 'restrict';
      byteSize: number;
      read: () => TypeDescription;
    },
  ) {
    this.name = name;
    this.byteSize = parts.byteSize;
    this.alias = parts.alias;
    this.#read = parts.read;
  }

  get target(): TypeDescription {
    return this.#read();
  }
}

class LazyArray implements ArrayType {
  readonly kind = 'array';
  readonly name: string;
  readonly byteSize: number;
  readonly count: number | undefined;
  readonly vector: boolean = false;
  readonly #read: () => TypeDescription;

  constructor(name: string, parts: { byteSize: number; count: number; read: () => TypeDescription }) {
    this.name = name;
    this.byteSize = parts.byteSize;
    // C's flexible array members have count 0.
    this.count = parts.count === 0 ? undefined : parts.count;
    this.#read = parts.read;
  }

  get element(): TypeDescription {
    return this.#read();
  }
}

class LazyStruct implements StructType {
  readonly kind = 'struct';
  readonly name: string;
  readonly keyword: 'struct' | 'union';
  readonly byteSize: number;
  readonly incomplete: boolean;
  readonly #read: () => StructMember[];
  #members: readonly StructMember[] | undefined;

  constructor(
    name: string,
    parts: {
      keyword: 'struct' | 'union';
      byteSize: number;
      incomplete: boolean;
      read: () => StructMember[];
    },
  ) {
    this.name = name;
    this.keyword = parts.keyword;
    this.byteSize = parts.byteSize;
    this.incomplete = parts.incomplete;
    this.#read = parts.read;
  }

  get members(): readonly StructMember[] {
    this.#members ??= this.#read();
    return this.#members;
  }
}

class LazyEnum implements EnumType {
  readonly kind = 'enum';
  readonly name: string;
  readonly byteSize: number;
  readonly signed: boolean;
  readonly #read: () => Enumerator[];
  #enumerators: readonly Enumerator[] | undefined;

  constructor(name: string, entry: BtfEntry, read: () => Enumerator[]) {
    this.name = name;
    this.byteSize = entry.sizeOrType;
    this.signed = entry.flag;
    this.#read = read;
  }

  get enumerators(): readonly Enumerator[] {
    this.#enumerators ??= this.#read();
    return this.#enumerators;
  }
}
