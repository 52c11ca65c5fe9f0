import { assert, unreachable } from '../../base/assert.ts';
import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { joinPair } from '../../base/pair.ts';
import type { KernelEntry } from '../../machine/kernel-entry.ts';
import type { Machine, SignalOptions } from '../../machine/machine.ts';
import type { SignalInfo } from '../../machine/signal-info.ts';
import type { Capability, Credentials, Task } from '../../machine/task.ts';
import { AddressSpace } from './address-space.ts';
import { Arm64SimCpu } from './arm64-sim-cpu.ts';
import { InstructionUnit } from './instruction-unit.ts';
import { Interruption } from './interruption.ts';
import type { Operation, OperationResult, Program } from './operation.ts';
import { ProgramScheduler } from './program-scheduler.ts';
import { advanceReplay } from './replay.ts';
import { SignalUnit } from './signal-unit.ts';
import type { CpuHost, SimCpu } from './sim-cpu.ts';
import { SimFrame } from './sim-frame.ts';
import type { Disposition } from './sim-process.ts';
import { SimTask } from './sim-task.ts';
import { X86SimCpu } from './x86-sim-cpu.ts';

/** Nanoseconds between two timer interrupts: HZ is 250. */
export const tickNs: number = 4_000_000;
/** Virtual nanoseconds of one operation. A replayed access takes 1. */
const operationNs = 10;
/** Accesses that a recording advances at a time. */
const replayBudget = 4096;

/** Root, with every capability. */
export const rootCredentials: Credentials = {
  uid: 0,
  capabilities: new Set<Capability>(['SYS_ADMIN', 'PERFMON', 'SYS_PTRACE', 'KILL', 'IPC_LOCK', 'BPF']),
};

/** What a machine is made of. */
export interface SimMachineOptions {
  /** Possible CPUs, 1 to 4096. */
  readonly cpus: number;
  /** CPUs that are offline at the start. */
  readonly offline?: readonly number[];
  /** Decides the length of the time slices; default 1. */
  readonly seed?: number;
  /** Addresses of kernel symbols. */
  readonly symbols?: Readonly<Record<string, bigint>>;
  /** arm64 processors in place of x86 ones. */
  readonly arm64?: Arm64Processors;
  /** Takes a line for everything that happens: switches, exceptions, signals, NMIs. The same seed gives the same lines. */
  readonly log?: (line: string) => void;
}

/** The processors of an arm64 machine. */
export interface Arm64Processors {
  /** ID_AA64DFR0_EL1 of each CPU, low word; the last one is that of all CPUs behind. */
  readonly debugFeatures: readonly number[];
  /** Watchpoints are reported by the first watched byte; default by the first byte of the access. */
  readonly reportsWatched?: boolean;
}

/** A new task. */
export interface SpawnRequest {
  readonly name: string;
  readonly program?: Program;
  /** The CPU that it is bound to; default the one with the fewest living tasks, lowest number first. */
  readonly cpu?: number;
  readonly credentials?: Credentials;
  /** The process that is told of its end; default none, 0. */
  readonly parentPid?: number;
  /** First address of its code; default 0x400000. */
  readonly ip?: bigint;
}

/**
 * A deterministic machine: CPUs with real debug-register semantics, tasks, sparse memory, a virtual clock. It does
 * nothing by itself: {@link perform} executes one operation of a task, {@link run} executes programs.
 */
export class SimMachine implements Machine {
  readonly cpus: readonly SimCpu[];
  readonly symbols: Map<string, bigint>;
  /** What the kernel's own addresses hold, for whoever looks at them: the layer does not. */
  readonly kernelMemory: AddressSpace = new AddressSpace();
  readonly #interruption: Interruption = new Interruption(() => this.#currentCpu.inNmi);
  #clockNs = 0;
  #nextTickNs = tickNs;
  #nextTid = 1000;
  #currentCpu: SimCpu;
  #kernel: KernelEntry | undefined;
  readonly #tasks: Map<number, SimTask> = new Map();
  /** Threads by pid. */
  readonly #threads: Map<number, number> = new Map();
  /** First threads that ended before others of their process, by tid. */
  readonly #zombies: Map<number, SimTask> = new Map();
  readonly #taskCounts: Int32Array;
  readonly #programs: ProgramScheduler;
  readonly #log: ((line: string) => void) | undefined;
  readonly #instructions: InstructionUnit;
  readonly #signals: SignalUnit;
  readonly #userFrame: SimFrame = new SimFrame({ userMode: true });

