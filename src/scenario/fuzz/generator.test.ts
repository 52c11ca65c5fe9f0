import { describe, expect, it } from 'vitest';
import { stepSpecs } from '../format.ts';
import { abilities } from './abilities.ts';
import { fuzzScenarioText, readFuzzScenario } from './fuzz-scenario.ts';
import { ScenarioGenerator } from './generator.ts';

const texts = (seed: number, count: number): string[] => {
  const generator = new ScenarioGenerator({ seed, steps: 24 });
  return Array.from({ length: count }, (_, n) => fuzzScenarioText(generator.scenario(n)));
};

describe('the generator', () => {
  it('gives the same scenarios for the same seed, in whatever order they are asked for', () => {
    const all = texts(7, 50);
    expect(texts(7, 50)).toEqual(all);
    expect(fuzzScenarioText(new ScenarioGenerator({ seed: 7, steps: 24 }).scenario(31))).toBe(all[31]);
  });

  it('gives other scenarios for other seeds and other numbers', () => {
    const steps = (text: string): string => text.slice(text.indexOf('\n'));
    const many = [1, 2, 3, 4].flatMap((seed) => texts(seed, 250).map(steps));
    expect(new Set(many).size).toBeGreaterThan(990);
  });

  it('makes nothing but scenarios of docs/spec/09 that run live too', () => {
    const generator = new ScenarioGenerator({ seed: 3, steps: 24 });
    for (let n = 0; n < 500; n++) {
      const { steps, needs, machine } = readFuzzScenario(generator.scenario(n));
      expect(steps.length).toBeGreaterThanOrEqual(24);
      for (const { step, keys } of steps) {
        expect(stepSpecs[step]?.modelOnly).not.toBe(true);
        if (step === 'spawn') expect(keys.cpu).toBeLessThan(machine.cpus);
      }
      expect(needs.includes('two-cpus')).toBe(machine.cpus > 1);
    }
  });

  it('reaches every kind of step of every ability, and every field of an attr', () => {
    const all = texts(1, 2000).join('');
    for (const { kinds, attrFields = [] } of abilities) {
      for (const { weight } of kinds) expect(weight).toBeGreaterThan(0);
      for (const { chance } of attrFields) expect(chance).toBeGreaterThan(0);
    }
    const steps = [
      ...[
        'spawn',
        'thread',
        'fork',
        'exec',
        'exit',
        'migrate',
        'reschedule',
        'store',
        'load',
        'rmw',
        'storeTwo',
      ],
      ...['call', 'syscallWrite', 'open', 'modify', 'ioctl', 'read', 'poll', 'close', 'used'],
    ];
    for (const step of steps) expect(all).toContain(`{"step":"${step}"`);
    for (const text of [
      '"group"',
      '"inherit"',
      '"pinned"',
      '"RESET"',
      '"PERIOD"',
      '"arg":1',
      '"bad"',
      '"nobody"',
    ])
      expect(all).toContain(text);
  });

  it('fills all slots of a task in many scenarios', () => {
    let full = 0;
    for (const text of texts(5, 300)) {
      const open = text.match(/"step":"open"/g)?.length ?? 0;
      if (open > 5) full++;
    }
    expect(full).toBeGreaterThan(100);
  });
});
