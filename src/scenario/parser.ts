import { parseUnsigned } from '../base/hex.ts';
import { attrKeys } from './attr-keys.ts';
import {
  headerKeys,
  type KeyKind,
  machineKeys,
  needNames,
  type Scenario,
  type ScenarioMachine,
  type ScenarioStep,
  stepSpecs,
} from './format.ts';
import { toInteger } from './integer.ts';

/** A text that is not a scenario. The front end ends with exit code 2. */
export class ScenarioSyntaxError extends Error {
  readonly source: string;
  /** From 1. */
  readonly line: number;

  constructor(source: string, line: number, message: string) {
    super(`${source}:${line}: ${message}`);
    this.name = 'ScenarioSyntaxError';
    this.source = source;
    this.line = line;
  }
}

/** What an arm64 processor has unless the header says otherwise. */
const defaultBrps = 6;
const defaultWrps = 4;

type JsonObject = Record<string, unknown>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What every step may have besides its own keys. */
const commonKeys = ['step', 'expect'];

/**
 * Reads scenarios line by line. Grammar, one JSON object a line, blank lines passed over:
 *
 *     scenario = header step*
 *     header   = {"scenario": name, "machine"?: {...}, "needs"?: [...], "origin"?: text}
 *     step     = {"step": name, key: value ..., "expect"?: {...}}
 *
 * A further header in the same text starts a further scenario. docs/spec/09.
 */
class Parser {
  readonly #source: string;
  readonly #scenarios: Scenario[] = [];
  readonly #tasks: Set<string> = new Set();
  readonly #events: Set<string> = new Set();
  #line = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(text: string): Scenario[] {
    let steps: ScenarioStep[] | undefined;
    for (const line of text.split('\n')) {
      this.#line++;
      if (line.trim() === '') continue;
      const object = this.#json(line);
      if ('scenario' in object) {
        steps = [];
        this.#tasks.clear();
        this.#tasks.add('self');
        this.#events.clear();
        this.#scenarios.push(this.#header(object, steps));
      } else if (steps === undefined) this.#fail('expected a header: {"scenario": name, ...}');
      else steps.push(this.#step(object));
    }
    if (this.#scenarios.length === 0)
      this.#fail('expected a header: {"scenario": name, ...}; the text is empty');
    return this.#scenarios;
  }

  #json(line: string): JsonObject {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      this.#fail(`expected one JSON object: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (!isObject(value)) this.#fail('expected one JSON object');
    return value;
  }

