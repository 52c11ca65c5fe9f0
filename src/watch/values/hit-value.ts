import { type ValueColumns, valueFlags, valueSources } from '../../ring/hit-columns.ts';

/** A number of at most 64 bits in words. */
export interface ValueWords {
  readonly low: number;
  readonly high: number;
}

/** The contents of the watched bytes around one hit. */
export interface HitValue {
  /** Before the access; `undefined` where it is not known. */
  readonly before: ValueWords | undefined;
  /** After it. */
  readonly after: ValueWords | undefined;
  /** Where `after` comes from: a source of src/ring/hit-columns.ts; `undefined` with it. */
  readonly from: 'stored' | 'trap' | 'later' | undefined;
  /** `after` is what the access stored or read, for certain. */
  readonly exact: boolean;
  /** `before` is not what the hit before left: a store between them was not seen, or hits changed places. */
  readonly gap: boolean;
}

/** The value of row `row`. */
export function hitValue(columns: ValueColumns, row: number): HitValue {
  const flags = columns.flags[row]!; // row < length, here and below
  const source = valueSources[flags & valueFlags.source];
  const from = source === 'unknown' ? undefined : source;
  return {
    before:
      (flags & valueFlags.before) === 0
        ? undefined
        : { low: columns.beforeLow[row]!, high: columns.beforeHigh[row]! },
    after: from === undefined ? undefined : { low: columns.afterLow[row]!, high: columns.afterHigh[row]! },
    from,
    exact: (flags & valueFlags.exact) !== 0,
    gap: (flags & valueFlags.gap) !== 0,
  };
}

/** The value of hits of one copy: before the first of them, after the one in row `row`. */
export function continuedValue(first: HitValue | undefined, columns: ValueColumns, row: number): HitValue {
  const value = hitValue(columns, row);
  return { ...value, before: first?.before, gap: first?.gap ?? false };
}
