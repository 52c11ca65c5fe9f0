import type { Finding, FuzzReport } from '../scenario/fuzz/fuzz.ts';
import type { ModelCoverage } from './branch-coverage/model-coverage.ts';
import { printable } from './printable.ts';

/** What was run, for the totals. */
export interface FuzzRun {
  readonly seed: number;
  readonly scenarios: number;
  readonly steps: number;
  readonly on: string;
  /** Release of the live kernel; "" on the model alone. */
  readonly release: string;
  readonly seconds: number;
  /** Files that findings were written to. */
  readonly saved: readonly string[];
  readonly covered: ModelCoverage;
}

/** A finding with its smallest scenario. */
export function findingText(finding: Finding, file: string): string {
  const { status, reason = '' } = finding.outcome;
  const heading = `${status === 'broken' ? 'BROKEN ' : 'DIFFERS'} ${printable(reason)}`;
  return `${heading}\n${finding.text.replace(/^/gm, '  ').trimEnd()}\n  saved as ${printable(file)}\n`;
}

/** The totals of a run. */
export function fuzzText(report: FuzzReport, run: FuzzRun): string {
  const { counts, skipReasons, knownSeen } = report;
  const kernels = run.on === 'both' ? `the model and Linux ${run.release}` : 'the model';
  const rate = Math.round(counts.steps / run.seconds);
  const lines = [
    `fuzz of ${kernels}: seed ${run.seed}, ${counts.scenarios} scenarios of about ${run.steps} steps`,
    `${counts.steps} steps in ${run.seconds.toFixed(1)} s, ${rate} steps/s`,
    `${counts.agreements} agreed, ${counts.differences} differed (${counts.known} as listed), ${counts.broken} broken, ${counts.skipped} skipped, ${counts.unsteady} differed once and not again`,
  ];
  for (const [id, times] of knownSeen) lines.push(`listed difference seen: ${id}, ${times} times`);
  for (const [reason, times] of skipReasons) lines.push(`skipped ${times}: ${printable(reason)}`);
  lines.push(...coverageLines(run.covered));
  if (counts.steps === 0) lines.push('nothing was executed');
  const groups = new Map<string, number>();
  for (const { release } of report.findings) groups.set(release, (groups.get(release) ?? 0) + 1);
  for (const [release, times] of groups)
    lines.push(`${times} unlisted differences${release === '' ? '' : ` on Linux ${release}`}`);
  return lines.map((line) => `${line}\n`).join('');
}

/** What of the model was reached, in total and by folder. */
export function coverageLines(covered: ModelCoverage): string[] {
  const { branches, reached, byFolder, sections, sectionsReached } = covered;
  return [
    `coverage: ${reached} of ${branches} branches of the model (${percent(reached, branches)}), ${sectionsReached.length} of ${sections.length} sections of docs/spec that it cites`,
    ...byFolder.map(
      (each) =>
        `  ${each.folder}: ${each.reached} of ${each.branches} (${percent(each.reached, each.branches)})`,
    ),
  ];
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
}

/** Every branch and every section that was not reached. */
export function unreachedText({ unreached, sections, sectionsReached }: ModelCoverage): string {
  const missing = sections.filter((section) => !sectionsReached.includes(section));
  return [
    ...unreached.map(({ file, line, kind, text }) => `not reached: ${file}:${line} ${kind}: ${text}\n`),
    ...missing.map((section) => `not reached: docs/spec/${section}\n`),
  ].join('');
}

/** The same as an object. */
export function fuzzObject(report: FuzzReport, run: FuzzRun): object {
  const { counts, findings, broken, knownSeen, skipReasons } = report;
  const told = ({ scenario, outcome, text, release }: Finding, n: number): object => ({
    ...{ name: scenario.name, release, reason: outcome.reason, difference: outcome.difference },
    ...{ scenario: text, file: run.saved[n] },
  });
  return {
    ...{ seed: run.seed, on: run.on, release: run.release, ...counts, executedSteps: counts.steps },
    seconds: run.seconds,
    coverage: run.covered,
    stepsPerSecond: Math.round(counts.steps / run.seconds),
    findings: findings.map(told),
    broken: broken.map(told),
    knownSeen: Object.fromEntries(knownSeen),
    skipReasons: Object.fromEntries(skipReasons),
  };
}
