import { decodeUtf8 } from '../../base/text.ts';
import type { ElfFile } from '../elf-file.ts';
import { DwarfError } from './dwarf-error.ts';

/** The sections of debug information that are read, without the `.debug_` before them. */
export type DwarfSectionName =
  | 'info'
  | 'types'
  | 'abbrev'
  | 'str'
  | 'line_str'
  | 'str_offsets'
  | 'addr'
  | 'line'
  | 'ranges'
  | 'rnglists'
  | 'aranges'
  | 'names'
  | 'loclists'
  | 'loc';

/**
 * The debug sections of one file, read when they are first asked for. A section that is not there is empty. Parts can
 * be had without reading the whole, which is what makes a name that is known from a cache cheap.
 */
export interface DwarfSections {
  /** The file's name, for messages. */
  readonly file: string;
  sizeBytes(section: DwarfSectionName): number;
  /** All of a section; kept. */
  whole(section: DwarfSectionName): Uint8Array;
  /** The bytes [offset, offset + lengthBytes), cut where the section ends. */
  range(section: DwarfSectionName, offset: number, lengthBytes: number): Uint8Array;
}

/**
 * The debug sections of an ELF file. `suffix` is ".dwo" for the sections of split debug information.
 * The methods throw an `ElfError` for sections that are not all there.
 */
export function elfDwarfSections(file: ElfFile, suffix: '' | '.dwo' = ''): DwarfSections {
  const loaded = new Map<DwarfSectionName, Uint8Array>();
  const find = (section: DwarfSectionName) => file.section(`.debug_${section}${suffix}`);
  return {
    file: file.name,
    sizeBytes: (section) => find(section)?.sizeBytes ?? 0,
    whole(section) {
      let bytes = loaded.get(section);
      if (bytes === undefined) {
        const content = find(section);
        if (content !== undefined && content.sizeBytes > mostSectionBytes) {
          throw new DwarfError(
            file.name,
            `.debug_${section} has ${content.sizeBytes} bytes: more than ${mostSectionBytes} are not read`,
          );
        }
        bytes = content?.read(0, content.sizeBytes) ?? new Uint8Array(0);
        loaded.set(section, bytes);
      }
      return bytes;
    },
    range(section, offset, lengthBytes) {
      const bytes = loaded.get(section);
      if (bytes !== undefined) return bytes.subarray(offset, offset + lengthBytes);
      return find(section)?.read(offset, lengthBytes) ?? new Uint8Array(0);
    },
  };
}

/** The NUL-terminated string at `offset`. Throws {@link DwarfError} outside the section. */
export function sectionString(sections: DwarfSections, section: DwarfSectionName, offset: number): string {
  let chunkBytes = 256;
  for (;;) {
    const bytes = sections.range(section, offset, chunkBytes);
    const nul = bytes.indexOf(0);
    if (nul >= 0) return decodeUtf8(bytes.subarray(0, nul));
    if (bytes.length < chunkBytes) {
      throw new DwarfError(sections.file, `no string at byte ${offset} of .debug_${section}`);
    }
    if (chunkBytes >= mostStringBytes) return decodeUtf8(bytes);
    chunkBytes *= 16;
  }
}

// A file may claim to be larger than any memory without taking a block of its disk. Chromium's largest is 1.5 GB.
const mostSectionBytes = 0x7fff_ffff;
/** The longest names of C++ templates have some tens of kilobytes; what is longer is cut. */
const mostStringBytes = 256 * 16 * 16;
