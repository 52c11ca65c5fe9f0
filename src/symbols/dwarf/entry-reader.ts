import { decodeUtf8 } from '../../base/text.ts';
import type { Abbreviation } from './abbreviations.ts';
import { ByteCursor } from './byte-cursor.ts';
import * as dw from './constants.ts';
import { DwarfError } from './dwarf-error.ts';
import type { DwarfFile } from './dwarf-file.ts';
import { skipForm } from './forms.ts';
import type { LoadedUnit } from './unit.ts';

/** An entry of some file. */
export interface EntryPlace {
  readonly file: DwarfFile;
  /** In the count of {@link LoadedUnit.offset}. */
  readonly offset: number;
}

/**
 * Walks the entries (DIEs) of a unit in the order in which they are stored, without making an object for any: it is
 * always at one entry, whose attributes are decoded when they are asked for.
 *
 * ```
 * entry    = code uleb (0 ends the children of an entry), one value for each attribute of the code's abbreviation
 * ```
 *
 * All methods throw {@link DwarfError} for what cannot be read.
 */
export class EntryReader {
  readonly file: DwarfFile;
  readonly unit: LoadedUnit;
  /** Offset of the entry that it is at. */
  offset: number = 0;
  /** DW_TAG_ of that entry. */
  tag: number = 0;
  /** 0 for the entry that reading began at. */
  depth: number = -1;
  #abbreviation: Abbreviation = noAbbreviation;
  /** Where the entry's values begin, relative to the unit, as everything that is private here. */
  #values: number = 0;
  /** Where the next entry is; -1 until the current one's values have been passed over. */
  #next: number = 0;
  #nextDepth: number = 0;
  readonly #cursor: ByteCursor;

  constructor(file: DwarfFile, unit: LoadedUnit) {
    this.file = file;
    this.unit = unit;
    this.#cursor = new ByteCursor(unit.bytes, { file: file.name });
    this.seek(unit.firstEntry);
  }

  /** Lets {@link next} give the entry at `offset`, at depth 0. */
  seek(offset: number): this {
    this.#next = offset - this.unit.offset;
    this.#nextDepth = 0;
    this.depth = -1;
    if (this.#next < 0 || offset >= this.unit.end) {
      throw new DwarfError(this.file.name, `no entry at ${offset}`);
    }
    return this;
  }

  /** The entry at `offset` alone. */
  readAt(offset: number): this {
    this.seek(offset);
    if (!this.next()) throw new DwarfError(this.file.name, `no entry at ${offset}`);
    return this;
  }

  /** Whether it has DW_AT_declaration. */
  get isDeclaration(): boolean {
    return this.#abbreviation.isDeclaration;
  }

  get hasChildren(): boolean {
    return this.#abbreviation.hasChildren;
  }

  /**
   * Goes on to the next entry: the first child, else what follows. False behind the last one of those below the entry
   * that reading began at (or of the unit).
   */
  next(): boolean {
    const cursor = this.#cursor;
    this.#passValues();
    cursor.at = this.#next;
    let depth = this.#nextDepth;
    while (!cursor.atEnd) {
      const at = cursor.at;
      const code = cursor.uleb();
      if (code === 0) {
        depth--;
        if (depth <= 0) break;
        continue;
      }
      // Behind an entry without children that reading began at, there is no more of it.
      if (depth === 0 && this.depth >= 0) break;
      const abbreviation = this.unit.abbreviations(code);
      if (abbreviation === undefined) {
        throw new DwarfError(
          this.file.name,
          `the entry at ${this.unit.offset + at} has the unknown code ${code}`,
        );
      }
      this.offset = this.unit.offset + at;
      this.tag = abbreviation.tag;
      this.depth = depth;
      this.#abbreviation = abbreviation;
      this.#values = cursor.at;
      this.#next = -1;
      this.#nextDepth = abbreviation.hasChildren ? depth + 1 : depth;
      return true;
    }
    this.#next = cursor.at;
    this.#nextDepth = 0;
    return false;
  }

