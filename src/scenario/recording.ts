import type { Scenario, ScenarioMachine, ScenarioStep } from './format.ts';

/** What a kernel answered to scenarios, kept as data. */
export interface Recording {
  /** The kernel's release, and how it was run. */
  readonly kernel: { readonly release: string; readonly version: string; readonly machine: string };
  readonly command: string;
  /** The machine that a model has to be to answer the same. */
  readonly machine: Partial<ScenarioMachine>;
  /** Results of each step, by the scenario's name. */
  readonly results: ReadonlyMap<string, readonly Readonly<Record<string, unknown>>[]>;
}

/** A text that is not a recording. */
export class RecordingSyntaxError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RecordingSyntaxError';
  }
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads a recording. Throws {@link RecordingSyntaxError}. Grammar, one JSON object a line:
 *
 *     recording = header answers*
 *     header    = {"recording": 1, "kernel": {...}, "command": text, "machine": {...}, ...}
 *     answers   = {"scenario": name, "results": [{...}, ...]}     a result for each step
 */
export function parseRecording(text: string): Recording {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const objects = lines.map((line, n): JsonObject => {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      value = undefined;
    }
    if (!isObject(value)) throw new RecordingSyntaxError(`line ${n + 1}: expected one JSON object`);
    return value;
  });
  const [header, ...answers] = objects;
  if (header?.recording !== 1 || !isObject(header.kernel) || !isObject(header.machine))
    throw new RecordingSyntaxError('expected a header: {"recording": 1, "kernel": {...}, "machine": {...}}');
  const { release = '', version = '', machine = '' } = header.kernel;
  const results = new Map<string, readonly JsonObject[]>();
  for (const { scenario, results: own } of answers) {
    if (typeof scenario !== 'string' || !Array.isArray(own) || !own.every(isObject))
      throw new RecordingSyntaxError('expected answers: {"scenario": name, "results": [{...}]}');
    results.set(scenario, own);
  }
  return {
    kernel: { release: String(release), version: String(version), machine: String(machine) },
    command: String(header.command ?? ''),
    machine: header.machine,
    results,
  };
}

/**
 * A scenario whose every step expects what the recording has, on the machine of the recording; `undefined`: the recording
 * has not got it. Throws {@link RecordingSyntaxError} if it has another number of steps than when it was recorded.
 */
export function recordedScenario(scenario: Scenario, recording: Recording): Scenario | undefined {
  const results = recording.results.get(scenario.name);
  if (results === undefined) return undefined;
  if (results.length !== scenario.steps.length)
    throw new RecordingSyntaxError(
      `"${scenario.name}" has ${scenario.steps.length} steps, and ${results.length} when it was recorded`,
    );
  const steps = scenario.steps.map((step, n): ScenarioStep => ({ ...step, expect: results[n] ?? {} }));
  return { ...scenario, machine: { ...scenario.machine, ...recording.machine }, steps };
}
