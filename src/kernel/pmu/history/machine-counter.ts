import { assert } from '../../../base/assert.ts';
import { errnoValues } from '../../../base/errno.ts';
import type { Admission } from '../admission.ts';

/**
 * Admission as the rewrite first had it: one counter for the whole machine, and a request is refused when the
 * incremented counter equals 4. So three breakpoints fit, each CPU of a wide one counting for itself.
 * docs/spec/02 section 4.6, item 1.
 */
export class MachineCounter implements Admission {
  readonly pools = 1;
  #count = 0;

  reserve(): number {
    if (this.#count + 1 === 4) return errnoValues.ENOSPC;
    this.#count++;
    return 0;
  }

  release(): void {
    assert(this.#count > 0, 'only what was reserved is released');
    this.#count--;
  }

  move(): number {
    return 0;
  }

  dbgReserve(): number {
    return this.reserve();
  }

  dbgRelease(): number {
    this.release();
    return 0;
  }

  isUsed(): boolean {
    return this.#count > 0;
  }

  snapshot(): string {
    return String(this.#count);
  }
}
