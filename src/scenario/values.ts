import { hex, parseUnsigned } from '../base/hex.ts';
import { parseMemEvent } from '../uapi/mem-event.ts';
import * as attrConstants from '../uapi/perf-event-attr.ts';
import {
  encodePerfEventAttr,
  PERF_ATTR_SIZE_VER7,
  type PerfEventAttr,
  perfEventAttrFlags,
} from '../uapi/perf-event-attr.ts';
import * as ioctlConstants from '../uapi/perf-event-ioctl.ts';
import { attrNumberKeys, attrWideKeys } from './attr-keys.ts';
import { toInteger } from './integer.ts';
import type { Lab } from './lab.ts';

/** A step that cannot be done as it is written; the message says what was expected. */
export class StepError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'StepError';
  }
}

const pageBytes = 4096n;
const codeLabels = 16;

/** Resolves "A.data+8", "A.code3", "sym:name", "0x1000". */
export function resolveAddress(lab: Lab, text: string): bigint {
  const plain = parseUnsigned(text);
  if (plain !== undefined) return plain;
  const match = /^(?:sym:(\w+)|(\w+)\.(?:(data|rmw|handler)|code(\d+)))(?:([+-])(\w+))?$/.exec(text);
  if (match === null) throw new StepError(`${JSON.stringify(text)} is no address`);
  const [, symbol, task = '', place, code = '0', sign, amount] = match;
  let base: bigint | undefined;
  if (symbol !== undefined) base = lab.machine?.symbol(symbol);
  else if (place === 'rmw' || place === 'handler') base = lab.tasks.placeAddress(task, place);
  else base = place === undefined ? lab.tasks.codeAddress(task, Number(code)) : lab.tasks.dataAddress(task);
  if (base === undefined) throw new StepError(`there is no symbol in ${JSON.stringify(text)}`);
  const offset = amount === undefined ? 0n : (parseUnsigned(amount) ?? 0n);
  return BigInt.asUintN(64, sign === '-' ? base - offset : base + offset);
}

/** `address` as "A.data+8" or "A.code3" where it lies in one of a task's places, "0x…" otherwise. */
export function nameAddress(lab: Lab, tasks: readonly string[], address: bigint): string {
  for (const task of tasks) {
    const data = lab.tasks.dataAddress(task);
    if (address >= data && address < data + pageBytes)
      return address === data ? `${task}.data` : `${task}.data+${address - data}`;
    for (let n = 0; n < codeLabels; n++)
      if (lab.tasks.codeAddress(task, n) === address) return `${task}.code${n}`;
  }
  return hex(address);
}

const bpTypes: Readonly<Record<string, number>> = { r: 1, w: 2, rw: 3, x: 4 };

/** Bits by the names of a header's constants: `names` with `prefix` before each. */
function bitsOf(names: unknown, prefix: string): number {
  if (typeof names === 'number') return names;
  if (!Array.isArray(names)) throw new StepError(`expected a list of names of ${prefix}*`);
  let bits = 0;
  for (const name of names) {
    const bit = (attrConstants as Record<string, unknown>)[`${prefix}${String(name)}`]; // a module is an object of its exports
    if (typeof bit !== 'number') throw new StepError(`there is no ${prefix}${String(name)}`);
    bits += bit;
  }
  return bits;
}

function integerOf(key: string, value: unknown): bigint {
  const integer = toInteger(value);
  if (integer === undefined) throw new StepError(`"${key}" is an integer, not ${JSON.stringify(value)}`);
  return integer;
}

/** The attr that a scenario's object spells. docs/spec/09 "Values". */
export function attrOf(lab: Lab, fields: Readonly<Record<string, unknown>>): PerfEventAttr {
  const attr: Record<string, unknown> = {
    type: attrConstants.PERF_TYPE_BREAKPOINT,
    size: PERF_ATTR_SIZE_VER7,
  };
  if (fields.mem !== undefined) {
    const parsed = parseMemEvent(String(fields.mem));
    if (parsed === undefined)
      throw new StepError(`${JSON.stringify(fields.mem)} is no event of the perf tool`);
    Object.assign(attr, parsed);
  }
  for (const [key, value] of Object.entries(fields)) {
    if (key === 'raw' || key === 'mem') continue;
    if (key === 'bpType')
      attr.bpType =
        typeof value === 'string' && value in bpTypes ? bpTypes[value] : Number(integerOf(key, value));
    else if (key === 'bpAddr')
      attr.bpAddr = typeof value === 'string' ? resolveAddress(lab, value) : integerOf(key, value);
    else if (key === 'bpLen') attr.bpLen = integerOf(key, value);
    else if (key === 'sampleFreq') attr.samplePeriod = integerOf(key, value);
    else if (key === 'sampleType') attr.sampleType = bitsOf(value, 'PERF_SAMPLE_');
    else if (key === 'readFormat') attr.readFormat = bitsOf(value, 'PERF_FORMAT_');
    else if (attrNumberKeys.includes(key)) attr[key] = Number(integerOf(key, value));
    else if (attrWideKeys.includes(key)) attr[key] = integerOf(key, value);
    else if (perfEventAttrFlags.some((flag) => flag === key)) {
      if (typeof value !== 'boolean') throw new StepError(`"${key}" is true or false`);
      attr[key] = value;
    } else throw new StepError(`unknown attr key "${key}"`);
  }
  return attr as unknown as PerfEventAttr; // built key by key from its own names
}

/** The bytes of an attr as a caller would hold them: `size` of them, patched as `raw` says. */
export function attrBytes(lab: Lab, fields: unknown): Uint8Array | 'bad' {
  if (fields === 'bad') return 'bad';
  const object = fields as Readonly<Record<string, unknown>>; // the parser has checked it
  const attr = attrOf(lab, object);
  const raw = object.raw;
  const patches = typeof raw === 'object' && raw !== null ? Object.entries(raw) : [];
  const furthest = Math.max(0, ...patches.map(([offset]) => Number(offset) + 1));
  const bytes = new Uint8Array(Math.max(PERF_ATTR_SIZE_VER7, Math.min(attr.size ?? 0, 2 * 4096), furthest));
  bytes.set(encodePerfEventAttr(attr));
  for (const [offset, byte] of patches) bytes[Number(offset)] = Number(byte);
  return bytes;
}

/** The number of an ioctl request by its name in the header without the prefix, or as a number. */
export function ioctlRequest(request: unknown): number {
  const number = toInteger(request);
  if (number !== undefined) return Number(number);
  const constant = (ioctlConstants as Record<string, unknown>)[`PERF_EVENT_IOC_${String(request)}`]; // as above
  if (typeof constant !== 'number') throw new StepError(`there is no PERF_EVENT_IOC_${String(request)}`);
  return constant;
}
