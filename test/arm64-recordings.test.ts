import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ModelLabMaker } from '../src/hosts/model/model-lab.ts';
import { parseScenarios } from '../src/scenario/parser.ts';
import { parseRecording } from '../src/scenario/recording.ts';
import { renderReport } from '../src/scenario/report.ts';
import { runScenarioFiles, type ScenarioSource } from '../src/scenario/run.ts';

// What a stock Debian kernel answered under QEMU, replayed on the model: recordings/README.md.

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, 'recordings', path), 'utf8');

function allScenarios(): ScenarioSource[] {
  const folder = join(root, 'scenarios');
  return readdirSync(folder).flatMap((section) =>
    readdirSync(join(folder, section)).map((file) => ({
      name: `scenarios/${section}/${file}`,
      text: readFileSync(join(folder, section, file), 'utf8'),
    })),
  );
}

describe('the model against a recorded arm64 kernel', () => {
  it('answers every recorded scenario as the kernel did', async () => {
    const recording = parseRecording(read('arm64-scenarios.jsonl'));
    const recorded = allScenarios().filter(({ name, text }) =>
      parseScenarios(name, text).some((scenario) => recording.results.has(scenario.name)),
    );
    const report = await runScenarioFiles(recorded, {
      maker: new ModelLabMaker({ verify: true }),
      recording,
    });
    expect(report.exitCode, renderReport(report)).toBe(0);
    expect(report.scenarios.filter(({ status }) => status === 'held')).toHaveLength(recording.results.size);
    expect(recording.results.size).toBeGreaterThan(10);
  });
});
