import type { RegisterImage } from '../../arch/architecture.ts';
import { assert } from '../../base/assert.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { Task } from '../../machine/task.ts';
import { TaskSlots } from '../pmu/task-slots.ts';
import type { PerfEvent } from './perf-event.ts';

/** What the kernel keeps of a CPU. */
export interface CpuState {
  readonly cpu: Cpu;
  /** The software image of its registers; null without breakpoint support. */
  readonly image: RegisterImage | null;
  /** Events of the CPU itself. */
  readonly context: EventContext;
  /** Events of the task that it executes. */
  taskContext: EventContext | null;
  /** Timer interrupts so far. */
  tick: number;
}

/** Groups of one class of one context, in the order in which they are put on. */
export type GroupList = PerfEvent[] | null;

/**
 * The events of one task or of one CPU, and their clock, which runs only while the context is scheduled in.
 * docs/spec/03 sections 2 and 3.
 */
export class EventContext {
  /** The task; null for a CPU's context. */
  readonly task: Task | null;
  /** Leaders of pinned groups, oldest first. */
  pinned: GroupList = null;
  /** Leaders of flexible groups, oldest first but for rotation. */
  flexible: GroupList = null;
  /** Where the context is scheduled in. */
  on: CpuState | null = null;
  /** A flexible group found no room and waits for its turn. */
  rotate = false;
  #timeNs = 0;
  #sinceNs = 0;

  constructor(task: Task | null) {
    this.task = task;
  }

  /** Time of the context in nanoseconds. */
  timeNs(nowNs: number): number {
    return this.on === null ? this.#timeNs : this.#timeNs + nowNs - this.#sinceNs;
  }

  /** The context is scheduled in. */
  begin(on: CpuState, nowNs: number): void {
    this.on = on;
    this.#sinceNs = nowNs;
  }

  /** The context is scheduled out. */
  end(nowNs: number): void {
    this.#timeNs = this.timeNs(nowNs);
    this.on = null;
  }

  /** Appends a leader to its class. */
  add(leader: PerfEvent): void {
    const list = (leader.pinned ? this.pinned : this.flexible) ?? [];
    list.push(leader);
    if (leader.pinned) this.pinned = list;
    else this.flexible = list;
  }

  /** Takes a leader out of its class. */
  remove(leader: PerfEvent): void {
    const list = leader.pinned ? this.pinned : this.flexible;
    const index = list === null ? -1 : list.indexOf(leader);
    assert(list !== null && index >= 0, 'a leader is in the list of its class');
    list.splice(index, 1);
    if (list.length > 0) return;
    if (leader.pinned) this.pinned = null;
    else this.flexible = null;
  }

  get empty(): boolean {
    return this.pinned === null && this.flexible === null;
  }

  /** All events, group by group: pinned, then flexible. A copy: it may be walked while events leave. */
  events(): PerfEvent[] {
    const all: PerfEvent[] = [];
    for (const list of [this.pinned, this.flexible])
      if (list !== null) for (const leader of list) leader.forGroup((event) => all.push(event));
    return all;
  }
}

/** What the kernel attaches to a task with its first event: the events, and the count of its slots. */
export class TaskContext extends EventContext {
  readonly slots: TaskSlots;

  constructor(task: Task, pools: number) {
    super(task);
    this.slots = new TaskSlots(pools);
  }
}

/** The context of `task`, if it has ever had an event. */
export function findTaskContext(task: Task): TaskContext | null {
  const { attachment } = task;
  return attachment instanceof TaskContext ? attachment : null;
}
