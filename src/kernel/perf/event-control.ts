import { encodePerfEventAttr, PERF_TYPE_BREAKPOINT, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { changePeriod } from '../pmu/period.ts';
import type { PmuCaller } from '../pmu/pmu.ts';
import { type EventState, eventStates } from './event-state.ts';
import { failure } from './failure.ts';
import type { PerfEvent } from './perf-event.ts';
import type { PerfKernel } from './perf-kernel.ts';

/** What is read of an event: hits and nanoseconds, those of inherited copies included. */
export interface EventTotals {
  readonly value: number;
  readonly enabledNs: number;
  readonly runningNs: number;
}

/** What is done to events that exist: by system calls and by clients in the kernel. docs/spec/03 sections 2, 4, 7. */
export class EventControl {
  readonly #kernel: PerfKernel;

  constructor(kernel: PerfKernel) {
    this.#kernel = kernel;
  }

  /** ENABLE: the event and its inherited copies. Without effect on an event whose task is gone. */
  enable(event: PerfEvent): void {
    this.#kernel.call(() => this.#family(event, (member) => this.#enableOne(member)));
  }

  /** Enables the event alone, as executing a program does. */
  enableOnly(event: PerfEvent): void {
    this.#kernel.call(() => this.#enableOne(event));
  }

  /** DISABLE: the event and its inherited copies; of a leader, the whole group leaves the CPU. */
  disable(event: PerfEvent): void {
    this.#kernel.call(() => this.#family(event, (member) => this.#disableOne(member)));
  }

  /** Disables the event alone, as when its limit of overflows is reached. */
  disableOnly(event: PerfEvent): void {
    this.#kernel.call(() => this.#disableOne(event));
  }

  /** RESET: own hits and those of living copies become 0; times and the hits of the dead stay. */
  reset(event: PerfEvent): void {
    this.#family(event, (member) => {
      member.count = 0;
    });
  }

  /**
   * Changes the period of a sampling event; copies that were inherited keep theirs. Nothing for one whose task has ended.
   * docs/spec/03 sections 5 and 7.
   */
  setPeriod(event: PerfEvent, period: bigint): void {
    if (event.state <= eventStates.exit) return;
    this.#kernel.call(() => {
      event.attr = { ...event.attr, samplePeriod: period };
      changePeriod(event, event.attr.freq === true ? event.period : Number(period));
      if (event.state !== eventStates.active) return;
      // While it is on a CPU it is stopped and started around this, which also undoes an earlier stop.
      this.#kernel.sampling.periodChanged(event);
      event.pmu.start(event);
    });
  }

  /**
   * REFRESH: enables the event for `overflows` more; 0: without a limit, if there was none. Throws `KernelError` EINVAL
   * for an event that only counts, or is inherited. docs/spec/03 section 6.3.
   */
  refresh(event: PerfEvent, overflows: number): void {
    if (event.attr.inherit === true || event.period === 0)
      throw failure('EINVAL', 'only for sampling events that are not inherited', 'PERF_EVENT_IOC_REFRESH');
    event.eventLimit = (event.eventLimit + overflows) | 0;
    this.enable(event);
  }

  /** Hits and times up to now. */
  totals(event: PerfEvent): EventTotals {
    let value = event.childCount;
    let enabledNs = event.childEnabledNs;
    let runningNs = event.childRunningNs;
    this.#family(event, (member) => {
      this.#kernel.scheduler.updateTime(member);
      value += member.count;
      enabledNs += member.enabledNs;
      runningNs += member.runningNs;
    });
    return { value, enabledNs, runningNs };
  }

  /**
   * Gives a breakpoint other parameters, in place. What is the new attr's `disabled` decides what the event does
   * afterwards, also when the change was refused (then the old attr's). Throws `KernelError` EINVAL, EOPNOTSUPP,
   * EPERM, ENOSPC; then the old breakpoint goes on. docs/spec/02 section 7.1.
   * @param options.strict all fields but the address, type, length and `disabled` must be the event's (EINVAL).
   */
  modify(
    event: PerfEvent,
    attr: PerfEventAttr,
    options: { readonly caller: PmuCaller; readonly strict: boolean },
  ): void {
    this.#kernel.call(() => {
      const { breakpoints } = this.#kernel;
      if (breakpoints === undefined) throw failure('ENOSYS', 'built without hardware breakpoints', 'modify');
      this.#disableOne(event);
      try {
        const parsed = breakpoints.parse(event, attr, options.caller);
        if (options.strict && !sameButBreakpoint(event.attr, attr))
          throw failure('EINVAL', 'another field differs', 'modify');
        breakpoints.replace(event, attr, parsed);
        const { bpAddr = 0n, bpType = 0, bpLen = 0n, disabled = false } = attr;
        event.attr = { ...event.attr, bpAddr, bpType, bpLen, disabled };
      } catch (error) {
        if (this.#kernel.changeReplaces) this.#destroyOne(event);
        throw error;
      } finally {
        if (event.attr.disabled !== true) this.#enableOne(event);
      }
    });
  }

  /**
   * PERF_EVENT_IOC_MODIFY_ATTRIBUTES: {@link modify} for the event and each inherited copy, without rollback of those
   * already done. Throws as that, and EINVAL (another type), EOPNOTSUPP (no breakpoint). docs/spec/02 section 7.2.
   */
  modifyAttributes(event: PerfEvent, attr: PerfEventAttr, caller: PmuCaller): void {
    if (attr.type !== event.attr.type)
      throw failure('EINVAL', 'another type', 'PERF_EVENT_IOC_MODIFY_ATTRIBUTES');
    if (attr.type !== PERF_TYPE_BREAKPOINT)
      throw failure('EOPNOTSUPP', 'not a breakpoint', 'PERF_EVENT_IOC_MODIFY_ATTRIBUTES');
    const { sigData = 0n } = attr;
    this.#family(event, (member) => {
      // Sticks even if a later step fails.
      member.attr = { ...member.attr, sigData };
      this.modify(member, attr, { caller, strict: true });
    });
  }

  /**
   * Takes an event out of its context, into a final state. Siblings of a leader that goes are events of their own from
   * then on, unless the group is kept: then it can still be read as one. Its slot stays reserved.
   */
  detach(event: PerfEvent, state: EventState, options: { readonly keepGroup?: boolean } = {}): void {
    const { context } = event;
    const { scheduler } = this.#kernel;
    if (context !== null) {
      if (context.on !== null) this.#kernel.onCpu(context.on, () => scheduler.eventOut(event));
      scheduler.updateGroupTime(event.leader);
    }
    if (options.keepGroup !== true) this.#leaveGroup(event);
    else if (event.leader === event) context?.remove(event);
    event.context = null;
    event.state = state;
  }

  #leaveGroup(event: PerfEvent): void {
    const { context, leader } = event;
    if (leader !== event) {
      const index = leader.siblings?.indexOf(event) ?? -1;
      leader.siblings?.splice(index, 1);
      leader.groupChanges++;
      if (leader.siblings?.length === 0) leader.siblings = null;
      event.leader = event;
      return;
    }
    context?.remove(event);
    for (const sibling of event.siblings ?? []) {
      sibling.leader = sibling;
      context?.add(sibling);
    }
    event.siblings = null;
  }

  /** Ends an event and its inherited copies: register, context and slot are free when this returns. */
  destroy(event: PerfEvent): void {
    this.#kernel.call(() => {
      for (const child of event.children ?? []) this.#destroyOne(child);
      event.children = null;
      this.#destroyOne(event);
    });
  }

  /** Ends an inherited copy: what it counted is added to the event that was opened. */
  destroyCopy(copy: PerfEvent): void {
    const { top } = copy;
    this.#kernel.scheduler.updateTime(copy);
    this.detach(copy, eventStates.exit);
    top.childCount += copy.count;
    top.childEnabledNs += copy.enabledNs;
    top.childRunningNs += copy.runningNs;
    top.children?.delete(copy);
    if (top.children?.size === 0) top.children = null;
    this.#destroyOne(copy);
  }

  #destroyOne(event: PerfEvent): void {
    if (event.state === eventStates.dead) return;
    this.detach(event, eventStates.dead);
    event.pmu.destroy(event);
    this.#kernel.rings.forget(event);
    this.#kernel.sampling.destroyed(event);
    this.#kernel.all.remove(event);
  }

  #family(event: PerfEvent, work: (member: PerfEvent) => void): void {
    work(event);
    if (event.children !== null) for (const child of event.children) work(child);
  }

  #enableOne(event: PerfEvent): void {
    if (event.state >= eventStates.inactive || event.state <= eventStates.exit) return;
    this.#kernel.scheduler.updateGroupTime(event.leader);
    event.state = eventStates.inactive;
    event.pendingError = false;
    const { context, leader } = event;
    const on = context?.on ?? null;
    if (on === null || (event.cpu !== -1 && event.cpu !== on.cpu.number)) return;
    // A member of a group that is not on the CPU waits for its leader.
    if (leader !== event && leader.state !== eventStates.active) return;
    this.#kernel.rescheduleFor(event);
  }

  #disableOne(event: PerfEvent): void {
    if (event.state < eventStates.inactive) return;
    const { scheduler } = this.#kernel;
    const on = event.context?.on ?? null;
    if (on !== null)
      this.#kernel.onCpu(on, () => {
        if (event.leader === event) scheduler.groupOut(event);
        else scheduler.eventOut(event);
      });
    if (event.leader === event) scheduler.updateGroupTime(event);
    else scheduler.updateTime(event);
    event.state = eventStates.off;
  }
}

/** Whether two attrs are the same bytes but for what MODIFY may change. */
function sameButBreakpoint(current: PerfEventAttr, wanted: PerfEventAttr): boolean {
  const { bpAddr, bpType, bpLen, disabled } = wanted;
  const moved = encodePerfEventAttr({
    ...current,
    bpAddr: bpAddr ?? 0n,
    bpType: bpType ?? 0,
    bpLen: bpLen ?? 0n,
    disabled: disabled ?? false,
  });
  const bytes = encodePerfEventAttr(wanted);
  return moved.every((byte, offset) => byte === bytes[offset]);
}
