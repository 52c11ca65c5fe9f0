/** A breakpoint in the {@link NaiveTable}. */
export interface NaiveEntry {
  readonly task: number;
  readonly cpu: number;
}

/**
 * Admission as it was before the histograms: one list of all breakpoints of tasks, walked for each CPU at each
 * request. What docs/spec/02 section 8 calls "before", without its lock.
 */
export class NaiveTable {
  readonly #entries: Set<NaiveEntry> = new Set();
  readonly #cpuPinned: Int32Array;
  readonly #slots: number;

  constructor(slots: number, cpus: number) {
    this.#slots = slots;
    this.#cpuPinned = new Int32Array(cpus);
  }

  reserve(entry: NaiveEntry): boolean {
    for (let cpu = 0; cpu < this.#cpuPinned.length; cpu++) {
      if (entry.cpu >= 0 && entry.cpu !== cpu) continue;
      let own = 0;
      for (const other of this.#entries)
        if (other.task === entry.task && (other.cpu < 0 || other.cpu === cpu)) own++;
      if ((this.#cpuPinned[cpu] ?? 0) + own + 1 > this.#slots) return false;
    }
    this.#entries.add(entry);
    return true;
  }

  release(entry: NaiveEntry): void {
    this.#entries.delete(entry);
  }
}
