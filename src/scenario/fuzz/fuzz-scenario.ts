import type { Scenario } from '../format.ts';
import { parseScenarios } from '../parser.ts';

/** A generated step, spelled as its line in docs/spec/09 is, without `expect`. */
export interface FuzzStep {
  readonly step: string;
  readonly [key: string]: unknown;
}

/** Steps that need a tracer. */
const tracerSteps: readonly string[] = ['attach', 'detach', 'cont', 'singlestep', 'pokeuser', 'peekuser'];

/** A generated scenario. */
export interface FuzzScenario {
  readonly name: string;
  /** CPUs that it needs; more than one is also said in its `needs`. */
  readonly cpus: number;
  readonly steps: readonly FuzzStep[];
}

/**
 * A scenario as a text of docs/spec/09. Every step accepts any result: what counts is that two kernels give the same.
 */
export function fuzzScenarioText(scenario: FuzzScenario): string {
  const { name, cpus, steps } = scenario;
  const needs = ['root', ...(cpus > 1 ? ['two-cpus'] : [])];
  if (steps.some(({ step }) => step === 'bpf')) needs.push('bpf');
  if (steps.some(({ step }) => tracerSteps.includes(step))) needs.push('ptrace');
  const header = { scenario: name, machine: { cpus }, needs, origin: 'fuzz' };
  const lines = [header, ...steps.map((step) => ({ ...step, expect: {} }))];
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** A generated scenario, read as a file of it would be. Throws `ScenarioSyntaxError`. */
export function readFuzzScenario(scenario: FuzzScenario): Scenario {
  const [parsed] = parseScenarios(scenario.name, fuzzScenarioText(scenario));
  if (parsed === undefined) throw new Error('a text with a header has a scenario');
  return parsed;
}
