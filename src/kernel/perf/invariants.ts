import { assert } from '../../base/assert.ts';
import { eventStates } from './event-state.ts';
import { PerfEvent } from './perf-event.ts';
import type { PerfKernel } from './perf-kernel.ts';

/**
 * Checks what holds whenever no call is under way: docs/spec/01 section 4, "Invariants". For kernels that verify.
 */
export function checkInvariants(kernel: PerfKernel): void {
  const { breakpoints } = kernel;
  for (const { cpu, image } of kernel.cpus) {
    if (image === null) continue;
    if (cpu.online) {
      const difference = image.difference();
      assert(difference === undefined, `CPU ${cpu.number}: ${difference}`);
    }
    for (const holder of image.slots) {
      if (holder === null || kernel.outsiders.has(holder)) continue;
      assert(holder instanceof PerfEvent, 'what sits in a register is an event');
      assert(
        holder.placedDirectly || (holder.state === eventStates.active && holder.oncpu === cpu.number),
        'a register is held only while active on that CPU',
      );
    }
  }
  const pinned = new Map<string, number>();
  const byTask = new Map<object, Map<string, number>>();
  let existing = 0;
  for (const event of kernel.all) {
    assert(event.state !== eventStates.dead, 'a dead event is in no list');
    assert((event.state === eventStates.active) === event.oncpu >= 0, 'an active event knows its CPU');
    assert(
      event.leader === event || event.leader.siblings?.includes(event) === true,
      'a sibling is in its group',
    );
    if (event.pmu !== breakpoints) continue;
    if (!event.holdsSlot) continue;
    existing++;
    if (event.state === eventStates.active) {
      const held = kernel.cpuState(event.oncpu).image?.slots.filter((holder) => holder === event).length;
      assert(held === 1, 'an active breakpoint holds one register');
    }
    count(kernel, event, pinned, byTask);
  }
  if (breakpoints === undefined) return;
  checkCapacity(kernel, pinned, byTask);
  assert(breakpoints.isUsed() === existing > 0, 'the table counts what exists');
}

function count(
  kernel: PerfKernel,
  event: PerfEvent,
  pinned: Map<string, number>,
  byTask: Map<object, Map<string, number>>,
): void {
  let counts = pinned;
  if (event.taskSlots !== null) {
    counts = byTask.get(event.taskSlots) ?? new Map();
    byTask.set(event.taskSlots, counts);
  }
  for (const { cpu } of kernel.cpus) {
    if (event.cpu !== -1 && event.cpu !== cpu.number) continue;
    const key = `${event.slotPool} ${cpu.number}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
}

function checkCapacity(
  kernel: PerfKernel,
  pinned: Map<string, number>,
  byTask: Map<object, Map<string, number>>,
): void {
  const { breakpoints } = kernel;
  if (breakpoints === undefined) return;
  const { arch } = breakpoints;
  for (let pool = 0; pool < breakpoints.pools; pool++) {
    const capacity = arch.slots(arch.mixedSlots || pool === 1 ? 'data' : 'inst');
    for (const { cpu } of kernel.cpus) {
      const key = `${pool} ${cpu.number}`;
      let greediest = 0;
      for (const counts of byTask.values()) greediest = Math.max(greediest, counts.get(key) ?? 0);
      assert(
        (pinned.get(key) ?? 0) + greediest <= capacity,
        `CPU ${cpu.number} holds more than ${capacity} breakpoints in pool ${pool}`,
      );
    }
  }
}
