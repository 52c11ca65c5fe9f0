import { describe, expect, it } from 'vitest';
import { ModelLabMaker } from '../hosts/model/model-lab.ts';
import { holds } from './expectation.ts';
import { parseScenarios, ScenarioSyntaxError } from './parser.ts';
import { renderReport, reportObjects } from './report.ts';
import { type RunReport, runScenarioFiles } from './run.ts';

const header = '{"scenario": "s"}';
const run = (...lines: string[]): Promise<RunReport> =>
  runScenarioFiles([{ name: 'f.jsonl', text: lines.join('\n') }], {
    maker: new ModelLabMaker({ verify: true }),
  });

function syntaxError(...lines: string[]): string {
  try {
    parseScenarios('f.jsonl', lines.join('\n'));
  } catch (error) {
    if (error instanceof ScenarioSyntaxError) return error.message;
    throw error;
  }
  return 'none';
}

describe('reading scenarios', () => {
  const spawn = '{"step": "spawn", "task": "A"}';
  it.each([
    ['an empty text', [''], 1, /expected a header/],
    ['a step before a header', [spawn], 1, /expected a header/],
    ['no JSON', [header, '{"step": '], 2, /expected one JSON object/],
    ['a list', [header, '[1]'], 2, /expected one JSON object/],
    [
      'an unknown step',
      [header, '', '{"step": "spwan", "task": "A"}'],
      3,
      /unknown step "spwan"; expected one of spawn, /,
    ],
    [
      'an unknown key',
      [header, '{"step": "spawn", "task": "A", "cup": 1}'],
      2,
      /unknown key "cup" in step "spawn"; expected .*cpu/,
    ],
    ['an unknown header key', ['{"scenario": "s", "machin": {}}'], 1, /unknown key "machin"/],
    [
      'an unknown machine key',
      ['{"scenario": "s", "machine": {"cpu": 1}}'],
      1,
      /unknown key "cpu" in a machine/,
    ],
    ['a missing key', [header, '{"step": "store", "task": "self"}'], 2, /step "store" needs "at"/],
    [
      'a task that is not there',
      [header, '{"step": "exit", "task": "A"}'],
      2,
      /name of a task that an earlier step made, not "A"/,
    ],
    ['an event that is not there', [header, '{"step": "close", "event": "e"}'], 2, /name of an event/],
    [
      'no address',
      [header, spawn, '{"step": "store", "task": "A", "at": "A.code16"}'],
      3,
      /"at" of step "store" is an address/,
    ],
    [
      'an unknown attr key',
      [header, '{"step": "open", "as": "e", "attr": {"bpLength": 1}}'],
      2,
      /unknown key "bpLength"/,
    ],
    ['an unknown need', ['{"scenario": "s", "needs": ["luck"]}'], 1, /"needs" is a list of root/],
    [
      'a bad inner step',
      [header, '{"step": "nmi", "at": 1, "in": {"step": "x"}, "do": []}'],
      2,
      /unknown step "x"/,
    ],
  ])('refuses %s with its line', (_what, lines, line, message) => {
    expect(syntaxError(...lines)).toMatch(new RegExp(`^f\\.jsonl:${line}: `));
    expect(syntaxError(...lines)).toMatch(message);
  });
});