  constructor(options: SimMachineOptions) {
    assert(options.cpus >= 1 && options.cpus <= 4096, 'a machine has 1 to 4096 CPUs');
    const machine = this;
    const host = {
      point: (): void => machine.point(),
      get kernel(): KernelEntry {
        return machine.kernel;
      },
      forceSignal: (task: SimTask, info: SignalInfo): void => machine.forceSignal(task, info),
      deliverSignals: (task: SimTask): void => machine.deliverSignals(task),
    };
    this.cpus = Array.from({ length: options.cpus }, (_, number) => this.#newCpu(number, host, options));
    for (const number of options.offline ?? []) this.#cpu(number).online = false;
    const first = this.cpus.find((cpu) => cpu.online);
    assert(first !== undefined, 'some CPU is online');
    this.#currentCpu = first;
    this.symbols = new Map(Object.entries(options.symbols ?? {}));
    this.#taskCounts = new Int32Array(options.cpus);
    this.#programs = new ProgramScheduler(this, options.seed ?? 1);
    this.#log = options.log;
    this.#instructions = new InstructionUnit();
    this.#signals = new SignalUnit(this);
  }

  #newCpu(number: number, host: CpuHost, { arm64 }: SimMachineOptions): SimCpu {
    if (arm64 === undefined) return new X86SimCpu(number, host);
    const features = arm64.debugFeatures[number] ?? arm64.debugFeatures.at(-1);
    assert(features !== undefined, 'an arm64 machine says what its processors have');
    return new Arm64SimCpu(number, host, { features, reportsWatched: arm64.reportsWatched ?? false });
  }

