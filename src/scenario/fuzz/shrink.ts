import { stepSpecs } from '../format.ts';
import type { FuzzScenario, FuzzStep } from './fuzz-scenario.ts';

/** Whether a scenario still shows what is to be kept. */
export type Shows = (candidate: FuzzScenario) => Promise<boolean>;

/**
 * The smallest scenario found that still shows it: first steps are taken out, in halves, then quarters, down to single
 * ones (delta debugging), then threads and children whose parent could do what they do, then keys are taken out and values made simple, until nothing more helps. Names that a step
 * taken out would have made take the steps that use them along. `limit` is how many candidates are tried at most.
 */
export async function shrink(scenario: FuzzScenario, shows: Shows, limit = 2000): Promise<FuzzScenario> {
  let left = limit;
  let smallest = scenario;
  const tries = async (steps: readonly FuzzStep[]): Promise<boolean> => {
    if (left-- <= 0) return false;
    const candidate = { ...smallest, steps };
    if (!(await shows(candidate))) return false;
    smallest = candidate;
    return true;
  };
  const size = (): number => JSON.stringify(smallest.steps).length;
  for (let before = Number.POSITIVE_INFINITY; size() < before && left > 0; ) {
    before = size();
    await withoutSteps(() => smallest.steps, tries);
    await withoutClones(() => smallest.steps, tries);
    await simpler(() => smallest.steps, tries);
  }
  return smallest;
}

type Tries = (steps: readonly FuzzStep[]) => Promise<boolean>;

/** Takes steps out, as many at a time as can be. */
async function withoutSteps(current: () => readonly FuzzStep[], tries: Tries): Promise<void> {
  for (let size = Math.ceil(current().length / 2); size >= 1; size = Math.floor(size / 2)) {
    // From the end: what a scenario starts with is needed the longest.
    for (let end = current().length; end > 0; ) {
      const steps = current();
      const start = Math.max(0, end - size);
      const kept = consistent([...steps.slice(0, start), ...steps.slice(end)]);
      if (kept.length > 0) await tries(kept);
      end = start;
    }
  }
}

/** Takes threads and children out, and has their parents do what they did. */
async function withoutClones(current: () => readonly FuzzStep[], tries: Tries): Promise<void> {
  for (let n = current().length - 1; n >= 0; n--) {
    const steps = current();
    const { step, task, as }: FuzzStep = steps[n] ?? { step: '' };
    if ((step !== 'thread' && step !== 'fork') || typeof task !== 'string' || typeof as !== 'string')
      continue;
    await tries([...steps.slice(0, n), ...renamed(steps.slice(n + 1), as, task)]);
  }
}

/** Steps that say `to` where they said `from`, alone or before a place. */
function renamed(steps: readonly FuzzStep[], from: string, to: string): readonly FuzzStep[] {
  const text = JSON.stringify(steps).replaceAll(`"${from}"`, `"${to}"`).replaceAll(`"${from}.`, `"${to}.`);
  return JSON.parse(text) as readonly FuzzStep[]; // steps hold nothing that JSON cannot
}

/** Without steps that use names of tasks and events that no step before them makes. */
export function consistent(steps: readonly FuzzStep[]): FuzzStep[] {
  const tasks = new Set(['self', 'nobody']);
  const events = new Set(['file', 'none']);
  const kept: FuzzStep[] = [];
  for (const step of steps) {
    if (!knowsItsNames(step, tasks, events)) continue;
    for (const [key, { kind }] of Object.entries(stepSpecs[step.step]?.keys ?? {})) {
      if (kind === 'newTask') tasks.add(String(step[key]));
      if (kind === 'newEvent') events.add(String(step[key]));
    }
    kept.push(step);
  }
  return kept;
}

function knowsItsNames(step: FuzzStep, tasks: ReadonlySet<string>, events: ReadonlySet<string>): boolean {
  for (const [key, { kind }] of Object.entries(stepSpecs[step.step]?.keys ?? {})) {
    const value = step[key];
    if (typeof value !== 'string') continue;
    if ((kind === 'task' || kind === 'target') && !tasks.has(value)) return false;
    if ((kind === 'event' || kind === 'group') && !events.has(value)) return false;
    if (key === 'arg' && /^e\d+$/.test(value) && !events.has(value)) return false;
    if (kind === 'address' && !tasks.has(taskOf(value))) return false;
  }
  const { attr } = step;
  const address = isAttr(attr) ? attr.bpAddr : undefined;
  return typeof address !== 'string' || tasks.has(taskOf(address));
}

/** The task whose place an address is in; "self" for a plain one. */
function taskOf(address: string): string {
  return /^([A-Za-z]\w*)\./.exec(address)?.[1] ?? 'self';
}

function isAttr(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Takes keys out and makes values simple, one at a time. */
async function simpler(current: () => readonly FuzzStep[], tries: Tries): Promise<void> {
  for (let n = current().length - 1; n >= 0; n--) {
    for (let found = true; found; ) {
      found = false;
      const step = current()[n];
      if (step === undefined) break;
      for (const candidate of simplerSteps(step, firstTask(current()))) {
        const steps = current().map((each, m) => (m === n ? candidate : each));
        if (!(await tries(steps))) continue;
        found = true;
        break;
      }
    }
  }
}

function firstTask(steps: readonly FuzzStep[]): unknown {
  return steps.find(({ step }) => step === 'spawn')?.task;
}

/** What a step that does less could be, boldest first. `first`: the task that is there from the start. */
function* simplerSteps(step: FuzzStep, first: unknown): Generator<FuzzStep> {
  const specs = stepSpecs[step.step]?.keys ?? {};
  const kind = specs.task?.kind;
  if ((kind === 'task' || kind === 'target') && typeof step.task === 'string' && step.task !== first)
    yield { ...step, task: first };
  const address = isAttr(step.attr) ? step.attr.bpAddr : undefined;
  if (isAttr(step.attr) && typeof address === 'string' && address.includes('.') && taskOf(address) !== first)
    yield {
      ...step,
      attr: { ...step.attr, bpAddr: `${String(first)}${address.slice(address.indexOf('.'))}` },
    };
  for (const key of Object.keys(step)) {
    // A task without a CPU of its own runs on any: then nothing about CPUs is determined.
    if (key === 'step' || specs[key]?.required === true || (step.step === 'spawn' && key === 'cpu')) continue;
    yield without(step, key);
  }
  if (isAttr(step.attr))
    for (const key of Object.keys(step.attr)) {
      if (key === 'bpType' || key === 'bpAddr') continue;
      yield { ...step, attr: without(step.attr, key) };
    }
  if (isAttr(step.attr))
    for (const [key, value] of Object.entries(step.attr))
      if (Array.isArray(value))
        for (let n = 0; n < value.length; n++)
          yield { ...step, attr: { ...step.attr, [key]: value.filter((_, m) => m !== n) } };
  if (typeof step.cpu === 'number' && step.cpu > 0 && step.step !== 'open') yield { ...step, cpu: 0 };
  if (typeof step.times === 'number' && step.times > 1) yield { ...step, times: step.times - 1 };
  if (step.step === 'fork') yield { ...step, step: 'thread' };
}

function without<T extends Readonly<Record<string, unknown>>>(object: T, key: string): T {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== key)) as T; // the key is optional
}
