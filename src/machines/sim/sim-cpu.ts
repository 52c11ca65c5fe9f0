import type { Cpu } from '../../machine/cpu.ts';
import type { KernelEntry } from '../../machine/kernel-entry.ts';
import type { SignalInfo } from '../../machine/signal-info.ts';
import type { CopyProgress } from './sim-frame.ts';
import type { SimRegisters } from './sim-registers.ts';
import type { SimTask } from './sim-task.ts';

/** How often one instruction may fault on a breakpoint before the simulation calls it an endless loop. */
export const refaultsMax: number = 8;

/** What a CPU needs of its machine. */
export interface CpuHost {
  point(): void;
  readonly kernel: KernelEntry;
  /** A signal that an instruction causes; taken before the next one. */
  forceSignal(task: SimTask, info: SignalInfo): void;
  deliverSignals(task: SimTask): void;
}

/** An access by kernel code. */
export interface KernelAccessOptions {
  readonly store: boolean;
  /** What the processor reports as its place if it traps behind the access, u64. */
  readonly ip: bigint;
  /** The kernel copies for a user. */
  readonly copy?: CopyProgress;
}

/**
 * A logical CPU: executes one instruction at a time, with the debug exceptions that its manual gives. An instruction of a
 * task goes through {@link beforeInstruction}, for each access {@link beforeAccess} and {@link dataBits}, and
 * {@link afterInstruction}.
 */
export abstract class SimCpu implements Cpu {
  readonly number: number;
  online = true;
  current: SimTask | null = null;
  abstract readonly registers: SimRegisters;
  /** The processor flag by which a task traps after its next instruction. */
  abstract readonly stepFlag: number;
  /** NMIs are blocked: one is being handled. */
  inNmi = false;
  /** Debug exceptions taken. */
  exceptions = 0;

  constructor(number: number) {
    this.number = number;
  }

  /**
   * The part of an instruction before its effects: execution breakpoints. The task stands at the instruction. False: its
   * tracer holds it there, and it is to be executed later.
   */
  abstract beforeInstruction(task: SimTask): boolean;

  /**
   * The part of an access before its effects, where data breakpoints fault. The task stands at the instruction. False: as
   * {@link beforeInstruction}.
   */
  abstract beforeAccess(
    task: SimTask,
    at: { readonly low: number; readonly high: number; readonly lenBytes: number },
    kind: 'load' | 'store' | 'rmw',
  ): boolean;

  /** What an access fires that traps behind the instruction, for {@link afterInstruction}. */
  abstract dataBits(addressLow: number, addressHigh: number, lenBytes: number, store: boolean): number;

  /** The part of an instruction after its effects: what it touched traps, and a step. The task stands after it. */
  abstract afterInstruction(task: SimTask, dataBits: number): void;

  /** An instruction whose effect is an exception; the task stands after it. */
  abstract trapInstruction(task: SimTask, kind: 'icebp' | 'int3'): void;

  /** One access by kernel code on this CPU. */
  abstract kernelAccess(
    addressLow: number,
    addressHigh: number,
    lenBytes: number,
    options: KernelAccessOptions,
  ): void;

  /** Kernel code on this CPU comes to an instruction: an execution breakpoint faults once, then it is executed. */
  abstract kernelExecute(ip: bigint): void;

  /** A signal handler of the task is about to execute its first instruction. */
  abstract enterHandler(task: SimTask): void;

  /** The handler is done; what it interrupted had `interruptedFlags`. */
  abstract leaveHandler(task: SimTask, interruptedFlags: number): void;
}
