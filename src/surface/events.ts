import type { HitBatch } from '../ring/hit-columns.ts';
import type { SampleLayout } from '../ring/sample-layout.ts';
import type { PerfEventAttr } from '../uapi/perf-event-attr.ts';

/** On what an event counts: a task on any CPU, a task on one CPU, or one CPU whatever runs there. */
export interface EventTarget {
  /** Thread id; -1: every task (then `cpu` must be given). */
  readonly pid: number;
  /** CPU number; -1: any (then `pid` must be given). */
  readonly cpu: number;
}

/** What `read(2)` of an event gives; a field is there if the event's `readFormat` asked for it. */
export interface EventCounts {
  /** Hits so far, those of inherited copies included. */
  readonly value: bigint;
  /** Nanoseconds that the event was enabled, and that it was in a register. */
  readonly timeEnabledNs?: bigint;
  readonly timeRunningNs?: bigint;
  readonly id?: bigint;
  /** Samples that found no room in the ring. */
  readonly lost?: bigint;
}

/** Memory that an event writes its samples to: Linux's layout, one control page and 2^n data pages. */
export interface Ring {
  readonly dataBytes: number;
  /** Control page and data, for reading without moving the tail. Not to be used after the event is closed. */
  readonly memory: ArrayBufferLike;
  readonly pageBytes: number;
}

/**
 * One open perf event: a breakpoint, or a software event that brings side information. Every call throws
 * `KernelError` with Linux's errno. `close` may be called twice; a closed event answers EBADF.
 */
export interface PerfEvent {
  /** The id that samples carry (PERF_EVENT_IOC_ID). */
  id(): bigint;
  enable(): void;
  disable(): void;
  /** PERF_EVENT_IOC_MODIFY_ATTRIBUTES. */
  modify(attr: PerfEventAttr): void;
  /** Sends the samples of this event to the ring of `event`. */
  setOutput(event: PerfEvent): void;
  /** Not for events with PERF_FORMAT_GROUP. */
  read(): EventCounts;
  /** Maps a ring of `dataPages` pages (a power of two) that is unmapped by `close`. EPERM: over the mlock budget. */
  mapRing(dataPages: number): Ring;
  close(): void;
  [Symbol.dispose](): void;
}

/** A wait for events to hang up. */
export interface HangupWait {
  readonly ended: Promise<void>;
  /** Looks now: a task has just ended. Otherwise it is seen a little later. */
  check(): void;
  /** Gives up waiting; `ended` then never settles. */
  close(): void;
}

/** perf events: `perf_event_open(2)` and what can be done with its fds. */
export interface Events {
  open(attr: PerfEventAttr, target: EventTarget): PerfEvent;
  /**
   * Resolves when every one of `events` has hung up: its task has ended (or executed another program, with
   * `removeOnExec`), and so have all that inherited it. Only events whose samples go to a ring can tell.
   */
  waitHangup(events: readonly PerfEvent[]): HangupWait;
  /** A stream of hits from rings; starts at once. */
  drain(layout: SampleLayout): HitDrain;
}

/** How a ring is read. */
export interface RingOptions {
  /** At once, whatever it costs: {@link HitDrain.onUrgent} is called. */
  readonly urgent?: boolean;
}

/**
 * Hits of several rings as batches in the order of time. Nothing is dropped here: when the batches are not taken,
 * the rings fill up and the kernel counts what is lost.
 */
export interface HitDrain {
  /**
   * Adds the ring of `event`. Rings and watches that are added in one go (without awaiting in between) take effect
   * together, so that no sample is read before its watch is known.
   */
  addRing(event: PerfEvent, options?: RingOptions): void;
  /** Samples of `event` are hits of watch number `watch`. */
  addWatch(event: PerfEvent, watch: number): void;
  /** No sample of the events of watch number `watch` will come any more: the number may be given to other events. */
  forgetWatch(watch: number): void;
  /** Called when an urgent ring has been written to, before its records come in a batch. */
  onUrgent: (() => void) | undefined;
  /**
   * Samples of `event` (PERF_COUNT_SW_BPF_OUTPUT) are hits that a bpf program wrote: `rawHit` of src/ring is their raw
   * data and tells the watch.
   */
  addRawHits(event: PerfEvent): void;
  /**
   * From now on a thread may be armed twice, by its own events and by inherited ones: of the samples of one thread and
   * watch on a ring only those with the event id that came first are hits.
   */
  dropDoubles(): void;
  /**
   * The next batch; waits for one (this is what makes time pass on a simulated machine).
   * `undefined`: the drain was finished, or nothing can hit any more, and everything was given.
   */
  next(): Promise<HitBatch | undefined>;
  /** Gives the columns of a batch back for further use; they must not be read afterwards. */
  recycle(batch: HitBatch): void;
  /** No more events will come: what is in the rings is given, then `next` answers `undefined`. Once. */
  finish(): void;
  /** CPU time in nanoseconds that draining took so far, where it can be told. */
  cpuTimeNs(): number | undefined;
  close(): void;
}
