import type { PlannedWatch } from './plan.ts';

/** The watches that a user asked for, without those that are watched for their sake (`--follow`). */
export function shownWatches(watches: readonly PlannedWatch[]): PlannedWatch[] {
  return watches.filter(({ isPointer }) => isPointer !== true);
}
