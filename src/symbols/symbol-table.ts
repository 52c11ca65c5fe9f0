import { joinPair } from '../base/pair.ts';
import { decodeUtf8, encodeUtf8 } from '../base/text.ts';
import { addressNumber, addressNumberOfPair, addressOfNumber } from './address-number.ts';
import { addressOrder, lastAtOrBelow } from './address-order.ts';
import { NearMissSearch } from './near-miss.ts';
import type { RawSymbols } from './raw-symbols.ts';

/** What a symbol names. An IFUNC is a `function`; `notype` is an assembler's label or a linker's mark. */
export type SymbolKind = 'object' | 'function' | 'tls' | 'common' | 'notype' | 'other';

/** One symbol of an ELF file. */
export interface ElfSymbol {
  /** Without a version: `foo` for `foo@@GLIBC_2.2.5`. */
  readonly name: string;
  /** The vaddr in the file; for `tls` the offset in the thread's block, for an absolute one the address itself. */
  readonly value: bigint;
  /** 0 where the file does not say. */
  readonly sizeBytes: bigint;
  readonly kind: SymbolKind;
  readonly binding: 'local' | 'global' | 'weak';
  /** Whether the file defines it, rather than wants it from another. */
  readonly defined: boolean;
  /** Whether `value` does not move with the file (SHN_ABS). */
  readonly absolute: boolean;
  /** A function that the program only calls through what this resolver returns (STT_GNU_IFUNC). */
  readonly ifunc: boolean;
  /** Whether a plain `name` means this one: not so for old versions kept for old programs. */
  readonly defaultVersion: boolean;
  /** Of a local symbol: the source file (STT_FILE) that it stands under. */
  readonly sourceFile?: string;
}

/** A symbol and how far into it an address is. */
export interface SymbolAt {
  readonly symbol: ElfSymbol;
  readonly offset: bigint;
}

/**
 * The symbols of one file: one stored table or several, the better first. Nothing is decoded before it is asked for:
 * names are found by comparing bytes, and the index by address is built at the first {@link at}.
 */
export class SymbolTable {
  readonly #parts: readonly RawSymbols[];
  readonly #endOfLabels: ((sectionIndex: number, value: bigint) => bigint | undefined) | undefined;
  #index: AddressIndex | undefined;

  /** @param options.endOfLabels where a symbol without a size must end, if it is known. */
  constructor(
    parts: readonly RawSymbols[],
    options: { endOfLabels?: (sectionIndex: number, value: bigint) => bigint | undefined } = {},
  ) {
    this.#parts = parts;
    this.#endOfLabels = options.endOfLabels;
  }

  /** How many symbols are stored, duplicates included. */
  get count(): number {
    return this.#parts.reduce((sum, part) => sum + part.count, 0);
  }

  /**
   * The symbols named `name`, the most binding first: defined before undefined, then global, weak, local, then
   * default versions before others. `name` matches `name@VERSION` too, unless it has an `@` itself. Of one symbol in
   * several tables, the better table's. At most {@link mostFound}.
   */
  find(name: string): ElfSymbol[] {
    if (name === '') return [];
    const found: ElfSymbol[] = [];
    const wanted = encodeUtf8(name);
    const anyVersion = !name.includes('@');
    for (const part of this.#parts) {
      const { words, strings, count } = part;
      let sourceFileAt = 0;
      for (let i = 0; i < count && found.length < mostFound; i++) {
        const nameAt = words[i * 6]!; // in bounds, here and below: `words` has six for each of `count`
        const info = words[i * 6 + 1]!;
        if ((info & 15) === STT_FILE) sourceFileAt = nameAt;
        else if (nameMatches(strings, nameAt, wanted, anyVersion) && (info & 15) !== STT_SECTION) {
          found.push(symbolOf(part, i, sourceFileAt));
        }
      }
    }
    return merged(found);
  }