  get kernel(): KernelEntry {
    assert(this.#kernel !== undefined, 'no kernel was booted');
    return this.#kernel;
  }

  boot(kernel: KernelEntry): void {
    assert(this.#kernel === undefined, 'a machine is booted once');
    this.#kernel = kernel;
  }

  get currentCpu(): SimCpu {
    return this.#currentCpu;
  }

  nowNs(): number {
    return this.#clockNs;
  }

  symbol(name: string): bigint | undefined {
    return this.symbols.get(name);
  }

  /** A task by its tid: a living one, or the first thread of a process that lives on without it. */
  findTask(tid: number): SimTask | undefined {
    return this.#tasks.get(tid) ?? this.#zombies.get(tid);
  }

  /** Living tasks, oldest first. */
  tasks(): IterableIterator<SimTask> {
    return this.#tasks.values();
  }

  #cpu(number: number): SimCpu {
    const cpu = this.cpus[number];
    assert(cpu !== undefined, `there is no CPU ${number}`);
    return cpu;
  }

  // --- interruption ------------------------------------------------------------------------------------------------

  point(): void {
    this.#interruption.point();
  }

  /**
   * Executes `work`; at its `at`-th interruption point (from 1) an NMI comes on the CPU that is executing, and
   * `handler` is its handler. Gives the number of points that `work` passed before the NMI was over; fewer than `at`:
   * there was none.
   */
  withNmi(at: number, handler: () => void, work: () => void): number {
    return this.#interruption.during(at, () => this.nmi(this.#currentCpu.number, handler), work);
  }

  /** A non-maskable interrupt on a CPU, now. */
  nmi(cpuNumber: number, handler: () => void): void {
    const cpu = this.#cpu(cpuNumber);
    if (this.#log !== undefined) this.#log(`nmi cpu ${cpuNumber}`);
    this.crossCall(cpu, () => {
      cpu.inNmi = true;
      try {
        this.kernel.nmi(cpu, handler);
      } finally {
        cpu.inNmi = false;
      }
    });
  }

  crossCall(cpu: SimCpu, work: () => void): void {
    assert(cpu.online, `a cross call to CPU ${cpu.number}, which is offline`);
    const before = this.#currentCpu;
    this.#currentCpu = cpu;
    try {
      work();
    } finally {
      this.#currentCpu = before;
    }
  }

  // --- time --------------------------------------------------------------------------------------------------------

  /** Lets virtual time pass; timer interrupts that fall due come on every online CPU. */
  advance(ns: number): void {
    this.#clockNs += ns;
    while (this.#clockNs >= this.#nextTickNs) {
      this.#nextTickNs += tickNs;
      for (const cpu of this.cpus) if (cpu.online) this.crossCall(cpu, () => this.kernel.tick(cpu));
    }
  }

  // --- tasks -------------------------------------------------------------------------------------------------------

  /** A new single-threaded process, waiting. */
  spawn(request: SpawnRequest): SimTask {
    const tid = this.#nextTid++;
    const task = new SimTask({
      tid,
      pid: tid,
      parentPid: request.parentPid ?? 0,
      name: request.name,
      credentials: request.credentials ?? rootCredentials,
      home: request.cpu === undefined ? this.#emptiestCpu() : this.#cpu(request.cpu),
      memory: new AddressSpace(),
      ip: request.ip ?? 0x40_0000n,
    });
    assert(task.home.online, `CPU ${task.home.number} is offline`);
    this.#add(task, request.program);
    return task;
  }

  #emptiestCpu(): SimCpu {
    let best: SimCpu | undefined;
    for (const cpu of this.cpus)
      if (
        cpu.online &&
        (best === undefined || this.#taskCounts[cpu.number]! < this.#taskCounts[best.number]!)
      )
        best = cpu; // a count each
    assert(best !== undefined, 'some CPU is online');
    return best;
  }

  #add(task: SimTask, program: Program | undefined): void {
    this.#tasks.set(task.tid, task);
    this.#threads.set(task.pid, (this.#threads.get(task.pid) ?? 0) + 1);
    this.#taskCounts[task.home.number]!++;
    if (program !== undefined) task.steps = program();
  }

  /** A thread or a child of `parent`. Throws the kernel's `KernelError`; then there is none. */
  clone(
    parent: SimTask,
    options: {
      thread: boolean;
      program?: Program;
      name?: string;
      clearHandlers?: boolean;
      /** CLONE_PARENT: a child of the parent's parent. */
      keepParent?: boolean;
    },
  ): SimTask {
    assert(parent.alive, 'only a living task can clone');
    const tid = this.#nextTid++;
    const child = new SimTask({
      tid,
      pid: options.thread ? parent.pid : tid,
      parentPid: options.thread || options.keepParent === true ? parent.parentPid : parent.pid,
      name: options.name ?? parent.name,
      credentials: parent.credentials,
      home: parent.home,
      memory: options.thread ? parent.memory : parent.memory.copy(),
      ip: joinPair(parent.ipLow, parent.ipHigh),
      process: options.thread ? parent.process : parent.process.fork(options),
    });
    child.blocked = parent.blocked;
    const clearHandlers = options.clearHandlers ?? false;
    this.#inTask(parent, () => this.kernel.cloned(parent, child, { thread: options.thread, clearHandlers }));
    this.#add(child, options.program);
    return child;
  }

  /** The task executes a fresh image: its memory is empty, its handlers are gone, other threads of its process end. */
  exec(task: SimTask): void {
    for (const other of [...this.#tasks.values()])
      if (other !== task && other.pid === task.pid) this.exit(other);
    if (task.tid !== task.pid) {
      // The one that executes takes the place of the first thread.
      this.#zombies.delete(task.pid);
      this.#tasks.delete(task.tid);
      task.tid = task.pid;
      this.#tasks.set(task.tid, task);
    }
    task.memory = new AddressSpace();
    task.process.exec();
    task.steps = undefined;
    task.replay = undefined;
    this.#inTask(task, () => this.kernel.executed(task));
  }

  /** The task gives itself another name. */
  rename(task: SimTask, name: string): void {
    this.#inTask(task, () => {
      task.name = name;
      this.kernel.renamed(task);
    });
  }

  /** The task ends. */
  exit(task: SimTask): void {
    assert(task.alive, 'a task ends once');
    this.#inTask(task, () => {
      task.alive = false;
      this.kernel.exited(task);
    });
    if (task.cpu !== null) this.switchTo(task.cpu, null);
    this.#tasks.delete(task.tid);
    const threads = (this.#threads.get(task.pid) ?? 1) - 1;
    if (threads === 0) {
      this.#threads.delete(task.pid);
      this.#zombies.delete(task.pid);
    } else {
      this.#threads.set(task.pid, threads);
      if (task.tid === task.pid) this.#zombies.set(task.tid, task);
    }
    this.#taskCounts[task.home.number]!--;
  }

