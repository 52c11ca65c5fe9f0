import type { SlotHolder } from '../../arch/architecture.ts';
import type { TrapFrame } from '../../arch/trap-frame.ts';
import { assert } from '../../base/assert.ts';
import { advancePeriod } from '../pmu/period.ts';
import { eventStates } from './event-state.ts';
import { PerfEvent } from './perf-event.ts';

/**
 * A breakpoint fired: filter, count, and overflow as often as the period says. docs/spec/03 sections 4 to 6.
 */
export function handleHit(holder: SlotHolder, frame: TrapFrame): void {
  assert(holder instanceof PerfEvent, 'what sits in a register is an event');
  const event = holder;
  if (event.stopped || (frame.userMode ? event.excludeUser : event.excludeKernel)) return;
  event.count++;
  // A hit that comes while the event is being taken off counts and does not sample.
  if (event.period === 0 || event.state !== eventStates.active) return;
  const overflows =
    event.everyHitOverflows || (event.period === 1 && event.attr.freq !== true) ? 1 : advancePeriod(event);
  for (let n = 0; n < overflows; n++) overflow(event, frame);
}

function overflow(event: PerfEvent, frame: TrapFrame): void {
  const { overflowHandler } = event;
  if (overflowHandler !== null) overflowHandler(event, frame, event.handlerContext);
}
