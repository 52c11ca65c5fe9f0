import fs from 'node:fs';
import path from 'node:path';
import { LiveLabMaker } from '../hosts/live/live-lab.ts';
import { type Finding, type FuzzCounts, type FuzzReport, fuzz } from '../scenario/fuzz/fuzz.ts';
import { knownDifferences } from '../scenario/fuzz/known-differences.ts';
import { ModelCoverageRecorder } from './branch-coverage/model-coverage.ts';
import { UsageError } from './errors.ts';
import { findingText, fuzzObject, fuzzText, unreachedText } from './fuzz-text.ts';
import { integerOption } from './integer-option.ts';
import { Output } from './output.ts';
import { StatusLine } from './progress.ts';

/** The options of `trapline fuzz`, as commander gives them. */
export interface FuzzFlags {
  readonly seed?: string;
  readonly scenarios?: string;
  readonly steps?: string;
  readonly save?: string;
  readonly json?: boolean;
  readonly on?: string;
  readonly unreached?: boolean;
}

/** u32 */
const seedMax = 0xffff_ffff;
const countMax = 1_000_000_000;
const stepsMax = 10_000;

/**
 * `trapline fuzz`: random scenarios on the model and on the machine's Linux; what differs is made small, printed and
 * saved. docs/spec/09 "Runner".
 * @returns 0: they agreed; 1: they did not, something broke, or nothing was executed. Throws `UsageError`.
 */
export async function fuzzCommand(flags: FuzzFlags): Promise<number> {
  const on = flags.on ?? 'both';
  if (on !== 'both' && on !== 'model') throw new UsageError(`--on ${on}: expected both or model`);
  const seed = integerOption('--seed', flags.seed ?? '1', { min: 0, max: seedMax });
  const scenarios = integerOption('--scenarios', flags.scenarios ?? '500', { min: 1, max: countMax });
  const steps = integerOption('--steps', flags.steps ?? '24', { min: 2, max: stepsMax });
  const folder = flags.save ?? '.';
  if (!fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(`--save ${folder}: there is no such folder`);
  const json = flags.json === true;
  const out = new Output(1);
  const coverage = new ModelCoverageRecorder();
  const { ModelLabMaker } = await import('../hosts/model/model-lab.ts'); // loaded while coverage is recorded
  const live = on === 'both' ? new LiveLabMaker() : undefined;
  const release = live?.machine.release ?? '';
  const begin = performance.now();
  const status = new StatusLine(!json);
  const saved: string[] = [];
  let report: FuzzReport;
  try {
    report = await fuzz({
      ...{ seed, scenarios, steps, release, known: knownDifferences },
      maker: new ModelLabMaker({ verify: true }),
      ...(live === undefined ? {} : { against: live }),
      onScenario: (counts) => {
        status.show(() => progressText(counts, scenarios, begin));
        return false;
      },
      onFinding: (finding) => {
        status.clear();
        const file = save(folder, finding, saved.length);
        saved.push(file);
        if (!json) out.write(findingText(finding, file));
        out.flush();
      },
    });
  } finally {
    status.clear();
    live?.close();
  }
  const covered = coverage.take();
  coverage.close();
  const run = {
    covered,
    seed,
    scenarios,
    steps,
    on,
    release,
    seconds: (performance.now() - begin) / 1000,
    saved,
  };
  if (json) out.line(JSON.stringify(fuzzObject(report, run)));
  else out.write(fuzzText(report, run));
  if (!json && flags.unreached === true) out.write(unreachedText(covered));
  out.flush();
  const { counts, findings, broken } = report;
  return counts.steps > 0 && findings.length === 0 && broken.length === 0 ? 0 : 1;
}

function progressText(counts: FuzzCounts, scenarios: number, begin: number): string {
  const rate = Math.round((counts.steps * 1000) / (performance.now() - begin));
  return `${counts.scenarios} of ${scenarios} scenarios, ${counts.steps} steps, ${rate} steps/s, ${counts.differences} differ`;
}

/** Writes a finding to a file of its own in `folder`; gives its path. */
function save(folder: string, finding: Finding, number: number): string {
  const file = path.join(folder, `${finding.scenario.name}-${number}.jsonl`);
  fs.writeFileSync(file, finding.text);
  return file;
}
