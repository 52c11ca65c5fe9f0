import { assert } from '../../base/assert.ts';

/**
 * A histogram in `entries` from `base` on: entry k counts the objects that hold k + 1 slots. Objects that hold none
 * are not counted. docs/spec/02 section 4.4.
 */

/** Moves one object from holding `from` slots to holding `to`; 0 is "not counted". */
export function histogramMove(entries: Int32Array, base: number, from: number, to: number): void {
  if (from > 0) {
    const left = --entries[base + from - 1]!; // from is at most the capacity, which is the length
    assert(left >= 0, 'a histogram counts objects: no entry is negative');
  }
  if (to > 0) entries[base + to - 1]!++; // likewise
}

/** The most slots that any object holds; 0 if none holds any. */
export function histogramMax(entries: Int32Array, base: number, length: number): number {
  for (let k = length - 1; k >= 0; k--) if (entries[base + k]! > 0) return k + 1; // k < length
  return 0;
}
