import type { ByteSource } from '../base/byte-source.ts';
import { decodeCString } from '../base/text.ts';
import { findBuildId } from './build-id.ts';
import { decompressSection } from './compressed-section.ts';
import { type DynamicSection, readDynamicSection } from './dynamic-section.ts';
import { ElfError } from './elf-error.ts';
import {
  type ElfHeaders,
  PF_R,
  PF_W,
  PF_X,
  PT_INTERP,
  PT_LOAD,
  PT_NOTE,
  rangeSource,
  readElfHeaders,
  readRange,
  type SectionHeader,
  SHF_COMPRESSED,
  SHT_DYNSYM,
  SHT_GNU_versym,
  SHT_NOBITS,
  SHT_NOTE,
  SHT_PROGBITS,
  SHT_SYMTAB,
  viewOf,
} from './elf-headers.ts';
import { littleEndianHalfWords, littleEndianWords, type RawSymbols, symbolBytes } from './raw-symbols.ts';
import { SymbolTable } from './symbol-table.ts';
import type { SymbolTools } from './symbol-tools.ts';

/** A PT_LOAD segment: file bytes [offset, offset + fileBytes) are at [vaddr, vaddr + memBytes), zeros behind. */
export interface Segment {
  readonly vaddr: bigint;
  readonly offset: bigint;
  readonly fileBytes: bigint;
  readonly memBytes: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
}

/** What .gnu_debuglink says: the separate debug file's name and the CRC-32 of its content. */
export interface DebugLink {
  readonly name: string;
  readonly crc32: number;
}

/** The machines told apart. */
export type ElfMachine = 'x86-64' | 'arm64' | 'i386' | 'other';

/** The file types told apart. A position-independent executable is `shared`, as the file says. */
export type ElfType = 'executable' | 'shared' | 'relocatable' | 'core' | 'other';

/**
 * An ELF file: its headers are read when it is opened, its symbols when they are first asked for. Little-endian
 * 64-bit files are read in full; of 32-bit ones the headers and segments, so that a caller can name them.
 */
export class ElfFile {
  readonly name: string;
  readonly bits: 32 | 64;
  readonly machine: ElfMachine;
  readonly type: ElfType;
  readonly entry: bigint;
  /** The PT_LOAD segments, as the file orders them (ascending vaddr). */
  readonly segments: readonly Segment[];
  /** The dynamic linker that PT_INTERP names. */
  readonly interpreter: string | undefined;
  /** An executable that no dynamic linker loads: not one with an interpreter, nor a shared library. */
  readonly isStatic: boolean;
  /** Something to run rather than to link with: ET_EXEC, or ET_DYN marked as PIE (DF_1_PIE). */
  readonly isProgram: boolean;
  /** In lower-case hex. */
  readonly buildId: string | undefined;
  readonly debugLink: DebugLink | undefined;
  /** Whether there is no .symtab: at most the dynamic symbols are known. */
  readonly stripped: boolean;
  readonly #source: ByteSource;
  readonly #headers: ElfHeaders;
  readonly #sections: InterestingSections;
  readonly #dynamic: DynamicSection | undefined;
  #symbols: SymbolTable | undefined;
  #sectionsByName: Map<string, SectionHeader> | undefined;
  readonly #decompress: SymbolTools['decompress'] | undefined;
  readonly #decompressed: Map<string, ByteSource> = new Map();

  /**
   * Reads the headers of `source`; `name` is for messages.
   *
   * @param decompress reads compressed sections; without it they are refused.
   * @throws {ElfError} if it is not a little-endian ELF file, or is truncated.
   */
  static open(source: ByteSource, name: string, decompress?: SymbolTools['decompress']): ElfFile {
    return new ElfFile(source, name, readElfHeaders(source, name), decompress);
  }

