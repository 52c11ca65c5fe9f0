import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ModelLabMaker } from '../src/hosts/model/model-lab.ts';
import { randomArm64Scenarios } from '../src/scenario/fuzz/arm64-scenarios.ts';
import { parseScenarios } from '../src/scenario/parser.ts';
import { runScenario } from '../src/scenario/run.ts';

const read = (path: string) => readFileSync(join(import.meta.dirname, '..', 'recordings', path), 'utf8');

interface Entry {
  readonly addr: string;
  readonly ctrl: string;
}

/** Code at no label is where each kernel has it. */
const named = ({ addr, ctrl }: Entry): Entry => ({ addr: /^0x5555/.test(addr) ? 'code' : addr, ctrl });

/** The fields that the guest program tells, in its order. */
function told(result: Readonly<Record<string, unknown>>): object {
  const { errno, value, stop, bytes, info, entries } = result;
  const stopFields = stop as { signal: number; code: number; at: string } | null | undefined; // a stop, or none
  return {
    errno,
    ...(value === undefined ? {} : { value }),
    ...(stopFields === undefined
      ? {}
      : {
          stop:
            stopFields === null
              ? null
              : { signal: stopFields.signal, code: stopFields.code, at: stopFields.at },
        }),
    ...(info === undefined ? {} : { bytes, info, entries: (entries as Entry[]).map(named) }),
  };
}

describe('the model against a recorded arm64 kernel', () => {
  it('answers 50,000 random steps as the kernel did', async () => {
    const header = JSON.parse(read('arm64-random.json')) as {
      seed: number;
      askedSteps: number;
      steps: number;
      sha256: string;
      machine: object;
    };
    expect(header.steps).toBeGreaterThanOrEqual(50_000);
    const text = randomArm64Scenarios({ seed: header.seed, steps: header.askedSteps });
    const hash = createHash('sha256');
    const maker = new ModelLabMaker();
    let steps = 0;
    for (const scenario of parseScenarios('random', text)) {
      const outcome = await runScenario(
        { ...scenario, machine: { ...scenario.machine, ...header.machine } },
        maker,
      );
      expect(outcome.reason).toBeUndefined();
      const results = outcome.steps.map(({ result }) => told(result));
      hash.update(`${JSON.stringify({ scenario: scenario.name, results })}\n`);
      steps += results.length;
    }
    expect(steps).toBe(header.steps);
    expect(hash.digest('hex')).toBe(header.sha256);
  }, 120_000);
});
