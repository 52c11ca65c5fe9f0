import { SeededRandom } from '../../base/random.ts';

/** Choices from a seed. */
export class Dice {
  readonly #random: SeededRandom;

  /** @param seed u32 */
  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  /** True in `share` of all cases, 0 to 1. */
  chance(share: number): boolean {
    return this.#random.below(1_000_000) < share * 1_000_000;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return this.#random.below(bound);
  }

  /** One of them, each as likely; `undefined` of none. */
  pick<T>(values: readonly [T, ...T[]]): T;
  pick<T>(values: readonly T[]): T | undefined;
  pick<T>(values: readonly T[]): T | undefined {
    return values[this.#random.below(values.length)];
  }

  /** Each of them with that likelihood, in their order. */
  some<T>(values: readonly T[], share: number): T[] {
    return values.filter(() => this.chance(share));
  }

  /** One of them, as likely as it weighs; `undefined` where all weigh 0. */
  weighted<T>(values: readonly T[], weightOf: (value: T) => number): T | undefined {
    let left = values.reduce((sum, value) => sum + weightOf(value), 0);
    if (left <= 0) return undefined;
    left *= this.#random.below(0x1_0000_0000) / 0x1_0000_0000;
    for (const value of values) {
      left -= weightOf(value);
      if (left < 0) return value;
    }
    return undefined;
  }
}

/** A seed of its own for each of many scenarios: neither a seed's scenarios nor the seeds overlap. */
export function seedOf(seed: number, index: number): number {
  return (new SeededRandom(seed).next() ^ Math.imul(new SeededRandom(index + 1).next(), 0x85ebca6b)) >>> 0;
}
