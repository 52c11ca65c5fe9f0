import { Abbreviations } from './abbreviations.ts';
import { ByteCursor } from './byte-cursor.ts';
import {
  DW_AT_addr_base,
  DW_AT_GNU_addr_base,
  DW_AT_language,
  DW_AT_loclists_base,
  DW_AT_rnglists_base,
  DW_AT_str_offsets_base,
  DW_UT_split_compile,
  DW_UT_split_type,
} from './constants.ts';
import { DwarfError } from './dwarf-error.ts';
import { EntryReader } from './entry-reader.ts';
import { type DwarfSectionName, type DwarfSections, sectionString } from './sections.ts';
import { type LoadedUnit, mostHeaderBytes, readUnitHeader, type UnitHeader } from './unit.ts';

/** Where a unit's indices into other sections count from. */
export interface UnitBases {
  readonly strOffsets: number;
  readonly addr: number;
  readonly rnglists: number | undefined;
  readonly loclists: number | undefined;
}

/** What a split unit takes from the skeleton that names it, which stands in another file. */
export interface SkeletonPart {
  readonly sections: DwarfSections;
  readonly addrBase: number;
  /** Where offsets into `.debug_ranges` count from (GNU's DWARF 4). */
  readonly rangesBase?: number;
}

/**
 * The debug information of one file: its units, and the entries in them. Units are loaded when they are first read.
 * All methods throw a {@link DwarfError} (or the `ElfError` of a section) for what cannot be read.
 */
export class DwarfFile {
  readonly name: string;
  readonly sections: DwarfSections;
  readonly #supplementary: DwarfFile | undefined;
  /** Of split debug information: where its addresses are. */
  readonly skeleton: SkeletonPart | undefined;
  readonly #abbreviations: Abbreviations;
  readonly #infoBytes: number;
  #units: readonly UnitHeader[] | undefined;
  #problem: DwarfError | undefined;
  #lastLoaded: LoadedUnit | undefined;
  readonly #loaded: Map<number, LoadedUnit> = new Map();
  readonly #bases: Map<number, UnitBases> = new Map();
  readonly #isC: Map<number, boolean> = new Map();
  #signatures: Map<bigint, number> | undefined;

  /**
   * @param options.supplementary the file that `dwz` moved common entries to.
   * @param options.skeleton of a file of split debug information: where its addresses are.
   */
  constructor(
    sections: DwarfSections,
    options: { supplementary?: DwarfFile | undefined; skeleton?: SkeletonPart } = {},
  ) {
    this.name = sections.file;
    this.sections = sections;
    this.#supplementary = options.supplementary;
    this.skeleton = options.skeleton;
    this.#abbreviations = new Abbreviations(sections);
    this.#infoBytes = sections.sizeBytes('info');
  }

  /** Whether there is any. */
  get isEmpty(): boolean {
    return this.#infoBytes === 0;
  }

  /** What ended the list of units early: a header that cannot be read, behind which nothing is found. */
  get problem(): DwarfError | undefined {
    this.units();
    return this.#problem;
  }

  /** The units in the order of their offsets: those of .debug_info, then those of .debug_types. */
  units(): readonly UnitHeader[] {
    this.#units ??= this.#readUnits();
    return this.#units;
  }

