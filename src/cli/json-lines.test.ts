import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CodeLocation } from '../symbols/code-location.ts';
import type { TypeDescription } from '../symbols/types.ts';
import type { CodeAccess } from '../watch/code-sites.ts';
import type { Hit } from '../watch/hit-reader.ts';
import type { ArmedInfo } from '../watch/hit-source.ts';
import type { PlannedWatch } from '../watch/plan.ts';
import type { WatchSession } from '../watch/watch-session.ts';
import { armedJson, countsJson, endedJson, HitJson, lostJson, summaryJson } from './json-lines.ts';

/** Text that breaks what is put together by hand. */
const odd = fc.oneof(
  fc.constantFrom(
    '',
    '"',
    '\\',
    '\\"',
    '\n',
    '\r\n',
    '\t',
    '\0',
    '\u001b[31m',
    '\u2028',
    '\u2029',
    '</script>',
    '🦊',
    'ä',
    '$x{y}',
    'a"b\\c',
  ),
  fc.string(),
  fc.string({ unit: 'binary' }),
);
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const optional = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(arbitrary, { nil: undefined });

function defined<Fields extends object>(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Fields; // fewer keys
}

const location: fc.Arbitrary<CodeLocation> = fc
  .record({
    address: u64,
    module: optional(odd),
    moduleOffset: optional(u64),
    symbol: optional(odd),
    offset: optional(u64),
    file: optional(odd),
    line: optional(fc.integer({ min: 1, max: 1e6 })),
  })
  .map((fields) => defined(fields) as CodeLocation); // absent instead of undefined
const code: fc.Arbitrary<CodeAccess> = fc.record({
  sampleIp: u64,
  ip: u64,
  instructionFound: fc.boolean(),
  location,
  kernel: fc.boolean(),
  access: fc.constantFrom('r', 'w', 'rw', 'x'),
  text: optional(odd),
});
const planned: fc.Arbitrary<PlannedWatch> = fc.record({
  text: odd,
  address: u64,
  lenBytes: fc.constantFrom(1, 2, 4, 8),
  access: fc.constantFrom('w', 'rw', 'x'),
});

interface Frame {
  readonly address: bigint;
  readonly kernel: boolean;
  readonly location: CodeLocation;
}

