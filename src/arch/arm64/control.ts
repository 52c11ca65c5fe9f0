import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import {
  HW_BREAKPOINT_R,
  HW_BREAKPOINT_RW,
  HW_BREAKPOINT_W,
  HW_BREAKPOINT_X,
} from '../../uapi/perf-event-attr.ts';
import {
  accessExecute,
  accessLoad,
  accessStore,
  controlBytesShift,
  controlEnable,
  controlHigherMode,
  controlPrivilegeShift,
  controlTypeShift,
  privilegeKernel,
} from './arm64-register-bits.ts';

/** What a control register says, as far as Linux uses it. docs/spec/05 section 1. */
export interface BreakpointControl {
  readonly enabled: boolean;
  /** 1: kernel, 2: user. */
  readonly privilege: number;
  /** 0: execute, 1: load, 2: store, 3: both. */
  readonly type: number;
  /** BAS, 8 bits: one for each byte of the aligned doubleword. */
  readonly bytes: number;
}

/**
 * The value of a control register, u32. docs/spec/05 section 1.
 *
 *     BAS << 5 | type << 3 | privilege << 1 | E      and 0x2000 for the kernel's own where it runs at EL2
 */
export function encodeControl(control: BreakpointControl, options: { readonly vhe?: boolean } = {}): number {
  const higher = options.vhe === true && control.privilege === privilegeKernel ? controlHigherMode : 0;
  return (
    (control.bytes << controlBytesShift) |
    (control.type << controlTypeShift) |
    (control.privilege << controlPrivilegeShift) |
    (control.enabled ? controlEnable : 0) |
    higher
  );
}

/** Reads a control register; what Linux does not use is not looked at. docs/spec/05 section 1. */
export function decodeControl(value: number): BreakpointControl {
  return {
    enabled: (value & controlEnable) !== 0,
    privilege: (value >>> controlPrivilegeShift) & 3,
    type: (value >>> controlTypeShift) & 3,
    bytes: (value >>> controlBytesShift) & 0xff,
  };
}

const bpTypes: ReadonlyMap<number, number> = new Map([
  [accessExecute, HW_BREAKPOINT_X],
  [accessLoad, HW_BREAKPOINT_R],
  [accessStore, HW_BREAKPOINT_W],
  [accessLoad | accessStore, HW_BREAKPOINT_RW],
]);

/** What a type and a BAS ask for. */
export interface GenericControl {
  readonly bpType: number;
  readonly bpLen: bigint;
  /** Of the first watched byte in the aligned doubleword. */
  readonly offset: number;
}

/**
 * `bp_type`, `bp_len` and the offset for a type and a BAS, as a tracer writes them. Throws `KernelError` EINVAL: no byte
 * is selected, or they are not next to each other. docs/spec/05 section 2.
 */
export function genericControl(control: BreakpointControl): GenericControl {
  const { bytes } = control;
  const offset = bytes === 0 ? 0 : 31 - Math.clz32(bytes & -bytes);
  const mask = bytes >>> offset;
  if (bytes === 0 || (mask & (mask + 1)) !== 0)
    throw new KernelError({
      errno: errnoValues.EINVAL,
      operation: `byte address select 0x${bytes.toString(16)}`,
      hint: 'the selected bytes are one or more next to each other',
    });
  const bpType = bpTypes.get(control.type) ?? HW_BREAKPOINT_RW; // a type has two bits
  return { bpType, bpLen: BigInt(32 - Math.clz32(mask)), offset };
}
