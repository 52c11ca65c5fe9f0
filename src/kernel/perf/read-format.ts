import {
  PERF_FORMAT_GROUP,
  PERF_FORMAT_ID,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
} from '../../uapi/perf-event-attr.ts';
import type { EventControl } from './event-control.ts';
import { eventStates } from './event-state.ts';
import { failure } from './failure.ts';
import type { PerfEvent } from './perf-event.ts';

/**
 * What `read(2)` gives, as bytes. docs/spec/03 section 10.
 *
 *     one event:  value | enabled? | running? | id? | lost?
 *     group:      nr | enabled? | running? | { value | id? | lost? } leader first
 *
 * All are u64; a field with ? is there if `read_format` has its bit. An event in the error state gives no bytes.
 * Throws `KernelError` ENOSPC (the buffer is too small), ECHILD (copies of the group have another shape).
 */
export function readEvent(control: EventControl, event: PerfEvent, lengthBytes: number): Uint8Array {
  if (event.state === eventStates.error) return new Uint8Array(0);
  const format = event.attr.readFormat ?? 0;
  const words: number[] = [];
  const has = (bit: number): boolean => (format & bit) !== 0;
  const copies = event.leader.children?.size ?? 0;
  const times = (of: PerfEvent): void => {
    const { enabledNs, runningNs } = control.totals(of);
    if (has(PERF_FORMAT_TOTAL_TIME_ENABLED)) words.push(enabledNs);
    if (has(PERF_FORMAT_TOTAL_TIME_RUNNING)) words.push(runningNs);
  };
  const member = (of: PerfEvent, betweenValueAndId?: () => void): void => {
    words.push(control.totals(of).value);
    betweenValueAndId?.();
    if (has(PERF_FORMAT_ID)) words.push(of.top.id);
    // Of a group with copies Linux gives what the last copy lost, and copies lose nothing: the family's event does.
    if (has(PERF_FORMAT_LOST)) words.push(has(PERF_FORMAT_GROUP) && copies > 0 ? 0 : of.lost);
  };
  if (has(PERF_FORMAT_GROUP)) {
    const { leader } = event;
    const members = 1 + (leader.siblings?.length ?? 0);
    // A member that came and went is enough: copies must have seen the same changes.
    if ([...(leader.children ?? [])].some((copy) => copy.groupChanges !== leader.groupChanges))
      throw failure('ECHILD', 'an inherited group has other members', 'read');
    words.push(members);
    times(leader);
    leader.forGroup((each) => member(each));
  } else member(event, () => times(event));
  if (lengthBytes < words.length * 8)
    throw failure('ENOSPC', `the record has ${words.length * 8} bytes`, 'read');
  const bytes = new Uint8Array(words.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of words.entries()) view.setBigUint64(index * 8, BigInt(word), true);
  return bytes;
}
