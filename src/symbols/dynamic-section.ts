import type { ByteSource } from '../base/byte-source.ts';
import { type ProgramHeader, PT_DYNAMIC, PT_LOAD, viewOf } from './elf-headers.ts';
import { littleEndianHalfWords, littleEndianWords, type RawSymbols, symbolBytes } from './raw-symbols.ts';

/** What PT_DYNAMIC says, as far as it is needed here. */
export interface DynamicSection {
  /** DT_FLAGS_1 has DF_1_PIE: a program, although the file's type is ET_DYN. */
  readonly isPie: boolean;
  /** The dynamic symbols, found without section headers; `undefined` if they cannot be. */
  readSymbols(): RawSymbols | undefined;
}

/**
 * Reads the dynamic section through the program headers, as the dynamic linker does: the way to the symbols of a file
 * without section headers. What does not fit the file is left out rather than an error, because all of it is a
 * fallback.
 *
 * The number of symbols is nowhere written: it is DT_HASH's nchain, or one more than the last symbol in a chain of
 * DT_GNU_HASH.
 *
 * ```
 * DT_HASH      nbucket u32 | nchain u32 | …
 * DT_GNU_HASH  nbuckets u32 | symoffset u32 | bloomWords u32 | shift u32 | bloom u64[] | bucket u32[] | chain u32[]
 *              bucket: first symbol of a chain; chain[symbol - symoffset]: bit 0 set on a chain's last
 * ```
 * Source: elf(5), "Dynamic tags (Dyn)"; gABI, "Hash Table".
 */
export function readDynamicSection(
  source: ByteSource,
  programHeaders: readonly ProgramHeader[],
): DynamicSection | undefined {
  const header = programHeaders.find((one) => one.type === PT_DYNAMIC);
  if (header === undefined) return undefined;
  const tags = new Map<number, bigint>();
  const bytes = readCut(source, header.offset, header.fileBytes, mostDynamicBytes);
  const view = viewOf(bytes);
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const tag = view.getBigUint64(at, true);
    if (tag === 0n) break;
    if (tag <= 0xffff_ffffn && !tags.has(Number(tag))) tags.set(Number(tag), view.getBigUint64(at + 8, true));
  }
  const flags = tags.get(DT_FLAGS_1) ?? 0n;
  return {
    isPie: (flags & DF_1_PIE) !== 0n,
    readSymbols: () => readSymbols(source, programHeaders, tags),
  };
}

const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_STRSZ = 10;
const DT_GNU_HASH = 0x6fff_fef5;
const DT_VERSYM = 0x6fff_fff0;
const DT_FLAGS_1 = 0x6fff_fffb;
const DF_1_PIE = 0x0800_0000n;

const mostDynamicBytes = 64 * 1024;
const mostTableBytes = 64 * 1024 * 1024;

function readSymbols(
  source: ByteSource,
  programHeaders: readonly ProgramHeader[],
  tags: ReadonlyMap<number, bigint>,
): RawSymbols | undefined {
  const readTag = (tag: number, lengthBytes: bigint): Uint8Array | undefined => {
    const vaddr = tags.get(tag);
    if (vaddr === undefined) return undefined;
    const load = programHeaders.find(
      (one) => one.type === PT_LOAD && vaddr >= one.vaddr && vaddr - one.vaddr < one.fileBytes,
    );
    if (load === undefined) return undefined;
    const left = load.fileBytes - (vaddr - load.vaddr);
    return readCut(
      source,
      load.offset + (vaddr - load.vaddr),
      lengthBytes < left ? lengthBytes : left,
      mostTableBytes,
    );
  };
  const count = symbolCount(tags, readTag);
  const strings = readTag(DT_STRTAB, tags.get(DT_STRSZ) ?? 0n);
  const symbols = readTag(DT_SYMTAB, BigInt(count) * BigInt(symbolBytes));
  if (strings === undefined || symbols === undefined) return undefined;
  const table = {
    count: Math.floor(symbols.length / symbolBytes),
    words: littleEndianWords(symbols),
    strings,
  };
  const versions = readTag(DT_VERSYM, BigInt(count) * 2n);
  return versions === undefined ? table : { ...table, versions: littleEndianHalfWords(versions) };
}

function symbolCount(
  tags: ReadonlyMap<number, bigint>,
  readTag: (tag: number, lengthBytes: bigint) => Uint8Array | undefined,
): number {
  const hash = readTag(DT_HASH, 8n);
  if (hash !== undefined && hash.length === 8) return viewOf(hash).getUint32(4, true);
  const gnu = readTag(DT_GNU_HASH, BigInt(mostTableBytes));
  if (gnu !== undefined && gnu.length >= 16) return gnuHashCount(littleEndianWords(gnu));
  // Linkers put the names right behind the symbols.
  const symbols = tags.get(DT_SYMTAB);
  const strings = tags.get(DT_STRTAB);
  if (symbols === undefined || strings === undefined || strings <= symbols) return 0;
  const between = (strings - symbols) / BigInt(symbolBytes);
  return between < BigInt(Math.floor(mostTableBytes / symbolBytes)) ? Number(between) : 0;
}

function gnuHashCount(words: Uint32Array): number {
  const bucketCount = words[0] ?? 0;
  const firstSymbol = words[1] ?? 0;
  const bucketsAt = 4 + (words[2] ?? 0) * 2;
  const chainsAt = bucketsAt + bucketCount;
  if (chainsAt > words.length) return 0;
  let last = 0;
  for (let i = bucketsAt; i < chainsAt; i++) last = Math.max(last, words[i]!); // in bounds
  if (last < firstSymbol) return firstSymbol;
  let chain = chainsAt + (last - firstSymbol);
  while (chain < words.length && (words[chain]! & 1) === 0) chain++;
  return firstSymbol + (chain - chainsAt) + 1;
}

/** As many bytes of [offset, offset + lengthBytes) as there are, at most `mostBytes`. */
function readCut(source: ByteSource, offset: bigint, lengthBytes: bigint, mostBytes: number): Uint8Array {
  if (offset >= BigInt(source.sizeBytes)) return new Uint8Array(0);
  return source.read(Number(offset), lengthBytes < BigInt(mostBytes) ? Number(lengthBytes) : mostBytes);
}
