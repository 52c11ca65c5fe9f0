import type { ByteSource } from '../base/byte-source.ts';
import { ElfError } from './elf-error.ts';

/** A program header: Elf64_Phdr, or Elf32_Phdr with its fields widened. Source: elf(5), "Program header (Phdr)". */
export interface ProgramHeader {
  readonly type: number;
  readonly flags: number;
  readonly offset: bigint;
  readonly vaddr: bigint;
  readonly fileBytes: bigint;
  readonly memBytes: bigint;
  readonly align: bigint;
}

/** A section header: Elf64_Shdr. Source: elf(5), "Section header (Shdr)". */
export interface SectionHeader {
  readonly index: number;
  /** Offset of the name in the section names' string table. */
  readonly nameOffset: number;
  readonly type: number;
  readonly flags: bigint;
  readonly address: bigint;
  readonly offset: bigint;
  readonly sizeBytes: bigint;
  readonly link: number;
  readonly entryBytes: bigint;
}

/** The section headers of a file: kept as bytes, because an object file may have hundreds of thousands. */
export interface SectionHeaders {
  readonly count: number;
  /** Index of the section that holds the sections' names; 0 if there is none. */
  readonly namesIndex: number;
  /** The header at `index`, or `undefined` outside [0, count). */
  at(index: number): SectionHeader | undefined;
  /** Only its type, without making an object; 0 (SHT_NULL) outside [0, count). */
  typeAt(index: number): number;
}

/** What the headers of an ELF file say. */
export interface ElfHeaders {
  readonly bits: 32 | 64;
  /** e_machine. */
  readonly machine: number;
  /** e_type. */
  readonly type: number;
  readonly entry: bigint;
  readonly programHeaders: readonly ProgramHeader[];
  /** Empty for a 32-bit file. */
  readonly sections: SectionHeaders;
}

/** p_type */
export const PT_LOAD = 1;
export const PT_DYNAMIC = 2;
export const PT_INTERP = 3;
export const PT_NOTE = 4;
/** p_flags */
export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;
/** sh_type */
export const SHT_PROGBITS = 1;
export const SHT_SYMTAB = 2;
export const SHT_NOTE = 7;
export const SHT_NOBITS = 8;
export const SHT_DYNSYM = 11;
export const SHT_GNU_versym = 0x6fff_ffff;
/** sh_flags */
export const SHF_COMPRESSED = 0x800n;

/**
 * Reads the ELF header, the program headers and the section headers.
 *
 * ```
 * ELF header      magic 7f 45 4c 46, class (1: 32 bits, 2: 64), data (1: little-endian), … e_phoff, e_shoff, counts
 * program headers e_phnum entries at e_phoff; PN_XNUM: the count is in section 0's sh_info
 * section headers e_shnum entries at e_shoff; 0: the count is in section 0's sh_size
 *                 e_shstrndx SHN_XINDEX: the index is in section 0's sh_link
 * ```
 *
 * @throws {ElfError} for what is not a little-endian ELF file, or whose tables are not all there.
 */
