import { describe, expect, it } from 'vitest';
import { advancePeriod, changePeriod, initPeriod, type PeriodState, startPeriod } from './period.ts';

function started(period: number): PeriodState {
  const state = { period: 0, lastPeriod: 0, periodLeft: 0 };
  initPeriod(state, period);
  startPeriod(state);
  return state;
}

/** Numbers of the next `hits` hits that overflow; one that overflows twice comes twice. */
function overflows(state: PeriodState, hits: number): number[] {
  const list: number[] = [];
  // A period of 1 overflows at each hit and leaves the progress alone.
  for (let hit = 1; hit <= hits; hit++)
    for (let n = state.period === 1 ? 1 : advancePeriod(state); n > 0; n--) list.push(hit);
  return list;
}

describe('the period', () => {
  it('overflows at every p-th hit', () => {
    expect(overflows(started(100), 10_000)).toEqual(Array.from({ length: 100 }, (_, i) => 100 * (i + 1)));
  });

  it('110: progress survives a switch', () => {
    const state = started(5);
    expect(overflows(state, 3)).toEqual([]);
    startPeriod(state);
    expect(overflows(state, 7)).toEqual([2, 7]);
  });

  // The table of docs/spec/03 section 5, after 2 hits with the old period.
  it.each([
    [5, 3, [1, 5, 8, 11, 14]],
    [3, 5, [1, 3, 8, 13]],
    [5, 5, [1, 5, 10]],
    [5, 1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]],
    [1, 3, [1, 1, 2, 5, 8, 11, 14]],
  ])('111, 112: IOC_PERIOD from %i to %i overflows at hits %j', (from, to, expected) => {
    const state = started(from);
    overflows(state, 2);
    changePeriod(state, to);
    expect(overflows(state, 14).filter((hit) => hit <= Math.max(...expected))).toEqual(expected);
  });

  it('113: a switch after IOC_PERIOD starts afresh', () => {
    const state = started(5);
    overflows(state, 2);
    changePeriod(state, 3);
    startPeriod(state);
    expect(overflows(state, 9)).toEqual([3, 6, 9]);
  });
});
