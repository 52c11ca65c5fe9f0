import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KernelError } from '../base/kernel-error.ts';
import type { CodeLocation } from '../symbols/code-location.ts';
import { refusalError, requestError } from '../watch/errors.ts';
import type { Hit } from '../watch/hit-reader.ts';
import type { ArmedInfo } from '../watch/hit-source.ts';
import type { WatchSession } from '../watch/watch-session.ts';
import { codeText, shortFile } from './code-text.ts';
import { exitStatusOf, messageOf, UsageError } from './errors.ts';
import { shellStatus } from './exit-status.ts';
import { armedText, HitText, hitTitles, seconds } from './hit-text.ts';
import { oneLine, printable } from './printable.ts';
import { summaryText, table } from './summary-text.ts';

describe('a table', () => {
  test('aligns its columns, the first ones to the right, and ends lines without blanks', () => {
    expect(
      table(
        [
          ['hits', 'share', 'code'],
          ['7', '100.0%', 'f'],
          ['12345', '', 'longer'],
        ],
        2,
      ),
    ).toEqual([' hits   share  code', '    7  100.0%  f', '12345          longer']);
  });

  test('of any cells has every cell of a column at one place', () => {
    const cell = fc.stringMatching(/^[a-z0-9%]{0,8}$/);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }).chain((columns) =>
          fc.array(fc.array(cell, { minLength: columns, maxLength: columns }), {
            minLength: 1,
            maxLength: 6,
          }),
        ),
        fc.nat(4),
        (rows, right) => {
          const lines = table(rows, right);
          expect(lines.length).toBe(rows.length);
          const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
          for (const [i, line] of lines.entries()) {
            let at = 0;
            for (const [column, width] of widths.entries()) {
              const text = rows[i]![column]!;
              const field = line.padEnd(200).slice(at, at + width);
              expect(field).toBe(column < right ? text.padStart(width) : text.padEnd(width));
              at += width + 2;
            }
            expect(line).toBe(line.trimEnd());
          }
        },
      ),
    );
  });
});

describe('code in words', () => {
  test.each([
    [{ address: 0x1000n, symbol: 'worker', offset: 29n, module: 'prog' }, 'worker+0x1d (prog)'],
    [{ address: 0x1000n, symbol: 'worker', module: 'prog' }, 'worker+0x0 (prog)'],
    [{ address: 0x1000n, symbol: 'f', offset: 1n }, 'f+0x1'],
    [{ address: 0x1000n, module: 'prog', moduleOffset: 0x1180n }, 'prog+0x1180'],
    [{ address: 0x1000n, module: '[heap]' }, '0x1000 ([heap])'],
    [{ address: 0xffff_ffff_8100_0000n }, '0xffffffff81000000'],
    [{ address: 1n, symbol: 'writer', file: '/app/race.js', line: 12 }, 'writer /app/race.js:12'],
    [{ address: 1n, file: 'file:///app/race.js' }, '(anonymous) /app/race.js'],
    [{ address: 1n, symbol: 'f', file: 'node:fs', line: 3 }, 'f node:fs:3'],
    [{ address: 1n, symbol: 'f', file: `${process.cwd()}/src/a.js`, line: 3 }, 'f src/a.js:3'],
    [{ address: 1n, symbol: 'evil\u001b[2J\n', module: 'a\u0007' }, 'evil\\x1b[2J\\x0a+0x0 (a\\x07)'],
  ] as [CodeLocation, string][])('%o is %s', (location, text) => {
    expect(codeText(location)).toBe(text);
  });

  test('a file of V8 loses its scheme, another URL keeps it', () => {
    expect([shortFile('file:///a.js'), shortFile('http://x/file:///a.js')]).toEqual([
      '/a.js',
      'http://x/file:///a.js',
    ]);
  });
});

test('printable text has no character that a terminal acts on, and is one line', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(printable(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Co}]/u);
      expect(oneLine(text)).not.toContain('\n');
    }),
  );
  expect(printable('naïve 日本 🦊 ~')).toBe('naïve 日本 🦊 ~');
  expect(printable('a\0b\u001b\u202e')).toBe('a\\x00b\\x1b\\u{202e}');
  expect(oneLine('error: x\n(Did you mean y?)\n')).toBe('error: x; (Did you mean y?)');
});

test.each([
  [0n, '    0.000000'],
  [1_234_567_890n, '    1.234567'],
  [999n, '    0.000000'],
  [1000n, '    0.000001'],
  [123_456_000_000_000n, '123456.000000'],
  [-5n, '    0.000000'],
])('%i ns are %s seconds', (ns, text) => {
  expect(seconds(ns)).toBe(text);
});

