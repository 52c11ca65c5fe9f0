import { assert } from '../../base/assert.ts';

/**
 * The interruption points of a machine: every register write and every step of the accounting passes one. While nothing
 * is armed a point costs one test.
 */
export class Interruption {
  /** Points left until the one that is armed; 0: none is. */
  #countdown = 0;
  #passed = 0;
  #interrupt: (() => void) | undefined;
  readonly #blocked: () => boolean;

  /** @param blocked whether the CPU that executes takes no interruption now. */
  constructor(blocked: () => boolean) {
    this.#blocked = blocked;
  }

  /** Passes an interruption point. */
  point(): void {
    if (this.#countdown !== 0) this.#pass();
  }

  #pass(): void {
    if (this.#blocked()) return;
    this.#passed++;
    if (--this.#countdown !== 0) return;
    const interrupt = this.#interrupt;
    this.#interrupt = undefined;
    interrupt?.();
  }

  /** Does `work`, and `interrupt` at its `at`-th point (from 1). Gives how many points were passed up to that one. */
  during(at: number, interrupt: () => void, work: () => void): number {
    assert(this.#countdown === 0 && at >= 1, 'one interruption at a time');
    this.#countdown = at;
    this.#interrupt = interrupt;
    this.#passed = 0;
    try {
      work();
    } finally {
      this.#countdown = 0;
      this.#interrupt = undefined;
    }
    return this.#passed;
  }
}
