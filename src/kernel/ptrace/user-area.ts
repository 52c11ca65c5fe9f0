import { X86_64_USER_DEBUGREG_OFFSET } from '../../uapi/ptrace.ts';

/**
 * The user area of a 64-bit caller, by byte offset; it is addressed in words of 8 bytes.
 *
 *       0  general registers, 27 words
 *     216  nothing that can be read or written
 *     848  u_debugreg[0] to u_debugreg[7]
 *     912  nothing, two words that the user-space header does not have
 *     928  the end
 *
 * Of a 32-bit caller, in words of 4 bytes: 17 registers, u_debugreg at 252, the end at 284.
 * Source: sys/user.h; docs/spec/04 section 7.
 */
export const userAreaBytes: number = 928;
export const generalRegisterBytes: number = 216;
export const compatUserAreaBytes: number = 284;
export const compatGeneralRegisterBytes: number = 68;
const compatDebugRegisterOffset = 252;
const debugRegisters = 8;

/** What lies at an offset: a debug register, nothing, or no place of the area at all (EIO). */
export type UserAreaPlace =
  | { readonly type: 'debugRegister'; readonly n: number }
  /** Reads as 0. */
  | { readonly type: 'hole' }
  | { readonly type: 'outside' };

const outside: UserAreaPlace = { type: 'outside' };
const hole: UserAreaPlace = { type: 'hole' };

/** The place at `offset` (u64) for a 64-bit caller. */
export function userAreaPlace(offset: bigint): UserAreaPlace {
  if (offset % 8n !== 0n || offset >= BigInt(userAreaBytes)) return outside;
  const n = Number(offset) / 8 - X86_64_USER_DEBUGREG_OFFSET / 8;
  return n >= 0 && n < debugRegisters ? { type: 'debugRegister', n } : hole;
}

/** The place at `offset` (u32) for a 32-bit caller, who may name a debug register by any of its bytes. */
export function compatUserAreaPlace(offset: bigint): UserAreaPlace {
  const from = Number(offset) - compatDebugRegisterOffset;
  // Up to the first byte of the last register: what lies behind that is misaligned and outside.
  if (from >= 0 && from <= 4 * (debugRegisters - 1))
    return { type: 'debugRegister', n: Math.floor(from / 4) };
  return offset % 4n !== 0n || offset > BigInt(compatUserAreaBytes) ? outside : hole;
}
