import { AssertionError } from '../base/assert.ts';
import { Comparison, type FieldDifference } from './compare.ts';
import { holds, plainValue } from './expectation.ts';
import type { Scenario, ScenarioStep } from './format.ts';
import { type Lab, LabFailure, type LabMaker } from './lab.ts';
import { parseScenarios, ScenarioSyntaxError } from './parser.ts';
import { type Recording, recordedScenario } from './recording.ts';
import { StepRunner } from './step-runner.ts';
import type { StepResult } from './steps/step-context.ts';
import { StepError } from './values.ts';

/** A text to be read as scenarios. */
export interface ScenarioSource {
  /** For messages: the file's path. */
  readonly name: string;
  readonly text: string;
}

/** A step that was executed. */
export interface StepOutcome {
  readonly line: number;
  readonly step: string;
  /** The result's fields; 64-bit numbers that a double cannot hold are "0x…". */
  readonly result: StepResult;
  readonly held: boolean;
  /** What was expected, if the step differed. */
  readonly expected?: unknown;
}

/** How a scenario went. */
export interface ScenarioOutcome {
  readonly name: string;
  readonly source: string;
  /** `broken`: the lab failed, as when a live task died; that says nothing about the kernel. */
  readonly status: 'held' | 'differed' | 'skipped' | 'broken';
  /** Why it was skipped, what differed, or what broke. */
  readonly reason?: string;
  /** What two kernels gave differently. */
  readonly difference?: StepDifference;
  /** How often it differed before it held, undisturbed: the difference is not steady. */
  readonly unsteady?: number;
  readonly steps: readonly StepOutcome[];
}

/** What two kernels gave differently: the step's name besides. */
export interface StepDifference extends FieldDifference {
  readonly step: string;
}

/** How a run went. */
export interface RunReport {
  readonly scenarios: readonly ScenarioOutcome[];
  readonly executedSteps: number;
  /** A text that is not a scenario: nothing was executed. */
  readonly syntaxError?: { readonly source: string; readonly line: number; readonly message: string };
  /** 0: all held; 1: a step differed, or none was executed; 2: a text is not a scenario. */
  readonly exitCode: 0 | 1 | 2;
}

/** Where scenarios run, and who is told of each one that ended. */
export interface RunOptions {
  readonly maker: LabMaker;
  /** Runs every scenario here too, and compares every result: the first is the one whose results are reported. */
  readonly against?: LabMaker;
  readonly onScenario?: (outcome: ScenarioOutcome) => void;
  /** What a kernel answered once: every result must be that, in place of what the scenarios expect. */
  readonly recording?: Recording;
}

/**
 * Runs all scenarios of some texts. The first text that is not a scenario ends the run before anything is executed.
 * docs/spec/09 "Runner".
 */
export async function runScenarioFiles(
  sources: readonly ScenarioSource[],
  options: RunOptions,
): Promise<RunReport> {
  let scenarios: Scenario[];
  try {
    scenarios = sources.flatMap(({ name, text }) => parseScenarios(name, text));
  } catch (error) {
    if (!(error instanceof ScenarioSyntaxError)) throw error;
    const { source, line, message } = error;
    return { scenarios: [], executedSteps: 0, syntaxError: { source, line, message }, exitCode: 2 };
  }
  const outcomes: ScenarioOutcome[] = [];
  for (const scenario of scenarios) {
    const recorded =
      options.recording === undefined ? scenario : recordedScenario(scenario, options.recording);
    const { name, source } = scenario;
    const outcome =
      recorded === undefined
        ? { name, source, status: 'skipped' as const, reason: 'the recording has not got it', steps: [] }
        : await runScenario(recorded, options.maker, options.against);
    outcomes.push(outcome);
    options.onScenario?.(outcome);
  }
  const executedSteps = outcomes.reduce((sum, outcome) => sum + outcome.steps.length, 0);
  const failed =
    executedSteps === 0 || outcomes.some(({ status }) => status === 'differed' || status === 'broken');
  return { scenarios: outcomes, executedSteps, exitCode: failed ? 1 : 0 };
}

/**
 * How often a scenario that differed is run again where others use the machine too: a difference counts when it was seen
 * twice with nobody disturbing.
 */
const attempts = 6;
const seenEnough = 2;

/** How one scenario is run. */
export interface ScenarioOptions {
  /**
   * A step that makes no sense, as one of a task whose clone was refused, is a result to be compared like any other, not
   * an error of the scenario: nobody wrote it by hand.
   */
  readonly senselessIsResult?: boolean;
}

/**
 * Runs one scenario in labs of its own; it ends at the first step that differs from what is expected, or, with a second
 * maker, from kernel to kernel.
 */
