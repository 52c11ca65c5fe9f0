import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { HW_BREAKPOINT_RW, HW_BREAKPOINT_W, HW_BREAKPOINT_X } from '../../uapi/perf-event-attr.ts';
import { dr7GlobalExact, x86Len, x86Type } from './debug-register-bits.ts';

/** The nibble of DR7 for a length and a type code: LEN in bits 2-3, R/W in bits 0-1. */
export function controlNibble(len: number, type: number): number {
  return (len | type) & 0xf;
}

/**
 * The bits of DR7 that enable breakpoint `n` (0 to 3): its nibble, its G bit, and GE. u32. docs/spec/04 section 2.
 *
 *     ((len | type) & 0xF) << (16 + 4n)  |  2 << 2n  |  0x200
 */
export function encodeDr7(n: number, len: number, type: number): number {
  return ((controlNibble(len, type) << (16 + 4 * n)) | (2 << (2 * n)) | dr7GlobalExact) >>> 0;
}

/** What DR7 says of one breakpoint. */
export interface DecodedControl {
  /** Length code, 0x40 and two bits. */
  readonly len: number;
  /** Type code, 0x80 and two bits. */
  readonly type: number;
  /** 0: off; 1: L bit; 2: G bit; 3: both. */
  readonly enabled: number;
}

/** What `control` (low word of DR7) says of breakpoint `n` (0 to 3). docs/spec/04 section 2. */
export function decodeDr7(control: number, n: number): DecodedControl {
  const nibble = control >>> (16 + 4 * n);
  return { len: (nibble & 0xc) | 0x40, type: (nibble & 3) | 0x80, enabled: (control >>> (2 * n)) & 3 };
}

/**
 * `bp_type` and `bp_len` for a length and a type code, as a client that decodes DR7 needs them. Throws `KernelError`
 * EINVAL: the I/O type 0x82, or execution with a length. docs/spec/04 section 2.
 */
export function genericBreakpoint(
  len: number,
  type: number,
): { readonly bpType: number; readonly bpLen: bigint } {
  if (type === x86Type.execute) {
    if (len !== x86Len.execute)
      throw new KernelError({ errno: errnoValues.EINVAL, operation: 'decode DR7: execution with a length' });
    return { bpType: HW_BREAKPOINT_X, bpLen: 8n };
  }
  const bpLen = len === x86Len.one ? 1n : len === x86Len.two ? 2n : len === x86Len.four ? 4n : 8n;
  if (type === x86Type.write) return { bpType: HW_BREAKPOINT_W, bpLen };
  if (type === x86Type.readWrite) return { bpType: HW_BREAKPOINT_RW, bpLen };
  throw new KernelError({ errno: errnoValues.EINVAL, operation: 'decode DR7: I/O breakpoint' });
}
