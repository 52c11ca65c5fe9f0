import type { TrapFrame } from '../../arch/trap-frame.ts';
import { POLL_HUP, POLL_IN } from '../../uapi/signal.ts';
import type { CpuState } from './event-context.ts';
import type { PerfEvent } from './perf-event.ts';
import type { Sampling } from './sampling.ts';

/** What the path asks of the kernel around it. */
export interface OverflowHost {
  /** The CPU that executes. */
  currentCpu(): CpuState;
  /** Most overflows of one event in a tick. docs/spec/03 section 6.2. */
  readonly maxSamplesPerTick: number;
  /** The default handler: writes a sample to the event's ring, if it has one. */
  writeSample(event: PerfEvent, frame: TrapFrame): void;
  readonly sampling: Sampling;
  /** DISABLE of this event alone, as when its limit is reached. */
  disableOnly(event: PerfEvent): void;
}

/**
 * What overflows lead to outside of rings. Each is absent until somebody provides it. The ones that say "in the
 * exception" are called while the debug exception is being handled and must not switch, signal or wake anybody but by
 * queueing.
 */
export interface OverflowHooks {
  /** Step 4, in the exception: whether the event's bpf program keeps the overflow; false swallows it. */
  keep: ((event: PerfEvent, frame: TrapFrame) => boolean) | undefined;
  /** Step 6, in the exception: queues the SIGTRAP of a `sigtrap` event for the current task, one at a time. */
  queueSigtrap: ((event: PerfEvent, frame: TrapFrame) => void) | undefined;
  /** Step 8, in the exception: whether async notification (O_ASYNC) is on for the event that was opened. */
  isAsync: ((top: PerfEvent) => boolean) | undefined;
  /** Step 8, when the exception is over: SIGIO with `band` (POLL_IN, POLL_HUP, POLL_ERR) to the owner of the fd. */
  notify: ((top: PerfEvent, band: number) => void) | undefined;
}

/**
 * What an overflow does, in the order of docs/spec/03 section 6.1. What may not happen inside an exception (a disable,
 * a wakeup) is done by {@link settle}, which the kernel calls when the exception or the call is over.
 */
export class OverflowPath {
  readonly hooks: OverflowHooks = {
    keep: undefined,
    queueSigtrap: undefined,
    isAsync: undefined,
    notify: undefined,
  };
  readonly #host: OverflowHost;
  readonly #deferred: PerfEvent[] = [];

  constructor(host: OverflowHost) {
    this.#host = host;
  }

  /** A hit of a sampling event overflowed `times` times. */
  overflow(event: PerfEvent, frame: TrapFrame, times: number): void {
    if (event.throttled) return;
    for (let n = 0; n < times; n++) if (!this.#one(event, frame, n > 0)) return;
  }

  /** One overflow; false: those that the same hit still has are dropped. */
  #one(event: PerfEvent, frame: TrapFrame, further: boolean): boolean {
    const { hooks } = this;
    // 2. How many there were in this tick.
    const { tick } = this.#host.currentCpu();
    if (event.interruptsTick === tick) event.interrupts++;
    else {
      event.interruptsTick = tick;
      event.interrupts = 1;
    }
    // 3. The first overflow of a hit is never too many.
    let goesOn = true;
    if (further && event.interrupts >= this.#host.maxSamplesPerTick) {
      this.#host.sampling.throttle(event);
      goesOn = false;
    }
    if (event.attr.freq === true) this.#host.sampling.overflowed(event);
    // 4.
    if (hooks.keep?.(event, frame) === false) return goesOn;
    // 5.
    event.pendingKill = POLL_IN;
    if (event.eventLimit !== 0 && --event.eventLimit === 0) {
      event.pendingKill = POLL_HUP;
      event.pmu.stop(event);
      this.#defer(event).pendingDisable = true;
      goesOn = false;
    }
    // 6.
    if (event.attr.sigtrap === true) hooks.queueSigtrap?.(event, frame);
    // 7.
    const { overflowHandler } = event;
    if (overflowHandler === null) this.#host.writeSample(event, frame);
    else overflowHandler(event, frame, event.handlerContext);
    // 8.
    if (hooks.isAsync?.(event.top) === true) this.wake(event);
    return goesOn;
  }

  /** Somebody is to be told of `event`: its ring has news, or it overflowed and O_ASYNC is on. */
  wake(event: PerfEvent): void {
    this.#defer(event).pendingWakeup = true;
  }

  /** A record, of whatever kind, reached the watermark of its ring: O_ASYNC tells that too. docs/spec/03 section 11. */
  ringWakes(event: PerfEvent): void {
    if (event.pendingKill === 0 && this.hooks.isAsync?.(event.top) === true) event.pendingKill = POLL_IN;
    this.wake(event);
  }

  #defer(event: PerfEvent): PerfEvent {
    if (!event.pendingDisable && !event.pendingWakeup) this.#deferred.push(event);
    return event;
  }

  /** Does what overflows and records left to be done. */
  settle(): void {
    for (let event = this.#deferred.pop(); event !== undefined; event = this.#deferred.pop()) {
      const { pendingDisable, pendingWakeup, pendingKill } = event;
      event.pendingDisable = false;
      event.pendingWakeup = false;
      // The last that was left is done first: who is told, then the disabling, which may settle what others left.
      if (pendingWakeup && pendingKill !== 0) {
        event.pendingKill = 0;
        this.hooks.notify?.(event.top, pendingKill);
      }
      if (pendingDisable) this.#host.disableOnly(event);
    }
  }
}
