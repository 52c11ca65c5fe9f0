/**
 * `struct user_hwdebug_state` of arm64: what the register sets NT_ARM_HW_BREAK and NT_ARM_HW_WATCH hold. Little endian.
 *
 *       0  u32 info    DebugVer << 8 | number of registers
 *       4  u32 pad
 *       8  16 entries: u64 addr, u32 ctrl, u32 pad
 *     264  the end
 *
 * Source: asm/ptrace.h.
 */
export const HWDEBUG_STATE_BYTES = 264;
export const HWDEBUG_STATE_HEADER_BYTES = 8;
export const HWDEBUG_ENTRY_BYTES = 16;
export const HWDEBUG_ENTRIES = 16;

/** One register pair. */
export interface HwdebugEntry {
  /** u64. */
  readonly addr: bigint;
  /** u32. */
  readonly ctrl: number;
}

/** The whole state: `info` and up to 16 entries; entries that are absent are 0. */
export interface HwdebugState {
  readonly info: number;
  readonly entries: readonly HwdebugEntry[];
}

/** Encodes a state, 264 bytes. */
export function encodeHwdebugState(state: HwdebugState): Uint8Array {
  const bytes = new Uint8Array(HWDEBUG_STATE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, state.info, true);
  for (const [n, { addr, ctrl }] of state.entries.entries()) {
    const at = HWDEBUG_STATE_HEADER_BYTES + n * HWDEBUG_ENTRY_BYTES;
    view.setBigUint64(at, BigInt.asUintN(64, addr), true);
    view.setUint32(at + 8, ctrl, true);
  }
  return bytes;
}

/** Decodes what a kernel gave; entries that the bytes do not reach are left out. */
export function decodeHwdebugState(bytes: Uint8Array): HwdebugState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: HwdebugEntry[] = [];
  for (
    let at = HWDEBUG_STATE_HEADER_BYTES;
    at + HWDEBUG_ENTRY_BYTES <= bytes.length;
    at += HWDEBUG_ENTRY_BYTES
  )
    entries.push({ addr: view.getBigUint64(at, true), ctrl: view.getUint32(at + 8, true) });
  return { info: bytes.length >= 4 ? view.getUint32(0, true) : 0, entries };
}
