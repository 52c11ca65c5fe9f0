import type { Machine } from '../../machine/machine.ts';
import type { CpuState } from './event-context.ts';
import { eventStates } from './event-state.ts';
import type { PerfEvent } from './perf-event.ts';
import type { Scheduler } from './scheduler.ts';
import type { SideRecords } from './side-records.ts';

/** Nanoseconds between two timer interrupts of a CPU. */
const tickNs = 4_000_000;
const secondNs = 1e9;

/** What sampling is governed with. */
export interface SamplingParts {
  readonly machine: Machine;
  readonly records: SideRecords;
  readonly scheduler: Scheduler;
}

/** Keeps the number of samples in bounds: throttling, and the period of events in frequency mode. docs/spec/03 sections 5, 6.2. */
export class Sampling {
  readonly #parts: SamplingParts;
  /** Events that were throttled and not let go since. */
  #throttled = 0;
  /** Events in frequency mode that there are. */
  #frequencies = 0;

  constructor(parts: SamplingParts) {
    this.#parts = parts;
  }

  /** An event comes to be. */
  created(event: PerfEvent): void {
    if (event.attr.freq === true) this.#frequencies++;
  }

  /** An event is gone. */
  destroyed(event: PerfEvent): void {
    if (event.attr.freq === true) this.#frequencies--;
    if (event.throttled) this.#release(event);
  }

  /** Too many overflows: the whole group stops until the next tick. */
  throttle(event: PerfEvent): void {
    event.leader.forGroup((member) => {
      if (!member.throttled) this.#throttled++;
      member.throttled = true;
      member.pmu.stop(member);
      if (member.leader === member) this.#parts.records.throttled(member, true);
    });
  }

  /** A throttled event comes onto a CPU again. The PMU has decided whether it runs. */
  scheduledIn(event: PerfEvent): void {
    this.#release(event);
    this.#parts.records.throttled(event, false);
  }

  /** IOC_PERIOD of a throttled event does not wait for the tick. */
  periodChanged(event: PerfEvent): void {
    if (!event.throttled) return;
    this.#release(event);
    this.#parts.records.throttled(event, false);
  }

  #release(event: PerfEvent): void {
    this.#throttled--;
    event.throttled = false;
  }

  /** The timer interrupt of a CPU: throttled groups go on, and frequencies are adjusted. */
  tick(on: CpuState): void {
    if (this.#throttled === 0 && this.#frequencies === 0) return;
    for (const context of [on.context, on.taskContext])
      for (const event of context?.events() ?? []) {
        if (event.state !== eventStates.active) continue;
        if (event.throttled) this.#unthrottle(event);
        if (event.attr.freq !== true || (event.attr.samplePeriod ?? 0n) === 0n) continue;
        const hits = event.count - event.freqCount;
        event.freqCount = event.count;
        if (hits > 0) adjustPeriod(event, tickNs, hits);
        event.pmu.start(event);
      }
  }

  #unthrottle(event: PerfEvent): void {
    event.leader.forGroup((member) => {
      if (!member.throttled) return;
      this.#release(member);
      member.pmu.start(member);
      if (member.leader === member) this.#parts.records.throttled(member, false);
    });
  }

  /** An event in frequency mode overflowed. */
  overflowed(event: PerfEvent): void {
    const now = this.#parts.machine.nowNs();
    const elapsedNs = now - event.freqStampNs;
    event.freqStampNs = now;
    if (elapsedNs > 0 && elapsedNs < 2 * tickNs) adjustPeriod(event, elapsedNs, event.lastPeriod);
  }
}

/** Moves the period an eighth of the way to what would give the frequency. */
function adjustPeriod(event: PerfEvent, elapsedNs: number, hits: number): void {
  const frequency = Number(event.attr.samplePeriod ?? 1n);
  const wanted = Math.max(1, Math.floor((hits * secondNs) / (elapsedNs * frequency)));
  const difference = wanted - event.period;
  event.period = Math.max(1, event.period + Math.trunc((difference + (difference >= 0 ? 7 : -7)) / 8));
  if (event.periodLeft > 8 * event.period) event.periodLeft = 0;
}
