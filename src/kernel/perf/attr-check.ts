import { type ErrnoName, errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import type { Credentials } from '../../machine/task.ts';
import {
  decodePerfEventAttr,
  PERF_ATTR_SIZE_VER0,
  PERF_ATTR_SIZE_VER7,
  PERF_SAMPLE_BRANCH_STACK,
  PERF_SAMPLE_CALLCHAIN,
  PERF_SAMPLE_PHYS_ADDR,
  PERF_SAMPLE_READ,
  PERF_SAMPLE_REGS_INTR,
  PERF_SAMPLE_REGS_USER,
  PERF_SAMPLE_STACK_USER,
  PERF_SAMPLE_TID,
  PERF_SAMPLE_WEIGHT,
  PERF_SAMPLE_WEIGHT_STRUCT,
  type PerfEventAttr,
  perfEventAttrReservedBytes,
} from '../../uapi/perf-event-attr.ts';

/** Bytes of the newest structure that this kernel knows: with `config3`, which no event here reads. */
export const knownAttrBytes: number = 136;
const pageBytes = 4096;
/** All bits of `sample_type`, and of `read_format`, that there are. */
const sampleTypeBits = 0x1ff_ffff;
const readFormatBits = 0x1f;
const stackBytesMax = 65535;
const periodSign = 1n << 63n;
/** All bits of `branch_sample_type`; the first three are privilege levels. Source: linux/perf_event.h. */
const branchBits = (1n << 20n) - 1n;
const branchPrivilegeBits = 7n;
const branchUserBit = 1n;

/** `aux_start_paused`, `aux_pause` and `aux_resume` (6.13): bits of the u32 at 116, reserved before. */
const auxActionOffset = 116;
const auxStartPaused = 1;
const auxPauseAndResume = 6;
const auxActionBits = 7;

/** An attr as this kernel reads it, with what `uapi` has no name for. */
export interface KernelAttr extends PerfEventAttr {
  readonly auxAction?: number;
}

function refuse(errno: ErrnoName, hint: string): never {
  throw new KernelError({ errno: errnoValues[errno], operation: 'perf_event_attr', hint });
}

/**
 * The attr in a caller's memory: sizes and reserved fields are judged, what is 0 is left out. On E2BIG the known size
 * is written into the caller's `size`. Throws `KernelError` E2BIG, EINVAL. docs/spec/03 section 9.
 */
export function readAttr(bytes: Uint8Array): KernelAttr {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.byteLength >= 8 ? view.getUint32(4, true) : 0;
  const used = size === 0 ? PERF_ATTR_SIZE_VER0 : size;
  // Bytes that the caller's memory does not show are zero: a size above the array means a zero tail.
  const tail = bytes.subarray(knownAttrBytes, used);
  if (used < PERF_ATTR_SIZE_VER0 || used > pageBytes || tail.some((byte) => byte !== 0)) {
    if (bytes.byteLength >= 8) view.setUint32(4, knownAttrBytes, true);
    refuse('E2BIG', `attr.size is ${size}; this kernel knows ${PERF_ATTR_SIZE_VER0} to ${knownAttrBytes}`);
  }
  const known = bytes.slice(0, Math.min(used, PERF_ATTR_SIZE_VER7));
  const auxAction = known[auxActionOffset] ?? 0;
  if (auxAction <= auxActionBits) known[auxActionOffset] = 0;
  if (perfEventAttrReservedBytes(known)) refuse('EINVAL', 'a reserved field is not 0');
  return compactAttr({ ...decodePerfEventAttr(known), size: used, auxAction });
}

/** `attr` without the fields that are 0 or false. */
export function compactAttr(attr: KernelAttr): KernelAttr {
  const compact: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(attr))
    if (value !== 0 && value !== 0n && value !== false && value !== undefined) compact[key] = value;
  return { ...compact, type: attr.type };
}

/**
 * The checks of the attr by itself. Throws `KernelError` EINVAL, EOPNOTSUPP, EACCES. docs/spec/03 sections 8 and 9.
 * @param kernelAllowed {@link mayCountKernel} of the caller.
 */
