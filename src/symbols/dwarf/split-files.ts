import type { DebugFileAccess } from '../debug-files.ts';
import { ElfError } from '../elf-error.ts';
import { ElfFile } from '../elf-file.ts';
import {
  DW_AT_addr_base,
  DW_AT_comp_dir,
  DW_AT_dwo_name,
  DW_AT_GNU_addr_base,
  DW_AT_GNU_dwo_id,
  DW_AT_GNU_dwo_name,
  DW_AT_GNU_ranges_base,
} from './constants.ts';
import { DwarfFile, type SkeletonPart } from './dwarf-file.ts';
import { DwarfPackage } from './dwarf-package.ts';
import type { EntryReader } from './entry-reader.ts';
import { elfDwarfSections } from './sections.ts';
import type { LoadedUnit, UnitHeader } from './unit.ts';

/** A unit that stands in a file of its own. */
export interface SplitUnit {
  readonly file: DwarfFile;
  readonly unit: UnitHeader;
}

/** What a skeleton unit says about the rest of it. */
interface SkeletonUnit {
  readonly id: bigint;
  readonly paths: readonly string[];
  readonly part: SkeletonPart;
}

/**
 * The units of split debug information (-gsplit-dwarf): the module holds skeletons, which name .dwo files, or all of
 * them are packed in one .dwp. DWARF 5, and GNU's form of it in DWARF 4. Files are opened when a unit is asked for.
 */
export class SplitFiles {
  readonly #main: DwarfFile;
  readonly #modulePath: string;
  readonly #access: DebugFileAccess;
  readonly #units: Map<number, SplitUnit | undefined> = new Map();
  #package: { readonly value: DwarfPackage | undefined } | undefined;
  #problem: string | undefined;

  constructor(main: DwarfFile, options: { modulePath: string; access: DebugFileAccess }) {
    this.#main = main;
    this.#modulePath = options.modulePath;
    this.#access = options.access;
  }

  /** The first part that could not be had, as one line. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * The full unit that `unit` of the main file stands for; `undefined` where it is no skeleton, or its file is not there
   * (then {@link problem} says so).
   *
   * @throws {DwarfError} where the skeleton itself cannot be read.
   */
  unitOf(unit: UnitHeader): SplitUnit | undefined {
    if (this.#units.has(unit.offset)) return this.#units.get(unit.offset);
    const skeleton = this.#skeletonOf(this.#main.load(unit));
    const found = skeleton === undefined ? undefined : this.#open(skeleton);
    this.#units.set(unit.offset, found);
    return found;
  }

  #skeletonOf(unit: LoadedUnit): SkeletonUnit | undefined {
    const entry = this.#main.read(unit).readAt(unit.firstEntry);
    const name = entry.string(DW_AT_dwo_name) ?? entry.string(DW_AT_GNU_dwo_name);
    const id = unit.dwoId ?? entry.constant(DW_AT_GNU_dwo_id);
    if (name === undefined || id === undefined) return undefined;
    const folder = entry.string(DW_AT_comp_dir) ?? '';
    const besideModule = this.#modulePath.slice(0, this.#modulePath.lastIndexOf('/') + 1);
    const paths = name.startsWith('/') ? [name] : [`${folder}/${name}`, `${besideModule}${name}`];
    return { id: BigInt.asUintN(64, id), paths, part: skeletonPart(this.#main, entry) };
  }

  #open(skeleton: SkeletonUnit): SplitUnit | undefined {
    const packed = this.#packageOf()?.sectionsOf(skeleton.id);
    if (packed !== undefined)
      return unitWithId(new DwarfFile(packed, { skeleton: skeleton.part }), skeleton.id);
    for (const path of skeleton.paths) {
      const source = this.#access.openPath(path);
      if (source === undefined) continue;
      try {
        const elf = ElfFile.open(source, path, this.#access.decompress);
        const file = new DwarfFile(elfDwarfSections(elf, '.dwo'), { skeleton: skeleton.part });
        const unit = unitWithId(file, skeleton.id);
        if (unit !== undefined) return unit;
        this.#problem ??= `${path} does not belong to ${this.#modulePath}: it has no unit 0x${skeleton.id.toString(16)}`;
      } catch (error) {
        if (!(error instanceof ElfError)) throw error;
        this.#problem ??= error.message;
      }
    }
    this.#problem ??= `${skeleton.paths[0]} is not there: it holds debug information of ${this.#modulePath}`;
    return undefined;
  }

  #packageOf(): DwarfPackage | undefined {
    if (this.#package === undefined) {
      const path = `${this.#modulePath}.dwp`;
      const source = this.#access.openPath(path);
      let value: DwarfPackage | undefined;
      try {
        if (source !== undefined) {
          value = DwarfPackage.open(ElfFile.open(source, path, this.#access.decompress));
        }
      } catch (error) {
        if (!(error instanceof ElfError)) throw error;
        this.#problem ??= error.message;
      }
      this.#package = { value };
    }
    return this.#package.value;
  }
}

function skeletonPart(main: DwarfFile, entry: EntryReader): SkeletonPart {
  return {
    sections: main.sections,
    addrBase: entry.sectionOffset(DW_AT_addr_base) ?? entry.sectionOffset(DW_AT_GNU_addr_base) ?? 0,
    rangesBase: entry.sectionOffset(DW_AT_GNU_ranges_base) ?? 0,
  };
}

/** The unit with the id: a .dwo file holds type units too. */
function unitWithId(file: DwarfFile, id: bigint): SplitUnit | undefined {
  for (const unit of file.units()) {
    if (unit.signature !== undefined) continue;
    const own = unit.dwoId ?? file.read(unit).readAt(unit.firstEntry).constant(DW_AT_GNU_dwo_id);
    if (own !== undefined && BigInt.asUintN(64, own) === id) return { file, unit };
  }
  return undefined;
}
