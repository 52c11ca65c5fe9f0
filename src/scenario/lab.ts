import type { PerfSystemCalls } from '../surface/perf-calls.ts';
import type { PerfEventAttr } from '../uapi/perf-event-attr.ts';
import type { ScenarioMachine, ScenarioStep } from './format.ts';

/** A value, now or later: a model answers at once, a live kernel may not. */
export type Awaitable<T> = T | Promise<T>;

/**
 * A lab that broke, as when a live task died that nobody told to: neither a refusal nor a disagreement. The message says
 * of what.
 */
export class LabFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LabFailure';
  }
}

/** A signal that a task got. */
export interface LabSignal {
  readonly signal: number;
  readonly code: number;
  /** si_addr. */
  readonly addr: bigint;
  /** si_perf_data. */
  readonly data?: bigint;
  /** si_perf_flags. */
  readonly flags?: number;
  /** si_perf_type. */
  readonly type?: number;
  readonly fd?: number;
}

/** Signals that a list of {@link TaskOutcome} has at most. */
export const toldSignalsMax: number = 64;

/** What came of something that a task was told to do. */
export interface TaskOutcome {
  /** Signals that it got since it was last told to do something; the last {@link toldSignalsMax} of them. */
  readonly signals: readonly LabSignal[];
  /** How many they were. */
  readonly total: number;
  /** The signal that its process died of. */
  readonly died?: number;
}

/** What a task does about signals from now on. Dispositions are the whole process's, the mask is the task's own. */
export type SignalChange =
  | { readonly type: 'block' | 'unblock'; readonly signals: readonly number[] }
  | { readonly type: 'ignore' | 'default' | 'handle'; readonly signals: readonly number[] };

/** Places of a process besides its data and code labels: the instruction of `rmw` of 8 bytes; the SIGIO handler. */
export type TaskPlace = 'rmw' | 'handler';

/** What a task is told to do, exactly `times` times. */
export type TaskAction =
  | {
      readonly type: 'store' | 'load' | 'rmw';
      readonly at: bigint;
      readonly lenBytes: number;
      readonly times: number;
      readonly value: bigint;
    }
  | {
      readonly type: 'storeTwo';
      readonly at: bigint;
      readonly at2: bigint;
      readonly lenBytes: number;
      readonly times: number;
      readonly value: bigint;
    }
  | { readonly type: 'call'; readonly at: bigint; readonly times: number }
  | { readonly type: 'trap'; readonly kind: 'icebp' | 'int3' }
  | { readonly type: 'syscallWrite'; readonly at: bigint; readonly lenBytes: number };

/** Tasks that act only when told to. They are named by the scenario; "self" is the runner. */
export interface LabTasks {
  spawn(name: string, options: { readonly cpu?: number }): Awaitable<void>;
  /** Throws `KernelError` if the clone fails. */
  thread(name: string, as: string): Awaitable<void>;
  /** With `clearHandlers` the child starts with the default action for every signal that has a handler. */
  fork(name: string, as: string, options?: { readonly clearHandlers: boolean }): Awaitable<void>;
  exec(name: string): Awaitable<void>;
  exit(name: string): Awaitable<void>;
  /** Drops to an unprivileged user with these capabilities only; `undefined`: what it started with. */
  credentials(
    name: string,
    drop: { readonly user: string; readonly caps: readonly string[] } | undefined,
  ): Awaitable<void>;
  reschedule(name: string): Awaitable<void>;
  migrate(name: string, cpu: number): Awaitable<void>;
  act(name: string, action: TaskAction): Awaitable<TaskOutcome>;
  /** Changes what the task does about signals; those that were blocked are delivered at once. */
  handleSignals(name: string, change: SignalChange): Awaitable<TaskOutcome>;
  tid(name: string): number;
  /** First byte of the task's data page of 4096 bytes. */
  dataAddress(name: string): bigint;
  /** Address of code label `n`, 0 to 15. */
  codeAddress(name: string, n: number): bigint;
  placeAddress(name: string, place: TaskPlace): bigint;
}

/** How a traced task was found stopped. */
export interface LabStop {
  readonly signal: number;
  readonly code: number;
  /** si_addr. */
  readonly at: bigint;
  /** The instruction that it goes on with. */
  readonly ip: bigint;
}

/** A word of the user area, by its offset in bytes; with `compat` as a 32-bit program asks for it. */
export interface LabUserWord {
  readonly offset: bigint;
  readonly compat: boolean;
}

/**
 * ptrace(2) by the runner. An attached task is stopped between steps; it runs while a step has it do something, and until
 * a signal stops it in the midst of that. Every call throws `KernelError` as Linux refuses, ESRCH for a task that is not
 * attached.
 */
