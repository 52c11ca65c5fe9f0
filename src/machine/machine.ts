import type { TrapFrame } from '../arch/trap-frame.ts';
import type { Cpu } from './cpu.ts';
import type { KernelEntry } from './kernel-entry.ts';
import type { SignalInfo } from './signal-info.ts';
import type { Task } from './task.ts';

/** How a signal is sent. */
export interface SignalOptions {
  /** For the process of the task. */
  readonly process?: boolean;
  /** A task that blocks or ignores it dies of it. */
  readonly forced?: boolean;
}

/**
 * The low port: what our kernel asks of a machine. Everything is synchronous, and nothing outside the machine is read:
 * no clock, randomness, file or environment.
 */
export interface Machine {
  /** All possible CPUs, by number. */
  readonly cpus: readonly Cpu[];
  /** The CPU that executes the kernel right now. */
  readonly currentCpu: Cpu;
  /** Virtual nanoseconds since the machine was switched on; an integer below 2^53. */
  nowNs(): number;
  /** A living task. */
  findTask(tid: number): Task | undefined;
  /** Executes `work` on another CPU (or on this one) and returns when it is done. The CPU must be online. */
  crossCall(cpu: Cpu, work: () => void): void;
  /** An interruption point: the machine may take an NMI here. */
  point(): void;
  /** Where the user code of `task` stands that it has left for the kernel. null: it has none. Not to be kept. */
  userFrame(task: Task): TrapFrame | null;
  /**
   * Queues a signal for a task; it is delivered before the task next executes an instruction. With `process`, for the
   * process of the task: any of its threads may take it, the task itself first. A signal below 32 that is pending
   * already is not queued again. Source: signal(7).
   */
  signal(task: Task, info: SignalInfo, options?: SignalOptions): void;
  /** Has `work` done before the task next returns to user mode, the latest first; a task that ends does none. */
  beforeUserMode(task: Task, work: () => void): void;
  /** Holds a traced task: it is taken off its CPU and not executed until {@link release}. */
  hold(task: Task, reason: SignalInfo): void;
  /** Undoes {@link hold}; what it was stopped with is forgotten. */
  release(task: Task): void;
  /** Bytes of a task's memory; `undefined`: nothing is mapped there. */
  readUser(task: Task, address: bigint, lengthBytes: number): Uint8Array | undefined;
  /** The address of a kernel symbol. */
  symbol(name: string): bigint | undefined;
  /** Makes `kernel` the one that this machine enters. Once. */
  boot(kernel: KernelEntry): void;
}
