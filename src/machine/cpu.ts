import type { DebugRegisters } from '../arch/debug-registers.ts';
import type { Task } from './task.ts';

/** A logical CPU, as a machine shows it to a kernel. */
export interface Cpu {
  /** 0 to the number of possible CPUs - 1. */
  readonly number: number;
  readonly online: boolean;
  /** What it executes; null: nothing (idle). */
  readonly current: Task | null;
  readonly registers: DebugRegisters;
}
