import { TRAP_BRKPT, TRAP_HWBKPT, TRAP_TRACE } from '../../uapi/signal.ts';
import type { HitHandler } from '../architecture.ts';
import type { TrapFrame } from '../trap-frame.ts';
import { dr6, dr6Reserved, dr6Step, dr6TrapBits, flagsResume, flagsTrap } from './debug-register-bits.ts';
import { x86Record } from './x86-breakpoint.ts';
import type { X86Image } from './x86-image.ts';

/**
 * Handles #DB on one CPU: reads and clears DR6, counts what fired, and gives the `si_code` of the SIGTRAP that the
 * interrupted task gets, 0 for none. From kernel mode DR7 is off for the duration and no signal is ever sent.
 * docs/spec/04 section 5.
 */
export function handleDebugException(image: X86Image, frame: TrapFrame, hit: HitHandler): number {
  const { registers } = image;
  const status = (registers.low(dr6) ^ dr6Reserved) >>> 0;
  registers.write(dr6, dr6Reserved, 0);
  return frame.userMode ? fromUser(image, frame, status, hit) : fromKernel(image, frame, status, hit);
}

function fromUser(image: X86Image, frame: TrapFrame, status: number, hit: HitHandler): number {
  frame.status = status & dr6Step;
  // No reason given: the one-byte instruction ICEBP.
  const icebp = status === 0;
  const left = handleBreakpoints(image, frame, status, hit);
  if (left === claimed) return 0;
  const seen = left | frame.status;
  if ((seen & (dr6Step | dr6TrapBits)) === 0 && !icebp) return 0;
  return (seen & dr6Step) !== 0 ? TRAP_TRACE : (seen & dr6TrapBits) !== 0 ? TRAP_HWBKPT : TRAP_BRKPT;
}

function fromKernel(image: X86Image, frame: TrapFrame, status: number, hit: HitHandler): number {
  image.suspend();
  if (status !== 0) {
    const left = handleBreakpoints(image, frame, status, hit);
    // A step that nobody claimed: the flag came from user space by mistake of an entry path.
    if (left !== claimed && (left & dr6Step) !== 0) frame.flags &= ~flagsTrap;
  }
  image.resume();
  return 0;
}

/** Everything in the status was a breakpoint of ours: the chain of handlers stops. */
const claimed = -1;

/**
 * The breakpoint handler: for each B bit, ascending, the event in that register is told. Gives the status that the
 * next handler sees, or {@link claimed}.
 */
function handleBreakpoints(image: X86Image, frame: TrapFrame, status: number, hit: HitHandler): number {
  if ((status & dr6TrapBits) === 0) return status;
  let left = status;
  const { slots } = image;
  for (let n = 0; n < slots.length; n++) {
    const bit = 1 << n;
    if ((status & bit) === 0) continue;
    const holder = slots[n];
    // An empty register: the CPU may set B bits of conditions that are not enabled. The bit is left for others.
    if (holder === null || holder === undefined) continue;
    const { execute } = x86Record(holder);
    // The step before this instruction is handled first; the instruction faults again afterwards.
    if (execute && (status & dr6Step) !== 0) continue;
    left &= ~bit;
    hit(holder, frame);
    if (execute) frame.flags |= flagsResume;
  }
  return (frame.status & dr6TrapBits) !== 0 || (status & ~dr6TrapBits) !== 0 ? left : claimed;
}
