import type { HitHandler } from '../../arch/architecture.ts';
import { assert } from '../../base/assert.ts';
import { advancePeriod } from '../pmu/period.ts';
import { eventStates } from './event-state.ts';
import type { OverflowPath } from './overflow.ts';
import { PerfEvent } from './perf-event.ts';

/**
 * What is done when a breakpoint fires: filter, count, and overflow as often as the period says. docs/spec/03 sections
 * 4 and 5.
 */
export function hitHandler(path: OverflowPath): HitHandler {
  return (holder, frame) => {
    assert(holder instanceof PerfEvent, 'what sits in a register is an event');
    const event = holder;
    if (event.stopped || (frame.userMode ? event.excludeUser : event.excludeKernel)) return;
    event.count++;
    // A hit that comes while the event is being taken off counts and does not sample.
    if (event.period === 0 || (event.state !== eventStates.active && !event.placedDirectly)) return;
    if (event.everyHitOverflows) {
      event.sampledPeriod = 1;
      path.overflow(event, frame, 1);
      return;
    }
    event.sampledPeriod = event.lastPeriod;
    const times = event.period === 1 && event.attr.freq !== true ? 1 : advancePeriod(event);
    if (times > 0) path.overflow(event, frame, times);
  };
}
