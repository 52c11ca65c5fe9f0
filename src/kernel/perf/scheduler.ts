import { assert } from '../../base/assert.ts';
import type { Task } from '../../machine/task.ts';
import type { AddOptions, Pmu } from '../pmu/pmu.ts';
import { type CpuState, type EventContext, findTaskContext, type GroupList } from './event-context.ts';
import { eventStates } from './event-state.ts';
import type { PerfEvent } from './perf-event.ts';

/**
 * The classes of events on a CPU in the order in which they are put on, which decides who gets which register.
 * docs/spec/03 section 3.1.
 */
export const schedulingClasses: {
  readonly cpuPinned: 0;
  readonly taskPinned: 1;
  readonly cpuFlexible: 2;
  readonly taskFlexible: 3;
} = { cpuPinned: 0, taskPinned: 1, cpuFlexible: 2, taskFlexible: 3 };

/** A value of {@link schedulingClasses}. */
export type SchedulingClass = (typeof schedulingClasses)[keyof typeof schedulingClasses];

const started: AddOptions = { start: true };

/** The class that a group belongs to, by its leader. */
export function classOf(leader: PerfEvent): SchedulingClass {
  if (leader.task === null)
    return leader.pinned ? schedulingClasses.cpuPinned : schedulingClasses.cpuFlexible;
  return leader.pinned ? schedulingClasses.taskPinned : schedulingClasses.taskFlexible;
}

/** Puts events onto CPUs and takes them off, and keeps their times. */
export class Scheduler {
  readonly #nowNs: () => number;
  readonly #scheduledIn: (event: PerfEvent) => void;

  /** `scheduledIn` is told of each event that comes onto a CPU. */
  constructor(nowNs: () => number, scheduledIn: (event: PerfEvent) => void) {
    this.#nowNs = nowNs;
    this.#scheduledIn = scheduledIn;
  }

