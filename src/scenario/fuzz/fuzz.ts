import type { LabMaker } from '../lab.ts';
import { parseScenarios } from '../parser.ts';
import { runScenario, type ScenarioOutcome } from '../run.ts';
import { type FuzzScenario, fuzzScenarioText, readFuzzScenario } from './fuzz-scenario.ts';
import { type GeneratorOptions, ScenarioGenerator } from './generator.ts';
import { type KnownDifference, shows } from './known-difference.ts';
import { shrink } from './shrink.ts';

/** What is fuzzed, and where. */
export interface FuzzOptions extends GeneratorOptions {
  readonly scenarios: number;
  readonly maker: LabMaker;
  /** The other kernel; without one, what can be found is that the model breaks its own rules. */
  readonly against?: LabMaker;
  /** Release of the live kernel: "6.18.1". */
  readonly release?: string;
  readonly known?: readonly KnownDifference[];
  /** Is told of every scenario; true: enough. */
  readonly onScenario?: (counts: FuzzCounts) => boolean;
  readonly onFinding?: (finding: Finding) => void;
}

/** How it goes so far. */
export interface FuzzCounts {
  scenarios: number;
  /** Steps that were executed, on every kernel each. */
  steps: number;
  /** Scenarios in which the kernels agreed to the end. */
  agreements: number;
  /** Scenarios that differed; of these, `known` showed a difference that is listed. */
  differences: number;
  known: number;
  /** Scenarios that differed and then did not, with nobody disturbing: chance decides there. */
  unsteady: number;
  broken: number;
  skipped: number;
}

/** A disagreement, or a lab that broke, as small as it could be made. */
export interface Finding {
  readonly scenario: FuzzScenario;
  /** As a file of docs/spec/09. */
  readonly text: string;
  readonly outcome: ScenarioOutcome;
  readonly release: string;
}

/** What came of it. */
export interface FuzzReport {
  readonly counts: Readonly<FuzzCounts>;
  /** Not listed; of those that look alike, three. */
  readonly findings: readonly Finding[];
  readonly broken: readonly Finding[];
  /** Ids of the known differences that were seen, and how often. */
  readonly knownSeen: ReadonlyMap<string, number>;
  /** Why scenarios did not run, and how many. */
  readonly skipReasons: ReadonlyMap<string, number>;
}

/** So many findings of one kind are shrunk and told. */
const findingsOfAKind = 3;
/** Nothing is learnt from more. */
const findingsMax = 30;

/** Runs random scenarios on one or two kernels; what differs is shrunk. docs/spec/09 "Runner". */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { maker, against, release = '' } = options;
  const generator = new ScenarioGenerator(options);
  const known = (options.known ?? []).map((each) => ({
    ...each,
    steps: parseScenarios(each.id, each.scenario)[0]?.steps ?? [],
  }));
  const counts: FuzzCounts = {
    ...{ scenarios: 0, steps: 0, agreements: 0, differences: 0 },
    ...{ known: 0, unsteady: 0, broken: 0, skipped: 0 },
  };
  const findings: Finding[] = [];
  const broken: Finding[] = [];
  const kinds = new Map<string, number>();
  const knownSeen = new Map<string, number>();
  const skipReasons = new Map<string, number>();
  const run = (scenario: FuzzScenario): Promise<ScenarioOutcome> =>
    runScenario(readFuzzScenario(scenario), maker, against, { senselessIsResult: true });

  const found = async (scenario: FuzzScenario, outcome: ScenarioOutcome): Promise<void> => {
    const { difference } = outcome;
    if (outcome.status === 'differed') {
      counts.differences++;
      if (difference !== undefined) {
        const seen = { scenario: readFuzzScenario(scenario), difference, release };
        const listed = known.find((each) => shows(each, seen));
        if (listed !== undefined) {
          counts.known++;
          knownSeen.set(listed.id, (knownSeen.get(listed.id) ?? 0) + 1);
          return;
        }
      }
    } else counts.broken++;
    const kind = kindOf(outcome);
    const alike = (kinds.get(kind) ?? 0) + 1;
    kinds.set(kind, alike);
    if (alike > findingsOfAKind) return;
    let last = outcome;
    const smallest = await shrink(cut(scenario, outcome), async (candidate) => {
      const again = await run(candidate);
      if (kindOf(again) !== kind) return false;
      last = again;
      return true;
    });
    const finding = { scenario: smallest, text: fuzzScenarioText(smallest), outcome: last, release };
    (outcome.status === 'broken' ? broken : findings).push(finding);
    options.onFinding?.(finding);
  };

  for (let index = 0; index < options.scenarios && findings.length + broken.length < findingsMax; index++) {
    const scenario = generator.scenario(index);
    const outcome = await run(scenario);
    counts.scenarios++;
    counts.steps += outcome.steps.length;
    counts.unsteady += outcome.unsteady === undefined ? 0 : 1;
    if (outcome.status === 'held') counts.agreements++;
    else if (outcome.status === 'skipped') {
      counts.skipped++;
      const reason = outcome.reason ?? '';
      skipReasons.set(reason, (skipReasons.get(reason) ?? 0) + 1);
    } else await found(scenario, outcome);
    if (options.onScenario?.(counts) === true) break;
  }
  return { counts, findings, broken, knownSeen, skipReasons };
}

/** Outcomes of one kind are shrunk into each other: what differs and how, without where. */
function kindOf({ status, difference, reason = '' }: ScenarioOutcome): string {
  if (status !== 'differed' && status !== 'broken') return status;
  if (difference !== undefined)
    return JSON.stringify([difference.step, difference.field, difference.values.map(valueKind)]);
  return `${status} ${reason.replace(/^[^ ]*:\d+: /, '').replace(/\d+/g, 'N')}`;
}

/** Counts and times are of a kind; names are not. */
function valueKind(value: unknown): unknown {
  return typeof value === 'number' ? 'number' : value;
}

/** Without the steps behind the one that differed, which were not executed. */
function cut(scenario: FuzzScenario, outcome: ScenarioOutcome): FuzzScenario {
  const executed = outcome.steps.length + (outcome.difference === undefined ? 1 : 0);
  return { ...scenario, steps: scenario.steps.slice(0, Math.max(1, executed)) };
}