export function checkAttr(
  attr: PerfEventAttr,
  kernelAllowed: boolean,
  limits: Pick<PerfLimits, 'sampledRegisters'>,
): void {
  const sampleType = attr.sampleType ?? 0;
  if ((attr.reservedFlags ?? 0n) !== 0n) refuse('EINVAL', 'a reserved flag is set');
  if (sampleType > sampleTypeBits) refuse('EINVAL', 'unknown bits in sample_type');
  if ((attr.readFormat ?? 0) > readFormatBits) refuse('EINVAL', 'unknown bits in read_format');
  if ((sampleType & PERF_SAMPLE_BRANCH_STACK) !== 0) {
    const branches = attr.branchSampleType ?? 0n;
    if ((branches & ~branchBits) !== 0n || (branches & ~branchPrivilegeBits) === 0n)
      refuse(
        'EINVAL',
        'branch_sample_type has a bit of its own besides the privilege levels, and no unknown one',
      );
  }
  if ((sampleType & PERF_SAMPLE_BRANCH_STACK) !== 0 && !kernelAllowed && kernelBranches(attr))
    refuse('EACCES', 'branches of the kernel, or of a hypervisor, need the right to the kernel');
  if ((sampleType & PERF_SAMPLE_REGS_USER) !== 0) checkRegisters(attr.sampleRegsUser ?? 0n, limits);
  if ((sampleType & PERF_SAMPLE_STACK_USER) !== 0) {
    const stack = attr.sampleStackUser ?? 0;
    if (stack >= stackBytesMax || stack % 8 !== 0)
      refuse('EINVAL', 'sample_stack_user is below 65535 and a multiple of 8');
  }
  if ((sampleType & PERF_SAMPLE_REGS_INTR) !== 0) checkRegisters(attr.sampleRegsIntr ?? 0n, limits);
  if ((sampleType & PERF_SAMPLE_WEIGHT) !== 0 && (sampleType & PERF_SAMPLE_WEIGHT_STRUCT) !== 0)
    refuse('EINVAL', 'WEIGHT with WEIGHT_STRUCT');
  if (attr.inheritThread === true && attr.inherit !== true)
    refuse('EINVAL', 'inherit_thread without inherit');
  if (attr.removeOnExec === true && attr.enableOnExec === true)
    refuse('EINVAL', 'remove_on_exec with enable_on_exec');
  if (attr.sigtrap === true && attr.removeOnExec !== true) refuse('EINVAL', 'sigtrap without remove_on_exec');
}

/** Whether branches above user mode are asked for: by their levels, or without any by what is not excluded. */
function kernelBranches(attr: PerfEventAttr): boolean {
  const levels = (attr.branchSampleType ?? 0n) & branchPrivilegeBits;
  if (levels !== 0n) return (levels & ~branchUserBit) !== 0n;
  return attr.excludeKernel !== true || attr.excludeHv !== true;
}

function checkRegisters(mask: bigint, limits: Pick<PerfLimits, 'sampledRegisters'>): void {
  if (mask === 0n || (BigInt.asUintN(32, mask) & ~limits.sampledRegisters) !== 0n)
    refuse('EINVAL', 'a register that cannot be sampled, or none');
}

/**
 * What no event here has, judged behind what the PMU says itself: vector registers (bits 32 to 63), asked for with or
 * without the sample_type that would show them, and output to, or actions on, an AUX buffer. Throws `KernelError`
 * EOPNOTSUPP, EINVAL. docs/spec/03 section 9.
 */
export function checkAbilities(attr: KernelAttr, limits: Pick<PerfLimits, 'sampledRegisters'>): void {
  const { auxAction = 0 } = attr;
  const sampled = (attr.sampleRegsUser ?? 0n) | (attr.sampleRegsIntr ?? 0n);
  if ((sampled & ~limits.sampledRegisters) >> 32n !== 0n) refuse('EOPNOTSUPP', 'vector registers');
  if (attr.auxOutput === true) refuse('EOPNOTSUPP', 'no event has aux output');
  if ((auxAction & auxPauseAndResume) === auxPauseAndResume) refuse('EINVAL', 'aux_pause with aux_resume');
  if ((auxAction & auxStartPaused) !== 0) refuse('EOPNOTSUPP', 'no event has an AUX buffer to pause');
}

/** What only an event in the group of one with an AUX buffer may have. Throws `KernelError` EINVAL. */
export function checkAuxGroup(attr: KernelAttr): void {
  if ((attr.auxAction ?? 0) !== 0 || (attr.auxSampleSize ?? 0) !== 0)
    refuse('EINVAL', 'the group has no AUX buffer');
}