const info = {
  kernel: 'Linux 6 x86_64',
  sinceNs: 0n,
  watches: [
    { text: 'counter:w', address: 0x40_4028n, lenBytes: 4, access: 'w', symbol: 'counter', module: 'prog' },
    { text: 'main', address: 0x40_1136n, lenBytes: 8, access: 'x' },
    { text: 'b/1', address: 0x40_5000n, lenBytes: 1, access: 'rw' },
  ],
  pid: 12,
  comm: 'prog',
  threads: 3,
  cpus: [0, 1],
  kernelMode: true,
  notes: ['left out'],
  judging: {},
} as unknown as ArmedInfo; // the fields that are shown
const frames = [
  { address: 1n, kernel: false, location: { address: 1n, symbol: 'leaf', offset: 1n } },
  { address: 2n, kernel: false, location: { address: 2n, symbol: 'caller', offset: 2n } },
];
const session = {
  info,
  sites: {
    frames: (stack: number) => (stack === 0 ? [] : frames),
    access: () => ({
      kernel: true,
      access: 'w',
      location: { address: 1n, symbol: 'copy', offset: 0n, module: 'kernel' },
    }),
  },
  lost: () => 2,
} as unknown as WatchSession; // what lines are made of

test('what is armed is told watch by watch, with what is left out above', () => {
  const text = armedText(info).join('\n');
  expect(text).toContain('# left out');
  expect(text).toContain('counter:w: writes to 0x404028, 4 bytes (counter of prog) in prog/12, 3 threads');
  expect(text).toContain('main: execution of 0x401136 in prog/12');
  expect(text).toContain('b/1: reads and writes of 0x405000, 1 byte in');
  expect(text).toContain('# Linux 6 x86_64, user and kernel mode');
  const cpus = armedText({ ...info, pid: undefined, kernelMode: false } as ArmedInfo).join('\n');
  expect(cpus).toContain('on CPU 0, 1');
  expect(cpus).toContain(', user mode');
});

test('a hit line stands under its titles; stacks follow it frame by frame', () => {
  const text = new HitText(session, { startNs: 1000n, asm: true, stacks: true });
  const hit = {
    timeNs: 2_001_000n,
    pid: 12,
    tid: 13,
    comm: 'evil\n',
    cpu: 1,
    watch: info.watches[0],
    watchNumber: 0,
    code: { kernel: false, access: 'w', location: frames[0]!.location, text: 'mov %eax,(%rdi)' },
    stack: 1,
    count: 3,
  } as unknown as Hit; // the fields that are shown
  const [line = '', ...stack] = text.line(hit).split('\n');
  const titles = hitTitles(text.watchWidth);
  expect(line).toContain('0.002000');
  expect(line).toContain('evil\\x0a/12:13');
  expect(line).toMatch(/ {2}leaf\+0x1 {2}\[mov %eax,\(%rdi\)\] {2}x3$/);
  for (const [title, word] of [
    ['thread', 'evil'],
    ['mode', 'user'],
    ['acc', 'w '],
    ['watch', 'counter:w'],
    ['code', 'leaf'],
  ] as const) {
    expect(line.indexOf(word, titles.indexOf(title)), title).toBe(titles.indexOf(title));
  }
  expect(stack).toEqual(['        caller+0x2']);
});

test('the summary ends with hits and lost; sites and threads beyond the most are counted', () => {
  const names = new Map([
    [10, 'a'],
    [11, 'b\n'],
  ]);
  const one = {
    session,
    hits: 4,
    names,
    sites: [{ site: 0, watch: 0, hits: 3, tids: [10, 11, 12, 13, 14, 15] }],
  };
  const lines = summaryText(one);
  expect(lines.at(-1)).toBe('hits: 4  lost: 2');
  expect(lines[1]).toMatch(
    /^ *3 +75\.0% +kernel +w +counter:w +copy\+0x0 \(kernel\) +a\/10 b\\x0a\/11 \?\/12 \?\/13 and 2 more$/,
  );
  const sites = Array.from({ length: 33 }, (_, site) => ({ site, watch: 0, hits: 1, tids: [10] }));
  expect(summaryText({ session, hits: 33, names, sites })).toContain('… and 3 more sites');
  expect(summaryText({ session, hits: 0, names, sites: [] })).toEqual(['hits: 0  lost: 2']);
});

test('a wrong request exits with 2, a refusal with 1; a bug has no message of its own', () => {
  const kernel = new KernelError({ errno: 1, operation: 'open(x)' });
  const system = Object.assign(new Error('EACCES: permission denied'), { syscall: 'open' });
  expect([new UsageError('x'), requestError('x')].map(exitStatusOf)).toEqual([2, 2]);
  expect([refusalError('x'), kernel, system, new Error('x')].map(exitStatusOf)).toEqual([1, 1, 1, 1]);
  expect(messageOf(kernel)).toBe('open(x): EPERM');
  expect(messageOf(system)).toBe('EACCES: permission denied');
  expect(messageOf(new TypeError('x is undefined'))).toBeUndefined();
  expect(messageOf('x')).toBeUndefined();
});

test('a program’s end is told as a shell tells it', () => {
  expect(shellStatus({ type: 'exited', code: 3 })).toBe(3);
  expect(shellStatus({ type: 'signaled', signal: 9 })).toBe(137);
});
