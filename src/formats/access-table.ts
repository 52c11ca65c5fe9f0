/** Words of a slot: five of the key, one of the value + 1 (0: free). */
const slotWords = 6;

/**
 * Numbers for tuples of five u32, found without making an object: an open-addressed table. A tuple may be forgotten by
 * its first word, then it gets a new number.
 */
export class TupleTable {
  #slots: Uint32Array = new Uint32Array(slotWords * 256);
  #mask: number = 255;
  #used: number = 0;
  /** The slot of the last answer: hits often repeat. */
  #last: number = 0;

  /** The number of a tuple, -1 if it has none. */
  find(a: number, b: number, c: number, d: number, e: number): number {
    const slots = this.#slots;
    let at = this.#last;
    if (!same(slots, at, a, b, c, d, e)) {
      at = this.#place(a, b, c, d, e);
      this.#last = at;
    }
    return slots[at + 5]! - 1; // at is a slot's start
  }

  /** Gives a tuple that has no number one. */
  add(value: number, a: number, b: number, c: number, d: number, e: number): void {
    if (2 * this.#used > this.#mask) this.#grow();
    const at = this.#place(a, b, c, d, e);
    this.#slots.set([a, b, c, d, e, value + 1], at);
    this.#used++;
  }

  /** Forgets all tuples that begin with `a`. */
  forget(a: number): void {
    this.#rebuild(this.#mask, (first) => first !== a);
  }

  /** The slot that holds the tuple, or the free one where it belongs. */
  #place(a: number, b: number, c: number, d: number, e: number): number {
    let hash = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35);
    hash ^= Math.imul(d, 0x27d4eb2f) ^ Math.imul(e, 0x165667b1);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    let slot = (hash ^ (hash >>> 13)) & this.#mask;
    for (;;) {
      const at = slot * slotWords;
      if (this.#slots[at + 5] === 0 || same(this.#slots, at, a, b, c, d, e)) return at;
      slot = (slot + 1) & this.#mask;
    }
  }

  #grow(): void {
    this.#rebuild(2 * this.#mask + 1, () => true);
  }

  #rebuild(mask: number, keep: (first: number) => boolean): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(slotWords * (mask + 1));
    this.#mask = mask;
    this.#used = 0;
    this.#last = 0;
    for (let at = 0; at < before.length; at += slotWords) {
      const [a, b, c, d, e, value] = before.subarray(at, at + slotWords) as unknown as [
        number,
        number,
        number,
        number,
        number,
        number,
      ]; // six words a slot
      if (value !== 0 && keep(a)) this.add(value - 1, a, b, c, d, e);
    }
  }
}

function same(
  slots: Uint32Array,
  at: number,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
): boolean {
  return (
    slots[at + 5] !== 0 &&
    slots[at] === a &&
    slots[at + 1] === b &&
    slots[at + 2] === c &&
    slots[at + 3] === d &&
    slots[at + 4] === e
  );
}
