import type { ScenarioStep } from './format.ts';

/** Steps that make tasks. */
const makingSteps: readonly string[] = ['spawn', 'thread', 'fork'];
/** Steps in which a task or a CPU does something that a breakpoint may see, or after which a task is another. */
const actingSteps: readonly string[] = [
  ...['store', 'load', 'rmw', 'storeTwo', 'call', 'trap', 'syscallWrite', 'kernelAccess'],
  ...['exec', 'exit', 'cont', 'singlestep', 'nmi', 'vcpuRun'],
];

/**
 * How many steps at the beginning are set-up: up to and including the last one that makes a task before the first one
 * that acts. A watch of a scenario is armed behind them. docs/spec/09 "Watching".
 */
export function setUpLength(steps: readonly ScenarioStep[]): number {
  const first = steps.findIndex(({ step }) => actingSteps.includes(step));
  const quiet = first < 0 ? steps : steps.slice(0, first);
  return quiet.findLastIndex(({ step }) => makingSteps.includes(step)) + 1;
}
