import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-run-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'run', ...args], {
    encoding: 'utf8',
    cwd: folder,
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

function file(name: string, ...lines: string[]): string {
  fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  fs.writeFileSync(path.join(folder, name), lines.map((line) => `${line}\n`).join(''));
  return name;
}

const held = [
  '{"scenario": "two tasks"}',
  '{"step": "spawn", "task": "A"}',
  '{"step": "fork", "task": "A", "as": "B"}',
];
const arm = [
  '{"scenario": "arm", "machine": {"arch": "arm64"}, "needs": ["bpf"]}',
  '{"step": "spawn", "task": "A"}',
];
const wrong = ['{"scenario": "used"}', '{"step": "used", "expect": {"used": true}}'];

describe('trapline run', () => {
  test('runs the files of a folder by number, a line each, then the totals', () => {
    file('all/10-b.jsonl', ...held);
    file('all/9-a.jsonl', ...arm);
    file('all/sub/1.jsonl', ...held, ...held);
    file('all/notes.txt', 'no scenario');
    expect(run('all')).toEqual({
      status: 0,
      stderr: '',
      stdout: [
        'skipped arm: the model has no bpf on arm64',
        ...['', '', ''].map(() => 'ok      two tasks (2 steps)'),
        '4 scenarios: 3 held, 0 differed, 1 skipped; 6 steps executed',
        '',
      ].join('\n'),
    });
  });

  test('gives an object a step with --json, and what was skipped with its reason', () => {
    const { status, stdout } = run('--json', '--on', 'model', file('held', ...held), file('arm', ...arm));
    expect(status).toBe(0);
    const objects = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object); // each line is one
    expect(objects).toEqual([
      { scenario: 'two tasks', source: 'held', line: 2, step: 'spawn', result: { errno: 0 }, held: true },
      { scenario: 'two tasks', source: 'held', line: 3, step: 'fork', result: { errno: 0 }, held: true },
      { scenario: 'two tasks', source: 'held', status: 'held', steps: 2 },
      { scenario: 'arm', source: 'arm', skipped: 'the model has no bpf on arm64' },
      { scenarios: 2, executedSteps: 2, exitCode: 0 },
    ]);
  });

  test('exits 1 where a step differs, with the step, what was expected and what came', () => {
    const { status, stdout } = run(file('wrong', ...wrong), file('held', ...held));
    expect(status).toBe(1);
    expect(stdout).toBe(
      'DIFFERS used: wrong:2: used: expected {"used":true}, got {"errno":0,"used":false}\nok      two tasks (2 steps)\n2 scenarios: 1 held, 1 differed, 0 skipped; 3 steps executed\n',
    );
  });

  test('exits 1 where nothing was executed, and says so', () => {
    const { status, stdout } = run(file('arm', ...arm));
    expect([status, stdout.split('\n')[1]]).toEqual([
      1,
      '1 scenario: 0 held, 0 differed, 1 skipped; 0 steps executed: nothing was executed',
    ]);
  });

  test.each(['linux', 'both'])('runs on %s, where this machine can', (on) => {
    const { status, stdout, stderr } = run('--on', on, file('held', ...held));
    expect(stderr).toBe('');
    if (stdout.includes('1 skipped')) {
      console.log(`skipped: run --on ${on}: ${stdout.trim()}`);
      expect(status).toBe(1);
      return;
    }
    expect(stdout).toMatch(/1 scenario: 1 held, 0 differed, 0 skipped/);
    expect(status).toBe(0);
  });

  test.each([
    [[], "missing required argument 'file'"],
    [['nosuch.jsonl'], 'cannot read nosuch.jsonl: there is no such file or folder'],
    [[file('empty/notes.txt', '')].map(path.dirname), 'there is no *.jsonl file in empty'],
    [[file('bad', ...held, '', '{"step": "spwan"}')], 'bad:5: unknown step "spwan"; expected one of spawn, '],
    [[file('nothing')], 'nothing:1: expected a header'],
    [[file('cut', ...held, '{"step": "fo')], 'cut:4: expected one JSON object'],
    [['--on', 'mars', 'held'], '--on mars: expected model'],
  ])('exits 2 for %j, with one line that says why, and executes nothing', (args, message) => {
    const { status, stdout, stderr } = run(...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^trapline: [^\n]*\n$/);
  });
});