  /** Does `work` as `task` does it itself: on its CPU, in its turn. */
  #inTask(task: SimTask, work: () => void): void {
    this.switchTo(task.home, task);
    const before = this.#currentCpu;
    this.#currentCpu = task.home;
    try {
      work();
    } finally {
      this.#currentCpu = before;
    }
  }

  /** Makes `task` the one that `cpu` executes. */
  switchTo(cpu: SimCpu, task: SimTask | null): void {
    const previous = cpu.current;
    if (previous === task) return;
    assert(
      cpu.online && (task === null || (task.home === cpu && task.alive)),
      'a task runs on the CPU that it is bound to',
    );
    if (previous !== null) previous.cpu = null;
    cpu.current = task;
    if (task !== null) task.cpu = cpu;
    if (this.#log !== undefined)
      this.#log(`${this.#clockNs} switch cpu ${cpu.number} ${previous?.tid ?? 0} ${task?.tid ?? 0}`);
    const before = this.#currentCpu;
    this.#currentCpu = cpu;
    try {
      this.kernel.switchTask(cpu, previous, task);
    } finally {
      this.#currentCpu = before;
    }
  }

  /** Takes the task off its CPU and puts it back. */
  reschedule(task: SimTask): void {
    this.switchTo(task.home, null);
    this.switchTo(task.home, task);
  }

  /** Binds the task to another CPU; if it was running it goes on there at once. */
  migrate(task: SimTask, cpuNumber: number): void {
    const cpu = this.#cpu(cpuNumber);
    if (cpu === task.home) return;
    const running = task.cpu !== null;
    if (running) this.switchTo(task.home, null);
    this.#taskCounts[task.home.number]!--;
    this.#taskCounts[cpuNumber]!++;
    task.home = cpu;
    if (running) this.switchTo(cpu, task);
  }

  // --- hotplug -----------------------------------------------------------------------------------------------------

  /** Takes a CPU offline; its tasks go to the lowest CPU that stays. The last CPU cannot go. */
  offline(cpuNumber: number): void {
    const cpu = this.#cpu(cpuNumber);
    const refuge = this.cpus.find((other) => other.online && other !== cpu);
    assert(cpu.online && refuge !== undefined, 'a CPU goes offline while another stays');
    this.switchTo(cpu, null);
    for (const task of this.#tasks.values()) if (task.home === cpu) this.migrate(task, refuge.number);
    this.crossCall(cpu, () => this.kernel.cpuOffline(cpu));
    cpu.online = false;
    if (this.#currentCpu === cpu) this.#currentCpu = refuge;
  }

  /** Brings a CPU online, its registers as after power-on. */
  online(cpuNumber: number): void {
    const cpu = this.#cpu(cpuNumber);
    if (cpu.online) return;
    cpu.registers.powerOn();
    cpu.online = true;
    this.crossCall(cpu, () => this.kernel.cpuOnline(cpu));
  }

  /**
   * Suspends the machine and lets it go on: no task runs, every CPU but the first one that is online goes down and comes
   * back, and the first one loses its registers. Tasks are then bound where they were.
   */
  suspend(): void {
    const [first, ...others] = this.cpus.filter((cpu) => cpu.online);
    assert(first !== undefined, 'some CPU is online');
    const homes = [...this.#tasks.values()].map((task) => ({ task, number: task.home.number }));
    for (const cpu of [first, ...others]) this.switchTo(cpu, null);
    for (const cpu of [...others].reverse()) this.offline(cpu.number);
    first.registers.powerOn();
    this.crossCall(first, () => this.kernel.cpuResumed(first));
    for (const cpu of others) this.online(cpu.number);
    for (const { task, number } of homes) this.migrate(task, number);
  }

  /** Every CPU is given to another kernel: this one's breakpoints are off for good. */
  kexec(): void {
    for (const cpu of this.cpus) if (cpu.online) this.crossCall(cpu, () => this.kernel.cpuLeft(cpu));
  }

  userFrame(task: Task): SimFrame {
    assert(task instanceof SimTask, 'a task of this machine');
    const frame = this.#userFrame;
    frame.enter({ ipLow: task.ipLow, ipHigh: task.ipHigh, flags: task.processorFlags, status: 0 });
    return frame;
  }

  /** Every address can be read: memory is zero where nothing was stored. */
  readUser(task: Task, address: bigint, lengthBytes: number): Uint8Array {
    assert(task instanceof SimTask, 'a task of this machine');
    return task.memory.read(address, lengthBytes);
  }

  // --- signals -----------------------------------------------------------------------------------------------------

  signal(task: Task, info: SignalInfo, options: SignalOptions = {}): void {
    assert(task instanceof SimTask, 'a task of this machine');
    if (!task.alive) return;
    if (options.forced === true) this.#signals.force(task, info);
    else this.#signals.send(task, info, options.process === true);
    if (this.#log !== undefined)
      this.#log(`${this.#clockNs} signal ${info.signal} code ${info.code} task ${task.tid}`);
  }

  hold(task: Task, reason: SignalInfo): void {
    assert(task instanceof SimTask && task.traced, 'a traced task of this machine');
    task.stop = reason;
    if (this.#log !== undefined)
      this.#log(`${this.#clockNs} stop signal ${reason.signal} code ${reason.code} task ${task.tid}`);
    if (task.cpu !== null) this.switchTo(task.cpu, null);
  }

  release(task: Task): void {
    assert(task instanceof SimTask, 'a task of this machine');
    task.stop = null;
  }

  /** {@link signal}, but a task that blocks or ignores it dies of it. */
  forceSignal(task: SimTask, info: SignalInfo): void {
    if (task.alive) this.#signals.force(task, info);
  }

  beforeUserMode(task: Task, work: () => void): void {
    assert(task instanceof SimTask, 'a task of this machine');
    if (task.alive) task.work.push(work);
  }

  /** What the process of `task` does when `signal` comes. Without a disposition a signal is noted in `received`. */
  onSignal(task: SimTask, signal: number, disposition: Disposition): void {
    this.#signals.dispose(task.process, signal, disposition);
  }

  /** Delivers what is pending and not blocked, as before a return to user mode; a traced task stops with it. */
  deliverSignals(task: SimTask): void {
    if (this.#signals.due(task)) this.#signals.deliver(task);
  }

  /** A task that waits and has a signal wakes up for it. */
  wake(task: SimTask): void {
    if (!task.alive || task.traced || !this.#signals.due(task)) return;
    this.switchTo(task.home, task);
    this.crossCall(task.home, () => this.#signals.deliver(task));
  }

  // --- execution ---------------------------------------------------------------------------------------------------

  /**
   * The task gets its CPU, if it has not got it, and does one operation; what it raises is delivered before this
   * returns. A recording is replayed to its end. Throws the kernel's `KernelError` where a clone fails.
   */
  perform(task: SimTask, operation: Operation): OperationResult {
    if (!task.alive)
      throw new KernelError({ errno: errnoValues.ESRCH, operation: `task ${task.tid}: ${operation.type}` });
    const cpu = task.home;
    this.switchTo(cpu, task);
    const before = this.#currentCpu;
    this.#currentCpu = cpu;
    try {
      const exceptions = cpu.exceptions;
      const result = this.#execute(cpu, task, operation);
      if (this.#log !== undefined && cpu.exceptions !== exceptions)
        this.#log(
          `${this.#clockNs} exception cpu ${cpu.number} task ${task.tid} x${cpu.exceptions - exceptions}`,
        );
      if (task.alive) this.deliverSignals(task);
      this.advance(operationNs);
      return result;
    } finally {
      this.#currentCpu = before.online ? before : this.#currentCpu;
    }
  }

  #execute(cpu: SimCpu, task: SimTask, operation: Operation): OperationResult {
    switch (operation.type) {
      case 'load':
      case 'store':
      case 'rmw':
      case 'execute':
      case 'icebp':
      case 'int3':
        return this.#instructions.execute(cpu, task, operation);
      case 'kernelStore':
        this.#instructions.kernelStore(cpu, task, operation);
        return 0n;
      case 'replay': {
        task.startReplay(operation);
        while (task.replay !== undefined && task.stop === null) this.#replay(cpu, task);
        return 0n;
      }
      case 'thread':
      case 'fork':
        return BigInt(this.clone(task, { thread: operation.type === 'thread', ...operation }).tid);
      case 'exec':
        this.exec(task);
        return 0n;
      case 'exit':
        this.exit(task);
        return 0n;
      case 'yield':
        return 0n;
      default:
        return unreachable(operation);
    }
  }

  /**
   * Executes the programs of all tasks, CPU by CPU in turn, until none is left or `untilNs` has come. Slices are 1 to
   * 64 operations, decided by the seed. Gives whether any program executed.
   */
  run(options: { readonly untilNs?: number } = {}): boolean {
    return this.#programs.run(options.untilNs ?? Number.POSITIVE_INFINITY);
  }

  /** Goes on with the recording that `task` replays, for some accesses; nothing if it replays none. */
  advanceReplay(task: SimTask): void {
    this.switchTo(task.home, task);
    this.crossCall(task.home, () => this.#replay(task.home, task));
  }

  #replay(cpu: SimCpu, task: SimTask): void {
    const { replay } = task;
    if (replay === undefined) return;
    const done = advanceReplay(cpu, task, replay, replayBudget);
    if (replay.position >= replay.end) task.replay = undefined;
    this.advance(done);
    if (task.alive) this.deliverSignals(task);
  }
}
