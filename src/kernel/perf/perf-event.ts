import type { ArchRecord } from '../../arch/architecture.ts';
import type { TrapFrame } from '../../arch/trap-frame.ts';
import type { InterpretedProgram } from '../../bpf/program.ts';
import type { Task } from '../../machine/task.ts';
import { PERF_SAMPLE_PERIOD, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import type { Pmu, PmuEvent } from '../pmu/pmu.ts';
import type { TaskSlots } from '../pmu/task-slots.ts';
import type { EventContext } from './event-context.ts';
import type { FileOwner } from './event-signals.ts';
import { type EventState, eventStates } from './event-state.ts';
import type { RingBuffer } from './ring-buffer.ts';
import type { SampleFormat } from './sample-format.ts';

/** Called on an overflow, in the exception; the default writes a sample to the event's ring. */
export type OverflowHandler = (event: PerfEvent, frame: TrapFrame, handlerContext: unknown) => void;

/** What every event starts from: nothing is in a register yet. */
const noRecord: ArchRecord = { addressLow: 0, addressHigh: 0 };

/** What makes an event. */
export interface PerfEventFields {
  readonly id: number;
  readonly attr: PerfEventAttr;
  readonly pmu: Pmu;
  readonly task: Task | null;
  readonly taskSlots: TaskSlots | null;
  readonly cpu: number;
  readonly parent: PerfEvent | null;
}

/**
 * One perf event: one breakpoint (or software event) on one target. docs/spec/01 section 3.2.
 *
 * A million of these are kept at a time: what the paths of a hit and a switch need is copied out of the attr into
 * fields, and lists are made when they get their first entry.
 */
export class PerfEvent implements PmuEvent {
  /** Unique for the life of the kernel; what samples carry. */
  readonly id: number;
  /** Fields that are 0 are absent. Never changed in place: copies of the event share it. */
  attr: PerfEventAttr;
  readonly pmu: Pmu;
  /** The target task, alive or dead; null: a CPU. */
  readonly task: Task | null;
  readonly taskSlots: TaskSlots | null;
  /** The target CPU; -1: any. */
  readonly cpu: number;
  record: ArchRecord = noRecord;
  slotPool = 0;
  state: EventState;
  /** The CPU in whose register it sits while active; -1 otherwise. */
  oncpu = -1;
  stopped = false;
  /** It counts in the table of slots. A debugger's event has a slot only while the operator wants it. */
  holdsSlot = true;
  /** A client put it into a register itself, behind the scheduler's back: a debugger while everybody stands. */
  placedDirectly = false;
  context: EventContext | null = null;
  leader: PerfEvent;
  /** The other members of the group, in order, if this is its leader. */
  siblings: PerfEvent[] | null = null;
  /** Of a leader: changes of its group so far; copies of it begin with as many. */
  groupChanges = 0;
  /** The event that this one was inherited from; always one that was opened. */
  readonly parent: PerfEvent | null;
  /** Inherited copies that live, oldest first. */
  children: Set<PerfEvent> | null = null;
  /** Own hits. */
  count = 0;
  /** Hits and times of copies that are gone. */
  childCount = 0;
  childEnabledNs = 0;
  childRunningNs = 0;
  enabledNs = 0;
  runningNs = 0;
  /** The context's time up to which the two above are right. */
  stampNs = 0;
  period = 0;
  lastPeriod = 0;
  periodLeft = 0;
  /** What PERIOD in the samples of the last hit says. */
  sampledPeriod = 0;
  /** From `attr`, for the path of a hit. */
  readonly excludeUser: boolean;
  readonly excludeKernel: boolean;
  readonly pinned: boolean;
  /** Each hit is exactly one overflow: PERIOD is sampled, and there is no frequency. docs/spec/03 section 5. */
  readonly everyHitOverflows: boolean;
  /** Where its records go, and those of its copies; an event that was opened alone has one. */
  ring: RingBuffer | null = null;
  /** Mappings by this event's own fd. */
  mappings = 0;
  /** Records that found no room. */
  lost = 0;
  /** How its records look; worked out with the first one. */
  sampleFormat: SampleFormat | null = null;
  /** The address that its last sample told, and its words. */
  sampledAddress = 0n;
  sampledAddressLow = 0;
  sampledAddressHigh = 0;
  /** In frequency mode: when it overflowed last, and what it had counted at the last tick. */
  freqStampNs = 0;
  freqCount = 0;
  overflowHandler: OverflowHandler | null = null;
  handlerContext: unknown = undefined;
  /** Sees every overflow, and swallows it by returning 0. */
  program: InterpretedProgram | null = null;
  /** Overflows in tick {@link interruptsTick} of its CPU. docs/spec/03 section 6.2. */
  interrupts = 0;
  interruptsTick = -1;
  /** Stopped until the next tick, for too many overflows. */
  throttled = false;
  /** Overflows until it is disabled (IOC_REFRESH); 0: no limit. */
  eventLimit = 0;
  /** What an async notification would say: POLL_IN, POLL_HUP, POLL_ERR; 0: nothing. */
  pendingKill = 0;
  /** To be done when the exception is over. */
  pendingDisable = false;
  pendingWakeup = false;
  /** Its SIGTRAP waits to be sent. */
  pendingTrap = false;
  /** Whom its file signals; of an event that was opened. */
  fileOwner: FileOwner | null = null;
  /** An error or a hangup that poll and read have to tell. */
  pendingError = false;
  /** Neighbours in the list of all events. */
  next: PerfEvent | null = null;
  previous: PerfEvent | null = null;

  constructor(fields: PerfEventFields) {
    const { attr } = fields;
    this.id = fields.id;
    this.attr = attr;
    this.pmu = fields.pmu;
    this.task = fields.task;
    this.taskSlots = fields.taskSlots;
    this.cpu = fields.cpu;
    this.parent = fields.parent;
    this.leader = this;
    this.state = attr.disabled === true ? eventStates.off : eventStates.inactive;
    this.excludeUser = attr.excludeUser === true;
    this.excludeKernel = attr.excludeKernel === true;
    this.pinned = attr.pinned === true;
    this.everyHitOverflows = ((attr.sampleType ?? 0) & PERF_SAMPLE_PERIOD) !== 0 && attr.freq !== true;
  }

  get handledByClient(): boolean {
    return this.overflowHandler !== null;
  }

  /** The event that was opened: the parent of a copy, or the event itself. */
  get top(): PerfEvent {
    return this.parent ?? this;
  }

  /** Calls `visit` for the leader and then each sibling. Only for a leader. */
  forGroup(visit: (event: PerfEvent) => void): void {
    visit(this);
    if (this.siblings !== null) for (const sibling of this.siblings) visit(sibling);
  }
}
