/**
 * Pseudo-random numbers from a seed: the same seed gives the same numbers on every machine.
 * The generator is SplitMix32; not for secrets.
 */
export class SeededRandom {
  #state: number;

  /** @param seed u32 */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** The next u32. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** An integer in [0, bound); `bound` is 1 to 2^32. */
  below(bound: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * bound);
  }
}
