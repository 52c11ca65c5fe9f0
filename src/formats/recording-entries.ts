import type { CodeLocation, InlinedInto } from '../symbols/code-location.ts';
import type { CodeAccess } from '../watch/code-sites.ts';
import type { PlannedWatch } from '../watch/plan.ts';
import {
  asFields,
  count,
  defined,
  type Fields,
  flag,
  list,
  optionalCount,
  optionalText,
  optionalU64,
  parseFields,
  text,
  toJson,
  u64,
  word,
} from './json-fields.ts';
import { RecordingError } from './recording-error.ts';
import { parseType, typeFields } from './type-json.ts';

// What a recording holds besides its rows: JSON objects in the dictionary of its column `access`, in the order in which
// they became known (docs/recording-format.md). Sites, frames and stacks are numbered by their order, each kind from 0.

/** The version of the format that this code writes; it reads this one and older ones. */
export const recordingVersion = 1;

/** The first entry: what was recorded, and where. */
export interface RecordingHeader {
  readonly type: 'recording';
  /** "Linux 6.1.0 x86_64". */
  readonly kernel: string;
  readonly machine: {
    readonly hostname?: string;
    readonly release?: string;
    readonly arch?: string;
    /** The CPU's name. */
    readonly cpu?: string;
    readonly cpus: number;
  };
  /** "trapline 0.1.0". */
  readonly tool: string;
  readonly command: readonly string[];
  readonly pid?: number | undefined;
  readonly comm: string;
  readonly threads: number;
  readonly cpus: readonly number[];
  readonly kernelMode: boolean;
  readonly notes: readonly string[];
  /** When arming began, CLOCK_MONOTONIC, and CLOCK_REALTIME at that time. */
  readonly sinceNs: bigint;
  readonly wallClockNs: bigint;
  readonly stacks: boolean;
  readonly values: boolean;
  readonly watches: readonly PlannedWatch[];
}

/** Code that made hits of one watch. */
export interface SiteEntry {
  readonly type: 'site';
  /** 0: kernel code. */
  readonly pid: number;
  readonly watch: number;
  readonly code: CodeAccess;
}

/** A frame of stacks. */
export interface FrameEntry {
  readonly type: 'frame';
  readonly kernel: boolean;
  readonly location: CodeLocation;
}

/** Frames, innermost first. */
export interface StackEntry {
  readonly type: 'stack';
  readonly frames: readonly number[];
}

/** What rows refer to: who accessed, on which CPU, by which code. Its number is its place among all entries. */
export interface AccessEntry {
  readonly type: 'access';
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly cpu: number;
  readonly site: number;
  /** 0: none; otherwise 1 + the number of the stack. */
  readonly stack: number;
}

/** A file mapped with execute rights. */
export interface MappingEntry {
  readonly type: 'mapping';
  readonly timeNs: bigint;
  readonly pid: number;
  readonly start: bigint;
  readonly lengthBytes: bigint;
  readonly offset: bigint;
  readonly inode: bigint;
  readonly device: string;
  readonly path: string;
  /** Lower-case hex. */
  readonly buildId?: string;
}

/** What happened to threads. */
export interface TaskEntry {
  readonly type: 'comm' | 'exec' | 'fork' | 'exit';
  readonly timeNs: bigint;
  readonly pid: number;
  readonly tid: number;
  readonly comm?: string;
  readonly parentPid?: number;
  readonly parentTid?: number;
}

/** Hits lost so far. */
export interface LostEntry {
  readonly type: 'lost';
  readonly timeNs: bigint;
  readonly lost: number;
}

/** The last entry of a recording that was ended in order. */
export interface EndEntry {
  readonly type: 'end';
  readonly timeNs: bigint;
  readonly reason: string;
  readonly hits: number;
  readonly lost: number;
}

export type RecordingEntry =
  | RecordingHeader
  | SiteEntry
  | FrameEntry
  | StackEntry
  | AccessEntry
  | MappingEntry
  | TaskEntry
  | LostEntry
  | EndEntry;

/** An entry as the dictionary has it. `more`: fields for readers that know only this entry. */
export function entryText(entry: RecordingEntry, more: object = {}): string {
  switch (entry.type) {
    case 'recording':
      return toJson({
        ...entry,
        watches: entry.watches.map((watch) => ({
          ...watch,
          ...(watch.type === undefined ? {} : { type: typeFields(watch.type) }),
        })),
      });
    case 'site': {
      const { effect: _registers, ...code } = entry.code;
      return toJson({ ...entry, code });
    }
    default:
      return toJson({ ...entry, ...more });
  }
}

