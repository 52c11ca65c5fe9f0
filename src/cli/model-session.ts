import { ModelScenario } from '../hosts/model/model-scenario.ts';
import type { Scenario } from '../scenario/format.ts';
import { parseScenarios, ScenarioSyntaxError } from '../scenario/parser.ts';
import { StepError } from '../scenario/values.ts';
import type { Target } from '../watch/target.ts';
import type { WatchRequest } from '../watch/watch-request.ts';
import { parseCpus } from './durations.ts';
import { UsageError } from './errors.ts';
import { splitOnOption } from './on-option.ts';
import { readScenarioFile } from './scenario-files.ts';
import type { TargetFlags } from './target-options.ts';

/** The scenario of `--on model SCENARIO`, its tasks made. Throws {@link UsageError}. */
export async function startScenario(on: string): Promise<ModelScenario> {
  const scenario = scenarioOf(on);
  try {
    return await ModelScenario.start(scenario, { pause: eventLoopTurn });
  } catch (error) {
    if (error instanceof StepError) throw new UsageError(error.message);
    throw error;
  }
}

/** The scenario of `--on model SCENARIO`. Throws {@link UsageError}. */
export function scenarioOf(on: string): Scenario {
  const { kernel, file } = splitOnOption(on);
  if (kernel !== 'model') throw new UsageError(`--on ${kernel}: expected model and a scenario file`);
  if (file === undefined) throw new UsageError('--on model wants a scenario file behind it');
  return onlyScenario(file);
}

/** Lets signals and sockets be seen between two steps. */
export function eventLoopTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function onlyScenario(file: string): Scenario {
  let scenarios: Scenario[];
  try {
    scenarios = parseScenarios(file, readScenarioFile(file));
  } catch (error) {
    if (error instanceof ScenarioSyntaxError) throw new UsageError(error.message);
    throw error;
  }
  const [scenario, ...others] = scenarios;
  if (scenario === undefined || others.length > 0)
    throw new UsageError(`${file} holds ${scenarios.length} scenarios; one can be watched`);
  return scenario;
}

/**
 * Whom to watch in a scenario: what the flags say, tasks by their names; otherwise the process whose places are named.
 * Throws {@link UsageError}.
 */
export function scenarioTarget(
  flags: TargetFlags,
  requests: readonly WatchRequest[],
  scenario: ModelScenario,
): Target {
  const given = [flags.pid, flags.tid, flags.allCpus, flags.cpus].filter((each) => each !== undefined);
  if (given.length > 1) throw new UsageError('-p, -t, -a and -C exclude each other');
  if (flags.cpus !== undefined) return { type: 'cpus', cpus: parseCpus(flags.cpus) };
  if (flags.allCpus !== undefined) return { type: 'cpus' };
  const task = (name: string) => {
    const found = scenario.tasks.findLast((each) => each.name === name);
    if (found === undefined) throw new UsageError(`'${name}' is no task here; ${scenario.hint}`);
    return found;
  };
  if (flags.tid !== undefined) return { type: 'thread', tid: task(flags.tid).tid };
  if (flags.pid !== undefined) return { type: 'process', pid: task(flags.pid).pid };
  return { type: 'process', pid: onlyProcess(requests, scenario) };
}

function onlyProcess(requests: readonly WatchRequest[], scenario: ModelScenario): number {
  const pids = new Set<number>();
  for (const { text, location } of requests) {
    if (location.type === 'address') continue;
    if (location.type === 'expression') continue; // planning says that there are none
    const name = location.module === undefined ? location.name : `${location.module}:${location.name}`;
    const place = scenario.find(name);
    if (place === undefined) throw new UsageError(`'${text}': there is no '${name}'; ${scenario.hint}`);
    if (place.pid === 0) throw new UsageError(`'${text}' is the kernel's: give -a, -C LIST, or -p TASK`);
    pids.add(place.pid);
  }
  if (pids.size === 0) for (const { pid } of scenario.tasks) pids.add(pid);
  const [pid, ...others] = pids;
  if (pid === undefined) throw new UsageError('there is no task to watch when the scenario begins to act');
  if (others.length > 0) {
    const names = [...pids].map((each) => scenario.tasks.find((task) => task.pid === each)?.name);
    throw new UsageError(`which process? ${names.join(', ')} are meant: give one with -p TASK, or -a`);
  }
  return pid;
}
