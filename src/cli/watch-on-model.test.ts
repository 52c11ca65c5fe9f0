import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-model-'));

function trapline(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    cwd: folder,
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

const steps = [
  '{"scenario": "watched", "machine": {"cpus": 2}}',
  '{"step": "spawn", "task": "A", "cpu": 0}',
  '{"step": "thread", "task": "A", "as": "T"}',
  '{"step": "open", "as": "e", "attr": {"bpType": "w", "bpAddr": "A.data", "bpLen": 4}, "task": "A"}',
  '{"step": "store", "task": "A", "at": "A.data", "len": 4, "times": 2}',
  '{"step": "load", "task": "T", "at": "A.data+8", "len": 8}',
  '{"step": "call", "task": "T", "at": "A.code3"}',
  '{"step": "fork", "task": "A", "as": "C"}',
  '{"step": "store", "task": "C", "at": "C.data", "len": 4}',
  '{"step": "syscallWrite", "task": "A", "at": "A.data", "len": 3}',
  '{"step": "migrate", "task": "A", "cpu": 1}',
  '{"step": "store", "task": "A", "at": "A.data+2", "len": 1}',
  '{"step": "kernelAccess", "cpu": 1, "at": "sym:kernel_data", "len": 4}',
];
beforeAll(() => {
  const write = (name: string, lines: readonly string[]) =>
    fs.writeFileSync(path.join(folder, name), lines.join('\n'));
  write('s.jsonl', steps);
  write('two.jsonl', [
    '{"scenario": "two"}',
    '{"step": "spawn", "task": "A"}',
    '{"step": "spawn", "task": "B"}',
  ]);
  write('c.jsonl', [
    '{"scenario": "conditions"}',
    '{"step": "spawn", "task": "A"}',
    '{"step": "thread", "task": "A", "as": "T"}',
    ...[7, 70, 71].map(
      (value) => `{"step": "store", "task": "A", "at": "A.data", "len": 4, "value": ${value}}`,
    ),
    '{"step": "store", "task": "T", "at": "A.data", "len": 4, "value": 7}',
    '{"step": "store", "task": "A", "at": "A.data+8", "len": 8, "value": 5}',
    '{"step": "store", "task": "A", "at": "A.data", "len": 4, "value": 72, "times": 3}',
  ]);
  write('several.jsonl', [...steps, ...steps]);
  write('bad.jsonl', [...steps, '{"step": "spwan"}']);
  write('odd.jsonl', ['{"scenario": "odd", "machine": {"features": ["nothing"]}}']);
  write('late.jsonl', [...steps.slice(0, 5), '{"step": "migrate", "task": "A", "cpu": 7}']);
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const json = (text: string): Record<string, unknown>[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>); // every line is an object

describe('trapline watch --on model', () => {
  test('shows every hit of the scenario by the names of its places, and ends with it', () => {
    const { status, stdout, stderr } = trapline(
      'watch',
      'A.data/4:w',
      'A.data+8/8:rw',
      'A.code3',
      '--on',
      'model',
      's.jsonl',
    );
    expect([status, stderr]).toEqual([0, '']);
    const rows = stdout.split('\n').filter((line) => /^ {6}0\.0/.test(line));
    expect(rows.map((row) => row.trim().split(/\s+/).slice(1).join(' '))).toEqual([
      '0 A/1001 user w A.data/4:w 0 -> 1 A.access+0x4 (model)',
      '0 A/1001 user w A.data/4:w 1 -> 1 A.access+0x4 (model)',
      '0 T/1001:1002 user rw A.data+8/8:rw 0x0 -> 0x0 A.access+0x4 (model)',
      '0 T/1001:1002 user x A.code3 A.code3+0x0 (model)',
      '0 C/1003 user w A.data/4:w 1 -> 1 C.access+0x4 (model)',
      '0 A/1001 kernel w A.data/4:w 1 -> 65793 kernel_text+0x400000 (kernel) x3',
      '1 A/1001 user w A.data/4:w 65793 -> 65793 A.access+0x4 (model)',
    ]);
    expect(stdout).toContain(
      '# A.data/4:w: writes to 0x555510100000, 4 bytes (A.data of model) in A/1001, 2 threads',
    );
    expect(stdout).toContain('# Trapline model x86_64, user and kernel mode');
    expect(stdout).toMatch(/\nhits: 9 {2}lost: 0\n$/);
  });

  test('gives JSON lines in the model’s own time, the armed one naming the model', () => {
    const lines = json(trapline('watch', '--on', 'model', 's.jsonl', 'A.data/4:w', '--json').stdout);
    expect(lines[0]).toMatchObject({ type: 'armed', kernel: 'Trapline model x86_64', pid: 1001, threads: 2 });
    expect(lines.slice(1, -2).map(({ type, comm, cpu, symbol }) => [type, comm, cpu, symbol])).toEqual([
      ['hit', 'A', 0, 'A.access'],
      ['hit', 'A', 0, 'A.access'],
      ['hit', 'C', 0, 'C.access'],
      ['hit', 'A', 0, 'kernel_text'],
      ['hit', 'A', 1, 'A.access'],
    ]);
    expect(lines.at(-2)).toEqual({ type: 'ended', timeNs: '3070', reason: 'target ended' });
    expect(lines.at(-1)).toMatchObject({ type: 'summary', hits: 7, lost: 0 });
  });

  test.each([
    ['a thread alone', ['-t', 'T', 'A.data+8/8:rw', 'A.data/4:w'], 1],
    ['a process by its name', ['-p', 'A', '0x555510100000/4:w'], 7],
    ['a CPU', ['-C', '1', 'A.data/4:w'], 1],
    ['the kernel', ['-a', 'sym:kernel_data/4:w'], 1],
    ['an address without a name', ['0x555510100000/4:w', '-p', 'A', '--user-only'], 4],
    ['a budget', ['A.data/4:w', '--max-hits', '2'], 2],
  ])('watches %s', (_what, args, hits) => {
    const { status, stdout } = trapline('watch', ...args, '--on', 'model', 's.jsonl', '-q');
    expect(stdout).toMatch(new RegExp(`\nhits: ${hits} {2}lost: 0\n$`));
    expect(status).toBe(0);
  });

  test('refuses a fifth breakpoint as a machine does', () => {
    const watches = [0, 8, 16, 24, 32].map((offset) => `A.data+${offset}/4:w`);
    const { status, stdout, stderr } = trapline('watch', ...watches, '--on', 'model', 's.jsonl');
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^trapline: [^\n]*register[^\n]*\n$/);
  });

  test('ends with 1 and the line where a later step makes no sense', () => {
    const { status, stderr } = trapline('watch', 'A.data/4:w', '--on', 'model', 'late.jsonl');
    expect([status, stderr]).toEqual([1, 'trapline: late.jsonl:6: CPU 7 is not online\n']);
  });

  test.each([
    [['A.data', '--on', 'model'], '--on model wants a scenario file behind it'],
    [['A.data', '--on'], "option '--on <model> <scenario>' argument missing"],
    [['A.data', '--on', 'linux', 's.jsonl'], '--on linux: expected model and a scenario file'],
    [['A.data', '--on', 'model', 'none.jsonl'], 'cannot read none.jsonl'],
    [['A.data', '--on', 'model', 'bad.jsonl'], 'bad.jsonl:14: unknown step "spwan"'],
    [['A.data', '--on', 'model', 'several.jsonl'], 'several.jsonl holds 2 scenarios'],
    [['A.data', '--on', 'model', 'odd.jsonl'], 'odd.jsonl: the model has no feature "nothing"'],
    [['B.data', '--on', 'model', 's.jsonl'], "there is no 'B.data'; a place is TASK.data, "],
    [['C.data', '--on', 'model', 's.jsonl'], 'and the tasks are A, T'],
    [['A.code16', '--on', 'model', 's.jsonl'], "there is no 'A.code16'"],
    [['sym:none', '-a', '--on', 'model', 's.jsonl'], "there is no 'sym:none'"],
    [['sym:kernel_data', '--on', 'model', 's.jsonl'], "is the kernel's: give -a, -C LIST"],
    [['A.data', '-p', 'B', '--on', 'model', 's.jsonl'], "'B' is no task here"],
    [['A.data', 'B.data', '--on', 'model', 'two.jsonl'], 'which process? A, B are meant'],
    [['A.data', '-C', '9', '--on', 'model', 's.jsonl'], 'CPU 9 is not online; online are 0, 1'],
    [['A.data+1/4:w', '--on', 'model', 's.jsonl'], 'pieces that fit: A.data+1/1 A.data+2/2 A.data+4/1'],
    [['A.data', '--for', '1s', '--on', 'model', 's.jsonl'], '--for is no end of a scenario'],
    [['A.data', '-s', '--on', 'model', 's.jsonl'], 'no call stacks'],
    [['A.data', '--on', 'model', 's.jsonl', '--', 'ls'], 'not a command'],
  ])('refuses %j with 2 and one line', (args, message) => {
    const { status, stdout, stderr } = trapline('watch', ...args);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^trapline: [^\n]*\n$/);
    expect([status, stdout]).toEqual([2, '']);
  });
});

test('a long scenario is ended by Ctrl-C, with its totals', async () => {
  const store = '{"step": "store", "task": "A", "at": "A.data", "len": 4}\n';
  fs.writeFileSync(
    path.join(folder, 'long.jsonl'),
    `{"scenario": "long"}\n{"step": "spawn", "task": "A"}\n${store.repeat(1_000_000)}`,
  );
  const child = spawn(process.execPath, [program, 'watch', 'A.data/4:w', '--on', 'model', 'long.jsonl'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    if (text === '') child.kill('SIGINT');
    text = (text + part).slice(-1000);
  });
  const [status] = await once(child, 'close');
  expect(status).toBe(0);
  expect(text).toContain('# ended: stopped');
  expect(Number(/hits: (\d+) {2}lost: 0\n$/.exec(text)?.[1])).toBeLessThan(1_000_000);
});

describe('trapline stat --on model', () => {
  test('counts, by thread where asked for', () => {
    const { stdout } = trapline('stat', 'A.data/4:w', 'A.code3:x', '--on', 'model', 's.jsonl');
    expect(stdout).toMatch(/^ {3}7 {2}A\.data\/4:w {2}0x555510100000\/4 /m);
    expect(stdout).toMatch(/^ {3}1 {2}A\.code3:x /m);
    const [, counts] = json(
      trapline('stat', 'A.data/4:w', '--per-thread', '--json', '--on', 'model', 's.jsonl').stdout,
    );
    expect(counts).toMatchObject({
      kernel: 'Trapline model x86_64',
      reason: 'target ended',
      watches: [
        {
          hits: 7,
          threads: [
            { comm: 'A', hits: 6 },
            { comm: 'C', hits: 1 },
          ],
        },
      ],
    });
  });

  test('judges conditions and keeps budgets by programs that the model runs', () => {
    const lines = (...options: string[]): Record<string, unknown>[] =>
      json(trapline('watch', 'A.data/4:w', '--json', ...options, '--on', 'model', 'c.jsonl').stdout);
    const news = (...options: string[]): unknown[] =>
      lines(...options)
        .filter(({ type }) => type === 'hit')
        .map((hit) => hit.new);
    expect(news()).toEqual([7, 70, 71, 7, 72, 72, 72]);
    const condition = lines('--when', 'new > 70');
    expect(condition[0]).toMatchObject({ type: 'armed', when: { text: 'new > 70', judge: 'kernel' } });
    expect(news('--when', 'new > 70')).toEqual([71, 72, 72, 72]);
    expect(news('--when', 'new > 70 && old != new')).toEqual([71, 72]);
    expect(news('--when', 'A.data == 72')).toEqual([72, 72, 72]);
    expect(news('--when', 'comm == "T"')).toEqual([7]);
    expect(news('--when', 'new > 70', '--max-hits', '2')).toEqual([71, 72]);
    expect(news('--rate', '3')).toEqual([7, 70, 71]); // virtual time hardly passes
    expect(lines('--when', 'new > 70', '--max-hits', '2')[0]).toMatchObject({
      maxHits: { hits: 2, keeper: 'kernel' },
    });
  });

  test('shows a caret under what is wrong with a condition', () => {
    const { status, stderr } = trapline(
      'watch',
      'A.data/4:w',
      '--when',
      'new >> ',
      '--on',
      'model',
      's.jsonl',
    );
    expect([status, stderr]).toEqual([
      2,
      'trapline: --when: something is missing at its end\n  new >> \n         ^\n',
    ]);
  });
});
