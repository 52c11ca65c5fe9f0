import type { ElfFile } from '../elf-file.ts';
import { ByteCursor } from './byte-cursor.ts';
import { DwarfError } from './dwarf-error.ts';
import { type DwarfSectionName, type DwarfSections, elfDwarfSections } from './sections.ts';

/** A part of a section of the package. */
interface Contribution {
  readonly offset: number;
  readonly sizeBytes: number;
}

/**
 * A .dwp file: the .dwo files of a program, put one behind the other, with an index by the units' ids.
 *
 * ```
 * .debug_cu_index = version u32 2 (5: u16 5, u16 0) | columns u32 | units u32 | slots u32
 *                 | ids u64[slots] | rows u32[slots], from 1, 0 empty
 *                 | section numbers u32[columns] | offsets u32[units][columns] | sizes u32[units][columns]
 * ```
 * Source: DWARF 5, 7.3.5; version 2: the GNU wiki's "DebugFissionDWP".
 */
export class DwarfPackage {
  readonly #sections: DwarfSections;
  readonly #rows: ReadonlyMap<bigint, ReadonlyMap<DwarfSectionName, Contribution>>;

  /** @throws {ElfError} for an index that cannot be read. */
  static open(file: ElfFile): DwarfPackage {
    return new DwarfPackage(file);
  }

  private constructor(file: ElfFile) {
    this.#sections = elfDwarfSections(file, '.dwo');
    const index = file.section('.debug_cu_index');
    if (index === undefined || index.sizeBytes > mostIndexBytes) {
      throw new DwarfError(file.name, 'a package without an index of its units that can be read');
    }
    this.#rows = readIndex(index.read(0, index.sizeBytes), file.name);
  }

  /** The sections as the .dwo file of the unit had them. */
  sectionsOf(id: bigint): DwarfSections | undefined {
    const row = this.#rows.get(id);
    return row === undefined ? undefined : partOf(this.#sections, row);
  }
}

const mostIndexBytes = 64 * 1024 * 1024;

const sectionNumbers: Readonly<Record<2 | 5, ReadonlyMap<number, DwarfSectionName>>> = {
  2: new Map<number, DwarfSectionName>([
    [1, 'info'],
    [2, 'types'],
    [3, 'abbrev'],
    [4, 'line'],
    [5, 'loc'],
    [6, 'str_offsets'],
  ]),
  5: new Map<number, DwarfSectionName>([
    [1, 'info'],
    [3, 'abbrev'],
    [4, 'line'],
    [5, 'loclists'],
    [6, 'str_offsets'],
    [8, 'rnglists'],
  ]),
};

function readIndex(
  bytes: Uint8Array,
  file: string,
): ReadonlyMap<bigint, ReadonlyMap<DwarfSectionName, Contribution>> {
  const cursor = new ByteCursor(bytes, { file });
  const version = cursor.u16();
  cursor.skip(2);
  if (version !== 2 && version !== 5) throw new DwarfError(file, `index version ${version} is not read`);
  const columns = cursor.u32();
  const units = cursor.u32();
  const slots = cursor.u32();
  const idsAt = cursor.at;
  const rowsAt = idsAt + slots * 8;
  const numbersAt = rowsAt + slots * 4;
  const offsetsAt = numbersAt + columns * 4;
  const sizesAt = offsetsAt + units * columns * 4;
  if (columns > 16 || sizesAt + units * columns * 4 > bytes.length) {
    throw new DwarfError(file, 'the index of its units is cut');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const result = new Map<bigint, ReadonlyMap<DwarfSectionName, Contribution>>();
  for (let slot = 0; slot < slots; slot++) {
    const row = view.getUint32(rowsAt + slot * 4, true);
    if (row === 0 || row > units) continue;
    const contributions = new Map<DwarfSectionName, Contribution>();
    for (let column = 0; column < columns; column++) {
      const name = sectionNumbers[version].get(view.getUint32(numbersAt + column * 4, true));
      const at = ((row - 1) * columns + column) * 4;
      if (name === undefined) continue;
      contributions.set(name, {
        offset: view.getUint32(offsetsAt + at, true),
        sizeBytes: view.getUint32(sizesAt + at, true),
      });
    }
    result.set(view.getBigUint64(idsAt + slot * 8, true), contributions);
  }
  return result;
}

/** Strings are common to all; of the other sections only what the index says is there. */
function partOf(sections: DwarfSections, row: ReadonlyMap<DwarfSectionName, Contribution>): DwarfSections {
  const read = (section: DwarfSectionName, offset: number, lengthBytes: number): Uint8Array => {
    const part = row.get(section);
    if (part === undefined) return new Uint8Array(0);
    const left = part.sizeBytes - offset;
    return left <= 0
      ? new Uint8Array(0)
      : sections.range(section, part.offset + offset, Math.min(left, lengthBytes));
  };
  const known = new Map<DwarfSectionName, Uint8Array>();
  return {
    file: sections.file,
    sizeBytes: (section) =>
      section === 'str' ? sections.sizeBytes(section) : (row.get(section)?.sizeBytes ?? 0),
    whole(section) {
      if (section === 'str') return sections.whole(section);
      let bytes = known.get(section);
      if (bytes === undefined) {
        bytes = read(section, 0, row.get(section)?.sizeBytes ?? 0);
        known.set(section, bytes);
      }
      return bytes;
    },
    range: (section, offset, lengthBytes) =>
      section === 'str' ? sections.range(section, offset, lengthBytes) : read(section, offset, lengthBytes),
  };
}