  private constructor(
    source: ByteSource,
    name: string,
    headers: ElfHeaders,
    decompress: SymbolTools['decompress'] | undefined,
  ) {
    this.name = name;
    this.#source = source;
    this.#decompress = decompress;
    this.#headers = headers;
    this.bits = headers.bits;
    this.machine = machineNames.get(headers.machine) ?? 'other';
    this.type = typeNames.get(headers.type) ?? 'other';
    this.entry = headers.entry;
    this.segments = headers.programHeaders
      .filter((header) => header.type === PT_LOAD)
      .map((header) => ({
        vaddr: header.vaddr,
        offset: header.offset,
        fileBytes: header.fileBytes,
        memBytes: header.memBytes,
        readable: (header.flags & PF_R) !== 0,
        writable: (header.flags & PF_W) !== 0,
        executable: (header.flags & PF_X) !== 0,
      }));
    const sections = interestingSections(source, headers);
    this.#sections = sections;
    const isDebugOnly = sections.hasEmptyText;
    this.#dynamic =
      headers.bits === 64 && !isDebugOnly ? readDynamicSection(source, headers.programHeaders) : undefined;
    this.interpreter = isDebugOnly ? undefined : readInterpreter(source, headers);
    this.isProgram = this.type === 'executable' || this.#dynamic?.isPie === true;
    this.isStatic = this.isProgram && this.interpreter === undefined && !isDebugOnly;
    this.buildId = readBuildId(source, headers, sections.notes);
    this.debugLink = sections.debugLink === undefined ? undefined : readDebugLink(source, sections.debugLink);
    this.stripped = sections.symtab === undefined;
  }

  /**
   * The symbols of .symtab and .dynsym. Read at the first call.
   *
   * @throws {ElfError} for a 32-bit file, and for tables that are not all there or compressed.
   */
  symbols(): SymbolTable {
    this.#symbols ??= new SymbolTable([...this.rawSymbols()], { endOfLabels: this.endOfLabels() });
    return this.#symbols;
  }

