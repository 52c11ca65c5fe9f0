import { type ByteSource, bytesSource } from '../base/byte-source.ts';
import { ElfError } from './elf-error.ts';
import { viewOf } from './elf-headers.ts';
import type { Compression, SymbolTools } from './symbol-tools.ts';

/** A section as it is stored, compressed. */
export interface CompressedSection {
  /** Of the file, and of the section, for messages. */
  readonly file: string;
  readonly name: string;
  readonly content: ByteSource;
  /** `elf`: SHF_COMPRESSED, with a header of its own; `gnu`: the older `.zdebug_…`. */
  readonly format: 'elf' | 'gnu';
}

/**
 * Decompresses a section.
 *
 * ```
 * elf = type u32 (1 zlib, 2 zstd) | 0 u32 | size u64 | alignment u64 | data
 * gnu = "ZLIB" | size u64, big-endian | data
 * ```
 * Source: elf(5) and the gABI, "Compressed sections"; the GNU format: binutils' manual, `--compress-debug-sections`.
 *
 * @throws {ElfError} where the data is damaged, of an unknown kind, or claims to be more than data compresses to.
 */
export function decompressSection(
  section: CompressedSection,
  decompress: SymbolTools['decompress'] | undefined,
): ByteSource {
  const { file, name, content, format } = section;
  const refuse = (problem: string): ElfError => new ElfError(file, `the section ${name} ${problem}`);
  if (decompress === undefined) throw refuse('is compressed, which is not supported here');
  const headerBytes = format === 'elf' ? 24 : 12;
  const header = content.read(0, headerBytes);
  if (header.length < headerBytes) throw refuse('ends within its compression header');
  const view = viewOf(header);
  if (format === 'gnu' && view.getUint32(0, true) !== zlibMagic)
    throw refuse('is not compressed as its name says');
  const type = format === 'elf' ? view.getUint32(0, true) : 1;
  const compression = compressions.get(type);
  if (compression === undefined) throw refuse(`is compressed in an unknown way (${type})`);
  const sizeBytes = Number(format === 'elf' ? view.getBigUint64(8, true) : view.getBigUint64(4, false));
  const dataBytes = content.sizeBytes - headerBytes;
  if (!(sizeBytes <= mostBytes && sizeBytes <= dataBytes * mostRatio)) {
    throw refuse(`claims to have ${sizeBytes} bytes in ${dataBytes} compressed ones`);
  }
  const data = decompress(compression, content.read(headerBytes, dataBytes), sizeBytes);
  if (data === undefined) throw refuse(`is damaged (${compression})`);
  return bytesSource(data);
}

// "ZLIB" as a little-endian word.
const zlibMagic = 0x4249_4c5a;
const compressions: ReadonlyMap<number, Compression> = new Map([
  [1, 'zlib'],
  [2, 'zstd'],
]);
// Zeros deflate to a thousandth; debug information to a third or a tenth.
const mostRatio = 1_100;
const mostBytes = 0x7fff_ffff;
