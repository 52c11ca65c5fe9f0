import { joinPair } from '../base/pair.ts';
import {
  type HitBatch,
  hitFlags,
  type RingNotice,
  unknownCpu,
  type ValueColumns,
  valueFlags,
} from '../ring/hit-columns.ts';
import type { CodeAccess } from './code-sites.ts';
import type { WatchMove } from './follower.ts';
import type { HitSource } from './hit-source.ts';
import type { PlannedWatch } from './plan.ts';
import { type AccessRange, type HitElement, sliceElement } from './slice-element.ts';
import { continuedValue, type HitValue, hitValue } from './values/hit-value.ts';

/** One hit as a person reads it, or several of one kernel copy. */
export interface Hit {
  /** Of the first one; CLOCK_MONOTONIC. */
  readonly timeNs: bigint;
  readonly pid: number;
  readonly tid: number;
  /** The thread's name at that time. */
  readonly comm: string;
  /** `undefined`: a remote stub does not tell. */
  readonly cpu: number | undefined;
  readonly watch: PlannedWatch;
  readonly watchNumber: number;
  /** Of a slice: the element, or the elements, that it was for. The value is theirs. */
  element?: HitElement;
  readonly code: CodeAccess;
  /** As in a batch's column; {@link HitSource.sites} gives the frames. */
  readonly stack: number;
  /** Hits that this stands for. */
  count: number;
  /** The watched bytes before and after; with `count`, before the first and after the last. */
  value?: HitValue;
}

/** What comes out of a {@link HitReader}, in the order of time. */
export type HitReaderItem =
  | { readonly type: 'hit'; readonly hit: Hit }
  /** A watch follows a pointer that has changed. */
  | { readonly type: 'moved'; readonly move: WatchMove }
  /** A process executed another program: its watch has ended. */
  | { readonly type: 'exec'; readonly timeNs: bigint; readonly pid: number; readonly comm: string };

/**
 * Batches into hits: applies the notices in the order of time, and puts the hits of one kernel copy together. The last
 * hit of a batch is held back if it is the kernel's, because the copy may go on in the next; `flush` gives it out.
 */
export class HitReader {
  readonly #session: HitSource;
  readonly #emit: (item: HitReaderItem) => void;
  #held: Hit | undefined;
  /** Told when no older hit can come. */
  #moves: WatchMove[] = [];

  constructor(session: HitSource, emit: (item: HitReaderItem) => void) {
    this.#session = session;
    this.#emit = emit;
  }

  /** Gives out the hits of a batch. */
  read(batch: HitBatch): void {
    const { names, sites, info } = this.#session;
    const { columns, notices } = batch;
    this.#moves.push(...(this.#session.takeMoves?.() ?? []));
    let notice = 0;
    for (let row = 0; row < columns.length; row++) {
      const timeNs = joinPair(columns.timeLow[row]!, columns.timeHigh[row]!); // row < length, here and below
      while (notice < notices.length && notices[notice]!.timeNs <= timeNs) this.#apply(notices[notice++]!); // in range
      while ((this.#moves[0]?.timeNs ?? timeNs) < timeNs) this.#tellMove();
      const flags = columns.flags[row]!;
      const held = this.#held;
      if (held !== undefined && (flags & hitFlags.continuesCopy) !== 0 && held.tid === columns.tid[row]) {
        held.count++;
        if (columns.values !== undefined) held.value = continuedValue(held.value, columns.values, row);
        continue;
      }
      this.#giveHeld();
      const pid = columns.pid[row]!;
      const tid = columns.tid[row]!;
      const watchNumber = columns.watch[row]!;
      const watch = info.watches[watchNumber]!; // the column holds numbers of these
      const hit: Hit = {
        timeNs,
        pid,
        tid,
        comm: names.name(tid, pid),
        cpu: columns.cpu[row] === unknownCpu ? undefined : columns.cpu[row],
        watch,
        watchNumber,
        code: sites.access(columns.site[row]!, watch, watchNumber),
        stack: columns.stack[row]!,
        count: 1,
      };
      if (columns.values !== undefined) hit.value = hitValue(columns.values, row);
      if ((flags & hitFlags.kernel) !== 0) this.#held = hit;
      else this.#give(hit, rangeOf(columns.values, row));
    }
    while (notice < notices.length) this.#apply(notices[notice++]!); // in range
  }

  /** Applies the notices of a batch and passes over its hits. */
  readNotices(batch: HitBatch): void {
    this.#moves.push(...(this.#session.takeMoves?.() ?? []));
    for (const notice of batch.notices) this.#apply(notice);
    while (this.#moves.length > 0) this.#tellMove();
  }

  /** Whether something is held back. */
  get holds(): boolean {
    return this.#held !== undefined || this.#moves.length > 0;
  }

  /** Gives out what is held. */
  flush(): void {
    this.#giveHeld();
    while (this.#moves.length > 0) this.#tellMove();
  }

  #tellMove(): void {
    const move = this.#moves.shift();
    if (move === undefined) return;
    this.#giveHeld();
    this.#emit({ type: 'moved', move });
  }

  #giveHeld(): void {
    const held = this.#held;
    if (held === undefined) return;
    this.#held = undefined;
    this.#give(held, undefined);
  }

  #give(hit: Hit, range: AccessRange | undefined): void {
    const { slice } = hit.watch;
    if (slice !== undefined) {
      const { element, value } = sliceElement(hit.watch, slice, hit.value, range);
      hit.element = element;
      if (value !== undefined) hit.value = value;
    }
    this.#emit({ type: 'hit', hit });
  }

  #apply(notice: RingNotice): void {
    if (notice.type === 'comm' && notice.exec) {
      this.#giveHeld();
      this.#emit({ type: 'exec', timeNs: notice.timeNs, pid: notice.pid, comm: notice.comm });
    }
    this.#session.names.apply(notice);
  }
}

/** The bytes that the instruction of a row accessed, where it tells. */
function rangeOf(values: ValueColumns | undefined, row: number): AccessRange | undefined {
  const bytes = values?.accessBytes[row] ?? 0;
  const from = values?.accessOffset[row] ?? 0;
  const exact = ((values?.flags[row] ?? 0) & valueFlags.accessExact) !== 0;
  return bytes === 0 ? undefined : { from, to: from + bytes, exact };
}