  #header(object: JsonObject, steps: readonly ScenarioStep[]): Scenario {
    this.#only(object, headerKeys, 'a header');
    const { scenario: name, machine, needs = [], origin = '' } = object;
    if (typeof name !== 'string' || name === '') this.#fail('"scenario" is a name');
    if (!Array.isArray(needs) || !needs.every((need) => needNames.includes(String(need))))
      this.#fail(`"needs" is a list of ${needNames.join(', ')}`);
    if (typeof origin !== 'string') this.#fail('"origin" is a text');
    return {
      name,
      source: this.#source,
      machine: this.#machine(machine ?? {}),
      needs: needs.map(String),
      origin,
      steps,
    };
  }

  #machine(machine: unknown): ScenarioMachine {
    if (!isObject(machine)) this.#fail('"machine" is an object');
    this.#only(machine, machineKeys, 'a machine');
    const {
      arch = 'x86',
      cpus = 2,
      era = 'modern',
      features = [],
      paranoid = 2,
      kallsyms = {},
      offline = [],
      brps = defaultBrps,
      wrps = defaultWrps,
    } = machine;
    if (arch !== 'x86' && arch !== 'arm64') this.#fail('"arch" is "x86" or "arm64"');
    if (typeof cpus !== 'number' || !Number.isInteger(cpus) || cpus < 1 || cpus > 4096)
      this.#fail('"cpus" is 1 to 4096');
    if (typeof era !== 'string') this.#fail('"era" is a text');
    if (!Array.isArray(features) || !features.every((feature) => typeof feature === 'string'))
      this.#fail('"features" is a list of texts');
    if (typeof paranoid !== 'number' || paranoid < -1 || paranoid > 2) this.#fail('"paranoid" is -1 to 2');
    if (
      !isObject(kallsyms) ||
      !Object.values(kallsyms).every(
        (value) => typeof value === 'string' && parseUnsigned(value) !== undefined,
      )
    )
      this.#fail('"kallsyms" is an object of name: address');
    if (!Array.isArray(offline) || !offline.every((cpu) => typeof cpu === 'number' && cpu >= 0 && cpu < cpus))
      this.#fail('"offline" is a list of CPUs');
    const symbols = Object.fromEntries(Object.entries(kallsyms).map(([key, value]) => [key, String(value)]));
    return {
      arch,
      cpus,
      brps: this.#registerCounts('brps', brps),
      wrps: this.#registerCounts('wrps', wrps),
      era,
      features: features.map(String),
      paranoid,
      kallsyms: symbols,
      offline: offline.map(Number),
    };
  }

  /** A number of registers for all CPUs, or a list by CPU. */
  #registerCounts(key: string, value: unknown): readonly number[] {
    const counts: readonly unknown[] = Array.isArray(value) ? value : [value];
    const numbers = counts.filter(
      (count): count is number =>
        typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= 16,
    );
    if (numbers.length === 0 || numbers.length !== counts.length)
      this.#fail(`"${key}" is 1 to 16, or a list of such numbers`);
    return numbers;
  }

  #step(object: JsonObject): ScenarioStep {
    const { step } = object;
    const spec = typeof step === 'string' && Object.hasOwn(stepSpecs, step) ? stepSpecs[step] : undefined;
    if (typeof step !== 'string' || spec === undefined)
      this.#fail(
        `unknown step ${JSON.stringify(step)}; expected one of ${Object.keys(stepSpecs).join(', ')}`,
      );
    this.#only(object, [...commonKeys, ...Object.keys(spec.keys)], `step "${step}"`);
    const keys: JsonObject = {};
    for (const [key, { kind, required }] of Object.entries(spec.keys)) {
      const value = object[key];
      if (value === undefined) {
        if (required === true) this.#fail(`step "${step}" needs "${key}"`);
        continue;
      }
      keys[key] = this.#value(`"${key}" of step "${step}"`, kind, value);
    }
    const { expect } = object;
    if (expect !== undefined && !isObject(expect)) this.#fail('"expect" is an object');
    return { line: this.#line, step, keys, expect };
  }

  #value(where: string, kind: KeyKind, value: unknown): unknown {
    const fail = (what: string): never => this.#fail(`${where} is ${what}, not ${JSON.stringify(value)}`);
    switch (kind) {
      case 'task':
      case 'event':
        if (typeof value !== 'string') return fail(`the name of ${kind === 'task' ? 'a task' : 'an event'}`);
        if (!(kind === 'task' ? this.#tasks : this.#events).has(value))
          return fail(`the name of ${kind === 'task' ? 'a task' : 'an event'} that an earlier step made`);
        return value;
      case 'newTask':
      case 'newEvent':
        if (typeof value !== 'string' || value === '' || value === 'self') return fail('a new name');
        (kind === 'newTask' ? this.#tasks : this.#events).add(value);
        return value;
      case 'address':
        return typeof value === 'string' && isAddress(value)
          ? value
          : fail('an address: "0x1000", "A.data+8", "A.code3"');
      case 'integer':
        return toInteger(value) === undefined ? fail('an integer') : value;
      case 'integers':
        return Array.isArray(value) &&
          value.every((entry) => typeof entry === 'number' && Number.isInteger(entry))
          ? value
          : fail('a list of integers');
      case 'boolean':
        return typeof value === 'boolean' ? value : fail('true or false');
      case 'text':
        return typeof value === 'string' ? value : fail('a text');
      case 'attr':
        if (value === 'bad') return value;
        if (!isObject(value)) return fail('an object of attr fields, or "bad"');
        this.#only(value, attrKeys, where);
        return value;
      case 'target':
        if (value === null || value === 'nobody' || (typeof value === 'string' && this.#tasks.has(value)))
          return value;
        return fail('null, "self", "nobody", or the name of a task that an earlier step made');
      case 'group':
        if (value === 'file' || value === 'none' || (typeof value === 'string' && this.#events.has(value)))
          return value;
        return fail('"file", "none", or the name of an event that an earlier step made');
      case 'step':
        return isObject(value) ? this.#step(value) : fail('a step');
      case 'steps':
        return Array.isArray(value)
          ? value.map((entry) => (isObject(entry) ? this.#step(entry) : fail('a list of steps')))
          : fail('a list of steps');
      default:
        return value;
    }
  }

  #only(object: JsonObject, known: readonly string[], what: string): void {
    for (const key of Object.keys(object))
      if (!known.includes(key)) this.#fail(`unknown key "${key}" in ${what}; expected ${known.join(', ')}`);
  }

  #fail(message: string): never {
    throw new ScenarioSyntaxError(this.#source, this.#line, message);
  }
}

/** `"0x1000"`, `"A.data+8"`, `"A.code3"`, `"A.rmw"`, `"sym:name+8"`. */
const addressPattern =
  /^(?:0x[0-9a-f]{1,16}|[0-9]+|[A-Za-z]\w*\.(?:data|code(?:[0-9]|1[0-5])|rmw|handler)(?:[+-](?:0x[0-9a-f]+|[0-9]+))?|sym:\w+(?:\+(?:0x[0-9a-f]+|[0-9]+))?)$/i;

function isAddress(text: string): boolean {
  return addressPattern.test(text);
}

/** The scenarios in a text. Throws {@link ScenarioSyntaxError}. */
export function parseScenarios(source: string, text: string): Scenario[] {
  return new Parser(source).parse(text);
}
