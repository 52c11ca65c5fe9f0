import type { Architecture, HitHandler, SlotHolder } from '../../arch/architecture.ts';
import type { TrapFrame } from '../../arch/trap-frame.ts';
import { assert } from '../../base/assert.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { CloneKind, KernelEntry } from '../../machine/kernel-entry.ts';
import type { Machine } from '../../machine/machine.ts';
import type { Task } from '../../machine/task.ts';
import type { PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import type { Era } from '../pmu/admission.ts';
import { BreakpointPmu, type TableMaker } from '../pmu/breakpoint-pmu.ts';
import { initPeriod } from '../pmu/period.ts';
import type { Pmu, PmuCaller } from '../pmu/pmu.ts';
import { SoftwarePmu } from '../pmu/software-pmu.ts';
import type { PerfLimits } from './attr-check.ts';
import { installBpf } from './bpf-filter.ts';
import { type CpuState, EventContext, findTaskContext, TaskContext } from './event-context.ts';
import { EventControl } from './event-control.ts';
import { EventList } from './event-list.ts';
import { EventSignals } from './event-signals.ts';
import { eventStates } from './event-state.ts';
import { failure } from './failure.ts';
import { hitHandler } from './hit.ts';
import { inheritEvents, leaveTask, startProgram } from './inherit.ts';
import { checkInvariants } from './invariants.ts';
import { OverflowPath } from './overflow.ts';
import { type OverflowHandler, PerfEvent } from './perf-event.ts';
import { RingControl } from './ring-control.ts';
import { RingOutput } from './ring-output.ts';
import { Sampling } from './sampling.ts';
import { classOf, Scheduler } from './scheduler.ts';
import { SideRecords } from './side-records.ts';

/** HZ: timer interrupts of a CPU a second. */
const ticksPerSecond = 250;
/** Without an architecture nobody says which registers there are. */
const allRegisters = 0xffff_ffffn;

/** How a kernel is built and set up. */
export interface PerfKernelOptions {
  readonly machine: Machine;
  /** null: built without hardware breakpoints; the breakpoint PMU is absent. */
  readonly arch: Architecture | null;
  /** perf_event_paranoid; default 2. */
  readonly paranoid?: number;
  /** perf_event_max_sample_rate; default 100000. */
  readonly maxSampleRate?: number;
  /** The constraint table could not be set up at boot. */
  readonly tableFailed?: boolean;
  /** Behaviour of certain kernels: docs/spec/09 "Header", `features`. */
  readonly features?: readonly string[];
  /** Dated rules of admission and change; default today's. The architecture is told by itself. */
  readonly era?: Era;
  /** Check every invariant after every call. Costs time in proportion to the number of events. */
  readonly verify?: boolean;
  /** Makes the constraint table; default today's. */
  readonly table?: TableMaker;
}

/** A client in the kernel that keeps something for each task. */
export interface TaskObserver {
  /** `child` will start. */
  cloned(parent: Task, child: Task, kind: CloneKind): void;
  executed(task: Task): void;
  exited(task: Task): void;
}

/** What makes an event, apart from its attr. */
export interface CreateRequest {
  readonly attr: PerfEventAttr;
  readonly task: Task | null;
  /** -1: any. */
  readonly cpu: number;
  readonly caller: PmuCaller;
  readonly parent?: PerfEvent;
  readonly overflowHandler?: OverflowHandler | null;
  readonly handlerContext?: unknown;
}

/**
 * perf events on one machine: creation, contexts, and the ways in from the machine. What a system call or a client
 * does to an event that exists is in {@link control}. docs/spec/03.
 */
export class PerfKernel implements KernelEntry {
  readonly machine: Machine;
  readonly scheduler: Scheduler;
  readonly control: EventControl;
  /** What overflows do; signals and bpf programs hang themselves in here. */
  readonly overflow: OverflowPath;
  readonly signals: EventSignals;
  /** Records into rings. */
  readonly output: RingOutput;
  readonly records: SideRecords;
  readonly rings: RingControl;
  /** Throttling and frequency. */
  readonly sampling: Sampling;
  readonly limits: PerfLimits;
  /** Absent: built without hardware breakpoints. */
  readonly breakpoints: BreakpointPmu | undefined;
  /** Who is told last of a debug exception, with what the layer left in its status: a debugger. */
  debugNotifier: ((cpu: Cpu, frame: TrapFrame) => void) | undefined;
  /** Every event that exists, whoever made it. */
  readonly all: EventList = new EventList();
  readonly cpus: readonly CpuState[];
  /** Clients that are told of tasks, before the events that were opened. */
  readonly observers: TaskObserver[] = [];
  /** Holders of registers that are no events and no accounting knows: a laboratory takes registers away by them. */
  readonly outsiders: Set<SlotHolder> = new Set();
  readonly #pmus: readonly Pmu[];
  /** A refused change costs the breakpoint: it was unregistered first, until 2009-12. docs/spec/02 section 7.1. */
  readonly changeReplaces: boolean;
  readonly #verify: boolean;
  readonly #rescheduleByPmu: boolean;
  readonly #hit: HitHandler;
  #nextId = 1;
  /** Calls under way; the invariants hold when there is none. */
  #depth = 0;

  constructor(options: PerfKernelOptions) {
    const { machine, arch } = options;
    const features = options.features ?? [];
    this.machine = machine;
    this.limits = {
      paranoid: options.paranoid ?? 2,
      maxSampleRate: BigInt(options.maxSampleRate ?? 100_000),
      sampledRegisters: arch?.sampledRegisters ?? allRegisters,
    };
    this.scheduler = new Scheduler(
      () => machine.nowNs(),
      (event) => this.sampling.scheduledIn(event),
    );
    this.breakpoints =
      arch === null
        ? undefined
        : new BreakpointPmu({
            arch,
            possibleCpus: machine.cpus.length,
            point: () => machine.point(),
            tableFailed: options.tableFailed ?? false,
            stickyStop: features.includes('sticky-stop'),
            era: options.era ?? 'modern',
            ...(options.table === undefined ? {} : { table: options.table }),
          });
    this.#pmus = this.breakpoints === undefined ? [new SoftwarePmu()] : [this.breakpoints, new SoftwarePmu()];
    this.changeReplaces = options.era === '2009-11-08' || options.era === '2009-11-10';
    this.#verify = options.verify ?? false;
    this.#rescheduleByPmu = features.includes('pmu-resched');
    this.cpus = machine.cpus.map((cpu) => {
      const state: CpuState = {
        cpu,
        image: arch?.createImage(cpu.registers) ?? null,
        context: new EventContext(null),
        taskContext: null,
        tick: 0,
      };
      if (cpu.online) state.context.begin(state, machine.nowNs());
      return state;
    });
    this.control = new EventControl(this);
    this.output = new RingOutput({
      machine,
      scheduler: this.scheduler,
      wake: (event) => this.overflow.ringWakes(event),
    });
    this.records = new SideRecords(this.output, machine, (cpu) => this.cpuState(cpu).context);
    this.sampling = new Sampling({ machine, records: this.records, scheduler: this.scheduler });
    this.overflow = new OverflowPath({
      currentCpu: () => this.cpuState(machine.currentCpu.number),
      maxSamplesPerTick: Math.ceil(Number(this.limits.maxSampleRate) / ticksPerSecond),
      sampling: this.sampling,
      writeSample: (event, frame) => this.output.writeSample(event, frame),
      disableOnly: (event) => this.control.disableOnly(event),
    });
    this.signals = new EventSignals(machine, this.overflow.hooks);
    this.rings = new RingControl(this.control, {
      onlineCpus: () => machine.cpus.reduce((online, cpu) => online + (cpu.online ? 1 : 0), 0),
      paranoid: this.limits.paranoid,
    });
    installBpf(machine, this.overflow.hooks);
    this.#hit = hitHandler(this.overflow);
    machine.boot(this);
  }

  /** What the kernel keeps of a CPU. */
  cpuState(number: number): CpuState {
    const state = this.cpus[number];
    assert(state !== undefined, `there is no CPU ${number}`);
    return state;
  }

  /** Does `work` as one call into the kernel: the invariants are checked when the outermost one ends. */
  call<T>(work: () => T): T {
    this.#depth++;
    try {
      return work();
    } finally {
      this.#depth--;
      if (this.#depth === 0) {
        this.overflow.settle();
        if (this.#verify) checkInvariants(this);
      }
    }
  }

  /** The context of `task`, made if it has none yet. */
  taskContext(task: Task): TaskContext {
    const found = findTaskContext(task);
    if (found !== null) return found;
    const context = new TaskContext(task, this.breakpoints?.pools ?? 0);
    task.attachment = context;
    // A running task's context is on its CPU from the start.
    if (task.cpu !== null) this.scheduler.begin(context, this.cpuState(task.cpu.number));
    return context;
  }

  /**
   * Makes an event that belongs to no context yet: docs/spec/01 section 4, steps 3 to 5. Throws `KernelError` as the
   * PMU does, and ENOENT if no PMU claims the attr; then nothing is held.
   */
  create(request: CreateRequest): PerfEvent {
    const { attr, task } = request;
    const pmu = this.#pmus.find((candidate) => candidate.claims(attr));
    if (pmu === undefined) throw failure('ENOENT', `no PMU has events of type ${attr.type}`);
    const event = new PerfEvent({
      id: this.#nextId,
      attr,
      pmu,
      task,
      taskSlots: task === null ? null : this.taskContext(task).slots,
      cpu: request.cpu,
      parent: request.parent ?? null,
    });
    // In frequency mode the period is found while it runs, from 1 on.
    initPeriod(
      event,
      attr.freq === true && (attr.samplePeriod ?? 0n) !== 0n ? 1 : Number(attr.samplePeriod ?? 0n),
    );
    event.overflowHandler = request.overflowHandler ?? null;
    event.handlerContext = request.handlerContext;
    pmu.init(event, attr, request.caller, request.parent ?? null);
    this.#nextId++;
    this.all.add(event);
    this.sampling.created(event);
    return event;
  }

  /**
   * Puts a new event into its context, as a leader or as a sibling of `leader`, and onto the CPU if the context is
   * running. Throws `KernelError` ESRCH (the task is gone), ENODEV (the CPU is offline); the caller destroys the event.
   */
  attach(event: PerfEvent, leader: PerfEvent | null = null): void {
    const { task } = event;
    if (task !== null && !task.alive) throw failure('ESRCH', `task ${task.tid} has exited`);
    const context = task === null ? this.cpuState(event.cpu).context : this.taskContext(task);
    if (task === null && context.on === null) throw failure('ENODEV', `CPU ${event.cpu} is offline`);
    event.context = context;
    event.stampNs = context.timeNs(this.machine.nowNs());
    if (leader === null) context.add(event);
    else {
      this.scheduler.updateGroupTime(leader);
      event.leader = leader;
      if (leader.siblings === null) leader.siblings = [];
      leader.siblings.push(event);
      leader.groupChanges++;
    }
    this.rescheduleFor(event);
  }

  /** Lays out the context of an event anew because the event came or was enabled, if it is running. */
  rescheduleFor(event: PerfEvent): void {
    const { context, leader } = event;
    const on = context?.on ?? null;
    if (on === null) return;
    const only = this.#rescheduleByPmu ? event.pmu : null;
    this.onCpu(on, () => this.scheduler.reschedule(on, classOf(leader), only));
  }

  /** Does `work` on the CPU of `on`, by a cross call if this is another. */
  onCpu(on: CpuState, work: () => void): void {
    if (this.machine.currentCpu === on.cpu) work();
    else this.machine.crossCall(on.cpu, work);
  }

  // --- ways in from the machine ------------------------------------------------------------------------------------

  debugException(cpu: Cpu, frame: TrapFrame): number {
    const state = this.cpus[cpu.number]!; // every CPU has one
    const { breakpoints } = this;
    if (breakpoints === undefined || state.image === null) return 0;
    const code = breakpoints.arch.claim(state.image, frame, this.#hit);
    this.overflow.settle();
    this.debugNotifier?.(cpu, frame);
    return code;
  }

  switchTask(cpu: Cpu, _previous: Task | null, next: Task | null): void {
    const state = this.cpus[cpu.number]!; // every CPU has one
    state.image?.switchThread(next?.debugStatus ?? 0);
    if (this.#verify) this.call(() => this.scheduler.switchTask(state, next));
    else {
      this.scheduler.switchTask(state, next);
      this.overflow.settle();
    }
  }

  cloned(parent: Task, child: Task, kind: CloneKind): void {
    this.call(() => {
      inheritEvents(this, parent, child, kind);
      for (const observer of this.observers) observer.cloned(parent, child, kind);
      this.records.forked(parent, child);
    });
  }

  executed(task: Task): void {
    this.call(() => {
      for (const observer of this.observers) observer.executed(task);
      startProgram(this, task);
    });
  }

  renamed(task: Task): void {
    this.call(() => this.records.named(task, false));
  }

  exited(task: Task): void {
    this.call(() => {
      for (const observer of this.observers) observer.exited(task);
      leaveTask(this, task);
    });
  }

  tick(cpu: Cpu): void {
    this.call(() => {
      const state = this.cpuState(cpu.number);
      state.tick++;
      this.sampling.tick(state);
      this.scheduler.tick(state);
    });
  }

  cpuOnline(cpu: Cpu): void {
    this.call(() => {
      const state = this.cpuState(cpu.number);
      state.image?.restore();
      this.scheduler.begin(state.context, state);
    });
  }

  /** Events of the CPU leave their context for good; reading them and closing them still works. */
  cpuOffline(cpu: Cpu): void {
    this.call(() => {
      const { context } = this.cpuState(cpu.number);
      for (const event of context.events()) this.control.detach(event, eventStates.exit);
      this.scheduler.end(context);
    });
  }

  cpuResumed(cpu: Cpu): void {
    this.call(() => this.cpuState(cpu.number).image?.restore());
  }

  cpuLeft(cpu: Cpu): void {
    this.call(() => this.cpuState(cpu.number).image?.disable());
  }

  nmi(cpu: Cpu, handler: () => void): void {
    const { image } = this.cpuState(cpu.number);
    image?.suspend();
    // What the handler calls does not come between calls: the invariants wait for the interrupted one.
    this.#depth++;
    try {
      handler();
    } finally {
      this.#depth--;
      image?.resume();
    }
  }
}
