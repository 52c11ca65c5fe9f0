import { describe, expect, it } from 'vitest';
import { parseScenarios } from './parser.ts';
import { parseRecording, recordedScenario } from './recording.ts';

const header =
  '{"recording": 1, "kernel": {"release": "6.1"}, "command": "c", "machine": {"features": ["vhe"]}}';
const [scenario] = parseScenarios('s', '{"scenario": "s"}\n{"step": "spawn", "task": "A", "expect": {}}\n');

describe('a recording', () => {
  it('makes a scenario expect what the kernel answered, on its machine', () => {
    const recording = parseRecording(`${header}\n{"scenario": "s", "results": [{"errno": "EPERM"}]}\n`);
    expect(recording.kernel.release).toBe('6.1');
    expect(scenario && recordedScenario(scenario, recording)).toMatchObject({
      machine: { arch: 'x86', cpus: 2, features: ['vhe'] },
      steps: [{ step: 'spawn', expect: { errno: 'EPERM' } }],
    });
    expect(scenario && recordedScenario({ ...scenario, name: 'other' }, recording)).toBeUndefined();
  });

  it('of other steps is told from one of these', () => {
    const recording = parseRecording(`${header}\n{"scenario": "s", "results": []}\n`);
    expect(() => scenario && recordedScenario(scenario, recording)).toThrow('"s" has 1 steps, and 0 when');
  });

  it.each([
    '',
    'x',
    '[]',
    '{"recording": 2}',
    `${header}\n{"scenario": "s"}`,
    `${header}\n{"scenario": "s", "results": [1]}`,
  ])('is not %j', (text) => {
    expect(() => parseRecording(text)).toThrow('expected');
  });
});
