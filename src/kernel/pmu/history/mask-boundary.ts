import { assert } from '../../../base/assert.ts';
import { errnoValues } from '../../../base/errno.ts';

/**
 * How breakpoints on some CPUs were meant to work on the design before the rewrite (the cpumask RFC of 2009-10-28):
 * registers from a boundary on belong to the kernel, on every CPU; those below belong to threads. Each CPU has its own
 * table of kernel breakpoints, filled from the highest register down. docs/spec/02 section 6.2.
 *
 * Today's API is `registerWide` in `kernel/core`; this keeps the older mechanics checkable (docs/spec/08 rows 138 to
 * 150) without two of their flaws: an empty mask is refused, and removing what is not there counts nothing.
 */
export class MaskBoundary<B> {
  readonly #registers: number;
  /** By CPU, then by register. */
  readonly #tables: (B | null)[][];
  /** [register]: threads that use it. */
  readonly userRefcount: number[];
  #boundary: number;

  constructor(options: { readonly cpus: number; readonly registers: number }) {
    this.#registers = options.registers;
    this.#boundary = options.registers;
    this.userRefcount = Array.from({ length: options.registers }, () => 0);
    this.#tables = Array.from({ length: options.cpus }, () =>
      Array.from({ length: options.registers }, () => null),
    );
  }

  /** The first register of the kernel; the number of registers if it has none. */
  get boundary(): number {
    return this.#boundary;
  }

  /** What the kernel has in the registers of a CPU. */
  table(cpu: number): readonly (B | null)[] {
    const table = this.#tables[cpu];
    assert(table !== undefined, `there is no CPU ${cpu}`);
    return table;
  }

  /** Installs on every CPU of the mask (default all), or gives an errno and nothing has changed: EINVAL, ENOSPC. */
  register(breakpoint: B, mask: readonly number[] = [...this.#tables.keys()]): number {
    if (mask.length === 0 || mask.some((cpu) => this.#tables[cpu] === undefined)) return errnoValues.EINVAL;
    // One move of the boundary is enough for all CPUs: each needs one register.
    if (mask.some((cpu) => this.#consumed(cpu) === this.#registers - this.#boundary)) {
      if (this.#boundary === 0 || (this.userRefcount[this.#boundary - 1] ?? 0) > 0) return errnoValues.ENOSPC;
      this.#boundary--;
    }
    for (const cpu of mask) {
      const table = this.#tables[cpu]!; // checked above
      table[table.lastIndexOf(null)] = breakpoint;
    }
    return 0;
  }

  /** Removes from every CPU that has it; the entries below move up, and the boundary goes back where nobody needs it. */
  unregister(breakpoint: B): void {
    let found = false;
    for (const table of this.#tables) {
      const index = table.indexOf(breakpoint);
      if (index < 0) continue;
      found = true;
      table.splice(index, 1);
      table.unshift(null);
    }
    if (!found) return;
    const needed = this.#tables.some((_, cpu) => this.#consumed(cpu) === this.#registers - this.#boundary);
    if (!needed && this.#boundary < this.#registers) this.#boundary++;
  }

  #consumed(cpu: number): number {
    return this.table(cpu).filter((entry) => entry !== null).length;
  }
}
