import { siteWords } from './hit-columns.ts';

/** Mixes three words into a hash of 32 bits. */
function hash3(a: number, b: number, c: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca77) ^ Math.imul(c, 0xc2b2ae3d);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}

/** A Uint32Array that grows by doubling. */
class GrowingWords {
  words: Uint32Array = new Uint32Array(256);
  length: number = 0;

  reserve(more: number): void {
    if (this.length + more <= this.words.length) return;
    let capacity = this.words.length;
    while (capacity < this.length + more) capacity *= 2;
    const grown = new Uint32Array(capacity);
    grown.set(this.words.subarray(0, this.length));
    this.words = grown;
  }

  append(values: readonly number[]): void {
    this.reserve(values.length);
    this.words.set(values, this.length);
    this.length += values.length;
  }
}

/** Open addressing from a hash to small numbers; the caller compares keys. Slots hold number + 1; 0 is empty. */
class NumberTable {
  slots: Uint32Array = new Uint32Array(512);
  #count: number = 0;

  /** To be called after `slots[index] = number + 1`; `hashOf(number)` is asked again for all when the table grows. */
  added(hashOf: (number: number) => number): void {
    this.#count++;
    if (this.#count * 2 < this.slots.length) return;
    const old = this.slots;
    const slots = new Uint32Array(old.length * 2);
    const mask = slots.length - 1;
    for (const slot of old) {
      if (slot === 0) continue;
      let index = hashOf(slot - 1) & mask;
      while (slots[index] !== 0) index = (index + 1) & mask;
      slots[index] = slot;
    }
    this.slots = slots;
  }
}

/**
 * Code addresses to small numbers, given once and kept for the session. The key is (address, process), with process 0
 * for kernel code, because the same address is other code in another process.
 */
export class SiteTable {
  readonly #entries: GrowingWords = new GrowingWords();
  readonly #table: NumberTable = new NumberTable();
  #taken: number = 0;

  /** Number of sites. */
  get size(): number {
    return this.#entries.length / siteWords;
  }

  /** The number of this site; a new one is given where it has none. */
  intern(low: number, high: number, pid: number): number {
    const { slots } = this.#table;
    const mask = slots.length - 1;
    const { words } = this.#entries;
    let index = hash3(low, high, pid) & mask;
    for (;;) {
      const slot = slots[index]!; // index is masked
      if (slot === 0) break;
      const at = (slot - 1) * siteWords;
      if (words[at] === low && words[at + 1] === high && words[at + 2] === pid) return slot - 1;
      index = (index + 1) & mask;
    }
    const number = this.size;
    this.#entries.append([low, high, pid]);
    slots[index] = number + 1;
    this.#table.added((other) => {
      const at = other * siteWords;
      const w = this.#entries.words;
      return hash3(w[at]!, w[at + 1]!, w[at + 2]!); // `other` has been added
    });
    return number;
  }

  /** Number of the first entry that {@link SiteTable.takeNew} would give. */
  get firstNew(): number {
    return this.#taken;
  }

  /** The entries added since the last call. */
  takeNew(): Uint32Array {
    const fresh = this.#entries.words.slice(this.#taken * siteWords, this.#entries.length);
    this.#taken = this.size;
    return fresh;
  }
}

/** Call stacks to small numbers. A stack is compared by its raw words; its frames become sites only when it is new. */
export class StackTable {
  /** Raw words of all stacks, one after the other. */
  readonly #raw: GrowingWords = new GrowingWords();
  /** Per stack: hash, start in raw, length in raw words, process. */
  readonly #stacks: GrowingWords = new GrowingWords();
  readonly #table: NumberTable = new NumberTable();
  readonly #encoded: GrowingWords = new GrowingWords();
  #taken: number = 0;

  get size(): number {
    return this.#stacks.length / 4;
  }

