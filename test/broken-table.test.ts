import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { LiveLabMaker } from '#dist/hosts/live/live-lab.js';
import { ModelLabMaker } from '#dist/hosts/model/model-lab.js';
import { type FuzzReport, fuzz } from '#dist/scenario/fuzz/fuzz.js';
import type { TableMaker } from '../src/kernel/pmu/breakpoint-pmu.ts';
import type { LabMaker } from '../src/scenario/lab.ts';

// The fuzzer is worth what it finds: an off-by-one is put into copies of the slot table, one at a time, and it must find
// each. Everything is the built code here, as the copies are: two copies of the model would have two AssertionErrors.
// The oracle is the right model, which needs no hardware, and Linux where it may be asked.

const source = new URL('../dist/kernel/pmu/constraint-table.js', import.meta.url);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-broken-table-'));
const live = new LiveLabMaker();
const reason = live.unable() ?? (live.machine.root ? undefined : 'it needs root');
if (reason !== undefined) console.log(`skipped: broken tables against Linux: ${reason}`);
afterAll(() => {
  live.close();
  fs.rmSync(folder, { recursive: true });
});

/** What is wrong in a copy: this text is replaced by that. */
const faults = {
  'one slot too many': ['request) >= pool.slots)', 'request) > pool.slots)'],
  'one slot too few': ['request) >= pool.slots)', 'request) + 1 >= pool.slots)'],
  'the greediest task is taken for one less greedy': ['return k + 1;', 'return k;'],
  'a task with all slots is overlooked': ['k = pool.slots - 1; k >= 0', 'k = pool.slots - 2; k >= 0'],
  'the last CPU is not looked at': [
    'let used = 0;\n        for (let c = 0; c < this.#possibleCpus; c++)',
    'let used = 0;\n        for (let c = 0; c < this.#possibleCpus - 1; c++)',
  ],
  'a task is counted CPU by CPU from the second CPU on': [
    '#moveTask(pool, count, options) {\n        for (let c = 0;',
    '#moveTask(pool, count, options) {\n        for (let c = 1;',
  ],
} as const;

async function brokenTable(name: keyof typeof faults): Promise<TableMaker> {
  const text = fs.readFileSync(source, 'utf8');
  const [right, wrong] = faults[name];
  expect(text.split(right), `the table has this place: ${right}`).toHaveLength(2);
  const imports = text
    .replace(right, wrong)
    .replace(/from '(\.[^']+)'/g, (_, file: string) => `from '${new URL(file, source)}'`);
  const copy = path.join(folder, `${name.replaceAll(' ', '-')}.mjs`);
  fs.writeFileSync(copy, imports);
  const module = (await import(/* @vite-ignore */ pathToFileURL(copy).href)) as {
    ConstraintTable: new (options: Parameters<TableMaker>[0]) => ReturnType<TableMaker>;
  };
  return (options) => new module.ConstraintTable(options);
}

function fuzzed(maker: LabMaker, against: LabMaker): Promise<FuzzReport> {
  return fuzz({
    ...{ seed: 1, scenarios: 2000, steps: 24, maker, against },
    onScenario: ({ differences }) => differences > 0,
  });
}

describe('a deliberate off-by-one in a copy of the slot table', () => {
  for (const name of Object.keys(faults) as (keyof typeof faults)[]) // its own keys
    it(`is found within 2,000 scenarios, and made small: ${name}`, async () => {
      const table = await brokenTable(name);
      const { counts, findings } = await fuzzed(new ModelLabMaker({ table }), new ModelLabMaker());
      console.log(
        `${name}: found in scenario ${counts.scenarios}, ${findings[0]?.scenario.steps.length} steps when small`,
      );
      expect(findings).toHaveLength(1);
      expect(findings[0]?.scenario.steps.length).toBeLessThanOrEqual(12);
    });

  it('is not seen where there is none', async () => {
    const { counts, findings } = await fuzz({
      ...{ seed: 1, scenarios: 300, steps: 24 },
      maker: new ModelLabMaker({ verify: true }),
      against: new ModelLabMaker(),
    });
    expect(findings).toEqual([]);
    expect(counts.agreements).toBe(300);
  });

  it.skipIf(reason !== undefined)('is found by Linux too', async () => {
    const table = await brokenTable('the greediest task is taken for one less greedy');
    const { findings } = await fuzzed(new ModelLabMaker({ table }), live);
    expect(findings).toHaveLength(1);
    expect(findings[0]?.outcome.difference).toMatchObject({ step: 'open', field: 'errno' });
    expect(findings[0]?.outcome.difference?.values[1]).toBe('ENOSPC');
  });
});
