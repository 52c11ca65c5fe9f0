import type { FuzzReport } from '../scenario/fuzz/fuzz.ts';
import type { KnownDifference } from '../scenario/fuzz/known-difference.ts';
import type { RunReport, ScenarioOutcome } from '../scenario/run.ts';
import type { ModelCoverage } from './branch-coverage/model-coverage.ts';

/** A known difference, and whether it was seen again. */
export interface KnownState extends KnownDifference {
  readonly still: boolean;
}

/** What a run of `trapline conformance` found. */
export interface Conformance {
  readonly release: string;
  readonly cpuModel: string;
  readonly cpus: number;
  readonly features: readonly string[];
  /** Files and folders of scenarios, as given. */
  readonly files: readonly string[];
  readonly both: RunReport;
  /** Files that cannot run live, on the model alone. */
  readonly modelOnly: RunReport;
  readonly fuzzed: readonly {
    readonly seed: number;
    readonly report: FuzzReport;
    readonly seconds: number;
  }[];
  /** Random scenarios a seed, and steps of each. */
  readonly scenarios: number;
  readonly steps: number;
  readonly known: readonly KnownState[];
  readonly covered: ModelCoverage;
  readonly seconds: number;
}

const count = (report: RunReport, status: ScenarioOutcome['status']): number =>
  report.scenarios.filter((outcome) => outcome.status === status).length;

/** A run as a page of Markdown. */
export function conformanceText(conformance: Conformance): string {
  const { release, cpuModel, cpus, features, both, modelOnly, fuzzed, scenarios, steps, files } = conformance;
  const seeds = fuzzed.map(({ seed }) => seed).join(',');
  const command = `npx trapline conformance ${files.join(' ')} --seeds ${seeds} --scenarios ${scenarios} --steps ${steps} -o docs/conformance.md`;
  const total = (
    key: 'scenarios' | 'steps' | 'agreements' | 'differences' | 'known' | 'unsteady' | 'broken' | 'skipped',
  ): number => fuzzed.reduce((sum, { report }) => sum + report.counts[key], 0);
  const seconds = fuzzed.reduce((sum, each) => sum + each.seconds, 0);
  return `${[
    '# Conformance',
    '',
    'Made by a command, not by hand:',
    '',
    `    ${command}`,
    '',
    `Linux ${release} on ${cpus} CPUs (${cpuModel}); what this kernel does of docs/spec/09 "Header", \`features\`: ${features.join(', ') || 'none'}.`,
    'Each scenario ran on the model and on this Linux, and every result of every step was compared, field by field.',
    '',
    '## Scenarios',
    '',
    `${both.scenarios.length} scenarios of ${files.map((file) => `\`${file}\``).join(', ')}: ${count(both, 'held')} agreed, ${count(both, 'differed')} differed, ${count(both, 'broken')} broken, ${count(both, 'skipped')} cannot run here; ${both.executedSteps} steps.`,
    `Of the files that cannot, ${modelOnly.scenarios.length} scenarios ran on the model alone: ${count(modelOnly, 'held')} held, ${count(modelOnly, 'differed')} differed; ${modelOnly.executedSteps} steps. Why they cannot:`,
    '',
    ...reasons(both),
    '',
    '## Random scenarios',
    '',
    `${total('scenarios')} scenarios, ${total('steps')} steps in ${seconds.toFixed(0)} s (${Math.round(total('steps') / Math.max(seconds, 0.001))} steps/s, coverage recorded and the model's invariants checked after every call): ${total('agreements')} agreed, ${total('differences')} differed, of these ${total('known')} as listed below; ${total('broken')} broken, ${total('skipped')} skipped, ${total('unsteady')} differed once and not again.`,
    '',
    '| seed | scenarios | steps | agreed | differed | listed | broken | skipped | once and not again |',
    '|---|---|---|---|---|---|---|---|---|',
    ...fuzzed.map(
      ({ seed, report: { counts } }) =>
        `| ${seed} | ${counts.scenarios} | ${counts.steps} | ${counts.agreements} | ${counts.differences} | ${counts.known} | ${counts.broken} | ${counts.skipped} | ${counts.unsteady} |`,
    ),
    '',
    ...findings(conformance),
    '## Known differences',
    '',
    ...knownText(conformance.known),
    '## What of the model was reached',
    '',
    ...coverage(conformance.covered),
  ].join('\n')}\n`;
}

/** Reasons why scenarios were skipped, the most frequent first. */
function reasons(report: RunReport): string[] {
  const byReason = new Map<string, number>();
  for (const { status, reason = '' } of report.scenarios) {
    const plain = reason.replace(/ \(line \d+\)$/, '');
    if (status === 'skipped') byReason.set(plain, (byReason.get(plain) ?? 0) + 1);
  }
  return [...byReason].sort((a, b) => b[1] - a[1]).map(([reason, times]) => `- ${times}: ${reason}`);
}

function findings({ fuzzed, both }: Conformance): string[] {
  const unlisted = fuzzed.flatMap(({ report }) => [...report.findings, ...report.broken]);
  const differing = both.scenarios.filter(({ status }) => status === 'differed' || status === 'broken');
  if (unlisted.length === 0 && differing.length === 0) return [];
  return [
    '## Not listed, and so a fault',
    '',
    ...differing.map(({ name, reason }) => `- ${name}: ${reason}`),
    ...unlisted.flatMap(({ outcome, text }) => [`- ${outcome.reason}`, '', ...indented(text), '']),
    '',
  ];
}

function knownText(known: readonly KnownState[]): string[] {
  if (known.length === 0) return ['None.', ''];
  return known.flatMap(({ title, section, why, right, releases, scenario, still, difference }) => [
    `### ${title}`,
    '',
    `${still ? '' : '**No longer seen: take it off the list.** '}Linux ${releases.join(', ')}; ${right === 'neither' ? 'neither does' : `${right === 'linux' ? 'Linux' : 'the model'} does`} what docs/spec/${section} says. ${why}`,
    `The model gives ${JSON.stringify(difference.values[0])}, Linux ${JSON.stringify(difference.values[1])} (\`${difference.field}\` of \`${difference.step}\`):`,
    '',
    ...indented(scenario),
    '',
  ]);
}