  /**
   * The stored symbol tables, .symtab first: for a table made of several files' (a module and its debug file).
   *
   * @throws {ElfError} as {@link symbols} does.
   */
  rawSymbols(): readonly RawSymbols[] {
    if (this.bits === 32) throw new ElfError(this.name, 'a 32-bit file: its symbols are not read');
    const sections = this.#sections;
    const tables: RawSymbols[] = [];
    if (sections.symtab !== undefined) tables.push(this.#readSymbols(sections.symtab, undefined));
    if (sections.dynsym !== undefined) tables.push(this.#readSymbols(sections.dynsym, sections.versym));
    if (tables.length === 0) {
      const dynamic = this.#dynamic?.readSymbols();
      if (dynamic !== undefined) tables.push(dynamic);
    }
    return tables;
  }

  /**
   * Where a label (a symbol without a size) in the section `sectionIndex` at `value` must end: with its section, else
   * with its segment; `undefined` if it is in neither.
   */
  endOfLabels(): (sectionIndex: number, value: bigint) => bigint | undefined {
    const segments = this.segments.slice(0, mostSearchedSegments);
    return (sectionIndex, value) => {
      const section = this.#headers.sections.at(sectionIndex);
      if (section !== undefined && section.type !== 0) return section.address + section.sizeBytes;
      const segment = segments.find((one) => value >= one.vaddr && value - one.vaddr < one.memBytes);
      return segment === undefined ? undefined : segment.vaddr + segment.memBytes;
    };
  }

  /**
   * The file's bytes for [vaddr, vaddr + lengthBytes), cut where the segment's bytes in the file end (empty outside
   * all segments): what memory holds before the program runs, without relocations.
   */
  read(vaddr: bigint, lengthBytes: number): Uint8Array {
    for (const segment of this.segments) {
      const into = vaddr - segment.vaddr;
      if (into < 0n || into >= segment.fileBytes) continue;
      const offset = segment.offset + into;
      if (offset >= BigInt(this.#source.sizeBytes)) break;
      const left = segment.fileBytes - into;
      return this.#source.read(Number(offset), left < BigInt(lengthBytes) ? Number(left) : lengthBytes);
    }
    return new Uint8Array(0);
  }

  /** Whether {@link section} finds anything, without reading it. */
  hasSection(name: string): boolean {
    const header = this.#sectionNamed(name) ?? this.#sectionNamed(name.replace(/^\.debug_/, '.zdebug_'));
    return header !== undefined && header.sizeBytes > 0n;
  }

  /**
   * The content of the first section of that name that has any in the file, decompressed where it is compressed
   * (`.zdebug_…` for `.debug_…` too); `undefined` where there is none.
   *
   * @throws {ElfError} for a section that is not all there or damaged.
   */
  section(name: string): ByteSource | undefined {
    const known = this.#decompressed.get(name);
    if (known !== undefined) return known;
    const header = this.#sectionNamed(name);
    const old = header === undefined ? name.replace(/^\.debug_/, '.zdebug_') : name;
    const stored = header ?? this.#sectionNamed(old);
    if (stored === undefined) return undefined;
    const content = rangeSource(this.#source, this.name, { name: old, ...stored });
    const isElf = (stored.flags & SHF_COMPRESSED) !== 0n;
    if (!isElf && old === name) return content;
    const section = { file: this.name, name: old, content, format: isElf ? 'elf' : 'gnu' } as const;
    const data = decompressSection(section, this.#decompress);
    this.#decompressed.set(name, data);
    return data;
  }

  #sectionNamed(name: string): SectionHeader | undefined {
    if (this.#sectionsByName === undefined) {
      this.#sectionsByName = new Map();
      const { sections } = this.#headers;
      const names = readSectionNames(this.#source, sections.at(sections.namesIndex));
      for (let i = 1; i < sections.count && this.#sectionsByName.size < mostNamedSections; i++) {
        const header = sections.at(i)!; // in bounds
        if (header.type === SHT_NOBITS || header.nameOffset >= names.length) continue;
        const sectionName = decodeCString(names.subarray(header.nameOffset, header.nameOffset + 64));
        if (!this.#sectionsByName.has(sectionName)) this.#sectionsByName.set(sectionName, header);
      }
    }
    return this.#sectionsByName.get(name);
  }

  #readSymbols(header: SectionHeader, versions: SectionHeader | undefined): RawSymbols {
    const what = header.type === SHT_SYMTAB ? 'symbol table' : 'dynamic symbol table';
    if (header.entryBytes !== BigInt(symbolBytes)) {
      throw new ElfError(
        this.name,
        `the ${what} has entries of ${header.entryBytes} bytes, expected ${symbolBytes}`,
      );
    }
    const strings = this.#headers.sections.at(header.link);
    if (strings === undefined) {
      throw new ElfError(this.name, `the ${what}'s names are in section ${header.link}, which is not there`);
    }
    const bytes = this.#readSection(header, { what, mostBytes: mostSymbolTableBytes });
    const names = this.#readSection(strings, {
      what: `${what}'s string table`,
      mostBytes: mostStringTableBytes,
    });
    const table = {
      count: Math.floor(bytes.length / symbolBytes),
      words: littleEndianWords(bytes),
      strings: names,
    };
    if (versions === undefined) return table;
    const versionBytes = this.#readSection(versions, {
      what: 'symbol version table',
      mostBytes: mostSymbolTableBytes,
    });
    return { ...table, versions: littleEndianHalfWords(versionBytes) };
  }

  #readSection(header: SectionHeader, options: { what: string; mostBytes: number }): Uint8Array {
    if ((header.flags & SHF_COMPRESSED) !== 0n) {
      throw new ElfError(this.name, `the ${options.what} is compressed, which is not supported`);
    }
    if (header.type === SHT_NOBITS) return new Uint8Array(0);
    return readRange(this.#source, this.name, {
      ...options,
      offset: header.offset,
      sizeBytes: header.sizeBytes,
    });
  }
}

const machineNames: ReadonlyMap<number, ElfMachine> = new Map([
  [62, 'x86-64'],
  [183, 'arm64'],
  [3, 'i386'],
]);

const typeNames: ReadonlyMap<number, ElfType> = new Map([
  [1, 'relocatable'],
  [2, 'executable'],
  [3, 'shared'],
  [4, 'core'],
]);

// Chromium with all its symbols has a 60 MB symbol table and 300 MB of names.
const mostSymbolTableBytes = 256 * 1024 * 1024;
const mostStringTableBytes = 768 * 1024 * 1024;
// Notes are small; a core file's are not, and are not looked through.
const mostNoteBytes = 64 * 1024;
const mostNoteRanges = 64;
// Linkers make four or five; a hostile file's 65,536 are not searched for each of its labels.
const mostSearchedSegments = 64;
// A linked file has some forty; of an object file's hundreds of thousands those of debug information come early or not.
const mostNamedSections = 65_536;
const mostNamesBytes = 16 * 1024 * 1024;
// PATH_MAX.
const mostPathBytes = 4096;

interface InterestingSections {
  symtab?: SectionHeader;
  dynsym?: SectionHeader;
  versym?: SectionHeader;
  debugLink?: SectionHeader;
  notes: SectionHeader[];
  /** Whether the code is there in name only: a separate debug file, whose program headers are not its own. */
  hasEmptyText: boolean;
}