describe('running scenarios', () => {
  it('fails a step that differs, with what was expected and what came, and stops the scenario there', async () => {
    const report = await run(header, '{"step": "used", "expect": {"used": true}}', '{"step": "used"}');
    expect(report).toMatchObject({ exitCode: 1, executedSteps: 1, scenarios: [{ status: 'differed' }] });
    expect(renderReport(report)).toMatch(
      /DIFFERS s: f\.jsonl:2: used: expected \{"used":true\}, got \{"errno":0,"used":false\}/,
    );
    expect(reportObjects(report)[0]).toMatchObject({ step: 'used', held: false, expected: { used: true } });
  });

  it('expects success where nothing is expected, and takes anything for an empty expectation', async () => {
    const open = '{"step": "open", "as": "e", "attr": {"bpType": 0}';
    expect((await run(header, `${open}}`)).exitCode).toBe(1);
    expect((await run(header, `${open}, "expect": {}}`)).exitCode).toBe(0);
  });

  it('fails a run that executed nothing, and says so', async () => {
    const report = await run(
      '{"scenario": "s", "machine": {"arch": "arm64"}, "needs": ["bpf"]}',
      '{"step": "spawn", "task": "A"}',
    );
    expect(report).toMatchObject({
      exitCode: 1,
      executedSteps: 0,
      scenarios: [{ status: 'skipped', reason: 'the model has no bpf on arm64' }],
    });
    expect(renderReport(report)).toMatch(/1 skipped; 0 steps executed: nothing was executed/);
    expect((await run(header)).exitCode).toBe(1);
  });

  it('skips a scenario with a step that the kernel cannot do, with the reason', async () => {
    const report = await run(header, '{"step": "spawn", "task": "A"}', '{"step": "vm", "as": "v"}');
    expect(report.scenarios[0]).toMatchObject({
      status: 'skipped',
      reason: 'model cannot do "vm" (line 3)',
    });
  });

  it('ends with 2 for a text that is no scenario, before anything is executed', async () => {
    expect(await run(header, '{"step": "nothing"}')).toMatchObject({
      exitCode: 2,
      scenarios: [],
      executedSteps: 0,
    });
  });

  it.each([
    ['{"step": "store", "task": "A", "at": "A.data", "len": -5}', '"len" is 1 to 4096, not -5'],
    ['{"step": "load", "task": "A", "at": "A.data", "len": "0xffffffffffffffff"}', '"len" is 1 to 4096'],
    ['{"step": "syscallWrite", "task": "A", "at": "A.data", "len": 0}', '"len" is 1 to 4096, not 0'],
    ['{"step": "call", "task": "A", "at": "A.code0", "times": -1}', '"times" is 0 to 10000000, not -1'],
    ['{"step": "spawn", "task": "B", "cpu": 9}', 'CPU 9 is not online'],
    ['{"step": "cpuOnline", "cpu": 9}', 'there is no CPU 9'],
    ['{"step": "cpuOffline", "cpu": 9}', 'CPU 9 is not online'],
    ['{"step": "kernelAccess", "cpu": -1, "at": "0x0"}', 'CPU -1 is not online'],
  ])('tells %s with its line', async (step, message) => {
    const report = await run(header, '{"step": "spawn", "task": "A"}', step);
    expect(report.exitCode).toBe(1);
    expect(renderReport(report)).toContain(`f.jsonl:3: ${message}`);
  });

  it('tells what an ended task is told to do, and the last CPU to go', async () => {
    const spawn = '{"step": "spawn", "task": "A"}';
    const exit = '{"step": "exit", "task": "A"}';
    expect(renderReport(await run(header, spawn, exit, exit))).toContain(
      'f.jsonl:4: exit: expected {"errno":0}, got {"errno":"ESRCH"}',
    );
    const offline = [0, 1].map((cpu) => `{"step": "cpuOffline", "cpu": ${cpu}}`);
    expect(renderReport(await run(header, ...offline))).toContain(
      'f.jsonl:3: the last CPU cannot go offline',
    );
  });

  it('tells a step that makes no sense with its line', async () => {
    const report = await run(header, '{"step": "migrate", "task": "self", "cpu": 7}');
    expect(renderReport(report)).toMatch(/f\.jsonl:2: CPU 7 is not online/);
    expect(report.exitCode).toBe(1);
  });
});

describe('expectations', () => {
  it.each([
    [1, 1n, true],
    ['0x10', 16n, true],
    [1, 2n, false],
    [{ min: 1, max: 3 }, 3n, true],
    [{ min: 1, max: 3 }, 4n, false],
    [{ min: 1 }, undefined, false],
    [{ not: 0 }, 1n, true],
    [{ not: 0 }, 0n, false],
    [{ not: 0 }, undefined, false],
    [2, ['a', 'b'], true],
    [1, ['a', 'b'], false],
    [[{ a: 1 }], [{ a: 1n, b: 2 }], true],
    [[{ a: 1 }], [], false],
    ['ENOSPC', 'ENOSPC', true],
    ['ENOSPC', 0, false],
    [true, false, false],
  ])('%j against %o: %s', (expected, got, result) => {
    expect(holds(expected, got)).toBe(result);
  });
});
