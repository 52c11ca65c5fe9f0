const binCount = 64;

/** Counts over time, in bins that become wider as time goes on: the end need not be known. */
export class TimeBins {
  readonly counts: Float64Array = new Float64Array(binCount);
  /** Width of a bin in nanoseconds: a power of two. */
  widthNs: number = 2 ** 20;

  /** Counts one, so many nanoseconds after the start; what is older counts as the start. */
  add(atNs: number): void {
    let bin = atNs > 0 ? Math.floor(atNs / this.widthNs) : 0;
    while (bin >= binCount) {
      for (let i = 0; i < binCount; i++)
        this.counts[i] = i < binCount / 2 ? this.counts[2 * i]! + this.counts[2 * i + 1]! : 0; // in range
      this.widthNs *= 2;
      bin = Math.floor(atNs / this.widthNs);
    }
    this.counts[bin]!++; // in range
  }

  /** The counts up to the last bin that is not empty. */
  used(): number[] {
    const last = this.counts.findLastIndex((each) => each > 0);
    return [...this.counts.subarray(0, last + 1)];
  }
}

const blocks = '▁▂▃▄▅▆▇█';

/** Counts as a line of blocks; a space is none. */
export function sparkline(counts: readonly number[]): string {
  const most = Math.max(1, ...counts);
  return counts
    .map((each) => (each === 0 ? ' ' : (blocks[Math.min(7, Math.floor((8 * each) / (most + 1)))] ?? '')))
    .join('');
}