/** The entry that {@link entryText} wrote; `undefined` of a type that is not known here. Throws {@link RecordingError}. */
export function parseEntry(json: string): RecordingEntry | undefined {
  const fields = parseFields(json);
  const type = text(fields, 'type');
  switch (type) {
    case 'recording':
      return parseHeader(fields);
    case 'site':
      return {
        type,
        pid: count(fields, 'pid'),
        watch: count(fields, 'watch'),
        code: parseCode(asFields(fields.code)),
      };
    case 'frame':
      return { type, kernel: flag(fields, 'kernel'), location: parseLocation(asFields(fields.location)) };
    case 'stack':
      return { type, frames: list(fields, 'frames').map(wholeNumber) };
    case 'access':
      return {
        type,
        pid: count(fields, 'pid'),
        tid: count(fields, 'tid'),
        comm: text(fields, 'comm'),
        cpu: count(fields, 'cpu'),
        site: count(fields, 'site'),
        stack: count(fields, 'stack'),
      };
    case 'mapping':
      return defined<MappingEntry>({
        type,
        timeNs: u64(fields, 'timeNs'),
        pid: count(fields, 'pid'),
        start: u64(fields, 'start'),
        lengthBytes: u64(fields, 'lengthBytes'),
        offset: u64(fields, 'offset'),
        inode: u64(fields, 'inode'),
        device: text(fields, 'device'),
        path: text(fields, 'path'),
        buildId: optionalText(fields, 'buildId'),
      });
    case 'comm':
    case 'exec':
    case 'fork':
    case 'exit':
      return defined<TaskEntry>({
        type,
        timeNs: u64(fields, 'timeNs'),
        pid: count(fields, 'pid'),
        tid: count(fields, 'tid'),
        comm: optionalText(fields, 'comm'),
        parentPid: optionalCount(fields, 'parentPid'),
        parentTid: optionalCount(fields, 'parentTid'),
      });
    case 'lost':
      return { type, timeNs: u64(fields, 'timeNs'), lost: count(fields, 'lost') };
    case 'end':
      return {
        type,
        timeNs: u64(fields, 'timeNs'),
        reason: text(fields, 'reason'),
        hits: count(fields, 'hits'),
        lost: count(fields, 'lost'),
      };
    default:
      return undefined;
  }
}

function parseHeader(fields: Fields): RecordingHeader {
  const machine = asFields(fields.machine);
  return defined<RecordingHeader>({
    type: 'recording',
    kernel: text(fields, 'kernel'),
    machine: defined<RecordingHeader['machine']>({
      hostname: optionalText(machine, 'hostname'),
      release: optionalText(machine, 'release'),
      arch: optionalText(machine, 'arch'),
      cpu: optionalText(machine, 'cpu'),
      cpus: count(machine, 'cpus'),
    }),
    tool: text(fields, 'tool'),
    command: list(fields, 'command').map(String),
    pid: optionalCount(fields, 'pid'),
    comm: text(fields, 'comm'),
    threads: count(fields, 'threads'),
    cpus: list(fields, 'cpus').map(wholeNumber),
    kernelMode: flag(fields, 'kernelMode'),
    notes: list(fields, 'notes').map(String),
    sinceNs: u64(fields, 'sinceNs'),
    wallClockNs: u64(fields, 'wallClockNs'),
    stacks: flag(fields, 'stacks'),
    values: flag(fields, 'values'),
    watches: list(fields, 'watches').map((watch) => parseWatch(asFields(watch))),
  });
}

function parseWatch(fields: Fields): PlannedWatch {
  const bits = fields.bits === undefined ? undefined : asFields(fields.bits);
  return defined<PlannedWatch>({
    text: text(fields, 'text'),
    address: u64(fields, 'address'),
    lenBytes: Math.min(count(fields, 'lenBytes'), 8),
    access: word<'w' | 'rw' | 'x'>(fields, 'access', ['w', 'rw', 'x']),
    only: fields.only === undefined ? undefined : word<'user' | 'kernel'>(fields, 'only', ['user', 'kernel']),
    symbol: optionalText(fields, 'symbol'),
    module: optionalText(fields, 'module'),
    type: fields.type === undefined ? undefined : parseType(fields.type),
    bits:
      bits === undefined
        ? undefined
        : { offset: Math.min(count(bits, 'offset'), 64), size: Math.min(count(bits, 'size'), 64) },
    partOf: optionalText(fields, 'partOf'),
    note: optionalText(fields, 'note'),
  });
}

function parseCode(fields: Fields): CodeAccess {
  return {
    sampleIp: u64(fields, 'sampleIp'),
    ip: u64(fields, 'ip'),
    instructionFound: flag(fields, 'instructionFound'),
    location: parseLocation(asFields(fields.location)),
    kernel: flag(fields, 'kernel'),
    access: word(fields, 'access', ['r', 'w', 'rw', 'x']),
    text: optionalText(fields, 'text'),
  };
}

function parseLocation(fields: Fields): CodeLocation {
  const inlined = list(fields, 'inlinedInto');
  return defined<CodeLocation>({
    address: u64(fields, 'address'),
    module: optionalText(fields, 'module'),
    modulePath: optionalText(fields, 'modulePath'),
    moduleOffset: optionalU64(fields, 'moduleOffset'),
    symbol: optionalText(fields, 'symbol'),
    function: optionalText(fields, 'function'),
    offset: optionalU64(fields, 'offset'),
    functionStart: optionalU64(fields, 'functionStart'),
    functionBytes: optionalCount(fields, 'functionBytes'),
    file: optionalText(fields, 'file'),
    line: optionalCount(fields, 'line'),
    column: optionalCount(fields, 'column'),
    inlinedInto: inlined.length === 0 ? undefined : inlined.map((each) => parseInlined(asFields(each))),
    jit: flag(fields, 'jit') ? true : undefined,
  });
}

function parseInlined(fields: Fields): InlinedInto {
  return defined<InlinedInto>({
    function: optionalText(fields, 'function'),
    file: optionalText(fields, 'file'),
    line: optionalCount(fields, 'line'),
    column: optionalCount(fields, 'column'),
  });
}

function wholeNumber(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new RecordingError('a number of an entry is not one');
  return value;
}