  /** The unit that begins at `offset`: found without reading the headers of those before it. */
  unitStartingAt(offset: number): UnitHeader {
    const known = this.#loaded.get(offset);
    if (known !== undefined) return known;
    if (this.#units !== undefined) return this.#unitAt(offset);
    return this.#header(offset);
  }

  /** The unit that `offset` is in. */
  unitAt(offset: number): LoadedUnit {
    // Most entries are in the unit that was just read, and a unit that is known needs no list of all.
    const last = this.#lastLoaded;
    if (last !== undefined && offset >= last.offset && offset < last.end) return last;
    if (this.#loaded.size <= mostSearched) {
      for (const unit of this.#loaded.values()) if (offset >= unit.offset && offset < unit.end) return unit;
    }
    return this.load(this.#unitAt(offset));
  }

  #unitAt(offset: number): UnitHeader {
    const units = this.units();
    let low = 0;
    let high = units.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (units[middle]!.offset <= offset)
        low = middle + 1; // in bounds
      else high = middle;
    }
    const unit = units[low - 1];
    if (unit === undefined || offset >= unit.end) throw new DwarfError(this.name, `no unit at ${offset}`);
    return unit;
  }

  /** A unit made ready to be read; kept. */
  load(unit: UnitHeader): LoadedUnit {
    let loaded = this.#loaded.get(unit.offset);
    if (loaded === undefined) {
      loaded = {
        ...unit,
        bytes: this.#infoRange(unit.offset, unit.end - unit.offset),
        abbreviations: this.#abbreviations.at(unit.abbreviationOffset, unit),
      };
      this.#loaded.set(unit.offset, loaded);
    }
    this.#lastLoaded = loaded;
    return loaded;
  }

  /** A reader that is at the first entry of a unit, at the next call of its `next`. */
  read(unit: UnitHeader): EntryReader {
    return new EntryReader(this, this.load(unit));
  }

  /** A reader at the entry `offset`. */
  entry(offset: number): EntryReader {
    return new EntryReader(this, this.unitAt(offset)).readAt(offset);
  }

  /** Where the type of a type unit is (DW_FORM_ref_sig8). */
  typeEntryOf(signature: bigint): number | undefined {
    if (this.#signatures === undefined) {
      this.#signatures = new Map();
      for (const unit of this.units()) {
        if (unit.signature !== undefined && unit.typeEntry !== undefined) {
          this.#signatures.set(unit.signature, unit.typeEntry);
        }
      }
    }
    return this.#signatures.get(signature);
  }

  supplementary(): DwarfFile {
    if (this.#supplementary === undefined) {
      throw new DwarfError(this.name, 'the supplementary file that dwz moved a part of it to is not there');
    }
    return this.#supplementary;
  }

  string(section: 'str' | 'line_str', offset: number): string {
    return sectionString(this.sections, section, offset);
  }

  /** The string that DW_FORM_strx means. */
  indexedString(unit: LoadedUnit, index: number): string {
    const at = this.bases(unit).strOffsets + index * unit.offsetBytes;
    return this.string('str', Number(this.#number('str_offsets', at, unit.offsetBytes)));
  }

  /** The address that DW_FORM_addrx means. */
  addressAt(unit: LoadedUnit, index: number): bigint {
    const at = this.bases(unit).addr + index * unit.addressBytes;
    return this.#number('addr', at, unit.addressBytes);
  }

  /** Where the unit's indices count from, as its own entry says. */
  bases(unit: LoadedUnit): UnitBases {
    let bases = this.#bases.get(unit.offset);
    if (bases === undefined) {
      const entry = new EntryReader(this, unit).readAt(unit.firstEntry);
      // The sections of split units hold one contribution, of which the unit's entry says nothing: behind its header.
      const isSplit = unit.type === DW_UT_split_compile || unit.type === DW_UT_split_type;
      const behindHeader = isSplit ? (unit.offsetBytes === 8 ? 16 : 8) : 0;
      const offsetOf = (attribute: number): number | undefined => entry.sectionOffset(attribute);
      bases = {
        strOffsets: offsetOf(DW_AT_str_offsets_base) ?? behindHeader,
        addr: this.skeleton?.addrBase ?? offsetOf(DW_AT_addr_base) ?? offsetOf(DW_AT_GNU_addr_base) ?? 0,
        rnglists: offsetOf(DW_AT_rnglists_base),
        loclists: offsetOf(DW_AT_loclists_base),
      };
      this.#bases.set(unit.offset, bases);
    }
    return bases;
  }

  /** Whether the unit's language is C, which has its tags in a name space of their own. */
  isC(unit: LoadedUnit): boolean {
    let isC = this.#isC.get(unit.offset);
    if (isC === undefined) {
      const language = new EntryReader(this, unit).readAt(unit.firstEntry).size(DW_AT_language);
      isC = language !== undefined && languagesOfC.has(language);
      this.#isC.set(unit.offset, isC);
    }
    return isC;
  }

  #number(section: 'str_offsets' | 'addr', at: number, sizeBytes: number): bigint {
    const sections = section === 'addr' ? (this.skeleton?.sections ?? this.sections) : this.sections;
    const bytes = sections.range(section, at, sizeBytes);
    return new ByteCursor(bytes, { file: this.name }).unsigned(sizeBytes);
  }

  #infoRange(offset: number, lengthBytes: number): Uint8Array {
    const inTypes = offset >= this.#infoBytes;
    const section: DwarfSectionName = inTypes ? 'types' : 'info';
    return this.sections.range(section, inTypes ? offset - this.#infoBytes : offset, lengthBytes);
  }

  #header(offset: number): UnitHeader {
    const inTypes = offset >= this.#infoBytes;
    const end = inTypes ? this.#infoBytes + this.sections.sizeBytes('types') : this.#infoBytes;
    const bytes = this.#infoRange(offset, Math.min(mostHeaderBytes, end - offset));
    return readUnitHeader(bytes, { file: this.name, offset, end, inTypes });
  }

  #readUnits(): UnitHeader[] {
    const units: UnitHeader[] = [];
    for (const [start, end] of [
      [0, this.#infoBytes],
      [this.#infoBytes, this.#infoBytes + this.sections.sizeBytes('types')],
    ] as const) {
      for (let offset = start; offset < end; ) {
        try {
          const unit = this.#header(offset);
          units.push(unit);
          offset = unit.end;
        } catch (error) {
          if (!(error instanceof DwarfError)) throw error;
          this.#problem ??= error;
          break;
        }
      }
    }
    return units;
  }
}

/** With more units than that, the list of all is faster to search. */
const mostSearched = 16;
/** DW_LANG_C89, C, C99, C11, C17. */
const languagesOfC: ReadonlySet<number> = new Set([0x01, 0x02, 0x0c, 0x1d, 0x2c]);
