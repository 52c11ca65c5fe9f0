import {
  accessLoad,
  accessStore,
  breakpointControl0,
  breakpointValue0,
  classRegistersMax,
  controlBytesShift,
  controlEnable,
  controlPrivilegeShift,
  controlTypeShift,
  privilegeKernel,
  privilegeUser,
  watchpointControl0,
  watchpointValue0,
} from './arm64-register-bits.ts';

/** The registers of one CPU by number, as words. */
export interface RegisterWords {
  readonly low: Uint32Array;
  readonly high: Uint32Array;
}

/** An access as watchpoints see it. */
export interface WatchedAccess {
  /** u64 as words; the tag in the top byte of a user's address is not looked at. */
  readonly low: number;
  readonly high: number;
  readonly lenBytes: number;
  readonly load: boolean;
  readonly store: boolean;
  /** By user code, or by the kernel with the instructions that access memory as the user would. */
  readonly user: boolean;
}

/** A user's address without its tag: the top byte says nothing. Of a kernel's address it stays. */
export function untagged(high: number): number {
  return (high & 0x0080_0000) === 0 ? high & 0x00ff_ffff : high >>> 0;
}

/** Bytes of the doubleword at `base` that an access of `lenBytes` bytes at `address` touches, as BAS; 0: none. */
function touched(
  addressLow: number,
  addressHigh: number,
  lenBytes: number,
  baseLow: number,
  baseHigh: number,
): number {
  // The difference modulo 2^64: either a small number, or one just below 2^64.
  const low = (addressLow - baseLow) >>> 0;
  const high = (addressHigh - baseHigh - (addressLow < baseLow ? 1 : 0)) >>> 0;
  if (high === 0) {
    if (low > 7) return 0;
    return (((1 << Math.min(lenBytes, 8)) - 1) << low) & 0xff;
  }
  if (high !== 0xffff_ffff) return 0;
  const last = lenBytes - 1 - (0x1_0000_0000 - low);
  return last < 0 ? 0 : (1 << (Math.min(last, 7) + 1)) - 1;
}

/**
 * Which watchpoints an access fires, one bit a register: a selected byte is accessed, the kind fits, and the level.
 * Source: Arm Architecture Reference Manual, "Watchpoint exceptions". Ranges by MASK and linked ones, which Linux never
 * programs, match nothing here.
 */
export function matchWatchpoints(registers: RegisterWords, access: WatchedAccess): number {
  const { low, high } = registers;
  const addressHigh = untagged(access.high);
  const wanted = (access.load ? accessLoad : 0) | (access.store ? accessStore : 0);
  const level = access.user ? privilegeUser : privilegeKernel;
  let bits = 0;
  for (let n = 0; n < classRegistersMax; n++) {
    const control = low[watchpointControl0 + n]!; // register numbers are in range, here and below
    if ((control & controlEnable) === 0) continue;
    if (((control >>> controlTypeShift) & wanted) === 0) continue;
    if (((control >>> controlPrivilegeShift) & level & 3) === 0) continue;
    const selected = (control >>> controlBytesShift) & 0xff;
    const bytes = touched(
      access.low,
      addressHigh,
      access.lenBytes,
      (low[watchpointValue0 + n]! & ~7) >>> 0,
      untagged(high[watchpointValue0 + n]!),
    );
    if ((bytes & selected) !== 0) bits |= 1 << n;
  }
  return bits;
}

/** Which breakpoints the instruction at an address fires, one bit a register. `user`: it is user code. */
export function matchBreakpoints(
  registers: RegisterWords,
  ipLow: number,
  ipHigh: number,
  user: boolean,
): number {
  const { low, high } = registers;
  let bits = 0;
  for (let n = 0; n < classRegistersMax; n++) {
    const control = low[breakpointControl0 + n]!;
    if ((control & controlEnable) === 0) continue;
    if (((control >>> controlPrivilegeShift) & 3 & (user ? privilegeUser : privilegeKernel)) === 0) continue;
    if (
      (low[breakpointValue0 + n]! & ~3) >>> 0 !== (ipLow & ~3) >>> 0 ||
      high[breakpointValue0 + n] !== ipHigh
    )
      continue;
    // BAS has four bits, of which 64-bit code uses the first: its instructions are aligned.
    if (((control >>> controlBytesShift) & (1 << (ipLow & 3))) !== 0) bits |= 1 << n;
  }
  return bits;
}
