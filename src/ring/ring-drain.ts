import { joinPair } from '../base/pair.ts';
import { decodeCString } from '../base/text.ts';
import {
  PERF_CONTEXT_KERNEL_LOW,
  PERF_CONTEXT_MAX_LOW,
  PERF_RECORD_COMM,
  PERF_RECORD_EXIT,
  PERF_RECORD_FORK,
  PERF_RECORD_LOST,
  PERF_RECORD_MISC_COMM_EXEC,
  PERF_RECORD_MISC_CPUMODE_MASK,
  PERF_RECORD_MISC_KERNEL,
  PERF_RECORD_MMAP2,
  PERF_RECORD_SAMPLE,
  PERF_SAMPLE_REGS_ABI_64,
} from '../uapi/perf-event-ring.ts';
import { type HitBatch, type HitColumns, hitFlags, type RingNotice, valueSources } from './hit-columns.ts';
import { SiteTable, StackTable, WatchIds } from './interning.ts';
import type { RingView } from './ring-view.ts';
import {
  copyRegisterWords,
  rawHit,
  rawHitMarks,
  registerBytes,
  type SampleLayout,
  sampledRegisterWords,
  sampleIdTimeWordsFromEnd,
} from './sample-layout.ts';

/** The number that stands for the watch in the ids of events whose samples are raw hits. */
const rawHitWatch = 0xffff;
const trapSource = valueSources.indexOf('trap');
/** A time later than any record's. */
const never = Number.MAX_SAFE_INTEGER;

/** What is remembered of the last hit of a ring, to tell whether the next one goes on with the same kernel copy. */
interface LastCopy {
  site: number;
  tid: number;
  watch: number;
  countLow: number;
  countHigh: number;
  destinationLow: number;
  destinationHigh: number;
}

interface RingState {
  readonly view: RingView;
  /** Head at the start of the pass. */
  headLow: number;
  /** Time of the next record as a double of nanoseconds (exact to 2^53, 104 days of uptime); `never` if there is none. */
  nextTime: number;
  readonly last: LastCopy;
  /** Stack of the last sample, -1 if there is none: the next one is often the same. */
  lastStack: number;
  /** By thread, then by watch: the event id of its samples. Used where doubles are dropped. */
  readonly eventIds: Map<number, number[]>;
}

/**
 * Several rings into one stream of hits in the order of time.
 *
 * A pass looks at each ring's head once, then always goes on with the ring whose next record is the oldest, and stops
 * at the horizon: what is later than the horizon may still be overtaken by a record of another CPU, and waits for the
 * next pass. Records are read in place; the tail is stored once a pass.
 */
export class RingDrain {
  readonly #layout: SampleLayout;
  /** Words behind the abi of a sample's registers where the count and the destination of a copy stand. */
  readonly #copyWords: { readonly count: number; readonly destination: number };
  readonly #rings: RingState[] = [];
  readonly #sites: SiteTable = new SiteTable();
  readonly #stacks: StackTable = new StackTable();
  readonly #watches: WatchIds = new WatchIds();
  #notices: RingNotice[] = [];
  /** Samples of events that nobody announced; asserted to be 0 by tests. */
  strayHits: number = 0;
  /** Samples that were dropped because a thread is armed twice. */
  doubles: number = 0;
  #dropDoubles: boolean = false;

  constructor(layout: SampleLayout) {
    this.#layout = layout;
    this.#copyWords = copyRegisterWords(layout);
  }

  /** Samples with the event id (low, high) are hits as a bpf program writes them: see `rawHit`. */
  addRawHitId(low: number, high: number): void {
    this.#watches.add(low, high, rawHitWatch);
  }

