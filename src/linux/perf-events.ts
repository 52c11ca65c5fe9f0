import { assert } from '../base/assert.ts';
import { hex } from '../base/hex.ts';
import type { SampleLayout } from '../ring/sample-layout.ts';
import type { Events, EventTarget, HangupWait, HitDrain, PerfEvent } from '../surface/events.ts';
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

/** How often events are looked at for a hang-up. */
const hangupCheckMs = 1000;

/** perf events of the machine's Linux. */
export class LinuxEvents implements Events {
  readonly #system: System;
  readonly #syscallNumber: number;
  /** Those that run. */
  readonly #drains: Set<LinuxHitDrain> = new Set();

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

  /**
   * Looks now and then, without sleeping in poll(2): to poll an event takes the mark that its ring is half full away
   * from whoever else polls the ring. So after each look the drains are told to read.
   */
  waitHangup(events: readonly PerfEvent[]): HangupWait {
    let left = events.map((event) => {
      assert(event instanceof LinuxPerfEvent, 'an event of Linux');
      return event;
    });
    let timer: NodeJS.Timeout | undefined;
    let over = false;
    let resolveEnded: () => void = () => {};
    const ended = new Promise<void>((resolve) => {
      resolveEnded = resolve;
    });
    const stop = (): void => {
      over = true;
      clearInterval(timer);
    };
    const check = (): void => {
      if (over) return;
      left = left.filter((event) => !this.#hasHungUp(event));
      for (const drain of this.#drains) drain.readNow();
      if (left.length > 0) return;
      stop();
      resolveEnded();
    };
    timer = setInterval(check, hangupCheckMs);
    timer.unref();
    return { ended, check, close: stop };
  }

  #hasHungUp(event: LinuxPerfEvent): boolean {
    return this.#system.scratch((scratch) => {
      const pollfd = scratch.alloc(8); // fd s32, events u16, revents u16; no event is asked for, POLLHUP always told
      pollfd.view.setInt32(0, event.fd, true);
      return this.#system.ffi.poll(pollfd.address, 1, 0) > 0;
    });
  }

  drain(layout: SampleLayout): HitDrain {
    const drain = new LinuxHitDrain(this.#system, layout, () => this.#drains.delete(drain));
    this.#drains.add(drain);
    return drain;
  }
}

function describe(attr: PerfEventAttr, target: EventTarget): string {
  const what =
    attr.type === PERF_TYPE_BREAKPOINT
      ? `breakpoint type ${attr.bpType ?? 0} at ${hex(attr.bpAddr ?? 0n)} length ${attr.bpLen ?? 0n}`
      : `event type ${attr.type} config ${attr.config ?? 0n}`;
  return `${what}, pid ${target.pid}, cpu ${target.cpu}`;
}