function sessionOf(
  watches: readonly PlannedWatch[],
  frames: readonly Frame[],
  access?: CodeAccess,
): WatchSession {
  const session = {
    info: { watches, kernel: 'Linux "6"', kernelMode: true, notes: ['a "note"'] },
    sites: { frames: (stack: number) => (stack === 0 ? [] : frames), access: () => access },
    lost: () => 3,
  };
  return session as unknown as WatchSession; // what JSON lines are made of
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

/** What a frame is in JSON: a second telling of the schema. */
function frameOf(ip: bigint, at: CodeLocation): Record<string, unknown> {
  return defined({
    ip: hex(ip),
    symbol: at.symbol ?? null,
    offset: at.offset === undefined ? null : hex(at.offset),
    module: at.module ?? null,
    moduleOffset: at.moduleOffset === undefined ? undefined : hex(at.moduleOffset),
    file: at.file?.replace(/^file:\/\//, ''),
    line: at.line,
  });
}

test('a hit line is one line of JSON that says what the hit says, whatever its names hold', () => {
  const frame = fc.record({ address: u64, kernel: fc.boolean(), location });
  const fields = fc.record({
    timeNs: u64,
    pid: fc.nat(),
    tid: fc.nat(),
    comm: odd,
    cpu: fc.nat(1000),
    stack: fc.constantFrom(0, 1),
    count: fc.constantFrom(1, 2, 4096),
  });
  fc.assert(
    fc.property(
      fields,
      fc.array(planned, { minLength: 1, maxLength: 3 }),
      fc.array(code, { minLength: 1, maxLength: 2 }),
      fc.array(frame, { maxLength: 3 }),
      fc.boolean(),
      (parts, watches, codes, frames, asm) => {
        const json = new HitJson(sessionOf(watches, frames), { asm });
        // Twice: the second time the parts come from what was kept.
        for (const access of [...codes, ...codes]) {
          const watchNumber = watches.length - 1;
          const watch = watches[watchNumber]!;
          const hit: Hit = { ...parts, watch, watchNumber, code: access };
          const line = json.line(hit);
          expect(line).not.toMatch(/[\n\r]/);
          const { comm, timeNs, pid, tid, cpu, stack, count } = parts;
          expect(JSON.parse(line)).toEqual(
            JSON.parse(
              JSON.stringify({
                type: 'hit',
                timeNs: String(timeNs),
                pid,
                tid,
                comm,
                cpu,
                watch: watch.text,
                address: hex(watch.address),
                access: access.access,
                kernel: access.kernel,
                ...frameOf(access.ip, access.location),
                sampleIp: hex(access.sampleIp),
                ...(asm && access.text !== undefined ? { asm: access.text } : {}),
                stack:
                  stack === 0
                    ? []
                    : frames.map((one) => ({ ...frameOf(one.address, one.location), kernel: one.kernel })),
                ...(count > 1 ? { count } : {}),
              }),
            ),
          );
        }
      },
    ),
  );
});

test('the armed line says what is armed, with what is not known as null', () => {
  const info = {
    kernel: 'Linux 6',
    sinceNs: 0x1_0000_0000_0000_0000n,
    watches: [
      { text: 'a "b"', address: 0x1000n, lenBytes: 4, access: 'w', symbol: 'a', module: 'prog' },
      { text: '0x10', address: 0xffff_ffff_ffff_fff8n, lenBytes: 8, access: 'rw' },
    ],
    pid: undefined,
    comm: '',
    threads: 0,
    cpus: [0, 1],
    kernelMode: false,
    notes: ['user mode only'],
  } as unknown as ArmedInfo; // its fields as they are used here
  const line = armedJson(info);
  expect(JSON.parse(line)).toMatchObject({
    type: 'armed',
    timeNs: '18446744073709551616',
    pid: null,
    threads: 0,
    cpus: [0, 1],
    kernelMode: false,
    notes: ['user mode only'],
    watches: [
      { watch: 'a "b"', address: '0x1000', lenBytes: 4, access: 'w', symbol: 'a', module: 'prog' },
      { watch: '0x10', address: '0xfffffffffffffff8', lenBytes: 8, access: 'rw', symbol: null, module: null },
    ],
  });
});

test('lost and ended lines are told in decimal nanoseconds', () => {
  expect(JSON.parse(lostJson(5n, 7))).toEqual({ type: 'lost', timeNs: '5', lost: 7 });
  expect(JSON.parse(endedJson(5n, { reason: 'max hits' }))).toEqual({
    type: 'ended',
    timeNs: '5',
    reason: 'max hits',
  });
  expect(JSON.parse(endedJson(5n, { reason: 'exec', pid: 12, comm: 'a"b' }))).toEqual({
    type: 'ended',
    timeNs: '5',
    reason: 'exec',
    pid: 12,
    comm: 'a"b',
  });
});

const access: CodeAccess = {
  sampleIp: 0x40_1139n,
  ip: 0x40_1136n,
  instructionFound: true,
  location: { address: 0x40_1136n, symbol: 'worker', offset: 6n, module: 'prog' },
  kernel: false,
  access: 'w',
  text: 'mov',
};
const counter: PlannedWatch = { text: 'counter:w', address: 0x40_4028n, lenBytes: 4, access: 'w' };

test('the summary has each site with its share and threads', () => {
  const line = summaryJson({
    session: sessionOf([counter], [], access),
    hits: 8,
    sites: [{ site: 0, watch: 0, hits: 6, tids: [10, 11] }],
    names: new Map([[10, 'a"b']]),
  });
  expect(JSON.parse(line)).toEqual({
    type: 'summary',
    hits: 8,
    lost: 3,
    sites: [
      {
        watch: 'counter:w',
        access: 'w',
        kernel: false,
        ip: '0x401136',
        symbol: 'worker',
        offset: '0x6',
        module: 'prog',
        hits: 6,
        share: 0.75,
        threads: [
          { tid: 10, comm: 'a"b' },
          { tid: 11, comm: '' },
        ],
      },
    ],
  });
});

test('a hit with a value has it before its stack, typed, with where it comes from', () => {
  const type: TypeDescription = { kind: 'base', name: 'int', byteSize: 4, encoding: 'signed' };
  const typed = { ...counter, type };
  const json = new HitJson(sessionOf([typed, counter], [], access), { asm: false });
  const hit: Hit = {
    timeNs: 5n,
    pid: 7,
    tid: 8,
    comm: 'a',
    cpu: 1,
    watch: typed,
    watchNumber: 0,
    code: access,
    stack: 0,
    count: 1,
    value: {
      before: { low: 7, high: 0 },
      after: { low: 0xffff_ffff, high: 0 },
      from: 'stored',
      exact: true,
      gap: false,
    },
  };
  expect(JSON.parse(json.line(hit))).toMatchObject({
    type: 'hit',
    old: 7,
    new: -1,
    valueType: 'int',
    valueFrom: 'stored',
    exact: true,
    stack: [],
  });
  const unknown = { before: undefined, after: undefined, from: undefined, exact: false, gap: true };
  expect(JSON.parse(json.line({ ...hit, watch: counter, watchNumber: 1, value: unknown }))).toMatchObject({
    old: null,
    new: null,
    valueType: null,
    valueFrom: null,
    exact: false,
    gap: true,
  });
  const raw = new HitJson(sessionOf([typed], [], access), { asm: false, raw: true });
  expect(JSON.parse(raw.line(hit))).toMatchObject({ old: '07 00 00 00', new: 'ff ff ff ff' });
});

test('the summary of no hits has no sites', () => {
  const line = summaryJson({ session: sessionOf([counter], []), hits: 0, sites: [], names: new Map() });
  expect(JSON.parse(line)).toEqual({ type: 'summary', hits: 0, lost: 3, sites: [] });
});

test('counts have a watch each, and threads where they are asked for', () => {
  const counts = [{ hits: 5n, lost: 0n, timeEnabledNs: 2n ** 60n, timeRunningNs: 7n }];
  const session = sessionOf([counter], []);
  const watch = {
    watch: 'counter:w',
    address: '0x404028',
    lenBytes: 4,
    access: 'w',
    hits: 5,
    timeEnabledNs: String(2n ** 60n),
    timeRunningNs: '7',
  };
  expect(JSON.parse(countsJson(session, counts, { exitStatus: 2 }))).toEqual({
    type: 'counts',
    kernel: 'Linux "6"',
    kernelMode: true,
    notes: ['a "note"'],
    exitStatus: 2,
    watches: [watch],
  });
  const byThread = countsJson(session, counts, {}, (number) => [{ tid: 10, hits: number }]);
  expect(JSON.parse(byThread)).toMatchObject({ watches: [{ ...watch, threads: [{ tid: 10, hits: 0 }] }] });
});
