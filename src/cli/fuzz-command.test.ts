import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-fuzz-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

function trapline(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    cwd: folder,
    timeout: 60_000,
  });
  return { status, stdout, stderr };
}

interface Totals {
  readonly scenarios: number;
  readonly steps: number;
  readonly agreements: number;
  readonly findings: readonly unknown[];
  readonly stepsPerSecond: number;
  readonly coverage: {
    readonly branches: number;
    readonly reached: number;
    readonly byFolder: readonly {
      readonly folder: string;
      readonly branches: number;
      readonly reached: number;
    }[];
    readonly unreached: readonly unknown[];
    readonly sections: readonly string[];
    readonly sectionsReached: readonly string[];
  };
}

describe('trapline fuzz', () => {
  test('on the model: runs what was asked for, and prints steps, rate and coverage', () => {
    const { status, stdout, stderr } = trapline(
      'fuzz',
      '--on',
      'model',
      '--scenarios',
      '40',
      '--steps',
      '12',
    );
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^fuzz of the model: seed 1, 40 scenarios of about 12 steps\n/);
    expect(stdout).toMatch(/^\d+ steps in [\d.]+ s, \d+ steps\/s$/m);
    expect(stdout).toContain('40 agreed, 0 differed (0 as listed), 0 broken, 0 skipped');
    expect(stdout).toMatch(
      /^coverage: \d+ of \d+ branches of the model \([\d.]+ %\), \d+ of \d+ sections of docs\/spec/m,
    );
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  test('with --json gives one object; coverage grows with what is run and counts every branch once', () => {
    const [few, many] = ['1', '200'].map((scenarios) => {
      const { status, stdout } = trapline(
        'fuzz',
        '--on',
        'model',
        '--json',
        '--seed',
        '9',
        '--scenarios',
        scenarios,
      );
      expect([status, stdout.trim().split('\n').length]).toEqual([0, 1]);
      return JSON.parse(stdout) as Totals;
    });
    if (few === undefined || many === undefined) throw new Error('two runs');
    expect(many).toMatchObject({ seed: 9, scenarios: 200, agreements: 200, findings: [], differences: 0 });
    expect(many.steps).toBeGreaterThan(200 * 23);
    for (const { coverage } of [few, many]) {
      expect(coverage.reached + coverage.unreached.length).toBe(coverage.branches);
      expect(coverage.byFolder.reduce((sum, { reached }) => sum + reached, 0)).toBe(coverage.reached);
    }
    expect(many.coverage.branches).toBe(few.coverage.branches);
    expect(many.coverage.reached).toBeGreaterThan(few.coverage.reached);
    expect(many.coverage.sectionsReached.length).toBeGreaterThan(few.coverage.sectionsReached.length);
    const perf = many.coverage.byFolder.find((each) => each.folder === 'kernel/perf');
    expect((perf?.reached ?? 0) / (perf?.branches ?? 1)).toBeGreaterThan(0.5);
    expect(many.coverage.sections).toContain('03 section 9');
  });

  test.each([
    [['--on', 'mars'], '--on mars: expected both or model'],
    [['--seed', 'x'], '--seed x: expected a number'],
    [['--scenarios', '0'], '--scenarios 0: expected a number from 1'],
    [['--steps', '1'], '--steps 1: expected a number from 2'],
    [['--seed', '4294967296'], '--seed 4294967296'],
    [['--save', 'nowhere'], '--save nowhere: there is no such folder'],
    [['--frobnicate'], 'unknown option'],
  ])('exits 2 for %j, with one line that says why', (args, message) => {
    const { status, stdout, stderr } = trapline('fuzz', ...args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^trapline: [^\n]*\n$/);
  });
});

describe('trapline conformance', () => {
  test.each([
    [['nowhere'], 'cannot read nowhere'],
    [['nowhere', '--seeds', '1,x'], '--seeds x: expected a number'],
    [[], "missing required argument 'file'"],
  ])('exits 2 for %j', (args, message) => {
    const { status, stderr } = trapline('conformance', ...args);
    expect(status).toBe(2);
    expect(stderr).toContain(message);
  });
});
