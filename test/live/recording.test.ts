import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { describeWith, lacking, skip } from './support/machine.ts';
import { cli, eventually, root, start, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';

/** What `report --json` says, as far as it is looked at here. */
interface Report {
  readonly hits: number;
  readonly lost: number;
  readonly reason: string | null;
  readonly complete: boolean;
  readonly missing: string | null;
  readonly code: readonly { readonly function?: string; readonly line?: number; readonly hits: number }[];
  readonly threads: readonly { readonly tid: number; readonly hits: number }[];
  readonly values: readonly { readonly value: number; readonly hits: number }[];
  readonly stacks: readonly { readonly frames: readonly { readonly function?: string }[] }[];
}

async function report(file: string): Promise<Report> {
  const { status, stdout, stderr } = await trapline(['report', '--json', file]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout) as Report; // the command's own output
}

describeWith(['gcc', 'breakpoints'], 'a recording of a program', () => {
  test('has every hit of two threads, with values, and report shows them by code, thread and value', async () => {
    const program = programs.build('two-storers');
    const file = path.join(programs.folder, 'two.trapline');
    const { status, stdout } = await trapline([
      'record',
      '-o',
      file,
      'shared:w',
      '--user-only',
      '--',
      program,
      '2000',
    ]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/# recorded: 4000 hits/);
    const { hits, lost, complete, reason, threads, code, values } = await report(file);
    expect({ hits, lost, complete, reason }).toEqual({
      hits: 4000,
      lost: 0,
      complete: true,
      reason: 'target ended',
    });
    expect(threads.map((each) => each.hits)).toEqual([2000, 2000]);
    expect(code.every((each) => each.function === 'storer' && (each.line ?? 0) > 0)).toBe(true);
    expect(values.length).toBeGreaterThan(2000);
    const text = await trapline(['report', '--top', '2', file]);
    expect(text.stdout).toMatch(/# by code\n +2\d\d\d .*storer .*two-storers\.c:\d+ .*\n/);
    expect(text.stdout).toMatch(/# changes of shared:w over [\d.]+ s.*\n\|[ ▁-█]+\|/);
  });

  test('has the stacks with -s, and the budgets and conditions of watch hold', async () => {
    const program = programs.build('steady', { as: 'steady-frames', flags: ['-O0'] });
    const file = path.join(programs.folder, 'steady.trapline');
    const { status } = await trapline([
      'record',
      '-s',
      '-o',
      file,
      'counter:w',
      '--max-hits',
      '50',
      '--',
      program,
      '300',
    ]);
    expect(status).toBe(0);
    const { hits, reason, stacks } = await report(file);
    expect({ hits, reason }).toEqual({ hits: 50, reason: 'max hits' });
    expect(stacks[0]?.frames.slice(0, 2).map((frame) => frame.function)).toEqual(['store', 'main']);
  });

  test('whose recorder was killed (SIGKILL) can be read up to the last flush', async () => {
    const program = programs.build('steady', { as: 'steady-record-killed' });
    const file = path.join(programs.folder, 'killed.trapline');
    const recording = start(['record', '--flush', '20ms', '-o', file, 'counter:w', '--', program, '8000']);
    expect(await eventually(() => fs.existsSync(file) && fs.statSync(file).size > 40_000, 10_000)).toBe(true);
    recording.kill();
    await recording.ended;
    const { hits, complete, missing } = await report(file);
    expect(hits).toBeGreaterThan(500);
    expect(complete).toBe(false);
    expect(missing).toMatch(new RegExp(`incomplete .*first ${hits} hits`));
  });

  test('that fills the disk ends with status 1, says so, and can be read', async (context) => {
    const lack = lacking('root');
    if (lack !== undefined) return skip(context, lack);
    const disk = path.join(programs.folder, 'disk');
    fs.mkdirSync(disk);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', disk]);
    if (mounted.status !== 0) return skip(context, 'a tmpfs cannot be mounted');
    try {
      const program = programs.build('two-storers', { as: 'two-storers-full' });
      const file = path.join(disk, 'full.trapline');
      const { status, stderr } = await trapline([
        'record',
        '--flush',
        '5ms',
        '-o',
        file,
        'shared:w',
        '--',
        program,
        '40000',
      ]);
      expect(status).toBe(1);
      expect(stderr).toMatch(/the recording stopped: .*ENOSPC.*can be read/);
      const { hits, complete } = await report(file);
      expect(hits).toBeGreaterThan(100);
      expect(complete).toBe(false);
    } finally {
      spawnSync('umount', [disk]);
    }
  });

  test('is not begun where watch would refuse: an older file stays as it was', async () => {
    const file = path.join(programs.folder, 'older.trapline');
    fs.writeFileSync(file, 'older');
    const { status } = await trapline([
      'record',
      '-o',
      file,
      'nosuchname',
      '--',
      programs.build('steady'),
      '1',
    ]);
    expect(status).not.toBe(0);
    expect(fs.readFileSync(file, 'utf8')).toBe('older');
    const without = await trapline(['record', 'counter', '--', programs.build('steady'), '1']);
    expect(without.status).toBe(2);
    expect(without.stderr).toMatch(/-o FILE/);
  });

  test('that perf record wrote is imported with its hits, lines and stacks', async (context) => {
    const lack = lacking('perf');
    if (lack !== undefined) return skip(context, lack);
    const program = programs.build('steady', {
      as: 'steady-perf',
      flags: ['-O0', '-no-pie', '-fno-pie'],
    });
    const address = programs.address(program, 'counter').toString(16);
    const data = path.join(programs.folder, 'perf.data');
    const event = `mem:0x${address}/4:wu`;
    const recorded = spawnSync('perf', ['record', '-q', '-g', '-e', event, '-o', data, program, '200']);
    expect(recorded.status).toBe(0);
    const stats = spawnSync('perf', ['report', '--stats', '-i', data], { encoding: 'utf8' }).stdout;
    const samples = Number(/SAMPLE events: +(\d+)/.exec(stats)?.[1]);
    expect(samples).toBeGreaterThan(100);
    const file = path.join(programs.folder, 'imported.trapline');
    const { status, stderr } = await trapline(['import', '-o', file, data]);
    expect([status, stderr]).toEqual([0, `${samples} hits imported\n`]);
    const { hits, code, stacks } = await report(file);
    expect(hits).toBe(samples);
    expect(code[0]).toMatchObject({ function: 'store', line: 18 });
    expect(stacks[0]?.frames.slice(0, 2).map((frame) => frame.function)).toEqual(['store', 'main']);
  });

  test('is what the example shows: recorded, reported, opened in other tools', () => {
    const folder = path.join(programs.folder, 'example');
    fs.mkdirSync(folder);
    const script = path.join(root, 'examples/recording/01-record-report-open.sh');
    const env = { ...process.env, TRAPLINE: `${process.execPath} ${cli}` };
    const { status, stdout, stderr } = spawnSync('sh', [script, folder], { encoding: 'utf8', env });
    expect([status, stderr.replaceAll('1000 hits exported\n', '')]).toEqual([0, '']);
    expect(stdout).toMatch(/# by code\n +1000 +100\.0% +w +counter:w +store .*counter\.c:2 /);
    expect(stdout).toMatch(/# by value .*\n +100 +10\.0% +counter:w +\d\n/);
    expect(stdout).toMatch(/main;store 1000\n/);
    if (lacking('perf') === undefined) expect(stdout).toMatch(/SAMPLE events: +1000 /);
  });

  test('is compared with another by code and values', async () => {
    const program = programs.build('two-storers');
    const files = ['one', 'other'].map((name) => path.join(programs.folder, `${name}.trapline`));
    for (const [i, file] of files.entries())
      await trapline(['record', '-o', file, 'shared:w', '--user-only', '--', program, String(3 + 3 * i)]);
    const { status, stdout } = await trapline(['diff', '--json', ...files]);
    expect(status).toBe(0);
    const diff = JSON.parse(stdout) as Diff; // the command's own output
    expect(diff.hits).toEqual({ before: 6, after: 12 });
    expect(diff.code.every(({ before, after }) => before > 0 && after > before)).toBe(true);
    expect(diff.values.filter(({ before }) => before === 0).length).toBeGreaterThan(0);
    expect((await trapline(['diff', ...files])).stdout).toMatch(
      /^# hits: 6 before, 12 after\n# code, new: 0\n/,
    );
  });
});

interface Diff {
  readonly hits: object;
  readonly code: readonly { readonly before: number; readonly after: number }[];
  readonly values: readonly { readonly before: number; readonly after: number }[];
}
