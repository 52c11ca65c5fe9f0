import type { WatchCounts } from './arm.ts';
import type { PlannedWatch } from './plan.ts';

/** A watch as the user asked for it: a slice has several registers. */
export interface ShownWatch {
  readonly watch: PlannedWatch;
  /** The numbers of its registers; hits are counted under the first. */
  readonly numbers: readonly number[];
}

/** The name of a watch in every output: what was asked for, also of a register of a slice. */
export function watchName(watch: PlannedWatch): string {
  return watch.partOf ?? watch.text;
}

/** The watches that a user asked for, a slice as one, without those that are watched for their sake (`--follow`). */
export function shownWatches(watches: readonly PlannedWatch[]): ShownWatch[] {
  const shown: ShownWatch[] = [];
  for (const [number, watch] of watches.entries()) {
    if (watch.isPointer === true || groupOf(watches, number) !== number) continue;
    const { slice } = watch;
    const numbers = watches.flatMap((_, other) => (groupOf(watches, other) === number ? [other] : []));
    const { address, lenBytes, type } = slice ?? watch;
    const whole = { ...watch, address, lenBytes, text: watchName(watch) };
    shown.push({ watch: type === undefined ? whole : { ...whole, type }, numbers });
  }
  return shown;
}

/** The number that stands for the watch of a register: the first of its slice. */
export function groupOf(watches: readonly PlannedWatch[], number: number): number {
  const slice = watches[number]?.slice;
  return slice === undefined ? number : watches.findIndex((watch) => watch.slice === slice);
}

/** The counts of a watch with several registers: an access to two of them counts twice. */
export function sumCounts(counts: readonly WatchCounts[], { numbers }: ShownWatch): WatchCounts {
  const [first, ...others] = numbers.map((number) => counts[number]!); // one a register
  return others.reduce((sum, { hits, lost, timeEnabledNs, timeRunningNs }): WatchCounts => {
    return {
      hits: sum.hits + hits,
      lost: sum.lost === undefined || lost === undefined ? undefined : sum.lost + lost,
      timeEnabledNs: sum.timeEnabledNs + timeEnabledNs,
      timeRunningNs: sum.timeRunningNs + timeRunningNs,
    };
  }, first!); // a watch has a register
}
