import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { LiveLabMaker } from '../../src/hosts/live/live-lab.ts';
import { ModelLabMaker } from '../../src/hosts/model/model-lab.ts';
import { renderTotals, scenarioLine } from '../../src/scenario/report.ts';
import { runScenarioFiles } from '../../src/scenario/run.ts';

const root = join(import.meta.dirname, '..', '..', 'scenarios');
const sources = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.jsonl'))
  .sort()
  .map((file) => ({ name: `scenarios/${file}`, text: readFileSync(join(root, file), 'utf8') }));

const live = new LiveLabMaker();
const reason = live.unable() ?? (live.machine.root ? undefined : 'it needs root');
if (reason !== undefined) console.log(`skipped: scenarios on Linux: ${reason}`);
afterAll(() => live.close());

describe.skipIf(reason !== undefined)('scenarios on Linux and on the model', () => {
  it('agree field by field, in all that can run on Linux', async () => {
    const report = await runScenarioFiles(sources, { maker: new ModelLabMaker(), against: live });
    for (const outcome of report.scenarios)
      if (outcome.status === 'skipped') console.log(`skipped: ${outcome.source}: ${outcome.reason}`);
    console.log(`model and Linux ${live.machine.release}: ${renderTotals(report)}`);
    const bad = report.scenarios.filter(({ status }) => status === 'differed' || status === 'broken');
    expect(bad.map(scenarioLine)).toEqual([]);
    expect(report.scenarios.filter(({ status }) => status === 'held').length).toBeGreaterThan(40);
    expect(report.exitCode).toBe(0);
  });
});
