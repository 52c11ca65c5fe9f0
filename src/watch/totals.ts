import type { HitColumns } from '../ring/hit-columns.ts';

/** Hits of one watch by one code site. */
export interface SiteTotal {
  readonly site: number;
  readonly watch: number;
  readonly hits: number;
  /** Threads that made them. */
  readonly tids: readonly number[];
}

interface Entry {
  hits: number;
  lastTid: number;
  readonly tids: Set<number>;
}

/** Counts hits a code site and watch, and a thread and watch. */
export class Totals {
  /** By site, then by watch. */
  readonly #entries: (Entry | undefined)[][] = [];
  readonly #threads: Map<number, number[]> = new Map();
  #hits: number = 0;

  readonly #groupOf: (watch: number) => number;

  /** `groupOf`: the number under which a watch is counted; by default its own. */
  constructor(groupOf: (watch: number) => number = (watch) => watch) {
    this.#groupOf = groupOf;
  }

  /** Counts every row. */
  add(columns: HitColumns): void {
    const { length, site, watch, tid } = columns;
    this.#hits += length;
    let lastTid = -1;
    let lastWatch = -1;
    let watchNumber = -1;
    let perWatch: number[] = [];
    for (let row = 0; row < length; row++) {
      const siteNumber = site[row]!; // row < length, here and below
      if (watch[row] !== lastWatch) {
        lastWatch = watch[row]!;
        watchNumber = this.#groupOf(lastWatch);
      }
      const thread = tid[row]!;
      let entries = this.#entries[siteNumber];
      if (entries === undefined) {
        entries = [];
        this.#entries[siteNumber] = entries;
      }
      let entry = entries[watchNumber];
      if (entry === undefined) {
        entry = { hits: 0, lastTid: -1, tids: new Set() };
        entries[watchNumber] = entry;
      }
      entry.hits++;
      if (entry.lastTid !== thread) {
        entry.lastTid = thread;
        entry.tids.add(thread);
      }
      if (thread !== lastTid) {
        perWatch = this.#thread(thread);
        lastTid = thread;
      }
      perWatch[watchNumber] = (perWatch[watchNumber] ?? 0) + 1;
    }
  }

  /** Rows counted. */
  get hits(): number {
    return this.#hits;
  }

  /** All sites, most hits first. */
  sites(): SiteTotal[] {
    const totals: SiteTotal[] = [];
    for (const [site, entries] of this.#entries.entries()) {
      for (const [watch, entry] of (entries ?? []).entries()) {
        if (entry !== undefined) totals.push({ site, watch, hits: entry.hits, tids: [...entry.tids] });
      }
    }
    return totals.sort((a, b) => b.hits - a.hits);
  }

  /** Hits of each watch, by thread. */
  threads(): ReadonlyMap<number, readonly number[]> {
    return this.#threads;
  }

  #thread(tid: number): number[] {
    let perWatch = this.#threads.get(tid);
    if (perWatch === undefined) {
      perWatch = [];
      this.#threads.set(tid, perWatch);
    }
    return perWatch;
  }
}