  addRing(view: RingView): void {
    this.#rings.push({
      view,
      headLow: view.tailLow,
      nextTime: never,
      last: { site: 0, tid: -1, watch: -1, countLow: 0, countHigh: 0, destinationLow: 0, destinationHigh: 0 },
      lastStack: -1,
      eventIds: new Map(),
    });
  }

  /** Samples that carry the event id (low, high) are hits of watch number `watch`. */
  addWatchId(low: number, high: number, watch: number): void {
    this.#watches.add(low, high, watch);
  }

  /** No sample of watch number `watch` will come until it is added again. */
  forgetWatch(watch: number): void {
    this.#watches.remove(watch);
    for (const { eventIds } of this.#rings) for (const ids of eventIds.values()) delete ids[watch];
  }

  /**
   * From now on a thread may be armed twice. Every trap of such a thread makes two samples in one ring, with the ids of
   * two events; those with the id that came first are the hits.
   */
  dropDoubles(): void {
    this.#dropDoubles = true;
  }

  /**
   * One pass: reads records up to `horizonNs` into `columns` until they are full.
   * @returns whether something is left to read before the horizon (the columns are full).
   */
  pass(columns: HitColumns, horizonNs: number): boolean {
    for (const ring of this.#rings) {
      ring.headLow = ring.view.headLow();
      ring.nextTime = peekTime(ring);
    }
    let more = false;
    for (;;) {
      let oldest: RingState | undefined;
      let until = horizonNs;
      for (const ring of this.#rings) {
        if (oldest === undefined || ring.nextTime < oldest.nextTime) {
          if (oldest !== undefined && oldest.nextTime < until) until = oldest.nextTime;
          oldest = ring;
        } else if (ring.nextTime < until) until = ring.nextTime;
      }
      if (oldest === undefined || oldest.nextTime === never || oldest.nextTime > horizonNs) break;
      this.#drainUntil(oldest, columns, until);
      if (columns.length === columns.capacity) {
        more = this.#rings.some((ring) => ring.nextTime <= horizonNs);
        break;
      }
    }
    for (const ring of this.#rings) ring.view.storeTail();
    return more;
  }

  /** The batch that `columns` make with the table entries and notices gathered since the last one. */
  takeBatch(columns: HitColumns): HitBatch {
    const firstSite = this.#sites.firstNew;
    const firstStack = this.#stacks.firstNew;
    const notices = this.#notices;
    this.#notices = [];
    return {
      columns,
      firstSite,
      newSites: this.#sites.takeNew(),
      firstStack,
      newStacks: this.#stacks.takeNew(),
      notices,
    };
  }

  /** Whether any ring holds anything that has not been read. Cheaper than a pass that finds nothing. */
  get hasRecords(): boolean {
    for (const { view } of this.#rings) if (view.headLow() !== view.tailLow) return true;
    return false;
  }

  /** Whether a batch taken now would carry notices. */
  get hasNotices(): boolean {
    return this.#notices.length > 0;
  }

  /** Reads records of one ring that are not later than `until`, while the columns have room. */
  #drainUntil(ring: RingState, columns: HitColumns, until: number): void {
    const { view, last } = ring;
    const { words, wordMask } = view;
    const { stacks, copyRegisters } = this.#layout;
    const copyWords = this.#copyWords;
    const { values } = columns;
    const sampleHasRegisters = registerBytes(this.#layout) > 0;
    let row = columns.length;
    let siteLow = 0;
    let siteHigh = 0;
    let sitePid = -1;
    let site = 0;
    while (ring.nextTime <= until && row < columns.capacity) {
      const w = (view.tailLow >>> 2) & wordMask;
      const typeWord = words[w]!; // masked, like every index below
      const miscSize = words[(w + 1) & wordMask]!;
      const sizeBytes = miscSize >>> 16;
      const misc = miscSize & 0xffff;
      if (typeWord !== PERF_RECORD_SAMPLE) {
        this.#notice(ring, w, typeWord, misc, sizeBytes);
        view.tailLow = (view.tailLow + sizeBytes) >>> 0;
        ring.nextTime = peekTime(ring);
        continue;
      }
      let watch = this.#watches.find(words[(w + 2) & wordMask]!, words[(w + 3) & wordMask]!);
      let next = w + 12;
      const frames = stacks ? words[next & wordMask]! : 0;
      if (stacks) next += 2 + 2 * frames;
      const raw = watch === rawHitWatch ? next : -1;
      const rawMarks = raw >= 0 ? words[(raw + rawHit.marks) & wordMask]! : 0;
      if (raw >= 0) watch = rawMarks & 0xffff;
      if (this.#dropDoubles && watch >= 0 && isDouble(ring, watch, w, raw)) this.doubles++;
      else if (watch >= 0) {
        const ipLow = words[(w + 4) & wordMask]!;
        const ipHigh = words[(w + 5) & wordMask]!;
        const pid = words[(w + 6) & wordMask]!;
        const tid = words[(w + 7) & wordMask]!;
        const kernel = (misc & PERF_RECORD_MISC_CPUMODE_MASK) === PERF_RECORD_MISC_KERNEL;
        const codePid = kernel ? 0 : pid;
        if (ipLow !== siteLow || ipHigh !== siteHigh || codePid !== sitePid) {
          site = this.#sites.intern(ipLow, ipHigh, codePid);
          siteLow = ipLow;
          siteHigh = ipHigh;
          sitePid = codePid;
        }
        let stack = 0;
        if (stacks) {
          ring.lastStack = this.#internStack(words, wordMask, w + 14, frames, pid, ring.lastStack);
          stack = 1 + ring.lastStack;
        }
        let flags = kernel ? hitFlags.kernel : 0;
        // Where the registers stand, -1 without; abi is 0 where there are none, and nothing follows it.
        let at = -1;
        if (raw >= 0) at = raw + rawHit.registers;
        else if (sampleHasRegisters && words[next & wordMask] !== 0) at = next + 2;
        if (copyRegisters) {
          if (kernel && at >= 0) {
            const count = at + copyWords.count;
            const destination = at + copyWords.destination;
            if (continuesCopy(last, { tid, watch, words, mask: wordMask, count, destination })) {
              flags |= hitFlags.continuesCopy;
              // After the last iteration the address is that of the next instruction; the code is the same.
              site = last.site;
              siteLow = 0;
              siteHigh = 0;
            }
            last.site = site;
            last.tid = tid;
            last.watch = watch;
            last.countLow = words[count & wordMask]!;
            last.countHigh = words[(count + 1) & wordMask]!;
            last.destinationLow = words[destination & wordMask]!;
            last.destinationHigh = words[(destination + 1) & wordMask]!;
          } else last.tid = -1;
        }
        if (values !== undefined) {
          values.flags[row] = 0;
          const is64Bit =
            raw >= 0
              ? (rawMarks & rawHitMarks.is64Bit) !== 0
              : words[next & wordMask] === PERF_SAMPLE_REGS_ABI_64;
          if (!kernel && at >= 0 && is64Bit) {
            flags |= hitFlags.registers;
            const to = row * sampledRegisterWords;
            for (let i = 0; i < sampledRegisterWords; i++)
              values.registers[to + i] = words[(at + i) & wordMask]!;
          }
          if ((rawMarks & rawHitMarks.read) !== 0) {
            values.flags[row] = trapSource;
            values.afterLow[row] = words[(raw + rawHit.valueLow) & wordMask]!;
            values.afterHigh[row] = words[(raw + rawHit.valueHigh) & wordMask]!;
          }
        }
        columns.timeLow[row] = words[(w + 8) & wordMask]!;
        columns.timeHigh[row] = words[(w + 9) & wordMask]!;
        columns.pid[row] = pid;
        columns.tid[row] = tid;
        columns.site[row] = site;
        columns.stack[row] = stack;
        columns.cpu[row] = words[(w + 10) & wordMask]!;
        columns.watch[row] = watch;
        columns.flags[row] = flags;
        row++;
      } else this.strayHits++;
      view.tailLow = (view.tailLow + sizeBytes) >>> 0;
      ring.nextTime = peekTime(ring);
    }
    columns.length = row;
  }

  /** The number of the stack at `start`; `likely` is the one that it probably is, or -1. */
  #internStack(
    words: Uint32Array,
    mask: number,
    start: number,
    frames: number,
    pid: number,
    likely: number,
  ): number {
    const encode = (sites: number[]): void => {
      let kernel = false;
      for (let i = 0; i < frames; i++) {
        const low = words[(start + 2 * i) & mask]!; // masked
        const high = words[(start + 2 * i + 1) & mask]!; // masked
        if (high === 0xffffffff && low >= PERF_CONTEXT_MAX_LOW) kernel = low === PERF_CONTEXT_KERNEL_LOW;
        else sites.push(this.#sites.intern(low, high, kernel ? 0 : pid));
      }
    };
    return this.#stacks.intern(words, mask, start, frames * 2, pid, encode, likely);
  }

  #notice(ring: RingState, w: number, type: number, misc: number, sizeBytes: number): void {
    const { words, wordMask } = ring.view;
    const word = (index: number): number => words[(w + index) & wordMask]!; // masked
    const timeNs = joinPair(
      word(sizeBytes / 4 - sampleIdTimeWordsFromEnd),
      word(sizeBytes / 4 - sampleIdTimeWordsFromEnd + 1),
    );
    const text = (from: number): string => {
      const count = sizeBytes / 4 - 8 - from;
      const copy = new Uint32Array(Math.max(0, count));
      for (let i = 0; i < count; i++) copy[i] = word(from + i);
      return decodeCString(new Uint8Array(copy.buffer));
    };
    switch (type) {
      case PERF_RECORD_COMM:
        this.#notices.push({
          type: 'comm',
          timeNs,
          pid: word(2),
          tid: word(3),
          comm: text(4),
          exec: (misc & PERF_RECORD_MISC_COMM_EXEC) !== 0,
        });
        break;
      case PERF_RECORD_FORK:
        this.#notices.push({
          type: 'fork',
          timeNs,
          pid: word(2),
          parentPid: word(3),
          tid: word(4),
          parentTid: word(5),
        });
        break;
      case PERF_RECORD_EXIT:
        this.#notices.push({ type: 'exit', timeNs, pid: word(2), tid: word(4) });
        for (const each of this.#rings) each.eventIds.delete(word(4));
        break;
      case PERF_RECORD_LOST:
        this.#notices.push({ type: 'lost', timeNs, lost: joinPair(word(4), word(5)) });
        break;
      case PERF_RECORD_MMAP2:
        // pid tid | addr | len | pgoff | maj min | ino | ino_generation | prot flags | filename
        this.#notices.push({
          type: 'mmap',
          timeNs,
          pid: word(2),
          tid: word(3),
          start: joinPair(word(4), word(5)),
          lengthBytes: joinPair(word(6), word(7)),
          offset: joinPair(word(8), word(9)),
          device: `${word(10).toString(16).padStart(2, '0')}:${word(11).toString(16).padStart(2, '0')}`,
          inode: joinPair(word(12), word(13)),
          path: text(18),
        });
        break;
      default:
        // READ, THROTTLE, UNTHROTTLE: not asked for, or nothing to say (a period of 1 is never throttled).
        break;
    }
  }
}

