import type { LaunchedTask } from './tasks.ts';

/** The debug registers of a task as ptrace(2) gives them (`u_debugreg` of the user area; x86). */
export interface DebugRegisterAccess {
  /** The value of debug register `n` (0 to 7) of a task that this process launched and still holds. */
  peek(task: LaunchedTask, n: number): bigint;
  poke(task: LaunchedTask, n: number, value: bigint): void;
  /** Lets the task run until its next stop, and tells the signal it stopped with; `undefined` if it ended. */
  continueToStop(task: LaunchedTask): number | undefined;
}
