import type { SimTask } from '../../machines/sim/sim-task.ts';
import type { LabSignal } from '../../scenario/lab.ts';

/** Signals that a task got, but for the first so many. */
export function labSignals(task: SimTask, before: number): LabSignal[] {
  return task.received.slice(before).map(({ address, ...rest }) => ({ ...rest, addr: address }));
}
