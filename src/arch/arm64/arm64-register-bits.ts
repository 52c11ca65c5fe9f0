/**
 * Numbers of the debug registers as `DebugRegisters` takes them: four banks of 16, then the ones that a CPU has once.
 * Source: Arm Architecture Reference Manual, "Debug registers".
 */
export const breakpointValue0: number = 0;
export const breakpointControl0: number = 16;
export const watchpointValue0: number = 32;
export const watchpointControl0: number = 48;
/** MDSCR_EL1. */
export const mdscr: number = 64;
/** The OS lock: written as OSLAR_EL1, read as OSLSR_EL1; here bit 0 is the lock for both. */
export const osLock: number = 65;
/** ID_AA64DFR0_EL1, read only. */
export const debugFeatures: number = 66;
/** Registers in all. */
export const registerCount: number = 67;
/** Most registers of a class that a CPU can have. */
export const classRegistersMax: number = 16;

/**
 * DBGBCR<n>_EL1 and DBGWCR<n>_EL1, the controls.
 *
 *      31  29 28  24 23  20 19  16 15 14  13  12          5 4  3 2  1  0
 *     +------+------+------+------+-----+----+-------------+----+----+--+
 *     |      | MASK |BT/WT | LBN  | SSC | HMC|     BAS     |LSC | PAC| E|
 *     +------+------+------+------+-----+----+-------------+----+----+--+
 *
 * A DBGBCR has four bits of BAS (5 to 8) and PMC in place of PAC; 3 and 4 are 0. Linux keeps eight bits there as well.
 */
export const controlEnable: number = 1;
export const controlPrivilegeShift: number = 1;
export const controlTypeShift: number = 3;
export const controlBytesShift: number = 5;
/** HMC: also at EL2, where the kernel is if it runs with VHE. */
export const controlHigherMode: number = 0x2000;

/** PMC and PAC. */
export const privilegeKernel: number = 1;
export const privilegeUser: number = 2;
/** LSC; 0 stands in a DBGBCR. */
export const accessExecute: number = 0;
export const accessLoad: number = 1;
export const accessStore: number = 2;

/**
 * MDSCR_EL1.
 *
 *      31    16 15  14 13  12         1  0
 *     +--------+---+--+---+----+-------+--+
 *     |        |MDE|  |KDE|TDCC|       |SS|
 *     +--------+---+--+---+----+-------+--+
 */
export const mdscrStep: number = 1;
export const mdscrKernel: number = 1 << 13;
export const mdscrMonitor: number = 1 << 15;

/** SPSR.SS: one instruction is executed, then a step exception is taken. */
export const flagsStep: number = 1 << 21;

/** ESR_ELx.EC, of exceptions from a lower level; 1 more from the same one. BRK has one code. */
export const exceptionClass: {
  readonly breakpoint: number;
  readonly step: number;
  readonly watchpoint: number;
  readonly instruction: number;
} = { breakpoint: 0x30, step: 0x32, watchpoint: 0x34, instruction: 0x3c };
export const exceptionClassShift: number = 26;
/** ESR_ELx.WnR: the access was a store. */
export const syndromeStore: number = 1 << 6;

/** What ID_AA64DFR0_EL1 says. */
export interface DebugFeatures {
  /** DebugVer: 6 is Armv8.0, 7 with VHE, 8 Armv8.2, 9 Armv8.4. */
  readonly version: number;
  /** Breakpoints, 1 to 16. */
  readonly breakpoints: number;
  /** Watchpoints, 1 to 16. */
  readonly watchpoints: number;
  /** Breakpoints, the highest ones, that can match a context. */
  readonly contextAware: number;
}

/**
 * Decodes ID_AA64DFR0_EL1, of which the low word is enough.
 *
 *      31    28 27 24 23  20 19 16 15  12 11    4 3      0
 *     +--------+-----+------+-----+------+-------+--------+
 *     |CTX_CMPs|     | WRPs |     | BRPs |       |DebugVer|
 *     +--------+-----+------+-----+------+-------+--------+
 *
 * Counts are stored minus 1.
 */
export function decodeDebugFeatures(low: number): DebugFeatures {
  return {
    version: low & 0xf,
    breakpoints: ((low >>> 12) & 0xf) + 1,
    watchpoints: ((low >>> 20) & 0xf) + 1,
    contextAware: ((low >>> 28) & 0xf) + 1,
  };
}

/** ID_AA64DFR0_EL1's low word, u32; the inverse of {@link decodeDebugFeatures}. */
export function encodeDebugFeatures(features: DebugFeatures): number {
  const { version, breakpoints, watchpoints, contextAware } = features;
  return (version | ((breakpoints - 1) << 12) | ((watchpoints - 1) << 20) | ((contextAware - 1) << 28)) >>> 0;
}
