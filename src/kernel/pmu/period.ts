/** Progress of an event towards its next overflow. Numbers above 2^53 lose their low bits; no event gets that far. */
export interface PeriodState {
  /** P: the current period in hits; 0: the event counts only. */
  period: number;
  /** L: the period that the next normalisation goes by. */
  lastPeriod: number;
  /** r: hits left, negative; at or above 0 an overflow is due. */
  periodLeft: number;
}

/** How many periods have passed; moves `periodLeft` below 0 again. docs/spec/03 section 5. */
export function normalisePeriod(state: PeriodState): number {
  const by = state.lastPeriod;
  state.lastPeriod = state.period;
  if (state.periodLeft < 0) return 0;
  const passed = Math.floor((by + state.periodLeft) / by);
  state.periodLeft -= passed * by;
  return passed;
}

/** A sampling event comes onto its CPU. */
export function startPeriod(state: PeriodState): void {
  state.lastPeriod = state.period;
  normalisePeriod(state);
}

/** Counts a hit of a period above 1; gives the number of overflows. */
export function advancePeriod(state: PeriodState): number {
  state.periodLeft += 1;
  return state.periodLeft < 0 ? 0 : normalisePeriod(state);
}

/** Starts an event with `period`, or gives a counting event (0). */
export function initPeriod(state: PeriodState, period: number): void {
  state.period = period;
  state.lastPeriod = period;
  state.periodLeft = period;
}

/** PERF_EVENT_IOC_PERIOD: the rest of the old period is forgotten at the next hit. docs/spec/03 section 5. */
export function changePeriod(state: PeriodState, period: number): void {
  state.period = period;
  state.periodLeft = 0;
}
