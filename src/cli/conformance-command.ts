import fs from 'node:fs';
import os from 'node:os';
import { LiveLabMaker } from '../hosts/live/live-lab.ts';
import { type FuzzReport, fuzz } from '../scenario/fuzz/fuzz.ts';
import { shows } from '../scenario/fuzz/known-difference.ts';
import { knownDifferences } from '../scenario/fuzz/known-differences.ts';
import { parseScenarios } from '../scenario/parser.ts';
import { type RunReport, runScenario, runScenarioFiles } from '../scenario/run.ts';
import { ModelCoverageRecorder } from './branch-coverage/model-coverage.ts';
import { type Conformance, conformanceText, type KnownState } from './conformance-text.ts';
import { UsageError } from './errors.ts';
import { integerOption } from './integer-option.ts';
import { Output } from './output.ts';
import { StatusLine } from './progress.ts';
import { readScenarioFiles } from './scenario-files.ts';

/** The options of `trapline conformance`, as commander gives them. */
export interface ConformanceFlags {
  readonly seeds?: string;
  readonly scenarios?: string;
  readonly steps?: string;
  readonly output?: string;
}

const seedMax = 0xffff_ffff;

/**
 * `trapline conformance`: runs scenarios and random ones on both kernels, and writes what came of it as a page.
 * @returns 0: nothing differed but what is listed; 1: something did, something broke, or nothing was executed.
 */
export async function conformanceCommand(files: readonly string[], flags: ConformanceFlags): Promise<number> {
  const seeds = (flags.seeds ?? '1')
    .split(',')
    .map((text) => integerOption('--seeds', text, { min: 0, max: seedMax }));
  const scenarios = integerOption('--scenarios', flags.scenarios ?? '2000', { min: 1, max: 1e9 });
  const steps = integerOption('--steps', flags.steps ?? '24', { min: 2, max: 10_000 });
  const sources = readScenarioFiles(files);
  const recorder = new ModelCoverageRecorder();
  const { ModelLabMaker } = await import('../hosts/model/model-lab.ts'); // loaded while coverage is recorded
  const live = new LiveLabMaker();
  const unable = live.unable();
  if (unable !== undefined) throw new UsageError(`there is nothing to compare with: ${unable}`);
  const maker = new ModelLabMaker({ verify: true });
  const { release } = live.machine;
  const status = new StatusLine(true);
  const begin = performance.now();
  const fuzzed: { readonly seed: number; readonly report: FuzzReport; readonly seconds: number }[] = [];
  let both: RunReport;
  let modelOnly: RunReport;
  let known: KnownState[];
  try {
    both = await runScenarioFiles(sources, { maker, against: live });
    if (both.syntaxError !== undefined) throw new UsageError(both.syntaxError.message);
    const skipped = new Set(
      both.scenarios.filter((each) => each.status === 'skipped').map(({ source }) => source),
    );
    modelOnly = await runScenarioFiles(
      sources.filter(({ name }) => skipped.has(name)),
      { maker },
    );
    known = [];
    for (const each of knownDifferences) {
      const [scenario] = parseScenarios(each.id, each.scenario);
      if (scenario === undefined) continue;
      const { difference } = await runScenario(scenario, maker, live);
      const still =
        difference !== undefined &&
        shows({ ...each, steps: scenario.steps }, { scenario, difference, release });
      known.push({ ...each, still });
    }
    for (const seed of seeds) {
      const start = performance.now();
      const report = await fuzz({
        ...{ seed, scenarios, steps, release, maker, against: live, known: knownDifferences },
        onScenario: (counts) => {
          status.show(
            () => `seed ${seed}: ${counts.scenarios} of ${scenarios} scenarios, ${counts.steps} steps`,
          );
          return false;
        },
      });
      fuzzed.push({ seed, report, seconds: (performance.now() - start) / 1000 });
    }
  } finally {
    status.clear();
    live.close();
  }
  const covered = recorder.take();
  recorder.close();
  const conformance: Conformance = {
    ...{ release, cpuModel: os.cpus()[0]?.model ?? 'unknown', cpus: live.machine.cpus.length },
    ...{ features: live.machine.features, both, modelOnly, fuzzed, known, covered, scenarios, steps },
    ...{ files, seconds: (performance.now() - begin) / 1000 },
  };
  const text = conformanceText(conformance);
  if (flags.output === undefined) {
    const out = new Output(1);
    out.write(text);
    out.flush();
  } else fs.writeFileSync(flags.output, text);
  const bad =
    both.exitCode !== 0 || fuzzed.some(({ report }) => report.findings.length + report.broken.length > 0);
  return bad || fuzzed.every(({ report }) => report.counts.steps === 0) ? 1 : 0;
}
