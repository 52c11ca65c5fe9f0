import { describe, expect, it } from 'vitest';
import type { FuzzScenario, FuzzStep } from './fuzz-scenario.ts';
import { ScenarioGenerator } from './generator.ts';
import { consistent, shrink } from './shrink.ts';

const generator = new ScenarioGenerator({ seed: 11, steps: 60 });
const has = (step: string) => (scenario: FuzzScenario) =>
  Promise.resolve(scenario.steps.some((each) => each.step === step));

/** The first generated scenario that shows something. */
async function scenarioThat(shows: (scenario: FuzzScenario) => Promise<boolean>): Promise<FuzzScenario> {
  for (let n = 0; n < 500; n++) {
    const scenario = generator.scenario(n);
    if (await shows(scenario)) return scenario;
  }
  throw new Error('none of 500 scenarios shows it');
}

describe('shrinking', () => {
  it('leaves one step where one step is enough, with the steps that make its names, and no key that it can do without', async () => {
    const shows = has('storeTwo');
    const { steps } = await shrink(await scenarioThat(shows), shows);
    expect(steps.map(({ step }) => step)).toEqual(['spawn', 'storeTwo']);
    expect(Object.keys(steps[1] ?? {}).sort()).toEqual(['at', 'at2', 'step', 'task']);
    expect(steps[0]).toHaveProperty('cpu', 0); // never without: a task must be on a CPU that is told
  });

  it('keeps steps that are needed together, however far apart', async () => {
    const shows = async (scenario: FuzzScenario): Promise<boolean> => {
      const names = scenario.steps.map(({ step }) => step);
      return names.indexOf('fork') >= 0 && names.lastIndexOf('read') > names.indexOf('fork') + 1;
    };
    const { steps } = await shrink(await scenarioThat(shows), shows);
    // spawn, open, fork, anything, read; an event made behind the fork is itself the thing between.
    expect(steps.length).toBeLessThanOrEqual(5);
    expect(await shows({ name: '', cpus: 1, steps })).toBe(true);
  });

  it('takes keys and list entries out of attrs', async () => {
    const grouped = ({ attr }: FuzzStep): boolean =>
      typeof attr === 'object' && JSON.stringify(attr).includes('"GROUP"');
    const shows = (scenario: FuzzScenario): Promise<boolean> => Promise.resolve(scenario.steps.some(grouped));
    const { steps } = await shrink(await scenarioThat(shows), shows);
    const attr = steps.find(grouped)?.attr as object; // just found
    expect(Object.keys(attr).sort()).toEqual(['bpAddr', 'bpType', 'readFormat']);
    expect(attr).toHaveProperty('readFormat', ['GROUP']);
  });

  it('tries so many candidates at most', async () => {
    let tried = 0;
    const scenario = generator.scenario(0);
    const same = await shrink(scenario, () => Promise.resolve(++tried > 1e9), 25);
    expect(tried).toBe(25);
    expect(same).toBe(scenario);
  });

  it('never leaves a step whose names nobody makes', () => {
    for (let n = 0; n < 100; n++) {
      const { steps } = generator.scenario(n);
      expect(consistent(steps)).toEqual(steps);
      const spawned = new Set<unknown>();
      for (const step of consistent(steps.filter((_, k) => k % 2 === 0 || k % 5 === 0))) {
        if (step.step === 'spawn') spawned.add(step.task);
        if (step.step === 'thread' || step.step === 'fork') spawned.add(step.as);
        if (step.step === 'store') expect(spawned).toContain(step.task);
      }
    }
  });
});
