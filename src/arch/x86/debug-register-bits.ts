/**
 * Numbers of the debug registers as `DebugRegisters` takes them. DR0-DR3, DR6 and DR7 have the manual's numbers; the
 * address masks of AMD's BPEXT, which are model-specific registers, follow at 8.
 * Source: Intel SDM volume 3 "Debug registers", AMD APM volume 2 "Debug breakpoint address masking".
 */
export const dr6: number = 6;
export const dr7: number = 7;
/** Register number of the address mask of DR0; that of DRn is `addressMask0 + n`. */
export const addressMask0: number = 8;
/** MSR numbers of the four address masks. */
export const addressMaskMsrs: readonly number[] = [0xc0011027, 0xc0011019, 0xc001101a, 0xc001101b];
/** Breakpoint registers of a CPU. */
export const breakpointRegisters: number = 4;

/**
 * DR6, the status, as the hardware holds it. B0-B3, BD, BS, BT are active high; BLD and RTM active low.
 *
 *      31         17  16  15 14 13  12  11  10      4   3  2  1  0
 *     +-------------+---+--+--+--+---+----+---------+--+--+--+--+
 *     |  1  ...  1  |RTM|BT|BS|BD| 0 |BLD |1 ...   1|B3|B2|B1|B0|
 *     +-------------+---+--+--+--+---+----+---------+--+--+--+--+
 *
 * Software works with the value XOR {@link dr6Reserved}: 0 means "no reason given".
 */
export const dr6Reserved: number = 0xffff0ff0;
/** B0-B3. */
export const dr6TrapBits: number = 0xf;
/** BD: access to a debug register while DR7.GD is set. */
export const dr6GeneralDetect: number = 0x2000;
/** BS: single step. */
export const dr6Step: number = 0x4000;
/** BT: task switch. */
export const dr6TaskSwitch: number = 0x8000;

/**
 * DR7, the control.
 *
 *      31 30  29 28            19 18  17 16  15 14 13 12  11  10   9   8   7  6   5  4   3  2   1  0
 *     +------+------+-- ... --+------+------+-----+--+---+---+---+---+---+------+------+------+------+
 *     | LEN3 | R/W3 |         | LEN0 | R/W0 | 0  0|GD| 0 |RTM| 1 | GE| LE|G3  L3|G2  L2|G1  L1|G0  L0|
 *     +------+------+-- ... --+------+------+-----+--+---+---+---+---+---+------+------+------+------+
 *
 * LEN: 00 = 1 byte, 01 = 2, 11 = 4, 10 = 8. R/W: 00 execute, 01 write, 10 I/O, 11 read or write.
 */
export const dr7Fixed: number = 0x400;
/** GE: exact breakpoints, ignored by present processors and still set with the first breakpoint. */
export const dr7GlobalExact: number = 0x200;
/** GD: a MOV to or from a debug register is a fault. */
export const dr7GeneralDetect: number = 0x2000;
/** G0-G3; `dr7 & dr7GlobalEnables` is "is anything active here?". */
export const dr7GlobalEnables: number = 0xaa;
/** L0-L3 and G0-G3. */
export const dr7Enables: number = 0xff;

/** TF: trap after the next instruction. */
export const flagsTrap: number = 0x100;
/** RF: ignore execution breakpoints for the next instruction. */
export const flagsResume: number = 0x10000;

/** Length codes: 0x40 and the two LEN bits at their place in the nibble of DR7. docs/spec/04 section 2. */
export const x86Len: {
  readonly one: number;
  readonly two: number;
  readonly four: number;
  readonly eight: number;
  readonly execute: number;
} = { one: 0x40, two: 0x44, four: 0x4c, eight: 0x48, execute: 0x40 };
/** Type codes: 0x80 and the two R/W bits. There is none for reading alone. docs/spec/04 section 2. */
export const x86Type: { readonly execute: number; readonly write: number; readonly readWrite: number } = {
  execute: 0x80,
  write: 0x81,
  readWrite: 0x83,
};
