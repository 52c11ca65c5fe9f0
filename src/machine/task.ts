import type { Cpu } from './cpu.ts';
import type { SignalInfo } from './signal-info.ts';

/** Capabilities that the layer asks for. Source: capabilities(7). */
export type Capability = 'SYS_ADMIN' | 'PERFMON' | 'SYS_PTRACE' | 'KILL' | 'IPC_LOCK' | 'BPF';

/** Who a task is. */
export interface Credentials {
  readonly uid: number;
  readonly capabilities: ReadonlySet<Capability>;
}

/** A thread, as a machine shows it to a kernel. */
export interface Task {
  /** Thread id, unique among living tasks. */
  readonly tid: number;
  /** Thread group: the tid of its first thread. */
  readonly pid: number;
  /** The process that is told of its end. */
  readonly parentPid: number;
  readonly name: string;
  readonly credentials: Credentials;
  /** False from the moment it began to end. */
  readonly alive: boolean;
  /** The CPU that executes it right now; null while it waits. */
  readonly cpu: Cpu | null;
  /** Whether it blocks a signal right now. */
  blocks(signal: number): boolean;
  /** The thread's virtual debug status (x86: virtual DR6, positive polarity; 0: no reason given). */
  debugStatus: number;
  /** Its high word, which only a tracer can write; every debug exception from user mode clears it. */
  debugStatusHigh: number;
  /** Another task traces it: signals stop it instead of being delivered. */
  traced: boolean;
  /** Why its tracer holds it; null: it may be executed. */
  readonly stop: SignalInfo | null;
  /** A trap comes after the next instruction (x86: TF). */
  singleStep: boolean;
  /** What the kernel keeps for the task. The machine does not look at it. */
  attachment: object | undefined;
}
