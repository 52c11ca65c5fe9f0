import { TRAP_BRKPT, TRAP_TRACE } from '../../uapi/signal.ts';
import type { HitHandler, SlotHolder } from '../architecture.ts';
import type { TrapFrame } from '../trap-frame.ts';
import { type Arm64Breakpoint, arm64Record } from './arm64-breakpoint.ts';
import { type Arm64Image, classBits, statusSuspendedStep } from './arm64-image.ts';
import {
  accessLoad,
  accessStore,
  breakpointControl0,
  breakpointValue0,
  controlBytesShift,
  exceptionClass,
  exceptionClassShift,
  flagsStep,
  syndromeStore,
} from './arm64-register-bits.ts';
import { untagged } from './matching.ts';

/** The bit by which exceptions from the same level differ from those of a lower one. */
const sameLevel = 1;

/**
 * Handles a debug exception on one CPU: a breakpoint or watchpoint is reported and, if nobody else does, stepped over; the
 * step that follows arms everything again. Gives the `si_code` of the SIGTRAP that the interrupted task gets, 0 for none:
 * clients that want one for a hit send it themselves. docs/spec/05 section 6.
 */
export function handleArm64Exception(image: Arm64Image, frame: TrapFrame, hit: HitHandler): number {
  const code = dispatch(image, frame, hit);
  if (frame.userMode) image.setThreadStatus(frame.status);
  return code;
}

function dispatch(image: Arm64Image, frame: TrapFrame, hit: HitHandler): number {
  const cause = frame.syndrome >>> exceptionClassShift;
  if (cause === exceptionClass.instruction) return frame.userMode ? TRAP_BRKPT : 0;
  switch (cause & ~sameLevel) {
    case exceptionClass.breakpoint:
      if (reportBreakpoints(image, frame, hit)) stepOver(image, frame, classBits.breakpoints);
      return 0;
    case exceptionClass.watchpoint:
      if (reportWatchpoints(image, frame, hit)) stepOver(image, frame, classBits.watchpoints);
      return 0;
    case exceptionClass.step:
      return frame.userMode ? userStepped(image, frame) : kernelStepped(image, frame);
    default:
      return 0;
  }
}

/** Tells the events at the instruction; whether the layer has to step over it. */
function reportBreakpoints(image: Arm64Image, frame: TrapFrame, hit: HitHandler): boolean {
  const { slots, registers, breakpoints } = image;
  let step = false;
  for (let n = 0; n < breakpoints; n++) {
    const holder = slots[n] ?? null;
    if (holder === null) continue;
    if (registers.low(breakpointValue0 + n) !== (frame.ipLow & ~3) >>> 0) continue;
    if (registers.high(breakpointValue0 + n) !== frame.ipHigh) continue;
    const selected = registers.low(breakpointControl0 + n) >>> controlBytesShift;
    if ((selected & (1 << (frame.ipLow & 3))) === 0) continue;
    hit(holder, frame);
    if (!holder.handledByClient) step = true;
  }
  return step;
}

/**
 * Tells the events at the reported address, or the one that is closest to it: an access is reported by any of its
 * addresses. Whether the layer has to step over it.
 */
function reportWatchpoints(image: Arm64Image, frame: TrapFrame, hit: HitHandler): boolean {
  const { slots, breakpoints } = image;
  const { faultLow } = frame;
  const faultHigh = untagged(frame.faultHigh);
  const kind = (frame.syndrome & syndromeStore) !== 0 ? accessStore : accessLoad;
  let step = false;
  let exact = false;
  let closest: SlotHolder | undefined;
  let least = 0;
  for (let n = breakpoints; n < slots.length; n++) {
    const holder = slots[n] ?? null;
    if (holder === null) continue;
    const record = arm64Record(holder);
    if ((record.type & kind) === 0) continue;
    const distance = distanceTo(record, faultLow, faultHigh);
    if (distance === 0) {
      exact = true;
      step = report(holder, frame, hit);
    } else if (closest === undefined || distance < least) {
      closest = holder;
      least = distance;
    }
  }
  return exact || closest === undefined ? step : report(closest, frame, hit);
}

/** Whether the layer has to step over it. What the kernel does for a user is not counted. */
function report(holder: SlotHolder, frame: TrapFrame, hit: HitHandler): boolean {
  if (!frame.userMode && !arm64Record(holder).kernel) return true;
  hit(holder, frame);
  return !holder.handledByClient;
}

/** From an address to the nearer end of the watched bytes; 0: inside. Far away it is told to 53 bits. */
function distanceTo(record: Arm64Breakpoint, addressLow: number, addressHigh: number): number {
  const { bytes } = record;
  const fromBase =
    (addressHigh - untagged(record.addressHigh)) * 0x1_0000_0000 + (addressLow - record.addressLow);
  const first = 31 - Math.clz32(bytes & -bytes);
  const last = 31 - Math.clz32(bytes);
  return fromBase < first ? first - fromBase : fromBase > last ? fromBase - last : 0;
}

/** Has the interrupted code execute one instruction with the registers of a class off. */
function stepOver(image: Arm64Image, frame: TrapFrame, classBit: number): void {
  if (frame.userMode) {
    const stepping = (frame.status & (classBits.breakpoints | classBits.watchpoints)) !== 0;
    frame.status |= classBit;
    image.toggle(classBit, { kernel: false, enabled: false });
    if (stepping) return;
    if ((frame.flags & flagsStep) !== 0) frame.status |= statusSuspendedStep;
    else frame.flags |= flagsStep;
    return;
  }
  image.toggle(classBit, { kernel: true, enabled: false });
  if (classBit === classBits.watchpoints) image.toggle(classBit, { kernel: false, enabled: false });
  if (image.kernelStepping !== 'none') return;
  if ((frame.flags & flagsStep) !== 0) {
    image.kernelStepping = 'suspend';
    return;
  }
  image.beginKernelStep();
  frame.flags |= flagsStep;
}

function userStepped(image: Arm64Image, frame: TrapFrame): number {
  const { status } = frame;
  const over = status & (classBits.breakpoints | classBits.watchpoints);
  if (over === 0) return TRAP_TRACE;
  for (const classBit of [classBits.breakpoints, classBits.watchpoints])
    if ((over & classBit) !== 0) image.toggle(classBit, { kernel: false, enabled: true });
  frame.status = 0;
  if ((status & statusSuspendedStep) !== 0) return TRAP_TRACE;
  frame.flags &= ~flagsStep;
  return 0;
}

function kernelStepped(image: Arm64Image, frame: TrapFrame): number {
  const { kernelStepping } = image;
  if (kernelStepping === 'none') return 0;
  image.toggle(classBits.breakpoints, { kernel: true, enabled: true });
  image.toggle(classBits.watchpoints, { kernel: true, enabled: true });
  if ((image.threadStatus & classBits.watchpoints) === 0)
    image.toggle(classBits.watchpoints, { kernel: false, enabled: true });
  if (kernelStepping === 'suspend') {
    image.kernelStepping = 'none';
    return 0;
  }
  image.endKernelStep();
  frame.flags &= ~flagsStep;
  return 0;
}
