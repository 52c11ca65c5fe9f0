import { encodeUtf8 } from '../base/text.ts';

/** A name that was offered and is like the one looked for. */
export interface NearMiss<T> {
  readonly item: T;
  /** How unlike: 0 is a difference of case; smaller is better. */
  readonly distance: number;
}

/**
 * Collects, of many names offered as bytes, the few that someone who typed `name` may have meant: another case, a few
 * edits, a prefix or suffix more or less, the name inside a longer one.
 *
 * The work is bounded: names are compared up to 255 bytes, edit distances are counted in a band and only for names
 * made of almost the same letters, and after {@link mostWork} steps nothing more is looked at.
 */
export class NearMissSearch<T> {
  readonly #needle: Uint8Array;
  readonly #needleLetters: number;
  readonly #maxEdits: number;
  readonly #most: number;
  readonly #best: NearMiss<T>[] = [];
  readonly #candidate = new Uint8Array(longestName);
  #work = mostWork;

  constructor(name: string, options: { most: number }) {
    this.#needle = encodeUtf8(name).slice(0, longestName).map(foldCase);
    this.#needleLetters = this.#needle.reduce((letters, byte) => letters | (1 << (byte & 31)), 0);
    this.#maxEdits =
      this.#needle.length <= 2 ? 0 : this.#needle.length <= 5 ? 1 : this.#needle.length <= 8 ? 2 : 3;
    this.#most = options.most;
  }

  /**
   * Offers the NUL-terminated name (or up to an `@`) at `offset` of `bytes`. `handicap` is added to its distance;
   * `make` is called only if the name is among the best so far.
   */
  offer(bytes: Uint8Array, offset: number, handicap: number, make: () => T): void {
    if (this.#work <= 0 || this.#needle.length === 0 || this.#most <= 0) return;
    const full = this.#best.length >= this.#most;
    // Not empty if it is full: #most is above 0.
    const worst = full ? this.#best[this.#best.length - 1]!.distance : Number.POSITIVE_INFINITY;
    if (handicap >= worst) return;
    const distance = this.#distanceOf(bytes, offset) + handicap;
    if (!(distance < worst)) return;
    const at = this.#best.findIndex((one) => one.distance > distance);
    this.#best.splice(at < 0 ? this.#best.length : at, 0, { item: make(), distance });
    if (this.#best.length > this.#most) this.#best.pop();
  }

  /** The best names offered, best first; among equals, the first offered. */
  get best(): readonly NearMiss<T>[] {
    return this.#best;
  }

  #distanceOf(bytes: Uint8Array, offset: number): number {
    const needle = this.#needle;
    const candidate = this.#candidate;
    const first = needle[0]!; // not empty: `offer` has looked
    let length = 0;
    let letters = 0;
    let mayContain = false;
    for (let i = offset; i < bytes.length && length < longestName; i++) {
      const byte = bytes[i]!; // in bounds
      if (byte === 0 || byte === atSign) break;
      const folded = byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte;
      if (folded === first) mayContain = true;
      letters |= 1 << (folded & 31);
      candidate[length++] = folded;
    }
    this.#work -= length + 4;
    if (length === 0) return Number.POSITIVE_INFINITY;
    let distance = Number.POSITIVE_INFINITY;
    if (mayContain && needle.length >= shortestContained && length >= needle.length) {
      const at = indexOf(candidate, length, needle, needle.length);
      if (at >= 0)
        distance = containmentDistance(length - needle.length, at === 0 || at + needle.length === length);
    } else if (length >= shortestContained && length * 2 >= needle.length && length < needle.length) {
      const at = indexOf(needle, needle.length, candidate, length);
      if (at >= 0)
        distance = containmentDistance(needle.length - length, at === 0 || at + length === needle.length);
    }
    const lettersApart = bitCount(letters ^ this.#needleLetters);
    if (Math.abs(length - needle.length) <= this.#maxEdits && lettersApart <= 2 * this.#maxEdits) {
      this.#work -= length * (2 * this.#maxEdits + 1);
      distance = Math.min(distance, editDistance(candidate, length, needle, this.#maxEdits));
    }
    return distance;
  }
}

const longestName = 255;
const shortestContained = 3;
const atSign = 0x40;
// About a tenth of a second of comparing.
const mostWork = 100_000_000;

function foldCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte;
}

/** An affix of a few letters is as good as two edits; a name lost in a long one is worse than any misspelling. */
function containmentDistance(extraBytes: number, isAffix: boolean): number {
  return extraBytes === 0 ? 0 : (isAffix ? 1.5 : 2) + Math.min(extraBytes, 255) / 16;
}

function indexOf(text: Uint8Array, textLength: number, part: Uint8Array, partLength: number): number {
  for (let start = 0; start + partLength <= textLength; start++) {
    let i = 0;
    while (i < partLength && text[start + i] === part[i]) i++;
    if (i === partLength) return start;
  }
  return -1;
}

function bitCount(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Edits (insert, delete, replace, swap two neighbours) from `a` to `b`, or Infinity if there are more than `most`. */
function editDistance(a: Uint8Array, aLength: number, b: Uint8Array, most: number): number {
  const width = b.length + 1; // every `!` below is an index under it
  let previous2 = new Int32Array(width);
  let previous = new Int32Array(width);
  let current = new Int32Array(width);
  for (let j = 0; j < width; j++) previous[j] = j;
  for (let i = 1; i <= aLength; i++) {
    current.fill(most + 1);
    const from = Math.max(1, i - most);
    const to = Math.min(b.length, i + most);
    current[0] = Math.min(i, most + 1);
    let rowBest = current[0];
    for (let j = from; j <= to; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(previous[j - 1]! + (same ? 0 : 1), previous[j]! + 1, current[j - 1]! + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, previous2[j - 2]! + 1);
      current[j] = cost;
      if (cost < rowBest) rowBest = cost;
    }
    if (rowBest > most) return Number.POSITIVE_INFINITY;
    [previous2, previous, current] = [previous, current, previous2];
  }
  const distance = previous[b.length]!;
  return distance > most ? Number.POSITIVE_INFINITY : distance;
}