  /**
   * The number of the stack whose raw words stand at `start`.. of the ring `words` (masked), `count` words of them.
   * `encode` is called for a new one and appends its frames
   * (site numbers) to the array it is given. `likely` is a stack that it may well be, or -1: then nothing is hashed.
   */
  intern(
    words: Uint32Array,
    mask: number,
    start: number,
    count: number,
    pid: number,
    encode: (frames: number[]) => void,
    likely: number = -1,
  ): number {
    if (likely >= 0 && this.#is(likely, words, mask, start, count, pid)) return likely;
    const first = start & mask;
    let h = pid ^ Math.imul(count, 0x9e3779b1);
    if (first + count <= mask + 1) {
      for (let i = first; i < first + count; i++)
        h = ((Math.imul(h, 0x85ebca77) ^ words[i]!) + (h >>> 15)) | 0; // in range
    } else {
      for (let i = 0; i < count; i++)
        h = ((Math.imul(h, 0x85ebca77) ^ words[(start + i) & mask]!) + (h >>> 15)) | 0; // masked
    }
    h = (h ^ (h >>> 16)) >>> 0;
    const { slots } = this.#table;
    const slotMask = slots.length - 1;
    let index = h & slotMask;
    for (;;) {
      const slot = slots[index]!; // masked
      if (slot === 0) break;
      if (this.#stacks.words[(slot - 1) * 4] === h && this.#is(slot - 1, words, mask, start, count, pid))
        return slot - 1;
      index = (index + 1) & slotMask;
    }
    const number = this.size;
    this.#stacks.append([h, this.#raw.length, count, pid]);
    this.#raw.reserve(count);
    for (let i = 0; i < count; i++) this.#raw.words[this.#raw.length + i] = words[(start + i) & mask]!; // masked
    this.#raw.length += count;
    slots[index] = number + 1;
    this.#table.added((other) => this.#stacks.words[other * 4]!); // `other` has been added
    const frames: number[] = [];
    encode(frames);
    this.#encoded.append([frames.length]);
    this.#encoded.append(frames);
    return number;
  }

  /** Whether stack `number` has these raw words. */
  #is(number: number, words: Uint32Array, mask: number, start: number, count: number, pid: number): boolean {
    const stacks = this.#stacks.words;
    const at = number * 4;
    if (stacks[at + 2] !== count || stacks[at + 3] !== pid) return false;
    const raw = this.#raw.words;
    const begin = stacks[at + 1]!; // four words a stack
    const first = start & mask;
    if (first + count <= mask + 1) {
      for (let i = 0; i < count; i++) if (raw[begin + i] !== words[first + i]) return false;
      return true;
    }
    for (let i = 0; i < count; i++) if (raw[begin + i] !== words[(start + i) & mask]) return false;
    return true;
  }

  get firstNew(): number {
    return this.#taken;
  }

  takeNew(): Uint32Array {
    const fresh = this.#encoded.words.slice(0, this.#encoded.length);
    this.#encoded.length = 0;
    this.#taken = this.size;
    return fresh;
  }
}

/** The id of a perf event to the number of its watch. Ids are u64, looked up by their words. */
export class WatchIds {
  #slots: Uint32Array = new Uint32Array(64 * 3);
  #count: number = 0;

  /** Remembers that the event `id` belongs to watch number `watch`. */
  add(low: number, high: number, watch: number): void {
    if (this.#count * 2 >= this.#slots.length / 3) {
      const old = this.#slots;
      this.#slots = new Uint32Array(old.length * 2);
      this.#count = 0;
      for (let at = 0; at < old.length; at += 3) {
        if (old[at + 2] !== 0) this.add(old[at]!, old[at + 1]!, old[at + 2]! - 1); // at < length
      }
    }
    let index = this.#home(low, high);
    while (this.#slots[index * 3 + 2] !== 0) index = (index + 1) % (this.#slots.length / 3);
    this.#slots.set([low, high, watch + 1], index * 3);
    this.#count++;
  }

  /** Forgets the events of one watch. */
  remove(watch: number): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(old.length);
    this.#count = 0;
    for (let at = 0; at < old.length; at += 3) {
      const number = old[at + 2]!; // at < length, here and below
      if (number !== 0 && number !== watch + 1) this.add(old[at]!, old[at + 1]!, number - 1);
    }
  }

  /** The watch of this event, or -1. */
  find(low: number, high: number): number {
    const slots = this.#slots;
    const capacity = slots.length / 3;
    let index = this.#home(low, high);
    for (;;) {
      const at = index * 3;
      const watch = slots[at + 2]!; // index < capacity
      if (watch === 0) return -1;
      if (slots[at] === low && slots[at + 1] === high) return watch - 1;
      index = index + 1 === capacity ? 0 : index + 1;
    }
  }

  #home(low: number, high: number): number {
    return hash3(low, high, 0) & (this.#slots.length / 3 - 1);
  }
}
