import type { System } from '../../linux/system.ts';
import type { Events } from '../../surface/events.ts';
import type { Surface } from '../../surface/surface.ts';
import type { Explanation, Failure } from './explain.ts';
import type { SlotCounts } from './report.ts';
import type { ProbeMemory } from './workplace.ts';

/** The calls that the checks are made with: a live Linux, whose parts a test may replace. */
export type DoctorSurface = Surface & { readonly system: System };

/** What a check works with. */
export interface CheckContext {
  readonly surface: DoctorSurface;
  readonly events: Events;
  readonly memory: ProbeMemory;
  /** Who may hold debug registers, in words. To be asked while the check itself holds none. */
  readonly holders: () => string[];
}

/** What a check found. A refusal may also be thrown: `StagedRefusal`, or `KernelError` as it is. */
export type Finding =
  | {
      readonly outcome: 'works';
      readonly detail: string;
      /** It works in part: what is missing. */
      readonly partly?: Explanation;
      readonly slots?: SlotCounts;
    }
  | { readonly outcome: 'skipped'; readonly detail: string }
  | { readonly outcome: 'fails'; readonly detail: string; readonly failure: Failure };

/** The finding for hits that should be `expected`, with what was done in words. */
export function judgeCount(seen: number, expected: number, done: string): Finding {
  const detail = `${seen} of ${expected} hits (${done})`;
  if (seen === expected) return { outcome: 'works', detail };
  if (seen === 0) return { outcome: 'fails', detail, failure: { type: 'silent' } };
  return { outcome: 'fails', detail, failure: { type: 'miscounted', seen, expected } };
}
