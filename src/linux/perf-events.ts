import { assert } from '../base/assert.ts';
import { hex } from '../base/hex.ts';
import type { SampleLayout } from '../ring/sample-layout.ts';
import type { Events, EventTarget, HitDrain, PerfEvent } from '../surface/events.ts';
import {
  encodePerfEventAttr,
  PERF_FLAG_FD_CLOEXEC,
  PERF_TYPE_BREAKPOINT,
  type PerfEventAttr,
} from '../uapi/perf-event-attr.ts';
import { syscallNumbers } from '../uapi/syscall-numbers.ts';
import { LinuxHitDrain } from './hit-drain.ts';
import { LinuxPerfEvent } from './perf-event.ts';
import type { System } from './system.ts';
import { waitForFds } from './wait-fds.ts';

/** perf events of the machine's Linux. */
export class LinuxEvents implements Events {
  readonly #system: System;
  readonly #syscallNumber: number;

  constructor(system: System, machine: keyof typeof syscallNumbers) {
    this.#system = system;
    this.#syscallNumber = syscallNumbers[machine].perfEventOpen;
  }

  open(attr: PerfEventAttr, target: EventTarget): LinuxPerfEvent {
    const fd = this.#system.scratch((scratch) => {
      const at = scratch.put(encodePerfEventAttr(attr));
      return this.#system.ffi.syscall(
        this.#syscallNumber,
        at,
        target.pid,
        target.cpu,
        -1,
        PERF_FLAG_FD_CLOEXEC,
      );
    });
    const description = describe(attr, target);
    if (fd < 0) this.#system.fail(`perf_event_open(${description})`);
    return new LinuxPerfEvent(this.#system, fd, description, attr.readFormat ?? 0);
  }

  waitHangup(events: readonly PerfEvent[]): { readonly ended: Promise<void>; close(): void } {
    const fds = events.map((event) => {
      assert(event instanceof LinuxPerfEvent, 'an event of Linux');
      return event.fd;
    });
    // No event is asked for: POLLHUP is always reported.
    return waitForFds(this.#system, fds, 0, () => {});
  }

  drain(layout: SampleLayout): HitDrain {
    return new LinuxHitDrain(this.#system, layout);
  }
}

function describe(attr: PerfEventAttr, target: EventTarget): string {
  const what =
    attr.type === PERF_TYPE_BREAKPOINT
      ? `breakpoint type ${attr.bpType ?? 0} at ${hex(attr.bpAddr ?? 0n)} length ${attr.bpLen ?? 0n}`
      : `event type ${attr.type} config ${attr.config ?? 0n}`;
  return `${what}, pid ${target.pid}, cpu ${target.cpu}`;
}
