import type { ByteSource } from '../base/byte-source.ts';
import { valueFlags } from '../ring/hit-columns.ts';
import type { ValueWords } from '../watch/values/hit-value.ts';
import { TupleTable } from './access-table.ts';
import type { AccessEntry } from './recording-entries.ts';
import {
  type ReadResult,
  type RecordedRows,
  type RecordingTables,
  readRecording,
} from './recording-reader.ts';
import { TimeBins } from './time-bins.ts';

/** Different values of all watches that are told apart; of more, only the hits are counted. */
export const mostValues = 100_000;

/** Hits and changes of one watch over time. */
export interface WatchTimes {
  readonly hits: TimeBins;
  /** Hits that left another value than they found. */
  readonly changes: TimeBins;
}

/** What a recording says in numbers. Sites, threads, values and stacks are in the order of their hits, most first. */
export interface RecordingSummary extends ReadResult {
  readonly byCode: readonly {
    readonly site: number;
    readonly hits: number;
    readonly tids: readonly number[];
  }[];
  readonly byThread: readonly {
    readonly pid: number;
    readonly tid: number;
    readonly comm: string;
    readonly hits: number;
  }[];
  readonly byValue: readonly { readonly watch: number; readonly value: ValueWords; readonly hits: number }[];
  /** Hits whose value is not in `byValue`: not known, or of too many different ones. */
  readonly valuesUnknown: number;
  readonly valuesBeyond: number;
  readonly byStack: readonly { readonly stack: number; readonly site: number; readonly hits: number }[];
  /** One a watch. */
  readonly times: readonly WatchTimes[];
  /** Hits by watch. */
  readonly byWatch: readonly number[];
}

/** Reads a recording and counts. Throws as `readRecording` does. */
export function summarize(source: ByteSource): RecordingSummary {
  const counter = new Counter();
  const result = readRecording(source, { rows: (rows, tables) => counter.add(rows, tables) });
  return { ...result, ...counter.summary(result) };
}

class Counter {
  /** Hits by number of the access entry. */
  readonly #hits: number[] = [];
  /** (watch, low, high) to a place in `#valueHits`. */
  readonly #values = new TupleTable();
  readonly #valueKeys: { watch: number; value: ValueWords }[] = [];
  readonly #valueHits: number[] = [];
  #unknown: number = 0;
  #beyond: number = 0;
  readonly #times: WatchTimes[] = [];
  #watchOf: Int32Array = new Int32Array(0);

  add(rows: RecordedRows, tables: RecordingTables): void {
    const { length, time, access, old, new: after, flags } = rows;
    const { accesses, sites, header } = tables;
    while (this.#times.length < header.watches.length)
      this.#times.push({ hits: new TimeBins(), changes: new TimeBins() });
    while (this.#hits.length < accesses.length) this.#hits.push(0);
    if (this.#watchOf.length < accesses.length) {
      this.#watchOf = Int32Array.from(accesses, (each) =>
        each === undefined ? 0 : (sites[each.site]?.watch ?? 0),
      );
    }
    const since = Number(header.sinceNs);
    const values = header.values;
    for (let row = 0; row < length; row++) {
      // row < length, in all that follows
      const number = access[row]!;
      this.#hits[number]!++;
      const watch = this.#watchOf[number]!;
      const atNs = time[2 * row + 1]! * 0x1_0000_0000 + time[2 * row]! - since;
      const times = this.#times[watch]!;
      times.hits.add(atNs);
      if (!values) continue;
      const flag = flags[row]!;
      if ((flag & valueFlags.source) === 0) {
        this.#unknown++;
        continue;
      }
      const low = after[2 * row]!;
      const high = after[2 * row + 1]!;
      if ((flag & valueFlags.before) !== 0 && (old[2 * row] !== low || old[2 * row + 1] !== high))
        times.changes.add(atNs);
      let key = this.#values.find(watch, low, high, 0, 0);
      if (key < 0) {
        if (this.#valueKeys.length >= mostValues) {
          this.#beyond++;
          continue;
        }
        key = this.#valueKeys.push({ watch, value: { low, high } }) - 1;
        this.#valueHits.push(0);
        this.#values.add(key, watch, low, high, 0, 0);
      }
      this.#valueHits[key]!++; // a key has its count
    }
  }

  summary(tables: RecordingTables): Omit<RecordingSummary, keyof ReadResult> {
    const sites = new Map<number, { hits: number; tids: Set<number> }>();
    const threads = new Map<number, { access: AccessEntry; hits: number }>();
    const stacks = new Map<string, { stack: number; site: number; hits: number }>();
    const byWatch = tables.header.watches.map(() => 0);
    for (const [number, hits] of this.#hits.entries()) {
      const access = tables.accesses[number];
      if (hits === 0 || access === undefined) continue;
      const { site, tid, stack } = access;
      const code = sites.get(site) ?? { hits: 0, tids: new Set() };
      code.hits += hits;
      code.tids.add(tid);
      sites.set(site, code);
      const thread = threads.get(tid);
      threads.set(tid, { access, hits: hits + (thread?.hits ?? 0) }); // the last name counts
      const watch = tables.sites[site]?.watch ?? 0;
      byWatch[watch] = (byWatch[watch] ?? 0) + hits;
      if (stack === 0) continue;
      const key = `${stack},${site}`;
      const one = stacks.get(key) ?? { stack, site, hits: 0 };
      one.hits += hits;
      stacks.set(key, one);
    }
    const most = <T extends { readonly hits: number }>(all: Iterable<T>): T[] =>
      [...all].sort((a, b) => b.hits - a.hits);
    return {
      byCode: most([...sites].map(([site, { hits, tids }]) => ({ site, hits, tids: [...tids] }))),
      byThread: most(
        [...threads.values()].map(({ access: { pid, tid, comm }, hits }) => ({ pid, tid, comm, hits })),
      ),
      byValue: most(this.#valueKeys.map((key, i) => ({ ...key, hits: this.#valueHits[i] ?? 0 }))),
      valuesUnknown: this.#unknown,
      valuesBeyond: this.#beyond,
      byStack: most(stacks.values()),
      times: this.#times,
      byWatch,
    };
  }
}