function interestingSections(source: ByteSource, headers: ElfHeaders): InterestingSections {
  const { sections } = headers;
  const found: InterestingSections = { notes: [], hasEmptyText: false };
  const names = readSectionNames(source, sections.at(sections.namesIndex));
  for (let i = 1; i < sections.count; i++) {
    const header = (): SectionHeader => sections.at(i)!; // in bounds
    switch (sections.typeAt(i)) {
      case SHT_SYMTAB:
        found.symtab ??= header();
        break;
      case SHT_DYNSYM:
        found.dynsym ??= header();
        break;
      case SHT_GNU_versym:
        found.versym ??= header();
        break;
      case SHT_NOTE:
        if (found.notes.length < mostNoteRanges) found.notes.push(header());
        break;
      case SHT_PROGBITS:
        if (found.debugLink === undefined && hasName(names, header(), '.gnu_debuglink')) {
          found.debugLink = header();
        }
        break;
      case SHT_NOBITS:
        // .bss is empty in every file; only a file of debug data has its code left out.
        if (!found.hasEmptyText && hasName(names, header(), '.text')) found.hasEmptyText = true;
        break;
    }
  }
  return found;
}

/** The sections' names; empty if they are not there, because only optional sections are found by name. */
function readSectionNames(source: ByteSource, names: SectionHeader | undefined): Uint8Array {
  if (names === undefined || names.type === SHT_NOBITS || names.offset >= BigInt(source.sizeBytes)) {
    return new Uint8Array(0);
  }
  const lengthBytes = names.sizeBytes < BigInt(mostNamesBytes) ? Number(names.sizeBytes) : mostNamesBytes;
  return source.read(Number(names.offset), lengthBytes);
}

function hasName(names: Uint8Array, header: SectionHeader, name: string): boolean {
  const end = header.nameOffset + name.length;
  if (end >= names.length || names[end] !== 0) return false;
  for (let i = 0; i < name.length; i++) {
    if (names[header.nameOffset + i] !== name.charCodeAt(i)) return false;
  }
  return true;
}

function readInterpreter(source: ByteSource, headers: ElfHeaders): string | undefined {
  const header = headers.programHeaders.find((one) => one.type === PT_INTERP);
  if (header === undefined || header.offset >= BigInt(source.sizeBytes)) return undefined;
  const lengthBytes = header.fileBytes < BigInt(mostPathBytes) ? Number(header.fileBytes) : mostPathBytes;
  const path = decodeCString(source.read(Number(header.offset), lengthBytes));
  return path === '' ? undefined : path;
}

function readBuildId(
  source: ByteSource,
  headers: ElfHeaders,
  notes: readonly SectionHeader[],
): string | undefined {
  const segments = headers.programHeaders
    .filter((header) => header.type === PT_NOTE)
    .slice(0, mostNoteRanges);
  const ranges = [
    ...notes.map((note) => ({ offset: note.offset, sizeBytes: note.sizeBytes, align: 4n })),
    ...segments.map((segment) => ({
      offset: segment.offset,
      sizeBytes: segment.fileBytes,
      align: segment.align,
    })),
  ];
  for (const range of ranges) {
    if (range.offset >= BigInt(source.sizeBytes)) continue;
    const lengthBytes = range.sizeBytes < BigInt(mostNoteBytes) ? Number(range.sizeBytes) : mostNoteBytes;
    const buildId = findBuildId(source.read(Number(range.offset), lengthBytes), range.align === 8n ? 8 : 4);
    if (buildId !== undefined) return buildId;
  }
  return undefined;
}

/** `name` NUL-terminated and padded to 4 bytes, then the CRC-32. Source: gdb manual, "Separate Debug Files". */
function readDebugLink(source: ByteSource, header: SectionHeader): DebugLink | undefined {
  if (header.offset >= BigInt(source.sizeBytes) || header.sizeBytes > BigInt(mostPathBytes)) return undefined;
  const bytes = source.read(Number(header.offset), Number(header.sizeBytes));
  const nameEnd = bytes.indexOf(0);
  if (nameEnd <= 0) return undefined;
  const crcAt = (nameEnd + 4) & ~3;
  if (crcAt + 4 > bytes.length) return undefined;
  return { name: decodeCString(bytes), crc32: viewOf(bytes).getUint32(crcAt, true) };
}