  /** Lets {@link next} pass over what is below the entry. */
  skipChildren(): void {
    const { depth } = this;
    if (!this.#abbreviation.hasChildren || this.#nextDepth <= depth) return;
    if (this.#abbreviation.hasSibling) {
      const sibling = this.reference(dw.DW_AT_sibling)?.offset;
      this.#passValues();
      // A sibling that leads backwards would be a loop.
      if (sibling !== undefined && sibling - this.unit.offset >= this.#next && sibling <= this.unit.end) {
        this.#next = sibling - this.unit.offset;
        this.#nextDepth = depth;
        return;
      }
    }
    this.#passValues();
    const cursor = this.#cursor;
    cursor.at = this.#next;
    let inner = depth + 1;
    while (inner > depth) {
      const at = cursor.at;
      if (cursor.atEnd) break;
      const code = cursor.uleb();
      if (code === 0) {
        inner--;
        continue;
      }
      const abbreviation = this.unit.abbreviations(code);
      if (abbreviation === undefined) {
        throw new DwarfError(
          this.file.name,
          `the entry at ${this.unit.offset + at} has the unknown code ${code}`,
        );
      }
      this.#skipValues(abbreviation);
      if (abbreviation.hasChildren) inner++;
    }
    this.#next = cursor.at;
    this.#nextDepth = depth;
  }

  has(attribute: number): boolean {
    const { specs } = this.#abbreviation;
    for (let i = 0; i < specs.length; i += 2) if (specs[i] === attribute) return true;
    return false;
  }

  /** The attribute's form (DW_FORM_), the one inside where it is indirect. */
  form(attribute: number): number | undefined {
    return this.#find(attribute)?.form;
  }

  flag(attribute: number): boolean {
    const found = this.#find(attribute);
    if (found === undefined) return false;
    return (
      found.form === dw.DW_FORM_flag_present || (found.form === dw.DW_FORM_flag && this.#cursor.u8() !== 0)
    );
  }

  /** A constant, as it is stored: signed only in a form that says so. `undefined` where it is none. */
  constant(attribute: number): bigint | undefined {
    const found = this.#find(attribute);
    if (found === undefined) return undefined;
    const cursor = this.#cursor;
    switch (found.form) {
      case dw.DW_FORM_data1:
        return BigInt(cursor.u8());
      case dw.DW_FORM_data2:
        return BigInt(cursor.u16());
      case dw.DW_FORM_data4:
        return BigInt(cursor.u32());
      case dw.DW_FORM_data8:
        return cursor.u64();
      case dw.DW_FORM_data16: {
        const low = cursor.u64();
        return (cursor.u64() << 64n) | low;
      }
      case dw.DW_FORM_udata:
        return cursor.ulebBig();
      case dw.DW_FORM_sdata:
        return cursor.slebBig();
      case dw.DW_FORM_implicit_const:
        return this.#abbreviation.implicit?.get(found.index);
      default:
        return undefined;
    }
  }

  /** A constant that is a size, count or offset: a number of at least 0; `undefined` where it is none, or too large. */
  size(attribute: number): number | undefined {
    const value = this.constant(attribute);
    if (value === undefined || value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    return Number(value);
  }

  /** An offset into another section (DW_FORM_sec_offset, or data4 and data8 before version 4). */
  sectionOffset(attribute: number): number | undefined {
    const found = this.#find(attribute);
    switch (found?.form) {
      case dw.DW_FORM_sec_offset:
        return this.unit.offsetBytes === 8 ? this.#cursor.u64Number() : this.#cursor.u32();
      case dw.DW_FORM_data4:
        return this.unit.version < 4 ? this.#cursor.u32() : undefined;
      case dw.DW_FORM_data8:
        return this.unit.version < 4 ? this.#cursor.u64Number() : undefined;
      default:
        return undefined;
    }
  }

  /** The index that DW_FORM_loclistx or DW_FORM_rnglistx holds. */
  listIndex(attribute: number): number | undefined {
    const found = this.#find(attribute);
    const isList = found?.form === dw.DW_FORM_loclistx || found?.form === dw.DW_FORM_rnglistx;
    return isList ? this.#cursor.uleb() : undefined;
  }

  address(attribute: number): bigint | undefined {
    const found = this.#find(attribute);
    if (found === undefined) return undefined;
    if (found.form === dw.DW_FORM_addr) return this.#cursor.unsigned(this.unit.addressBytes);
    const index = this.#addressIndex(found.form);
    return index === undefined ? undefined : this.file.addressAt(this.unit, index);
  }

  /** Bytes: a block, or an expression. */
  block(attribute: number): Uint8Array | undefined {
    const found = this.#find(attribute);
    const cursor = this.#cursor;
    switch (found?.form) {
      case dw.DW_FORM_exprloc:
      case dw.DW_FORM_block:
        return cursor.take(cursor.uleb());
      case dw.DW_FORM_block1:
        return cursor.take(cursor.u8());
      case dw.DW_FORM_block2:
        return cursor.take(cursor.u16());
      case dw.DW_FORM_block4:
        return cursor.take(cursor.u32());
      default:
        return undefined;
    }
  }

  string(attribute: number): string | undefined {
    const key = this.stringKey(attribute);
    if (key !== undefined) {
      return key >= 0 ? this.file.string('str', key) : this.file.indexedString(this.unit, -1 - key);
    }
    const found = this.#find(attribute);
    if (found === undefined) return undefined;
    const cursor = this.#cursor;
    const { file } = this;
    switch (found.form) {
      case dw.DW_FORM_string:
        return decodeUtf8(cursor.cstring());
      case dw.DW_FORM_line_strp:
        return file.string('line_str', this.#offset());
      case dw.DW_FORM_strp_sup:
      case dw.DW_FORM_GNU_strp_alt:
        return file.supplementary().string('str', this.#offset());
      default:
        return undefined;
    }
  }

  /**
   * What tells two strings of a unit apart without reading them: the offset in .debug_str, or -1 - i for the string of
   * index i. `undefined` for one that is stored otherwise.
   */
  stringKey(attribute: number): number | undefined {
    const found = this.#find(attribute);
    const cursor = this.#cursor;
    switch (found?.form) {
      case dw.DW_FORM_strp:
        return this.#offset();
      case dw.DW_FORM_strx:
      case dw.DW_FORM_GNU_str_index:
        return -1 - cursor.uleb();
      case dw.DW_FORM_strx1:
        return -1 - cursor.u8();
      case dw.DW_FORM_strx2:
        return -1 - cursor.u16();
      case dw.DW_FORM_strx3:
        return -1 - cursor.u24();
      case dw.DW_FORM_strx4:
        return -1 - cursor.u32();
      default:
        return undefined;
    }
  }

  /** The entry that an attribute refers to; `undefined` where it is no reference, or to a type unit that is not there. */
  reference(attribute: number): EntryPlace | undefined {
    const found = this.#find(attribute);
    if (found === undefined) return undefined;
    const cursor = this.#cursor;
    const { file, unit } = this;
    switch (found.form) {
      case dw.DW_FORM_ref1:
        return { file, offset: unit.offset + cursor.u8() };
      case dw.DW_FORM_ref2:
        return { file, offset: unit.offset + cursor.u16() };
      case dw.DW_FORM_ref4:
        return { file, offset: unit.offset + cursor.u32() };
      case dw.DW_FORM_ref8:
        return { file, offset: unit.offset + cursor.u64Number() };
      case dw.DW_FORM_ref_udata:
        return { file, offset: unit.offset + cursor.uleb() };
      case dw.DW_FORM_ref_addr:
        return {
          file,
          offset: unit.version <= 2 ? Number(cursor.unsigned(unit.addressBytes)) : this.#offset(),
        };
      case dw.DW_FORM_ref_sig8: {
        const offset = file.typeEntryOf(cursor.u64());
        return offset === undefined ? undefined : { file, offset };
      }
      case dw.DW_FORM_GNU_ref_alt:
        return { file: file.supplementary(), offset: this.#offset() };
      case dw.DW_FORM_ref_sup4:
        return { file: file.supplementary(), offset: cursor.u32() };
      case dw.DW_FORM_ref_sup8:
        return { file: file.supplementary(), offset: cursor.u64Number() };
      default:
        return undefined;
    }
  }

  #addressIndex(form: number): number | undefined {
    const cursor = this.#cursor;
    switch (form) {
      case dw.DW_FORM_addrx:
      case dw.DW_FORM_GNU_addr_index:
        return cursor.uleb();
      case dw.DW_FORM_addrx1:
        return cursor.u8();
      case dw.DW_FORM_addrx2:
        return cursor.u16();
      case dw.DW_FORM_addrx3:
        return cursor.u24();
      case dw.DW_FORM_addrx4:
        return cursor.u32();
      default:
        return undefined;
    }
  }

  #offset(): number {
    return this.unit.offsetBytes === 8 ? this.#cursor.u64Number() : this.#cursor.u32();
  }

  /** Sets the cursor to the attribute's value. */
  #find(attribute: number): { readonly form: number; readonly index: number } | undefined {
    const { specs } = this.#abbreviation;
    let last = -1;
    for (let i = 0; i < specs.length; i += 2) {
      if (specs[i] === attribute) {
        last = i;
        break;
      }
    }
    if (last < 0) return undefined;
    const cursor = this.#cursor;
    cursor.at = this.#values;
    for (let i = 0; i < last; i += 2) skipForm(cursor, specs[i + 1]!, this.unit, this.file.name); // i + 1 < length
    let form = specs[last + 1]!; // likewise
    if (form === dw.DW_FORM_indirect) form = cursor.uleb();
    return { form, index: last / 2 };
  }

  #passValues(): void {
    if (this.#next >= 0) return;
    this.#cursor.at = this.#values;
    this.#skipValues(this.#abbreviation);
    this.#next = this.#cursor.at;
  }

  #skipValues(abbreviation: Abbreviation): void {
    const cursor = this.#cursor;
    if (abbreviation.fixedBytes >= 0) {
      cursor.skip(abbreviation.fixedBytes);
      return;
    }
    const { specs } = abbreviation;
    for (let i = 1; i < specs.length; i += 2) skipForm(cursor, specs[i]!, this.unit, this.file.name); // i < length
  }
}

const noAbbreviation: Abbreviation = {
  tag: 0,
  hasChildren: false,
  specs: [],
  implicit: undefined,
  fixedBytes: 0,
  hasSibling: false,
  isDeclaration: false,
};