  /** Brings the times of one event up to date; before each change of its or its leader's state. */
  updateTime(event: PerfEvent): void {
    const { context, leader } = event;
    if (context === null) return;
    const time = context.timeNs(this.#nowNs());
    const passed = time - event.stampNs;
    if (passed === 0) return;
    event.stampNs = time;
    // The leader's state overrides: a member of a group that is off does not wait.
    if (event.state < eventStates.inactive || leader.state < eventStates.inactive) return;
    event.enabledNs += passed;
    if (event.state === eventStates.active) event.runningNs += passed;
  }

  /** {@link updateTime} for a leader and its siblings. */
  updateGroupTime(leader: PerfEvent): void {
    this.updateTime(leader);
    if (leader.siblings !== null) for (const sibling of leader.siblings) this.updateTime(sibling);
  }

  /** A task leaves a CPU and another comes; either may be none. */
  switchTask(on: CpuState, next: Task | null): void {
    if (on.taskContext !== null) {
      this.#listOut(on.taskContext.flexible, on, null);
      this.#listOut(on.taskContext.pinned, on, null);
      on.taskContext.end(this.#nowNs());
      on.taskContext = null;
    }
    const context = next === null ? null : findTaskContext(next);
    if (context === null) return;
    assert(context.on === null, 'a context runs on one CPU');
    context.begin(on, this.#nowNs());
    on.taskContext = context;
    if (context.pinned !== null) {
      // What is pinned to the task goes before what is flexible on the CPU.
      this.#listOut(on.context.flexible, on, null);
      this.#listIn(context.pinned, on, null);
      this.#listIn(on.context.flexible, on, null);
    }
    this.#listIn(context.flexible, on, null);
  }

  /** Puts a context without a task onto its CPU, or a task's context onto the CPU that executes the task already. */
  begin(context: EventContext, on: CpuState): void {
    context.begin(on, this.#nowNs());
    if (context.task !== null) on.taskContext = context;
    this.#listIn(context.pinned, on, null);
    this.#listIn(context.flexible, on, null);
  }

  /** Takes a context off its CPU. */
  end(context: EventContext): void {
    const { on } = context;
    if (on === null) return;
    this.#listOut(context.flexible, on, null);
    this.#listOut(context.pinned, on, null);
    context.end(this.#nowNs());
    if (on.taskContext === context) on.taskContext = null;
  }

  /**
   * An event came into a context that is running: its class and every class after it are taken out and put back in
   * order. With `pmu`, only groups that a leader of that PMU leads. docs/spec/03 sections 3.1 and 3.2.
   */
  reschedule(on: CpuState, from: SchedulingClass, pmu: Pmu | null = null): void {
    for (let at: number = schedulingClasses.taskFlexible; at >= from; at--)
      this.#listOut(this.#list(on, at), on, pmu);
    for (let at: number = from; at <= schedulingClasses.taskFlexible; at++)
      this.#listIn(this.#list(on, at), on, pmu);
  }

  /** The timer interrupt: groups that found no room get their turn. docs/spec/03 section 3.3. */
  tick(on: CpuState): void {
    let rotated = false;
    for (const context of [on.context, on.taskContext]) {
      if (context === null || !context.rotate) continue;
      context.rotate = false;
      const { flexible } = context;
      if (flexible === null) continue;
      const active = flexible.findIndex((leader) => leader.state === eventStates.active);
      flexible.push(...flexible.splice(active < 0 ? 0 : active, 1));
      rotated = true;
    }
    if (rotated) this.reschedule(on, schedulingClasses.cpuFlexible);
  }

  /** Takes one event off its CPU, if it is on one; it stays enabled. */
  eventOut(event: PerfEvent): void {
    const on = event.context?.on ?? null;
    if (event.state !== eventStates.active || on === null) return;
    this.updateTime(event);
    event.pmu.del(event, on.image);
    event.state = eventStates.inactive;
    event.oncpu = -1;
  }

  /** Takes a whole group off its CPU. */
  groupOut(leader: PerfEvent): void {
    if (leader.siblings !== null) for (const sibling of leader.siblings) this.eventOut(sibling);
    this.eventOut(leader);
  }

  #list(on: CpuState, at: number): GroupList {
    switch (at) {
      case schedulingClasses.cpuPinned:
        return on.context.pinned;
      case schedulingClasses.taskPinned:
        return on.taskContext?.pinned ?? null;
      case schedulingClasses.cpuFlexible:
        return on.context.flexible;
      default:
        return on.taskContext?.flexible ?? null;
    }
  }

  #listOut(list: GroupList, on: CpuState, pmu: Pmu | null): void {
    if (list === null) return;
    for (let i = 0; i < list.length; i++) {
      const leader = list[i]!; // i < length
      if (leader.state !== eventStates.active || (pmu !== null && leader.pmu !== pmu)) continue;
      assert(leader.context?.on === on, 'an active event is on the CPU of its context');
      this.groupOut(leader);
    }
  }

  #listIn(list: GroupList, on: CpuState, pmu: Pmu | null): void {
    if (list === null) return;
    for (let i = 0; i < list.length; i++) {
      const leader = list[i]!; // i < length
      if (pmu !== null && leader.pmu !== pmu) continue;
      this.#groupIn(leader, on);
    }
  }

  /** A group goes on as a whole or not at all; a sibling that is off is passed over. docs/spec/03 section 3.2. */
  #groupIn(leader: PerfEvent, on: CpuState): void {
    if (leader.state !== eventStates.inactive || (leader.cpu !== -1 && leader.cpu !== on.cpu.number)) return;
    let fits = this.#eventIn(leader, on);
    if (fits && leader.siblings !== null)
      for (const sibling of leader.siblings) {
        if (sibling.state !== eventStates.inactive) continue;
        fits = this.#eventIn(sibling, on);
        if (!fits) break;
      }
    if (fits) return;
    this.groupOut(leader);
    if (leader.pinned) {
      this.updateGroupTime(leader);
      leader.state = eventStates.error;
      leader.pendingError = true;
    } else if (leader.context !== null) leader.context.rotate = true;
  }

  #eventIn(event: PerfEvent, on: CpuState): boolean {
    this.updateTime(event);
    if (!event.pmu.add(event, on.image, started)) return false;
    event.state = eventStates.active;
    event.oncpu = on.cpu.number;
    if (event.throttled) this.#scheduledIn(event);
    return true;
  }
}
