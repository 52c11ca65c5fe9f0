import { plainValue } from './expectation.ts';
import type { ScenarioStep } from './format.ts';
import type { StepResult } from './steps/step-context.ts';

/** A field of a step's result that two kernels give differently. */
export interface FieldDifference {
  /** Path of the field: "value", "members.0.lost". */
  readonly field: string;
  /** As the kernels gave it, in their order. */
  readonly values: readonly [unknown, unknown];
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Compares what two kernels answer to the steps of one scenario, field by field, by the rules of docs/spec/09 "Steps":
 * times only in order, addresses outside the places of tasks only as such, and no counts of an event that was open when a
 * kernel wrote several bytes on a task's behalf (how many hits that is depends on the processor).
 */
export class Comparison {
  readonly #open: Set<string> = new Set();
  /** Events whose counts depend on the processor. */
  readonly #vague: Set<string> = new Set();
  /** Some event samples by frequency, or at one in many hits of a family: nobody can say which. */
  #loose = false;
  /** Some event is inherited: which copy counts for whom may change at a switch. */
  #inherited = false;

  /** The first difference of a step; `undefined`: they agree. To be called for every step, in order. */
  difference(step: ScenarioStep, results: readonly [StepResult, StepResult]): FieldDifference | undefined {
    const { keys } = step;
    if (step.step === 'open') {
      this.#open.add(String(keys.as));
      if (samplesLoosely(keys.attr)) this.#loose = true;
      if (isFields(keys.attr) && keys.attr.inherit === true) this.#inherited = true;
    }
    if (step.step === 'syscallWrite' && keys.len !== 1) for (const name of this.#open) this.#vague.add(name);
    const event = String(keys.event);
    const group = results.some((result) => 'members' in result);
    const vague = step.step === 'read' && (this.#vague.has(event) || (group && this.#vague.size > 0));
    if (step.step === 'close') {
      this.#open.delete(event);
      this.#vague.delete(event);
    }
    // What a ring holds follows from how many hits there were, and its loss from what it holds.
    const looseRing = this.#loose || this.#vague.size > 0;
    if (looseRing && (step.step === 'records' || step.step === 'poll'))
      return fieldDifference(results[0].errno, results[1].errno, 'errno');
    const timeless = results.some((result) => !timePassed(plainValue(result)));
    const [first, second] = results.map((result) =>
      comparable(plainValue(result), { vague, timeless, looseRing, exchanged: this.#inherited }),
    );
    return fieldDifference(first, second, '');
  }
}

/** Fields that hold an address by name, or as a number where it is in no named place. */
const addressKeys: readonly string[] = ['addr', 'at', 'ip'];

interface Leniency {
  /** Counts are not compared. */
  readonly vague: boolean;
  /** On one of the kernels no time passed: then times have no order. */
  readonly timeless: boolean;
  /** Nor is what was lost. */
  readonly looseRing: boolean;
  /** Nor are STREAM_IDs. docs/spec/03 section 8. */
  readonly exchanged: boolean;
}

function samplesLoosely(attr: unknown): boolean {
  if (!isFields(attr)) return false;
  const { freq, inherit, samplePeriod = 0 } = attr;
  return freq === true || (inherit === true && samplePeriod !== 0 && samplePeriod !== 1);
}

function timePassed(value: unknown): boolean {
  return !isFields(value) || !('timeEnabled' in value) || value.timeEnabled !== 0;
}

/** A result with what cannot be compared taken out, and times replaced by their order. */
function comparable(value: unknown, lenient: Leniency): unknown {
  if (Array.isArray(value)) return value.map((entry) => comparable(entry, lenient));
  if (!isFields(value)) return value;
  const fields: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (key === 'timeEnabled' || key === 'timeRunning' || (lenient.vague && key === 'value')) continue;
    if (key === 'lost' && lenient.looseRing) continue;
    // 0 or a page: whether one is there that was never stored to is not for breakpoints to say.
    if (key === 'physAddr') continue;
    if ((key === 'streamId' || key === 'ofStreamId') && lenient.exchanged) continue;
    fields[key] =
      addressKeys.includes(key) && String(entry).startsWith('0x') && entry !== '0x0'
        ? 'elsewhere'
        : comparable(entry, lenient);
  }
  if ('timeEnabled' in value) fields.timeEnabled = 'told';
  if ('timeRunning' in value) fields.timeRunning = 'told';
  if ('timeEnabled' in value && 'timeRunning' in value && !lenient.timeless) {
    const [enabled, running] = [BigInt(String(value.timeEnabled)), BigInt(String(value.timeRunning))];
    fields.times = running === enabled ? 'all the time' : running < enabled ? 'not all the time' : 'wrong';
  }
  return fields;
}

function fieldDifference(first: unknown, second: unknown, field: string): FieldDifference | undefined {
  const both = isFields(first) && isFields(second);
  const lists = Array.isArray(first) && Array.isArray(second) && first.length === second.length;
  if (!both && !lists) return first === second ? undefined : { field, values: [first, second] };
  const [a, b] = [first as Fields, second as Fields]; // lists have their indices as keys
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const found = fieldDifference(a[key], b[key], field === '' ? key : `${field}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}
