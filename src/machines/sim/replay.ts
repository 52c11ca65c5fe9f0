import { type AccessTrace, accessKindShift, accessKinds, accessSizeMask } from './access-trace.ts';
import type { SimCpu } from './sim-cpu.ts';
import type { Replay, SimTask } from './sim-task.ts';

/**
 * The first access in [from, to) that the filter cannot rule out; `to` if there is none. The filter tells by the line
 * of 64 bytes where the access starts.
 */
export function firstCandidate(trace: AccessTrace, from: number, to: number, filter: Uint8Array): number {
  const low = trace.addressLow;
  let i = from;
  for (; i < to; i++) if (filter[(low[i]! >>> 6) & 0xffff] !== 0) break; // i < to <= length
  return i;
}

/**
 * Goes on with a recording for at most `budget` accesses, and at most to the first debug exception: after one the
 * task's signals are due and its registers may be others. The CPU executes `task`.
 * @returns how many accesses were done.
 */
export function advanceReplay(cpu: SimCpu, task: SimTask, replay: Replay, budget: number): number {
  const { trace } = replay;
  const from = replay.position;
  const to = Math.min(replay.end, from + budget);
  const { exceptions } = cpu;
  let at = from;
  while (at < to) {
    at = firstCandidate(trace, at, to, cpu.registers.filter(trace.maxBytes));
    if (at >= to) break;
    at = replayInstruction(cpu, task, trace, at, replay.end);
    if (cpu.exceptions !== exceptions) break;
  }
  replay.position = at;
  return at - from;
}

/**
 * The instruction that access `index` belongs to, with all its accesses: one exception for all that it touched.
 * @returns the index after its last access, at most `end`; `index` again if a tracer holds the task before it.
 */
function replayInstruction(
  cpu: SimCpu,
  task: SimTask,
  trace: AccessTrace,
  index: number,
  end: number,
): number {
  const { addressLow, addressHigh, shape } = trace;
  const kind = (i: number): number => shape[i]! >>> accessKindShift; // indices are in range, here and below
  let start = index;
  while (start > 0 && kind(start) !== accessKinds.instruction) start--;
  const first = kind(start) === accessKinds.instruction ? start + 1 : start;
  if (first > start) {
    task.ipLow = addressLow[start]!;
    task.ipHigh = addressHigh[start]!;
    if (!cpu.beforeInstruction(task)) return index;
  }
  for (let i = first; i < end && kind(i) !== accessKinds.instruction; i++) {
    const at = { low: addressLow[i]!, high: addressHigh[i]!, lenBytes: shape[i]! & accessSizeMask };
    const access = kind(i) === accessKinds.load ? 'load' : kind(i) === accessKinds.store ? 'store' : 'rmw';
    if (!cpu.beforeAccess(task, at, access)) return index;
  }
  if (first > start) {
    const next = task.ipLow + (shape[start]! & accessSizeMask);
    task.ipHigh = (task.ipHigh + (next > 0xffff_ffff ? 1 : 0)) >>> 0;
    task.ipLow = next >>> 0;
  }
  let bits = 0;
  let i = first;
  for (; i < end && kind(i) !== accessKinds.instruction; i++)
    bits |= cpu.dataBits(
      addressLow[i]!,
      addressHigh[i]!,
      shape[i]! & accessSizeMask,
      kind(i) !== accessKinds.load,
    );
  cpu.afterInstruction(task, bits);
  return i;
}