export interface LabPtrace {
  attach(name: string, options: { readonly followFork: boolean }): Awaitable<void>;
  /** Lets the task finish what it was doing. */
  detach(name: string): Awaitable<TaskOutcome>;
  /** Goes on with what the task was doing: to its end or the next stop, or for one instruction. */
  resume(name: string, options: { readonly step: boolean }): Awaitable<TaskOutcome>;
  /** Register sets by their NT_ number, at most `lengthBytes`; absent where tasks have none. */
  readRegset?(name: string, type: number, lengthBytes: number): Awaitable<Uint8Array>;
  writeRegset?(name: string, type: number, bytes: Uint8Array): Awaitable<void>;
  peek(name: string, word: LabUserWord): Awaitable<bigint>;
  poke(name: string, word: LabUserWord, value: bigint): Awaitable<void>;
  /** How the last act or resume ended: by a stop, or not (null); `undefined`: the task is not attached. */
  stopped(name: string): LabStop | null | undefined;
}

/** The tracer of kernel symbols, by its files. */
export interface LabKsym {
  /** Makes it the current tracer, or another. */
  setCurrent(current: boolean): void;
  /** A line to `ksym_trace_filter`. Throws `KernelError`. */
  write(line: string): void;
  read(file: 'filter' | 'trace' | 'profile'): string;
}

/** An access by kernel code. */
export interface KernelAccess {
  readonly at: bigint;
  readonly lenBytes: number;
  readonly store: boolean;
  readonly value: bigint;
  /** Of the instruction; absent: somewhere in the kernel's text. */
  readonly ip?: bigint;
}

/** What only a simulated machine can do. */
export interface LabMachine {
  /** Debug registers of a CPU by name, "dr0" to "dr7" and "mask0" to "mask3". */
  registers(cpu: number): Readonly<Record<string, bigint>>;
  /** Throws `KernelError`. */
  registerWide(as: string, attr: PerfEventAttr, cpus: readonly number[] | undefined): void;
  unregisterWide(name: string): void;
  /** Hits of a wide breakpoint so far. */
  wideHits(name: string): number;
  /** Takes registers of a CPU away, from outside of all accounting; 0 gives them back. */
  takeRegisters(cpu: number, count: number): void;
  /** Loads the sample module, which watches writes to a kernel symbol. Throws `KernelError`. */
  loadSample(symbol: string): void;
  unloadSample(): void;
  /** What the sample module logged since the last call. */
  sampleLog(): readonly string[];
  /** A task gives itself another name. */
  rename(tid: number, name: string): void;
  /** Suspends the machine and lets it go on. */
  suspend(): void;
  /** Another kernel takes over. */
  kexec(): void;
  /** Lets time pass. */
  advance(ns: number): void;
  cpuOffline(cpu: number): void;
  cpuOnline(cpu: number): void;
  /** Kernel code on a CPU comes to the instruction at `ip`: execution breakpoints fault. */
  kernelExecute(cpu: number, ip: bigint): void;
  /** The access of an instruction of kernel code on a CPU; a store stores `value`. */
  kernelAccess(cpu: number, access: KernelAccess): void;
  /** A packet to the kernel debugger, and its reply; `null`: there is none (yet), or no debugger. */
  kgdb(packet: string): string | null;
  /** The tracer of kernel symbols. */
  readonly ksym: LabKsym;
  symbol(name: string): bigint | undefined;
  /**
   * Does `work`; at its `at`-th interruption point an NMI comes, with `handler`. Gives whether it came.
   */
  withNmi(at: number, handler: () => void, work: () => void): boolean;
}

/** bpf programs that scenarios know by name. */
export interface LabBpf {
  /** What loads the program of that name and gives its fd, which the lab closes; `undefined`: there is none. */
  program(name: string): (() => number) | undefined;
}

/**
 * A place where scenarios run: one kernel with tasks, made for one scenario. What it cannot do is an absent object, and
 * a scenario that needs it is skipped with the reason.
 */
export interface Lab {
  /** "model", "linux". */
  readonly kernel: string;
  /** System calls of the runner itself, the task "self". */
  readonly calls: PerfSystemCalls;
  readonly tasks: LabTasks;
  readonly machine?: LabMachine;
  readonly bpf?: LabBpf;
  readonly ptrace?: LabPtrace;
  /** Why it cannot do a step, where that is not told by an absent object. */
  lacks?(step: ScenarioStep): string | undefined;
  /** Whether any breakpoint exists, the scenario's or another's. */
  used?(): boolean;
  /** The scenario's number of a CPU of the machine, where they differ. */
  cpuName?(cpu: number): number;
  /** An fd of a file that is no perf event, and the number of an fd that is closed. */
  fileFd(): number;
  closedFd(): number;
  /**
   * Undoes everything that the scenario left. Throws if something is left that nobody can undo: a leak.
   */
  close(): Awaitable<void>;
}

/** Makes labs. */
export interface LabMaker {
  /** Why a scenario cannot run here; `undefined`: it can. */
  refuses(machine: ScenarioMachine, needs: readonly string[]): string | undefined;
  make(machine: ScenarioMachine): Awaitable<Lab>;
  /** The machine that a scenario's is here, where that is not for the scenario to say: a model is made like it. */
  adopt?(machine: ScenarioMachine): ScenarioMachine;
  /** What others do on the machine at this moment that may change results; `undefined`: nothing. */
  disturbance?(): string | undefined;
}
