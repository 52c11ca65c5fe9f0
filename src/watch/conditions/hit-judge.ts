import { isKernelError } from '../../base/kernel-error.ts';
import { joinPair } from '../../base/pair.ts';
import { type HitColumns, hitFlags, valueFlags } from '../../ring/hit-columns.ts';
import type { Memory } from '../../surface/memory.ts';
import { evaluateCondition, type HitFacts } from './evaluate-condition.ts';
import type { JudgedCondition } from './watch-conditions.ts';

/** What a {@link HitJudge} works with. */
export interface HitJudgeParts {
  readonly conditionOf: (watch: number) => JudgedCondition;
  /** Hits a second of one watch. */
  readonly rate: number | undefined;
  /** Called for every hit that is reported and that no program has stopped. */
  readonly stop: ((pid: number) => void) | undefined;
  readonly memory: Memory | undefined;
  readonly nameOf: (tid: number, pid: number) => string;
}

/** Judges hits that no program has judged for good: conditions, rates, and what is done at a hit. */
export class HitJudge {
  readonly #parts: HitJudgeParts;
  /** By watch: the time in nanoseconds when its bucket is full again. */
  readonly #fullAt: Map<number, number> = new Map();
  #undecided = 0;
  #row = 0;
  #columns: HitColumns | undefined;
  readonly #facts: HitFacts;

  constructor(parts: HitJudgeParts) {
    this.#parts = parts;
    const judge = this;
    const column = (name: 'tid' | 'pid' | 'cpu'): number => judge.#columns?.[name][judge.#row] ?? 0;
    this.#facts = {
      get new() {
        return judge.#value('after');
      },
      get old() {
        return judge.#value('before');
      },
      get tid() {
        return column('tid');
      },
      get pid() {
        return column('pid');
      },
      get cpu() {
        return column('cpu');
      },
      get comm() {
        return parts.nameOf(column('tid'), column('pid'));
      },
      read: (address, lenBytes) => judge.#read(address, lenBytes),
    };
  }

  /** Hits that could not be judged, because a value was not known. They are not reported. */
  get undecided(): number {
    return this.#undecided;
  }

  /** Takes the rows out that are not wanted, until `left` are left that are. @returns whether rows remain unjudged. */
  judge(columns: HitColumns, left: number): boolean {
    this.#columns = columns;
    let to = 0;
    let dropped = false;
    let row = 0;
    for (; row < columns.length && to < left; row++) {
      this.#row = row;
      const watch = columns.watch[row]!; // row < length
      const judged = this.#parts.conditionOf(watch);
      if (judged.judge !== 'kernel' && !this.#wanted(judged, watch, columns, row)) {
        dropped = true;
        continue;
      }
      if (to < row) columns.copyRow(row, to);
      // What went before is not there any more: this is a hit of its own.
      if (dropped) columns.flags[to]! &= ~hitFlags.continuesCopy;
      dropped = false;
      to++;
    }
    const remain = row < columns.length;
    columns.length = to;
    return remain;
  }

  #wanted(judged: JudgedCondition, watch: number, columns: HitColumns, row: number): boolean {
    if (judged.condition !== undefined) {
      const verdict = evaluateCondition(judged.condition.expression, this.#facts);
      if (verdict === 'unknown') this.#undecided++;
      if (verdict !== true) return false;
    }
    if (!this.#withinRate(watch, columns.timeHigh[row]! * 0x1_0000_0000 + columns.timeLow[row]!))
      return false;
    this.#parts.stop?.(columns.pid[row]!);
    return true;
  }

  /** The generic cell rate algorithm, as the program has it (filter-program.ts). */
  #withinRate(watch: number, timeNs: number): boolean {
    const { rate } = this.#parts;
    if (rate === undefined) return true;
    const intervalNs = Math.floor(1e9 / rate);
    const fullAt = Math.max(this.#fullAt.get(watch) ?? 0, timeNs) + intervalNs;
    if (fullAt - timeNs > intervalNs * rate) return false;
    this.#fullAt.set(watch, fullAt);
    return true;
  }

  #value(which: 'before' | 'after'): bigint | undefined {
    const values = this.#columns?.values;
    if (values === undefined) return undefined;
    const row = this.#row;
    const flags = values.flags[row]!; // row < length, here and below
    if (which === 'before') {
      if ((flags & valueFlags.before) === 0) return undefined;
      return joinPair(values.beforeLow[row]!, values.beforeHigh[row]!);
    }
    if ((flags & valueFlags.source) === 0) return undefined;
    return joinPair(values.afterLow[row]!, values.afterHigh[row]!);
  }

  #read(address: bigint, lenBytes: number): bigint | undefined {
    const pid = this.#columns?.pid[this.#row] ?? 0;
    try {
      const bytes = this.#parts.memory?.read(pid, address, lenBytes);
      if (bytes === undefined || bytes.length < lenBytes) return undefined;
      const padded = new Uint8Array(8);
      padded.set(bytes);
      return new DataView(padded.buffer).getBigUint64(0, true);
    } catch (error) {
      if (isKernelError(error)) return undefined; // it is gone, or may not be read
      throw error;
    }
  }
}