export function readElfHeaders(source: ByteSource, name: string): ElfHeaders {
  const ident = source.read(0, 64);
  if (ident.length < 4 || ident[0] !== 0x7f || ident[1] !== 0x45 || ident[2] !== 0x4c || ident[3] !== 0x46) {
    throw new ElfError(name, ident.length === 0 ? 'not an ELF file: it is empty' : 'not an ELF file');
  }
  const bits = ident[4] === 1 ? 32 : 64;
  if (ident.length < (bits === 32 ? 52 : 64)) {
    throw new ElfError(
      name,
      `truncated: the ELF header ends at byte ${bits === 32 ? 52 : 64}, the file has ${ident.length}`,
    );
  }
  if (ident[4] !== 1 && ident[4] !== 2) throw new ElfError(name, `unknown ELF class ${ident[4]}`);
  if (ident[5] !== 1) {
    throw new ElfError(
      name,
      ident[5] === 2 ? 'big-endian ELF files are not supported' : `unknown ELF byte order ${ident[5]}`,
    );
  }
  const view = viewOf(ident);
  const common = {
    machine: view.getUint16(18, true),
    type: view.getUint16(16, true),
  };
  if (bits === 32) {
    const programHeaders = readProgramHeaders(source, name, {
      bits,
      offset: BigInt(view.getUint32(28, true)),
      entryBytes: view.getUint16(42, true),
      count: view.getUint16(44, true),
    });
    return { ...common, bits, entry: BigInt(view.getUint32(24, true)), programHeaders, sections: noSections };
  }
  const sections = readSectionHeaders(source, name, {
    offset: view.getBigUint64(40, true),
    entryBytes: view.getUint16(58, true),
    count: view.getUint16(60, true),
    namesIndex: view.getUint16(62, true),
  });
  const programCount = view.getUint16(56, true);
  const programHeaders = readProgramHeaders(source, name, {
    bits,
    offset: view.getBigUint64(32, true),
    entryBytes: view.getUint16(54, true),
    count: programCount === PN_XNUM && sections.first !== undefined ? sections.first.info : programCount,
  });
  return { ...common, bits, entry: view.getBigUint64(24, true), programHeaders, sections: sections.headers };
}

/**
 * A section's bytes as a source of their own.
 *
 * @throws {ElfError} if they are not all there.
 */
export function rangeSource(
  source: ByteSource,
  file: string,
  section: { name: string; offset: bigint; sizeBytes: bigint },
): ByteSource {
  const end = section.offset + section.sizeBytes;
  if (end > BigInt(source.sizeBytes)) {
    throw new ElfError(
      file,
      `truncated: the section ${section.name} ends at byte ${end}, the file has ${source.sizeBytes}`,
    );
  }
  const start = Number(section.offset); // both are not beyond the source's size
  const length = Number(section.sizeBytes);
  return {
    sizeBytes: length,
    read: (at, lengthBytes) =>
      at >= length || lengthBytes <= 0
        ? new Uint8Array(0)
        : source.read(start + at, Math.min(lengthBytes, length - at)),
  };
}

/**
 * The bytes [offset, offset + sizeBytes) of `source`, all of them, where `what` names them in the error.
 *
 * @throws {ElfError} if they are not all there, or more than `mostBytes`.
 */
export function readRange(
  source: ByteSource,
  name: string,
  range: { what: string; offset: bigint; sizeBytes: bigint; mostBytes: number },
): Uint8Array {
  const end = range.offset + range.sizeBytes;
  if (end > BigInt(source.sizeBytes)) {
    throw new ElfError(
      name,
      `truncated: the ${range.what} ends at byte ${end}, the file has ${source.sizeBytes}`,
    );
  }
  if (range.sizeBytes > BigInt(range.mostBytes)) {
    throw new ElfError(
      name,
      `the ${range.what} has ${range.sizeBytes} bytes: more than ${range.mostBytes} are not read`,
    );
  }
  // Both fit a number: they are not beyond the source's size.
  const bytes = source.read(Number(range.offset), Number(range.sizeBytes));
  if (BigInt(bytes.length) !== range.sizeBytes) {
    throw new ElfError(
      name,
      `truncated: the ${range.what} ends at byte ${end}, the file ends at ${range.offset + BigInt(bytes.length)}`,
    );
  }
  return bytes;
}

