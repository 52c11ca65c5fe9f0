import type { TrapFrame } from '../arch/trap-frame.ts';
import type { Cpu } from './cpu.ts';
import type { Task } from './task.ts';

/** How a task came from another. */
export interface CloneKind {
  /** A thread of the same process. */
  readonly thread: boolean;
  /** CLONE_CLEAR_SIGHAND: the child starts with default signal handling. */
  readonly clearHandlers: boolean;
}

/** The ways into a kernel: what a machine calls when something happens. */
export interface KernelEntry {
  /** A debug exception on `cpu`. Gives the `si_code` of the SIGTRAP for the interrupted task; 0: none. */
  debugException(cpu: Cpu, frame: TrapFrame): number;
  /** `cpu` stops executing `previous` and goes on with `next`; null is idle. */
  switchTask(cpu: Cpu, previous: Task | null, next: Task | null): void;
  /** `child` is about to start. Throws `KernelError`: then it never does. */
  cloned(parent: Task, child: Task, kind: CloneKind): void;
  executed(task: Task): void;
  /** `task` gave itself another name. */
  renamed(task: Task): void;
  /** `task` ends; it is not executed any more. */
  exited(task: Task): void;
  /** The timer interrupt of a CPU. */
  tick(cpu: Cpu): void;
  /** A CPU came up, its registers in the state after power-on. */
  cpuOnline(cpu: Cpu): void;
  /** A CPU goes down; its tasks have left. */
  cpuOffline(cpu: Cpu): void;
  /** A CPU stayed online while the machine was suspended; its registers are in the state after power-on. */
  cpuResumed(cpu: Cpu): void;
  /** Another kernel takes over a CPU (kexec). */
  cpuLeft(cpu: Cpu): void;
  /** A non-maskable interrupt on `cpu`, which may have come in the middle of anything: executes `handler`. */
  nmi(cpu: Cpu, handler: () => void): void;
}