/**
 * Whether the sample at `w` is of another event than the earlier ones of its thread and watch on this ring. `raw`: where
 * its raw data is, -1 if the event itself wrote it.
 */
function isDouble(ring: RingState, watch: number, w: number, raw: number): boolean {
  const { words, wordMask } = ring.view;
  const id =
    raw >= 0
      ? (words[(raw + rawHit.marks) & wordMask]! >>> rawHitMarks.roundShift) & 0xff
      : words[(w + 3) & wordMask]! * 0x1_0000_0000 + words[(w + 2) & wordMask]!; // masked
  const tid = words[(w + 7) & wordMask]!; // masked
  let ids = ring.eventIds.get(tid);
  if (ids === undefined) {
    ids = [];
    ring.eventIds.set(tid, ids);
  }
  ids[watch] ??= id;
  return ids[watch] !== id;
}

/** Time of the record at the ring's tail in nanoseconds, `never` if the tail has reached the head of this pass. */
function peekTime(ring: RingState): number {
  const { view } = ring;
  if (view.tailLow === ring.headLow) return never;
  const { words, wordMask } = view;
  const w = (view.tailLow >>> 2) & wordMask;
  const at =
    words[w] === PERF_RECORD_SAMPLE
      ? w + 8
      : w + (words[(w + 1) & wordMask]! >>> 18) - sampleIdTimeWordsFromEnd; // masked; size/4
  return words[(at + 1) & wordMask]! * 0x1_0000_0000 + words[at & wordMask]!; // masked
}

/** A kernel hit with registers, `count` (rcx) and `destination` (rdi) being where they stand in the ring. */
interface CopyHit {
  readonly tid: number;
  readonly watch: number;
  readonly words: Uint32Array;
  readonly mask: number;
  readonly count: number;
  readonly destination: number;
}

/**
 * Whether the registers of a kernel hit are those of the string instruction of the last hit, some iterations further:
 * the destination went up by 1, 2, 4 or 8 bytes for each count that went down.
 */
function continuesCopy(last: LastCopy, hit: CopyHit): boolean {
  const { words, mask, count, destination } = hit;
  if (last.tid !== hit.tid || last.watch !== hit.watch) return false;
  if (
    words[(count + 1) & mask] !== last.countHigh ||
    words[(destination + 1) & mask] !== last.destinationHigh
  )
    return false;
  const counted = last.countLow - words[count & mask]!; // masked
  const moved = words[destination & mask]! - last.destinationLow; // masked
  if (counted <= 0 || moved <= 0) return false;
  return moved === counted || moved === 2 * counted || moved === 4 * counted || moved === 8 * counted;
}

/** A pass without a horizon: everything that is there. */
export const noHorizon: number = never - 1;