function indented(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `    ${line}`);
}

function coverage({
  branches,
  reached,
  byFolder,
  sections,
  sectionsReached,
  unreached,
}: ModelCoverage): string[] {
  const share = (part: number, whole: number): string =>
    `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
  const missing = sections.filter((section) => !sectionsReached.includes(section));
  return [
    `${reached} of ${branches} branches of the model's code (${share(reached, branches)}; docs/decisions says how that is counted), ${sectionsReached.length} of ${sections.length} sections of docs/spec that its comments cite${missing.length === 0 ? '' : `; not reached: ${missing.join(', ')}`}. \`trapline fuzz --unreached\` lists branches with their text, docs/decisions/0010 says why they are not.`,
    '',
    '| folder | branches | reached | |',
    '|---|---|---|---|',
    ...byFolder
      .filter((each) => each.branches > 0)
      .map(
        (each) =>
          `| ${each.folder} | ${each.branches} | ${each.reached} | ${share(each.reached, each.branches)} |`,
      ),
    '',
    'Not reached, by lines of the compiled modules:',
    '',
    ...unreachedByFile(unreached),
  ];
}

/** A line a file: "- kernel/perf/open.js: 17, 21". */
function unreachedByFile(unreached: ModelCoverage['unreached']): string[] {
  const byFile = new Map<string, Set<number>>();
  for (const { file, line } of unreached) {
    const lines = byFile.get(file) ?? new Set();
    byFile.set(file, lines.add(line));
  }
  return [...byFile].map(([file, lines]) => `- ${file}: ${[...lines].join(', ')}`);
}