export async function runScenario(
  scenario: Scenario,
  maker: LabMaker,
  against?: LabMaker,
  options: ScenarioOptions = {},
): Promise<ScenarioOutcome> {
  const makers = against === undefined ? [maker] : [maker, against];
  const disturbance = (): string | undefined =>
    makers.map((each) => each.disturbance?.()).find((reason) => reason !== undefined);
  const shared = makers.some((each) => each.disturbance !== undefined);
  let outcome = await runOnce(scenario, makers, options);
  if (!shared) return outcome;
  let disturbed: string | undefined;
  let differed = 0;
  for (let seen = 0, left = attempts; outcome.status === 'differed' && left > 0; left--) {
    const before = disturbance();
    outcome = await runOnce(scenario, makers, options);
    differed++;
    disturbed = before ?? disturbance();
    if (disturbed === undefined && ++seen === seenEnough) return outcome;
  }
  if (outcome.status === 'held' && differed > 0 && disturbed === undefined)
    return { ...outcome, unsteady: differed };
  if (outcome.status !== 'differed' || disturbed === undefined) return outcome;
  const { name, source } = scenario;
  return { name, source, status: 'skipped', reason: disturbed, steps: [] };
}

async function runOnce(
  scenario: Scenario,
  makers: readonly LabMaker[],
  options: ScenarioOptions,
): Promise<ScenarioOutcome> {
  const { name, source } = scenario;
  let { machine } = scenario;
  for (const maker of makers) {
    const refusal = maker.refuses(scenario.machine, scenario.needs);
    if (refusal !== undefined) return { name, source, status: 'skipped', reason: refusal, steps: [] };
    machine = maker.adopt?.(machine) ?? machine;
  }
  const labs: Lab[] = [];
  const steps: StepOutcome[] = [];
  const place = (): string => `${source}:${scenario.steps[steps.length]?.line ?? 0}`;
  let reason: string | undefined;
  let difference: StepDifference | undefined;
  let broken = false;
  try {
    for (const maker of makers) labs.push(await maker.make(machine));
    const runners = labs.map((lab) => new StepRunner(lab));
    for (const runner of runners) {
      const lacking = missingStep(scenario, runner);
      if (lacking !== undefined) return { name, source, status: 'skipped', reason: lacking, steps };
    }
    const comparison = new Comparison();
    for (const step of scenario.steps) {
      const results: StepResult[] = [];
      for (const runner of runners) results.push(await execute(runner, step, options));
      difference = differing(step, results, comparison);
      reason = judged(step, results, labs, difference, place());
      steps.push(judge(step, results[0] ?? {}));
      if (reason !== undefined) break;
    }
  } catch (error) {
    broken = error instanceof LabFailure;
    if (!(error instanceof StepError) && !(error instanceof AssertionError) && !broken) throw error;
    reason = `${place()}: ${(error as Error).message}`; // one of these three
  } finally {
    for (const lab of labs) reason = (await closed(lab)) ?? reason;
  }
  return reason === undefined
    ? { name, source, status: 'held', steps }
    : {
        name,
        source,
        status: broken ? 'broken' : 'differed',
        reason,
        steps,
        ...(difference === undefined ? {} : { difference }),
      };
}

async function execute(
  runner: StepRunner,
  step: ScenarioStep,
  options: ScenarioOptions,
): Promise<StepResult> {
  try {
    return await runner.execute(step);
  } catch (error) {
    if (options.senselessIsResult === true && error instanceof StepError) return { senseless: true };
    throw error;
  }
}

function differing(
  step: ScenarioStep,
  results: readonly StepResult[],
  comparison: Comparison,
): StepDifference | undefined {
  const [first, second] = results;
  if (first === undefined || second === undefined) return undefined;
  const difference = comparison.difference(step, [first, second]);
  return difference === undefined ? undefined : { step: step.step, ...difference };
}

/** What is wrong with the results of a step, one of each lab; `undefined`: nothing. */
function judged(
  step: ScenarioStep,
  results: readonly StepResult[],
  labs: readonly Lab[],
  difference: StepDifference | undefined,
  place: string,
): string | undefined {
  if (difference !== undefined) {
    const told = difference.values.map((value, n) => `${labs[n]?.kernel} ${JSON.stringify(value)}`);
    return `${place}: ${step.step}: ${difference.field}: ${told.join(', ')}`;
  }
  for (const [n, result] of results.entries()) {
    const outcome = judge(step, result);
    const kernel = labs.length > 1 ? ` of ${labs[n]?.kernel}` : '';
    if (!outcome.held)
      return `${place}: ${step.step}: expected ${JSON.stringify(outcome.expected)}, got ${JSON.stringify(outcome.result)}${kernel}`;
  }
  return undefined;
}

/** Why a lab cannot run a scenario, by the first step that it cannot do. */
export function missingStep(scenario: Scenario, runner: StepRunner): string | undefined {
  for (const step of scenario.steps) {
    const reason = runner.lacks(step);
    if (reason !== undefined) return `${reason} (line ${step.line})`;
  }
  return undefined;
}

/** Closes a lab; gives what it says of things left behind. */
async function closed(lab: Lab): Promise<string | undefined> {
  try {
    await lab.close();
    return undefined;
  } catch (error) {
    if (error instanceof AssertionError) return error.message;
    throw error;
  }
}

function judge(step: ScenarioStep, result: StepResult): StepOutcome {
  const expected = step.expect ?? { errno: 0 };
  const held = Object.entries(expected).every(([key, value]) => holds(value, result[key]));
  const plain = plainValue(result) as StepResult; // the same fields
  return held
    ? { line: step.line, step: step.step, result: plain, held }
    : { line: step.line, step: step.step, result: plain, held, expected };
}
