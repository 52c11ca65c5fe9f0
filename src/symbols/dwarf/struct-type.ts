import type { StructMember, StructType, Variant, VariantPart } from '../types.ts';
import { ByteCursor } from './byte-cursor.ts';
import * as dw from './constants.ts';
import { DwarfError } from './dwarf-error.ts';
import type { EntryPlace, EntryReader } from './entry-reader.ts';
import type { TypeReader } from './type-reader.ts';

/** A member as it was read. */
export interface LocatedMember extends StructMember {
  /** Of a virtual base: the location expression that finds it in the object, and where its indices count from. */
  readonly location?: { readonly expression: Uint8Array; readonly place: EntryPlace };
}

/** A struct, class or union whose members are read at the first look. */
export class StructDescription implements StructType {
  readonly kind = 'struct';
  readonly keyword: 'struct' | 'class' | 'union';
  readonly name: string;
  readonly #types: TypeReader;
  readonly #place: EntryPlace;
  readonly #byteSize: number;
  /** The entry says only that there is such a struct. */
  readonly #isDeclaration: boolean;
  readonly #plainName: string | undefined;
  #definition: StructType | undefined;
  #content: { members: LocatedMember[]; variants: VariantPart | undefined } | undefined;

  /** @param entry at `place`. */
  constructor(types: TypeReader, place: EntryPlace, entry: EntryReader) {
    this.#types = types;
    this.#place = place;
    this.keyword =
      entry.tag === dw.DW_TAG_union_type
        ? 'union'
        : entry.tag === dw.DW_TAG_structure_type
          ? 'struct'
          : 'class';
    this.#plainName = entry.string(dw.DW_AT_name);
    this.#byteSize = entry.size(dw.DW_AT_byte_size) ?? 0;
    this.#isDeclaration = entry.flag(dw.DW_AT_declaration) || entry.has(dw.DW_AT_signature);
    this.name = tagged(entry, this.keyword, this.#plainName);
  }

  get byteSize(): number {
    return this.#defined()?.byteSize ?? this.#byteSize;
  }

  get incomplete(): boolean {
    return this.#isDeclaration && this.#defined() === undefined;
  }

  get members(): readonly LocatedMember[] {
    return this.#defined()?.members ?? this.#read().members;
  }

  get variants(): VariantPart | undefined {
    return this.#defined() === undefined ? this.#read().variants : this.#defined()?.variants;
  }

  #defined(): StructType | undefined {
    if (!this.#isDeclaration || this.#definition !== undefined) return this.#definition;
    if (this.#plainName === undefined) return undefined;
    const type = this.#types.definitionOf(this.#place, this.#plainName);
    // One that is itself a declaration would be asked in turn, and might lead back here.
    if (type instanceof StructDescription && !type.#isDeclaration) this.#definition = type;
    return this.#definition;
  }

  #read(): { members: LocatedMember[]; variants: VariantPart | undefined } {
    if (this.#content === undefined) {
      this.#content = { members: [], variants: undefined };
      try {
        this.#readInto(this.#content);
      } catch (error) {
        if (!(error instanceof DwarfError)) throw error; // the members up to here are all that can be had
      }
    }
    return this.#content;
  }

  #readInto(content: { members: LocatedMember[]; variants: VariantPart | undefined }): void {
    const entry = this.#place.file.entry(this.#place.offset);
    while (entry.next()) {
      if (entry.depth > 1) continue;
      switch (entry.tag) {
        case dw.DW_TAG_member:
        case dw.DW_TAG_inheritance: {
          const member = this.#member(entry);
          if (member !== undefined) content.members.push(member);
          break;
        }
        case dw.DW_TAG_variant_part:
          content.variants = this.#variantPart(entry.offset);
          break;
      }
      entry.skipChildren();
    }
  }

  #variantPart(offset: number): VariantPart {
    const entry = this.#place.file.entry(offset);
    const discriminantAt = entry.reference(dw.DW_AT_discr)?.offset;
    let discriminant: StructMember | undefined;
    const variants: Variant[] = [];
    let value: bigint | undefined;
    while (entry.next()) {
      if (entry.depth === 1 && entry.tag === dw.DW_TAG_member && entry.offset === discriminantAt) {
        discriminant = this.#member(entry);
      } else if (entry.depth === 1 && entry.tag === dw.DW_TAG_variant) {
        value = entry.constant(dw.DW_AT_discr_value);
      } else if (entry.depth === 2 && entry.tag === dw.DW_TAG_member) {
        const member = this.#member(entry);
        if (member !== undefined) variants.push({ name: member.name ?? '?', value, member });
      }
    }
    return { discriminant, variants };
  }

