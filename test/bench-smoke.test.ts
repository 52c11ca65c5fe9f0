import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { describeWith } from './live/support/machine.ts';

// Every benchmark on small inputs, so that none rots. What it says of time is not looked at.

const folder = fileURLToPath(new URL('../bench/', import.meta.url));

function bench(...args: string[]): string {
  const done = spawnSync(process.execPath, [`${folder}run.mjs`, ...args, '--small'], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  expect(done.stderr).toBe('');
  expect([args, done.status, done.status === 0 ? '' : done.stdout]).toEqual([args, 0, '']);
  expect(done.stdout).not.toContain('WRONG');
  return done.stdout;
}

/** The cells of the table row that begins with `name`. */
function row(table: string, name: string): string[] {
  const line = table.split('\n').find((each) => each.startsWith(`${name}  `));
  expect(line, `a row "${name}" in\n${table}`).toBeDefined();
  return (line ?? '').split(/ {2,}/);
}

describe('benchmarks without a kernel', () => {
  test('drain decodes every record of every shape', () => {
    const table = bench('drain');
    for (const shape of ['plain', 'registers, user hits', 'registers, kernel copies', 'stacks of depth 10']) {
      expect(Number(row(table, shape)[1])).toBeGreaterThan(1000);
    }
    // One input, one hash, however it was decoded.
    expect(row(table, 'registers, kernel copies').at(-1)).toBe(row(table, 'registers, user hits').at(-1));
  });

  test('memory counts every hit and shows what it took', () => {
    const table = bench('memory');
    expect(table).toMatch(/^200000 +\d+\.\d +\d+\.\d$/m);
    expect(table).toContain('grown after the first tenth');
  });

  test('recording writes, reports and exports every hit', () => {
    const table = bench('recording');
    expect(row(table, 'report of 20000')[1]).toMatch(/^[\d.]+$/);
    expect(row(table, 'export 5000 as perf')[1]).toMatch(/^[\d.]+$/);
    const bytes = Number(/bytes a hit: ([\d.]+)/.exec(table)?.[1]);
    expect(bytes).toBeGreaterThan(20);
    expect(bytes).toBeLessThan(40);
  });

  test('model prints its tables', () => {
    const table = bench('model');
    for (const part of ['A counted hit:', 'A context switch', 'ours: histograms', 'other tasks   CPUs'])
      expect(table).toContain(part);
  });

  test('gdb measures a round trip and memory, and hits on QEMU where it is there', () => {
    const table = bench('gdb');
    expect(Number(row(table, 'memory, MB/s')[1])).toBeGreaterThan(0);
    expect(table).toMatch(/^(?:ratio -?\d|a hit on QEMU: skipped: )/m);
  });

  test('names finds one name in a program of debug information, cold and from the cache alike', () => {
    const table = bench('names');
    if (table.startsWith('no gcc')) return;
    expect(Number(row(table, 'cold')[1])).toBeGreaterThan(0);
    row(table, 'from the cache');
    expect(table).not.toContain('WRONG');
  });

  test('a benchmark or an option that does not exist is refused', () => {
    for (const args of [
      ['frobnicate'],
      [],
      ['drain', '--frobnicate'],
      ['drain', '--rounds', 'x'],
      ['model', '--frobnicate'],
    ]) {
      const done = spawnSync(process.execPath, [`${folder}run.mjs`, ...args], { encoding: 'utf8' });
      expect([args, done.status, done.stdout]).toEqual([args, 2, '']);
    }
  });

  test('every file of a benchmark is tried by a test here', () => {
    const names = fs.readdirSync(folder).filter((file) => file.endsWith('.bench.mjs'));
    expect(names.map((name) => name.replace('.bench.mjs', '')).sort()).toEqual([
      'attach',
      'drain',
      'gdb',
      'memory',
      'names',
      'record',
      'recording',
      'start',
      'values',
    ]);
  });
});

describeWith(['gcc', 'breakpoints'], 'benchmarks on this kernel', () => {
  test('record measures ours beside its peers, and sees every hit', () => {
    const table = bench('record');
    for (const name of [
      'trapline API',
      'trapline API, stacks',
      'trapline watch --quiet',
      'trapline watch --quiet -s',
    ]) {
      expect(row(table, name).slice(1, 3)).toEqual(['2000', '0']);
    }
    for (const name of ['nothing', 'trapline watch --json']) row(table, name);
  });

  test('values compares every recorded value with what the target stored', () => {
    const table = bench('values');
    const name = process.getuid?.() === 0 ? 'values (registers and bpf)' : 'values (registers)';
    expect(row(table, `trapline API, ${name}`).slice(1, 5)).toEqual(['2000', '0', '2000', '0']);
  });

  test('attach arms every thread', () => {
    const table = bench('attach');
    expect(row(table, 'inside WatchSession.open')[1]).toBe('9');
    row(table, 'command start to armed');
  });

  test('start waits for the armed line, launched and attached', () => {
    const table = bench('start');
    row(table, 'trapline watch --json -p PID');
    row(table, 'trapline watch --json -- COMMAND');
  });

  test('memory of a live recorder is sampled, and every hit counted', () => {
    expect(bench('memory', '--live', '--hits', '20000')).toContain('hits 20000, lost 0');
  });
});
