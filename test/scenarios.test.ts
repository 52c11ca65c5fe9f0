import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ModelLabMaker } from '../src/hosts/model/model-lab.ts';
import { renderReport, reportObjects } from '../src/scenario/report.ts';
import { runScenarioFiles, type ScenarioSource } from '../src/scenario/run.ts';

const root = join(import.meta.dirname, '..', 'scenarios');
const sections = readdirSync(root).sort();

function sourcesOf(section: string): ScenarioSource[] {
  return readdirSync(join(root, section))
    .sort()
    .map((file) => ({
      name: `scenarios/${section}/${file}`,
      text: readFileSync(join(root, section, file), 'utf8'),
    }));
}

describe('scenarios on the model, verified', () => {
  for (const section of sections)
    for (const source of sourcesOf(section))
      it(source.name, async () => {
        const report = await runScenarioFiles([source], { maker: new ModelLabMaker({ verify: true }) });
        expect(report.exitCode, renderReport(report)).toBe(0);
        expect(report.scenarios.every(({ status }) => status === 'held')).toBe(true);
      });

  it('gives the same results twice, byte for byte', async () => {
    const texts = [];
    for (let run = 0; run < 2; run++) {
      const report = await runScenarioFiles(sections.flatMap(sourcesOf), { maker: new ModelLabMaker() });
      texts.push(
        reportObjects(report)
          .map((object) => JSON.stringify(object))
          .join('\n'),
      );
    }
    expect(texts[1]).toBe(texts[0]);
    expect(texts[0]?.length).toBeGreaterThan(10_000);
  });
});