/** An attr as an event keeps it: what chooses branches is forgotten where none are sampled. */
export function keptAttr(attr: PerfEventAttr): PerfEventAttr {
  if (attr.branchSampleType === undefined || ((attr.sampleType ?? 0) & PERF_SAMPLE_BRANCH_STACK) !== 0)
    return attr;
  const { branchSampleType: _, ...kept } = attr;
  return kept;
}

/** What a system administrator set. */
export interface PerfLimits {
  /** perf_event_paranoid, -1 to 2. */
  readonly paranoid: number;
  /** perf_event_max_sample_rate. */
  readonly maxSampleRate: bigint;
  /** General registers that a sample can hold. */
  readonly sampledRegisters: bigint;
}

/** CAP_PERFMON or CAP_SYS_ADMIN. */
export function perfmonCapable(credentials: Credentials): boolean {
  return credentials.capabilities.has('PERFMON') || credentials.capabilities.has('SYS_ADMIN');
}

/** Whether somebody may have events that see the kernel. docs/spec/03 section 9. */
export function mayCountKernel(credentials: Credentials, limits: PerfLimits): boolean {
  return limits.paranoid <= 1 || perfmonCapable(credentials);
}

/** What an attr asks of the caller's rights and of the limits. Throws `KernelError` EACCES, EINVAL. */
export function checkAttrRights(attr: PerfEventAttr, credentials: Credentials, limits: PerfLimits): void {
  const kernelAllowed = mayCountKernel(credentials, limits);
  if (attr.excludeKernel !== true && !kernelAllowed)
    refuse('EACCES', `perf_event_paranoid is ${limits.paranoid}: exclude_kernel, or CAP_PERFMON`);
  const period = attr.samplePeriod ?? 0n;
  if (attr.freq === true) {
    if (period > limits.maxSampleRate) refuse('EINVAL', `sample_freq above ${limits.maxSampleRate}`);
  } else if ((period & periodSign) !== 0n) refuse('EINVAL', 'bit 63 of sample_period');
  if (((attr.sampleType ?? 0) & PERF_SAMPLE_PHYS_ADDR) !== 0 && !kernelAllowed)
    refuse('EACCES', 'PHYS_ADDR needs the right to the kernel');
}

/** What an attr asks of its target. Throws `KernelError` EINVAL. */
export function checkAttrTarget(attr: PerfEventAttr, hasTask: boolean): void {
  if (attr.sigtrap === true && !hasTask) refuse('EINVAL', 'sigtrap without a task');
  const sampleType = attr.sampleType ?? 0;
  if (attr.inherit === true && (sampleType & PERF_SAMPLE_READ) !== 0 && (sampleType & PERF_SAMPLE_TID) === 0)
    refuse('EINVAL', 'inherit and SAMPLE_READ without SAMPLE_TID');
}

/** kernel.perf_event_max_stack, as it is unless an administrator changes it. */
const maxStack = 127;

/** A callchain of more entries than the system allows. Throws `KernelError` EOVERFLOW. */
export function checkCallchain(attr: PerfEventAttr): void {
  if (((attr.sampleType ?? 0) & PERF_SAMPLE_CALLCHAIN) !== 0 && (attr.sampleMaxStack ?? 0) > maxStack)
    refuse('EOVERFLOW', `sample_max_stack above ${maxStack}`);
}

/** Clocks by number. Source: clock_gettime(2). */
const clockRealtime = 0;
const clockMonotonic = 1;
const clockMonotonicRaw = 4;
const clockBoottime = 7;
const clockTai = 11;

/** `use_clockid`: only clocks that may be read in an NMI. Throws `KernelError` EINVAL. */
export function checkClock(attr: PerfEventAttr): void {
  if (attr.useClockid !== true) return;
  const clock = attr.clockid ?? 0;
  if (clock === clockMonotonic || clock === clockMonotonicRaw) return;
  const slow = clock === clockRealtime || clock === clockBoottime || clock === clockTai;
  refuse('EINVAL', slow ? 'a clock that cannot be read in an NMI' : 'no such clock');
}

/** The clock that an event's times are of; -1: the default. */
export function clockOf(attr: PerfEventAttr): number {
  return attr.useClockid === true ? (attr.clockid ?? 0) : -1;
}
