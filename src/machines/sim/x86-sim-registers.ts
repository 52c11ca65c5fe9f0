import {
  addressMask0,
  breakpointRegisters,
  dr6,
  dr6Reserved,
  dr7,
  dr7Enables,
  dr7Fixed,
} from '../../arch/x86/debug-register-bits.ts';
import { LineFilter } from './line-filter.ts';
import type { SimRegisters } from './sim-registers.ts';

/** The longest access that the filter allows for unless told otherwise. */
const defaultReachBytes = 64;

/**
 * The debug registers of one simulated x86 CPU, and a filter over them.
 */
export class X86SimRegisters implements SimRegisters {
  readonly words: { readonly low: Uint32Array; readonly high: Uint32Array } = {
    low: new Uint32Array(12),
    high: new Uint32Array(12),
  };
  /** Register writes since the machine was switched on. */
  writes = 0;
  readonly #point: () => void;
  readonly #filter: LineFilter = new LineFilter();
  #dirty = true;
  #reachBytes = defaultReachBytes;

  constructor(point: () => void) {
    this.#point = point;
    this.powerOn();
  }

  /** The state after power-on. */
  powerOn(): void {
    this.words.low.fill(0);
    this.words.high.fill(0);
    this.words.low[dr6] = dr6Reserved;
    this.words.low[dr7] = dr7Fixed;
    this.#dirty = true;
  }

  write(register: number, low: number, high: number): void {
    const { words } = this;
    words.low[register] = register === dr7 ? low | dr7Fixed : register === dr6 ? low | dr6Reserved : low;
    words.high[register] = register === dr6 || register === dr7 ? 0 : high;
    this.writes++;
    // The status does not say what fires.
    if (register !== dr6) this.#dirty = true;
    this.#point();
  }

  low(register: number): number {
    return this.words.low[register] ?? 0;
  }

  high(register: number): number {
    return this.words.high[register] ?? 0;
  }

  point(): void {
    this.#point();
  }

  /** What the CPU itself does: sets bits in DR6 (positive polarity). */
  raise(bits: number): void {
    this.words.low[dr6] = this.words.low[dr6]! | bits; // DR6 is there
  }

  /**
   * The filter for accesses of up to `reachBytes` bytes: an access that starts at an address whose
   * `(low >>> 6) & 0xffff` entry is 0 fires nothing. Valid until a register is written.
   */
  filter(reachBytes: number = defaultReachBytes): Uint8Array {
    if (reachBytes > this.#reachBytes) {
      this.#reachBytes = reachBytes;
      this.#dirty = true;
    }
    if (this.#dirty) this.#rebuild();
    return this.#filter.table;
  }

  #rebuild(): void {
    this.#dirty = false;
    const filter = this.#filter;
    filter.clear();
    const { low, high } = this.words;
    const control = low[dr7]!; // DR7 is there
    if ((control & dr7Enables) === 0) return;
    for (let n = 0; n < breakpointRegisters; n++) {
      if ((control & (3 << (2 * n))) === 0) continue;
      const mask = (low[addressMask0 + n]! | 7) >>> 0; // an aligned block of 8 bytes covers each length; masks are there
      if (high[addressMask0 + n] !== 0) {
        filter.open();
        return;
      }
      if (!filter.mark(low[n]! & ~mask, mask + 1, this.#reachBytes)) return;
    }
  }
}
