import { isKernelError } from '../base/kernel-error.ts';
import { type SampleLayout, sampleRegsIntrOf, sampleTypeOf } from '../ring/sample-layout.ts';
import type { Events, PerfEvent } from '../surface/events.ts';
import {
  HW_BREAKPOINT_RW,
  HW_BREAKPOINT_W,
  HW_BREAKPOINT_X,
  PERF_COUNT_SW_BPF_OUTPUT,
  PERF_COUNT_SW_DUMMY,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  PERF_SAMPLE_RAW,
  PERF_TYPE_BREAKPOINT,
  PERF_TYPE_SOFTWARE,
  type PerfEventAttr,
} from '../uapi/perf-event-attr.ts';
import type { PlannedWatch } from './plan.ts';

const CLOCK_MONOTONIC = 1;

/** What a kernel's perf events can do; older ones refuse unknown bits with EINVAL. */
export interface EventFeatures {
  /** PERF_FORMAT_LOST (Linux 6.0): an event tells how many of its samples were lost. */
  readonly lost: boolean;
  /** `remove_on_exec` (Linux 5.13). */
  readonly removeOnExec: boolean;
  /** Hits in kernel mode may be seen (kernel.perf_event_paranoid, capabilities). */
  readonly kernelMode: boolean;
}

/** Asks the kernel by opening events on this process that count nothing. */
export function probeEventFeatures(events: Events): EventFeatures {
  const works = (attr: Partial<PerfEventAttr>): boolean => {
    const refusal = attr.excludeKernel === false ? 'EACCES' : 'EINVAL';
    let event: PerfEvent | undefined;
    try {
      event = events.open(
        {
          type: PERF_TYPE_SOFTWARE,
          config: BigInt(PERF_COUNT_SW_DUMMY),
          disabled: true,
          excludeKernel: true,
          ...attr,
        },
        { pid: 0, cpu: -1 },
      );
      return true;
    } catch (error) {
      if (isKernelError(error, refusal)) return false;
      if (isKernelError(error)) return true; // another reason: it will be told when it matters
      throw error;
    } finally {
      event?.close();
    }
  };
  return {
    lost: works({ readFormat: PERF_FORMAT_LOST }),
    removeOnExec: works({ removeOnExec: true }),
    kernelMode: works({ excludeKernel: false }),
  };
}

/** What the events of one session have in common. */
export interface EventOptions {
  readonly layout: SampleLayout;
  readonly features: EventFeatures;
  /** A sample for every hit; otherwise hits are only counted. */
  readonly sampling: boolean;
  /** Threads and processes that the watched ones create are watched too. */
  readonly inherit: boolean;
  /** Leave hits in kernel mode out. */
  readonly userOnly: boolean;
  /** Bytes in the ring that wake the reader; absent: half of it. */
  readonly wakeupBytes?: number | undefined;
}

const bpTypes = { w: HW_BREAKPOINT_W, rw: HW_BREAKPOINT_RW, x: HW_BREAKPOINT_X } as const;

/** The breakpoint event of one watch. */
export function breakpointAttr(watch: PlannedWatch, options: EventOptions): PerfEventAttr {
  return {
    ...commonAttr(options),
    type: PERF_TYPE_BREAKPOINT,
    bpType: bpTypes[watch.access],
    bpAddr: watch.address,
    bpLen: BigInt(watch.lenBytes),
    samplePeriod: options.sampling ? 1n : 0n,
    readFormat:
      PERF_FORMAT_TOTAL_TIME_ENABLED |
      PERF_FORMAT_TOTAL_TIME_RUNNING |
      (options.features.lost && options.sampling ? PERF_FORMAT_LOST : 0),
    removeOnExec: options.features.removeOnExec,
    excludeKernel: options.userOnly || watch.only === 'user',
    excludeUser: watch.only === 'kernel',
    disabled: true,
  };
}

/**
 * The event that brings news of threads, names and mappings. It stays when a program is executed, so it can tell of
 * the end of a watch.
 */
export function newsAttr(options: EventOptions): PerfEventAttr {
  return {
    ...commonAttr(options),
    type: PERF_TYPE_SOFTWARE,
    config: BigInt(PERF_COUNT_SW_DUMMY),
    excludeKernel: options.userOnly,
    disabled: true,
    comm: true,
    commExec: true,
    task: true,
    mmap: true,
    mmap2: true,
  };
}

/** The event that bpf programs on one CPU write hits to; its target is the CPU. */
export function rawHitsAttr(options: EventOptions): PerfEventAttr {
  const attr = commonAttr(options);
  return {
    ...attr,
    type: PERF_TYPE_SOFTWARE,
    config: BigInt(PERF_COUNT_SW_BPF_OUTPUT),
    sampleType: (attr.sampleType ?? 0) | PERF_SAMPLE_RAW,
    samplePeriod: 1n,
    readFormat: options.features.lost ? PERF_FORMAT_LOST : 0,
    inherit: false,
  };
}

/** The event of this process that a ring belongs to; it counts nothing and brings nothing. */
export function ringHolderAttr(options: EventOptions): PerfEventAttr {
  const { wakeupBytes } = options;
  return {
    ...commonAttr(options),
    type: PERF_TYPE_SOFTWARE,
    config: BigInt(PERF_COUNT_SW_DUMMY),
    excludeKernel: true,
    inherit: false,
    ...(wakeupBytes === undefined ? {} : { watermark: true, wakeupEvents: wakeupBytes }),
  };
}

function commonAttr(options: EventOptions): Omit<PerfEventAttr, 'type'> {
  const { layout, inherit } = options;
  const sampleRegsIntr = sampleRegsIntrOf(layout);
  return {
    sampleType: sampleTypeOf(layout),
    ...(sampleRegsIntr === 0n ? {} : { sampleRegsIntr }),
    sampleIdAll: true,
    inherit,
    useClockid: true,
    clockid: CLOCK_MONOTONIC,
  };
}
