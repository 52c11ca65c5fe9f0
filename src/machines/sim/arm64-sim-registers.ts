import {
  breakpointControl0,
  breakpointValue0,
  classRegistersMax,
  controlEnable,
  debugFeatures,
  decodeDebugFeatures,
  mdscr,
  osLock,
  registerCount,
  watchpointControl0,
  watchpointValue0,
} from '../../arch/arm64/arm64-register-bits.ts';
import { assert } from '../../base/assert.ts';
import { LineFilter } from './line-filter.ts';
import type { SimRegisters } from './sim-registers.ts';

/** The longest access that the filter allows for unless told otherwise. */
const defaultReachBytes = 64;
/** Bytes that a watchpoint can select from, and those of an instruction. */
const doublewordBytes = 8;

/** The debug registers of one simulated arm64 CPU: as many as its ID register says. */
export class Arm64SimRegisters implements SimRegisters {
  readonly words: { readonly low: Uint32Array; readonly high: Uint32Array } = {
    low: new Uint32Array(registerCount),
    high: new Uint32Array(registerCount),
  };
  writes = 0;
  /** By register: the number of the write that it had last. */
  readonly lastWrite: Float64Array = new Float64Array(registerCount);
  readonly #features: number;
  readonly #counts: { readonly breakpoints: number; readonly watchpoints: number };
  readonly #point: () => void;
  readonly #filter: LineFilter = new LineFilter();
  #dirty = true;
  #reachBytes = defaultReachBytes;

  /** @param features ID_AA64DFR0_EL1, low word. */
  constructor(features: number, point: () => void) {
    this.#features = features;
    this.#counts = decodeDebugFeatures(features);
    this.#point = point;
    this.powerOn();
  }

  /** Locked, off. */
  powerOn(): void {
    const { low, high } = this.words;
    low.fill(0);
    high.fill(0);
    low[debugFeatures] = this.#features;
    low[osLock] = 1;
    this.#dirty = true;
  }

  write(register: number, low: number, high: number): void {
    assert(this.#exists(register), `this CPU has no debug register ${register}`);
    const { words } = this;
    // A control that is only switched on or off, as around each hit, leaves the filter as it is.
    if (((words.low[register]! ^ low) & ~controlEnable) !== 0 || words.high[register] !== high >>> 0)
      this.#dirty = true; // it exists
    words.low[register] = low;
    words.high[register] = high;
    this.writes++;
    this.lastWrite[register] = this.writes;
    this.#point();
  }

  #exists(register: number): boolean {
    if (register >= mdscr) return register === mdscr || register === osLock;
    const { breakpoints, watchpoints } = this.#counts;
    return register % classRegistersMax < (register < watchpointValue0 ? breakpoints : watchpoints);
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
    const { low } = this.words;
    for (let n = 0; n < classRegistersMax; n++) {
      if ((low[breakpointControl0 + n]! & ~controlEnable) !== 0)
        // registers are there, here and below
        filter.mark(low[breakpointValue0 + n]! & ~7, doublewordBytes, this.#reachBytes);
      if ((low[watchpointControl0 + n]! & ~controlEnable) !== 0)
        filter.mark(low[watchpointValue0 + n]! & ~7, doublewordBytes, this.#reachBytes);
    }
  }
}
