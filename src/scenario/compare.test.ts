import { describe, expect, it } from 'vitest';
import { type ModelLab, ModelLabMaker } from '../hosts/model/model-lab.ts';
import { Comparison } from './compare.ts';
import type { ScenarioMachine, ScenarioStep } from './format.ts';
import { parseScenarios } from './parser.ts';
import { runScenario } from './run.ts';

function step(name: string, keys: Record<string, unknown>): ScenarioStep {
  return { line: 1, step: name, keys, expect: undefined };
}
const read = step('read', { event: 'a' });

describe('comparison of two kernels', () => {
  it('names the first field that differs, deep ones by their path', () => {
    const comparison = new Comparison();
    expect(comparison.difference(read, [{ errno: 0 }, { errno: 'EBADF' }])).toEqual({
      field: 'errno',
      values: [0, 'EBADF'],
    });
    const members = (value: bigint) => ({ errno: 0, members: [{ value: 1n }, { value, id: 'b' }] });
    expect(comparison.difference(read, [members(2n), members(3n)])?.field).toBe('members.1.value');
    expect(comparison.difference(read, [members(2n), members(2n)])).toBeUndefined();
  });

  it('sees a field that only one kernel gives', () => {
    const results = [{ errno: 0 }, { errno: 0, lost: 0n }] as const;
    expect(new Comparison().difference(read, results)?.field).toBe('lost');
  });

  it('compares times only in order', () => {
    const times = (timeEnabled: bigint, timeRunning: bigint) => ({ errno: 0, timeEnabled, timeRunning });
    const comparison = new Comparison();
    expect(comparison.difference(read, [times(5n, 5n), times(70n, 70n)])).toBeUndefined();
    expect(comparison.difference(read, [times(5n, 0n), times(70n, 30n)])).toBeUndefined();
    expect(comparison.difference(read, [times(0n, 0n), times(70n, 30n)])).toBeUndefined();
    expect(comparison.difference(read, [times(5n, 5n), times(70n, 30n)])?.field).toBe('times');
  });

  it('leaves out counts of events that were open at a kernel write of several bytes', () => {
    const comparison = new Comparison();
    comparison.difference(step('open', { as: 'a' }), [{ errno: 0 }, { errno: 0 }]);
    comparison.difference(step('syscallWrite', { len: 8 }), [{ errno: 0 }, { errno: 0 }]);
    const results = [{ value: 1n }, { value: 8n }] as const;
    expect(comparison.difference(read, results)).toBeUndefined();
    expect(comparison.difference(step('read', { event: 'b' }), results)?.field).toBe('value');
  });
});

describe('a scenario on two kernels', () => {
  class OtherProcessor extends ModelLabMaker {
    override make(machine: ScenarioMachine): ModelLab {
      return super.make({ ...machine, features: ['bpext'] });
    }
  }
  const [scenario] = parseScenarios(
    'text',
    [
      '{"scenario": "range"}',
      '{"step": "spawn", "task": "A"}',
      '{"step": "open", "as": "a", "attr": {"bpType": "w", "bpAddr": "A.data", "bpLen": 16}, "task": "A", "expect": {}}',
    ].join('\n'),
  );

  it('holds where both agree, and differs at the first step where they do not, expected or not', async () => {
    if (scenario === undefined) throw new Error('a scenario was read');
    const same = await runScenario(scenario, new ModelLabMaker(), new ModelLabMaker());
    expect(same.status).toBe('held');
    const other = await runScenario(scenario, new ModelLabMaker(), new OtherProcessor());
    expect(other.status).toBe('differed');
    expect(other.reason).toBe('text:3: open: errno: model "EOPNOTSUPP", model 0');
  });
});
