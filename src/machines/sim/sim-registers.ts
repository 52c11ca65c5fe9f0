import type { DebugRegisters } from '../../arch/debug-registers.ts';
import {
  addressMask0,
  breakpointRegisters,
  dr6,
  dr6Reserved,
  dr7,
  dr7Enables,
  dr7Fixed,
} from '../../arch/x86/debug-register-bits.ts';

/** Entries of the filter; one stands for a line of 64 bytes, addresses 4 MiB apart share one. */
const filterEntries = 0x10000;
const filterLineShift = 6;
const filterMask = filterEntries - 1;
/** More lines than this and everything is let through to the exact rule. */
const filterLinesMax = 1024;
/** The longest access that the filter allows for unless told otherwise. */
const defaultReachBytes = 64;

/**
 * The debug registers of one simulated x86 CPU, and a filter over them: a table that says of each line of 64 bytes
 * whether an access that starts there can fire at all. It is what makes an access that hits nothing cheap.
 */
export class SimRegisters implements DebugRegisters {
  readonly words: { readonly low: Uint32Array; readonly high: Uint32Array } = {
    low: new Uint32Array(12),
    high: new Uint32Array(12),
  };
  /** Register writes since the machine was switched on. */
  writes = 0;
  readonly #point: () => void;
  readonly #filter: Uint8Array = new Uint8Array(filterEntries);
  readonly #marked: number[] = [];
  #full = false;
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
    return this.#filter;
  }

  #rebuild(): void {
    this.#dirty = false;
    if (this.#full) {
      this.#filter.fill(0);
      this.#full = false;
    } else for (const entry of this.#marked) this.#filter[entry] = 0;
    this.#marked.length = 0;
    const { low, high } = this.words;
    const control = low[dr7]!; // DR7 is there
    if ((control & dr7Enables) === 0) return;
    for (let n = 0; n < breakpointRegisters; n++) {
      if ((control & (3 << (2 * n))) === 0) continue;
      const mask = low[addressMask0 + n]! | 7; // an aligned block of 8 bytes covers each length; masks are there
      const first = (low[n]! & ~mask) - this.#reachBytes + 1;
      const lines = (mask + this.#reachBytes + 63) / 64 + 1;
      if (lines > filterLinesMax || high[addressMask0 + n] !== 0) {
        this.#filter.fill(1);
        this.#full = true;
        return;
      }
      const last = ((low[n]! & ~mask) + mask) >> filterLineShift;
      for (let line = first >> filterLineShift; ; line++) {
        const entry = line & filterMask;
        this.#filter[entry] = 1;
        this.#marked.push(entry);
        if (((line ^ last) & filterMask) === 0) break;
      }
    }
  }
}