  /**
   * The symbol that `vaddr` is in. A symbol with a size is preferred to one without, the innermost to the ones
   * around it, a function to an object, a global one to a local one to a weak one, fewer leading underscores to more. One
   * without a size reaches to the next symbol or the end of its section. Mapping symbols, sections, source files,
   * thread-local and absolute ones do not count.
   */
  at(vaddr: bigint): SymbolAt | undefined {
    this.#index ??= buildIndex(this.#parts, this.#endOfLabels);
    const address = addressNumber(vaddr);
    const place = lastAtOrBelow(this.#index.starts, address);
    const owner = place < 0 ? noOwner : this.#index.owners[place]!;
    if (owner === noOwner) return undefined;
    let index = owner;
    for (const part of this.#parts) {
      if (index < part.count) {
        const symbol = symbolOf(part, index, 0);
        return { symbol, offset: vaddr - symbol.value };
      }
      index -= part.count;
    }
    return undefined;
  }

  /** The defined symbols, data first and then functions, whose names someone who typed `name` may have meant. */
  nearMisses(name: string, options: { most: number }): ElfSymbol[] {
    // More than wanted, because a name may be in several tables.
    const search = new NearMissSearch<ElfSymbol>(name, { most: options.most * 2 });
    this.offerNearMisses(search, (symbol) => symbol);
    const byName = new Map<string, ElfSymbol>();
    for (const { item } of search.best) {
      if (!byName.has(item.name)) byName.set(item.name, item);
    }
    return [...byName.values()].slice(0, options.most);
  }

  /** Offers every name to a search that may span several tables. Functions are behind all data. */
  offerNearMisses<T>(search: NearMissSearch<T>, make: (symbol: ElfSymbol) => T): void {
    const [first] = this.#parts;
    for (const part of this.#parts) {
      const { words, strings, count } = part;
      // A full symbol table has all that the dynamic one has.
      if (first !== undefined && part !== first && first.count >= count) continue;
      for (let i = 0; i < count; i++) {
        const info = words[i * 6 + 1]!; // in bounds
        const type = info & 15;
        const section = info >>> 16;
        if (section === SHN_UNDEF || section === SHN_ABS || type === STT_SECTION || type === STT_FILE)
          continue;
        const nameAt = words[i * 6]!;
        if (isMappingName(strings, nameAt)) continue;
        const handicap = type === STT_OBJECT || type === STT_TLS || type === STT_COMMON ? 0 : notDataHandicap;
        search.offer(strings, nameAt, handicap, () => make(symbolOf(part, i, 0)));
      }
    }
  }
}

/** The most symbols that {@link SymbolTable.find} gives. */
export const mostFound = 4_096;

const STT_OBJECT = 1;
const STT_FUNC = 2;
const STT_SECTION = 3;
const STT_FILE = 4;
const STT_COMMON = 5;
const STT_TLS = 6;
const STT_GNU_IFUNC = 10;
const STB_LOCAL = 0;
const STB_WEAK = 2;
const SHN_UNDEF = 0;
const SHN_ABS = 0xfff1;
const SHN_COMMON = 0xfff2;
const versionHidden = 0x8000;
// More than any distance between names.
const notDataHandicap = 1_000;
const noOwner = 0xffff_ffff;

/** Which symbol owns the addresses from `starts[i]` up to the next start: its index over all parts, or `noOwner`. */
interface AddressIndex {
  readonly starts: Float64Array;
  readonly owners: Uint32Array;
}

function nameMatches(strings: Uint8Array, at: number, wanted: Uint8Array, anyVersion: boolean): boolean {
  // The last byte first: names share beginnings more than ends.
  const last = wanted.length - 1;
  if (strings[at + last] !== wanted[last]) return false;
  const end = strings[at + wanted.length];
  // A name that the table's end cuts is none.
  if (end !== 0 && !(end === atSign && anyVersion)) return false;
  for (let i = 0; i < last; i++) {
    if (strings[at + i] !== wanted[i]) return false;
  }
  return true;
}

const atSign = 0x40;
// Templates make names of tens of kilobytes. Paths are shorter, and thousands may be given at once.
const longestName = 64 * 1024;
const longestPath = 4_096;

/** The name at `at` and whether it says `name@VERSION`, the mark of an old version (`name@@VERSION` is the default). */
function readName(
  strings: Uint8Array,
  at: number,
  mostBytes: number = longestName,
): { name: string; old: boolean } {
  let end = at;
  let versionAt = -1;
  while (end < strings.length && end - at < mostBytes && strings[end] !== 0) {
    if (versionAt < 0 && end > at && strings[end] === atSign) versionAt = end;
    end++;
  }
  if (versionAt < 0) return { name: decodeUtf8(strings.subarray(at, end)), old: false };
  return { name: decodeUtf8(strings.subarray(at, versionAt)), old: strings[versionAt + 1] !== atSign };
}

function symbolOf(part: RawSymbols, index: number, sourceFileAt: number): ElfSymbol {
  const at = index * 6;
  const info = part.words[at + 1]!; // in bounds: `index` is below `count`
  const section = info >>> 16;
  const binding = (info >>> 4) & 15;
  const { name, old } = readName(part.strings, part.words[at]!);
  const symbol: ElfSymbol = {
    name,
    value: joinPair(part.words[at + 2]!, part.words[at + 3]!),
    sizeBytes: joinPair(part.words[at + 4]!, part.words[at + 5]!),
    kind: section === SHN_COMMON ? 'common' : kindOf(info & 15),
    binding: binding === STB_LOCAL ? 'local' : binding === STB_WEAK ? 'weak' : 'global',
    defined: section !== SHN_UNDEF,
    absolute: section === SHN_ABS,
    ifunc: (info & 15) === STT_GNU_IFUNC,
    defaultVersion: !old && ((part.versions?.[index] ?? 0) & versionHidden) === 0,
  };
  if (binding !== STB_LOCAL || sourceFileAt === 0) return symbol;
  const sourceFile = readName(part.strings, sourceFileAt, longestPath).name;
  return sourceFile === '' ? symbol : { ...symbol, sourceFile };
}

function kindOf(type: number): SymbolKind {
  switch (type) {
    case 0:
      return 'notype';
    case STT_OBJECT:
      return 'object';
    case STT_FUNC:
    case STT_GNU_IFUNC:
      return 'function';
    case STT_COMMON:
      return 'common';
    case STT_TLS:
      return 'tls';
    default:
      return 'other';
  }
}

/** Sorted as `find` promises, each symbol once, and the undefined ones left out where the file defines the name. */
function merged(found: readonly ElfSymbol[]): ElfSymbol[] {
  const bindings = { global: 0, weak: 1, local: 2 };
  const rank = (symbol: ElfSymbol): number =>
    (symbol.defined ? 0 : 8) + bindings[symbol.binding] * 2 + (symbol.defaultVersion ? 0 : 1);
  const sorted = [...found].sort((a, b) => rank(a) - rank(b));
  const seen = new Set<string>();
  return sorted.filter((symbol) => {
    if (!symbol.defined && sorted[0]?.defined === true) return false;
    const key = symbol.defined ? `${symbol.value} ${symbol.kind === 'tls'}` : 'undefined';
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

/** "$x", "$d.12" and the like, which say what the bytes are (code or data), and assemblers' ".L…" labels. */
function isMappingName(strings: Uint8Array, at: number): boolean {
  const first = strings[at];
  if (first === 0x2e) return strings[at + 1] === 0x4c;
  if (first !== 0x24) return false;
  const second = strings[at + 1];
  if (second !== 0x78 && second !== 0x61 && second !== 0x74 && second !== 0x64) return false;
  const third = strings[at + 2];
  return third === 0 || third === 0x2e;
}

/** Which of several symbols that start at one address is shown: the smallest rank. */
function rankAt(part: RawSymbols, index: number): number {
  const info = part.words[index * 6 + 1]!; // in bounds
  const type = info & 15;
  const binding = (info >>> 4) & 15;
  const nameAt = part.words[index * 6]!;
  let underscores = 0;
  while (underscores < 7 && part.strings[nameAt + underscores] === 0x5f) underscores++;
  const kindRank = type === STT_FUNC || type === STT_GNU_IFUNC ? 0 : type === STT_OBJECT ? 1 : 2;
  const bindingRank = binding === STB_LOCAL ? 1 : binding === STB_WEAK ? 2 : 0;
  return kindRank * 64 + bindingRank * 16 + underscores;
}

interface Candidates {
  readonly starts: Float64Array;
  /** First address behind; the start itself for a symbol without a size. */
  readonly ends: Float64Array;
  readonly owners: Uint32Array;
  readonly ranks: Uint16Array;
}

/** The symbols that have an address. */
function candidatesOf(parts: readonly RawSymbols[]): Candidates {
  const total = parts.reduce((sum, part) => sum + part.count, 0);
  const starts = new Float64Array(total);
  const ends = new Float64Array(total);
  const owners = new Uint32Array(total);
  const ranks = new Uint16Array(total);
  let count = 0;
  let partStart = 0;
  for (const part of parts) {
    const { words, strings } = part;
    for (let i = 0; i < part.count; i++) {
      const at = i * 6;
      const info = words[at + 1]!; // in bounds, here and below
      const type = info & 15;
      const section = info >>> 16;
      if (section === SHN_UNDEF || section === SHN_ABS || section === SHN_COMMON) continue;
      if (type !== 0 && type !== STT_OBJECT && type !== STT_FUNC && type !== STT_GNU_IFUNC) continue;
      const nameAt = words[at]!;
      if (nameAt >= strings.length || strings[nameAt] === 0 || (type === 0 && isMappingName(strings, nameAt)))
        continue;
      const start = addressNumberOfPair(words[at + 2]!, words[at + 3]!);
      if (Number.isNaN(start)) continue;
      const size = words[at + 5]! * 0x1_0000_0000 + words[at + 4]!;
      starts[count] = start;
      ends[count] = Math.min(start + size, Number.MAX_SAFE_INTEGER);
      owners[count] = partStart + i;
      ranks[count] = rankAt(part, i);
      count++;
    }
    partStart += part.count;
  }
  return {
    starts: starts.subarray(0, count),
    ends: ends.subarray(0, count),
    owners: owners.subarray(0, count),
    ranks: ranks.subarray(0, count),
  };
}

/**
 * Cuts the address space into pieces, each with the symbol that {@link SymbolTable.at} prefers there: a sweep over the
 * symbols by address, with the ones that have not ended on a stack.
 */
function buildIndex(
  parts: readonly RawSymbols[],
  endOfLabels: ((sectionIndex: number, value: bigint) => bigint | undefined) | undefined,
): AddressIndex {
  const candidates = candidatesOf(parts);
  const order = addressOrder(candidates.starts);
  const count = order.length;
  const { ends, ranks } = candidates;
  // Each start and each end makes at most one piece.
  const pieceStarts = new Float64Array(count * 2 + 1);
  const pieceOwners = new Uint32Array(count * 2 + 1);
  let pieces = 0;
  const addPiece = (start: number, owner: number): void => {
    if (pieces > 0 && pieceStarts[pieces - 1] === start) pieces--;
    if (pieces > 0 && pieceOwners[pieces - 1] === owner) return;
    pieceStarts[pieces] = start;
    pieceOwners[pieces] = owner;
    pieces++;
  };
  const stack: number[] = [];
  const ownerOnTop = (): number => {
    const top = stack[stack.length - 1];
    return top === undefined ? noOwner : candidates.owners[top]!;
  };
  const closeUntil = (address: number): void => {
    for (let top = stack[stack.length - 1]; top !== undefined && ends[top]! <= address; ) {
      const end = ends[top]!;
      while (top !== undefined && ends[top]! <= end) {
        stack.pop();
        top = stack[stack.length - 1];
      }
      addPiece(end, ownerOnTop());
    }
  };
  for (let i = 0; i < count; ) {
    const start = candidates.starts[order[i]!]!; // in bounds, here and below
    closeUntil(start);
    // Of the symbols that start here: the best with a size, the longest with a size, the best without.
    let best = -1;
    let longest = -1;
    let label = -1;
    for (; i < count && candidates.starts[order[i]!] === start; i++) {
      const candidate = order[i]!;
      if (ends[candidate]! > start) {
        if (best < 0 || ranks[candidate]! < ranks[best]!) best = candidate;
        if (longest < 0 || ends[candidate]! > ends[longest]!) longest = candidate;
      } else if (label < 0 || ranks[candidate]! < ranks[label]!) label = candidate;
    }
    if (best >= 0) {
      if (ends[longest]! > ends[best]!) stack.push(longest);
      stack.push(best);
    } else if (stack.length === 0 && label >= 0) {
      const next = i < count ? candidates.starts[order[i]!]! : Number.MAX_SAFE_INTEGER;
      ends[label] = Math.min(next, labelEnd(parts, candidates.owners[label]!, start, endOfLabels));
      if (ends[label]! > start) stack.push(label);
    }
    addPiece(start, ownerOnTop());
  }
  closeUntil(Number.MAX_SAFE_INTEGER);
  return { starts: pieceStarts.slice(0, pieces), owners: pieceOwners.slice(0, pieces) };
}

function labelEnd(
  parts: readonly RawSymbols[],
  owner: number,
  start: number,
  endOfLabels: ((sectionIndex: number, value: bigint) => bigint | undefined) | undefined,
): number {
  if (endOfLabels === undefined) return Number.MAX_SAFE_INTEGER;
  let index = owner;
  for (const part of parts) {
    if (index < part.count) {
      const end = endOfLabels(part.words[index * 6 + 1]! >>> 16, addressOfNumber(start));
      const endNumber = end === undefined ? Number.NaN : addressNumber(end);
      // A label at the very end of its section marks the end; it covers nothing.
      return Number.isNaN(endNumber) ? start : endNumber;
    }
    index -= part.count;
  }
  return start;
}