  /** `undefined` for a static member, which is a variable that has its place elsewhere. */
  #member(entry: EntryReader): LocatedMember | undefined {
    if (entry.flag(dw.DW_AT_external) || entry.flag(dw.DW_AT_declaration)) return undefined;
    const type = this.#types.typeOf(entry);
    const isBaseClass = entry.tag === dw.DW_TAG_inheritance;
    const common = {
      name: entry.string(dw.DW_AT_name) ?? (isBaseClass ? type.name : undefined),
      type,
      isBaseClass,
      isVirtual: false,
    };
    const bitSize = entry.size(dw.DW_AT_bit_size);
    const expression = entry.block(dw.DW_AT_data_member_location);
    const byteOffset =
      expression === undefined ? entry.size(dw.DW_AT_data_member_location) : plainOffset(expression, entry);
    if (expression !== undefined && byteOffset === undefined) {
      const place = { file: entry.file, offset: entry.offset };
      const location = { expression, place };
      return { ...common, isVirtual: true, byteOffset: 0, storageBytes: type.byteSize, location };
    }
    if (bitSize === undefined || bitSize === 0 || bitSize > 128) {
      return { ...common, byteOffset: byteOffset ?? 0, storageBytes: type.byteSize };
    }
    const bitOffset = bitOffsetOf(entry, { byteOffset: byteOffset ?? 0, bitSize, typeBytes: type.byteSize });
    const unit = storageUnit(bitOffset, bitSize);
    return {
      ...common,
      byteOffset: unit.byteOffset,
      storageBytes: unit.bytes,
      bits: { offset: bitOffset - unit.byteOffset * 8, size: bitSize },
    };
  }
}

/**
 * Bits from the struct's start to the field's lowest bit. Since DWARF 4 that is what is stored; before, the distance of
 * the field's highest bit from the highest bit of a storage unit.
 */
function bitOffsetOf(
  entry: EntryReader,
  field: { byteOffset: number; bitSize: number; typeBytes: number },
): number {
  const direct = entry.size(dw.DW_AT_data_bit_offset);
  if (direct !== undefined) return field.byteOffset * 8 + direct;
  const fromTop = entry.constant(dw.DW_AT_bit_offset);
  if (fromTop === undefined) return field.byteOffset * 8;
  const unitBytes = entry.size(dw.DW_AT_byte_size) ?? field.typeBytes;
  const offset = field.byteOffset * 8 + unitBytes * 8 - Number(BigInt.asIntN(64, fromTop)) - field.bitSize;
  return Number.isSafeInteger(offset) && offset >= 0 ? offset : field.byteOffset * 8;
}

/** The smallest aligned unit that holds the field; else just the bytes that it is in. */
function storageUnit(bitOffset: number, bitSize: number): { byteOffset: number; bytes: number } {
  for (const bytes of [1, 2, 4, 8]) {
    const byteOffset = Math.floor(bitOffset / (bytes * 8)) * bytes;
    if (bitOffset + bitSize <= (byteOffset + bytes) * 8) return { byteOffset, bytes };
  }
  const byteOffset = Math.floor(bitOffset / 8);
  return { byteOffset, bytes: Math.ceil((bitOffset + bitSize) / 8) - byteOffset };
}

/** The offset that DW_OP_plus_uconst, or DW_OP_constu and DW_OP_plus, adds; `undefined` where it takes the object to tell. */
function plainOffset(expression: Uint8Array, entry: EntryReader): number | undefined {
  const cursor = new ByteCursor(expression, { file: entry.file.name });
  const operation = cursor.u8();
  if (operation !== 0x23 && operation !== 0x10) return undefined;
  const offset = cursor.uleb();
  if (operation === 0x10 && (cursor.atEnd || cursor.u8() !== 0x22)) return undefined;
  return cursor.atEnd ? offset : undefined;
}

/** With the keyword that C wants before a tag; C++ and Rust want none. */
export function tagged(entry: EntryReader, keyword: string, name: string | undefined): string {
  if (name === undefined) return `${keyword} {…}`;
  return entry.file.isC(entry.unit) ? `${keyword} ${name}` : name;
}