/** A view of exactly these bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

const PN_XNUM = 0xffff;
const SHN_XINDEX = 0xffff;
// More than any linker makes; below it a table of objects stays small.
const mostProgramHeaders = 65_536;
const mostSections = 1 << 20;

const noSections: SectionHeaders = { count: 0, namesIndex: 0, at: () => undefined, typeAt: () => 0 };

function readProgramHeaders(
  source: ByteSource,
  name: string,
  table: { bits: 32 | 64; offset: bigint; entryBytes: number; count: number },
): ProgramHeader[] {
  if (table.offset === 0n || table.count === 0) return [];
  const expectedBytes = table.bits === 32 ? 32 : 56;
  if (table.entryBytes !== expectedBytes) {
    throw new ElfError(name, `program headers of ${table.entryBytes} bytes, expected ${expectedBytes}`);
  }
  const bytes = readRange(source, name, {
    what: 'program header table',
    offset: table.offset,
    sizeBytes: BigInt(table.count) * BigInt(expectedBytes),
    mostBytes: mostProgramHeaders * expectedBytes,
  });
  const view = viewOf(bytes);
  const headers: ProgramHeader[] = [];
  for (let at = 0; at < bytes.length; at += expectedBytes) {
    headers.push(table.bits === 32 ? programHeader32(view, at) : programHeader64(view, at));
  }
  return headers;
}

function programHeader64(view: DataView, at: number): ProgramHeader {
  return {
    type: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    offset: view.getBigUint64(at + 8, true),
    vaddr: view.getBigUint64(at + 16, true),
    fileBytes: view.getBigUint64(at + 32, true),
    memBytes: view.getBigUint64(at + 40, true),
    align: view.getBigUint64(at + 48, true),
  };
}

function programHeader32(view: DataView, at: number): ProgramHeader {
  return {
    type: view.getUint32(at, true),
    flags: view.getUint32(at + 24, true),
    offset: BigInt(view.getUint32(at + 4, true)),
    vaddr: BigInt(view.getUint32(at + 8, true)),
    fileBytes: BigInt(view.getUint32(at + 16, true)),
    memBytes: BigInt(view.getUint32(at + 20, true)),
    align: BigInt(view.getUint32(at + 28, true)),
  };
}

function readSectionHeaders(
  source: ByteSource,
  name: string,
  table: { offset: bigint; entryBytes: number; count: number; namesIndex: number },
): { headers: SectionHeaders; first: { info: number } | undefined } {
  if (table.offset === 0n) return { headers: noSections, first: undefined };
  if (table.entryBytes !== 64) {
    // Some linkers leave an offset beside a count of 0 and a size of 0: no section headers, not bad ones.
    if (table.count === 0 && table.entryBytes === 0) return { headers: noSections, first: undefined };
    throw new ElfError(name, `section headers of ${table.entryBytes} bytes, expected 64`);
  }
  const what = 'section header table';
  const first = viewOf(
    readRange(source, name, { what, offset: table.offset, sizeBytes: 64n, mostBytes: 64 }),
  );
  const count = table.count === 0 ? first.getBigUint64(32, true) : BigInt(table.count);
  const bytes = readRange(source, name, {
    what,
    offset: table.offset,
    sizeBytes: count * 64n,
    mostBytes: mostSections * 64,
  });
  const view = viewOf(bytes);
  const headers: SectionHeaders = {
    count: Number(count),
    namesIndex: table.namesIndex === SHN_XINDEX ? first.getUint32(40, true) : table.namesIndex,
    at: (index) => (index >= 0 && index < count ? sectionHeader(view, index) : undefined),
    typeAt: (index) => (index >= 0 && index < count ? view.getUint32(index * 64 + 4, true) : 0),
  };
  return { headers, first: { info: first.getUint32(44, true) } };
}

function sectionHeader(view: DataView, index: number): SectionHeader {
  const at = index * 64;
  return {
    index,
    nameOffset: view.getUint32(at, true),
    type: view.getUint32(at + 4, true),
    flags: view.getBigUint64(at + 8, true),
    address: view.getBigUint64(at + 16, true),
    offset: view.getBigUint64(at + 24, true),
    sizeBytes: view.getBigUint64(at + 32, true),
    link: view.getUint32(at + 40, true),
    entryBytes: view.getBigUint64(at + 56, true),
  };
}
