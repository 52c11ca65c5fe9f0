import type { Scenario, ScenarioStep } from '../format.ts';
import type { StepDifference } from '../run.ts';

/** A disagreement of the two kernels that is known, explained, and not (or not yet) taken away. */
export interface KnownDifference {
  readonly id: string;
  readonly title: string;
  /** The smallest scenario that shows it, as a text of docs/spec/09. */
  readonly scenario: string;
  /** What differs at its last step: the model's value, then Linux's. */
  readonly difference: StepDifference;
  /** Who does what docs/spec says. */
  readonly right: 'model' | 'linux' | 'neither';
  /** Where docs/spec says it: "03 section 8". */
  readonly section: string;
  readonly why: string;
  /** Releases of Linux on which it was seen: "6.18". */
  readonly releases: readonly string[];
}

/** Names and places that a random scenario chooses anew; what stays is what was asked. */
const chosen: ReadonlySet<string> = new Set(['task', 'as', 'event', 'group', 'at', 'at2', 'bpAddr', 'cpu']);

/**
 * Whether a scenario that differs shows a known difference: the same field of the same step with the same values, on a
 * kernel of the same release, and all steps of the known scenario are in it in their order, whatever it calls its tasks
 * and events.
 */
export function shows(
  known: KnownDifference & { readonly steps: readonly ScenarioStep[] },
  seen: { readonly scenario: Scenario; readonly difference: StepDifference; readonly release: string },
): boolean {
  const { difference, scenario, release } = seen;
  const { step, field, values } = known.difference;
  if (step !== difference.step || field !== difference.field) return false;
  if (JSON.stringify(values) !== JSON.stringify(difference.values)) return false;
  if (!known.releases.some((each) => release === each || release.startsWith(`${each}.`))) return false;
  let found = 0;
  for (const candidate of scenario.steps) {
    const wanted = known.steps[found];
    if (wanted !== undefined && includes(candidate.keys, wanted.keys) && candidate.step === wanted.step)
      found++;
  }
  return found === known.steps.length;
}

/** Whether `keys` has everything that `wanted` has, apart from names. */
function includes(keys: object, wanted: object): boolean {
  const has = new Map(Object.entries(keys));
  return Object.entries(wanted).every(([key, value]) => {
    if (chosen.has(key)) return has.has(key);
    const got: unknown = has.get(key);
    return typeof value === 'object' && value !== null && typeof got === 'object' && got !== null
      ? includes(got, value)
      : JSON.stringify(got) === JSON.stringify(value);
  });
}
