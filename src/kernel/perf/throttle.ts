import { eventStates } from './event-state.ts';
import type { PerfEvent } from './perf-event.ts';

/** Too many overflows: the whole group stops until the next tick. docs/spec/03 section 6.2. */
export function throttleGroup(event: PerfEvent): void {
  event.leader.forGroup((member) => {
    member.throttled = true;
    member.pmu.stop(member);
  });
}

/** The tick after: the whole group goes on. */
export function unthrottleGroup(event: PerfEvent): void {
  event.leader.forGroup((member) => {
    member.throttled = false;
    if (member.state === eventStates.active) member.pmu.start(member);
  });
}
