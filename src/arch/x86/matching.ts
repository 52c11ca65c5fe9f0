import { addressMask0, breakpointRegisters, dr7, dr7Enables } from './debug-register-bits.ts';

/** The registers of one CPU by number, as words: DR0-DR3, DR6, DR7, and the address masks at 8 to 11. */
export interface RegisterWords {
  readonly low: Uint32Array;
  readonly high: Uint32Array;
}

/** Bytes of the block minus 1, by LEN code. */
const lenMasks: readonly number[] = [0, 1, 7, 3];

const rwExecute = 0;
const rwWrite = 1;
const rwReadWrite = 3;

/**
 * Which breakpoints an access to memory fires, as B bits: any byte of the access in the naturally aligned block (or
 * in the masked range), and the kind fits. docs/spec/04 section 4.
 */
export function matchData(
  registers: RegisterWords,
  addressLow: number,
  addressHigh: number,
  lenBytes: number,
  store: boolean,
): number {
  const { low, high } = registers;
  const control = low[dr7]!; // register numbers are below 12
  if ((control & dr7Enables) === 0) return 0;
  let bits = 0;
  for (let n = 0; n < breakpointRegisters; n++) {
    if ((control & (3 << (2 * n))) === 0) continue;
    const nibble = (control >>> (16 + 4 * n)) & 0xf;
    const rw = nibble & 3;
    if (rw !== rwReadWrite && !(rw === rwWrite && store)) continue;
    const maskLow = (lenMasks[nibble >>> 2]! | low[addressMask0 + n]!) >>> 0; // a LEN code has two bits
    const maskHigh = high[addressMask0 + n]!;
    const blockLow = (low[n]! & ~maskLow) >>> 0;
    const blockHigh = (high[n]! & ~maskHigh) >>> 0;
    // Either the access starts inside the block, or the block starts inside the access; differences are modulo 2^64.
    const fromBlockLow = (addressLow - blockLow) >>> 0;
    const fromBlockHigh = (addressHigh - blockHigh - (addressLow < blockLow ? 1 : 0)) >>> 0;
    if (fromBlockHigh < maskHigh || (fromBlockHigh === maskHigh && fromBlockLow <= maskLow)) bits |= 1 << n;
    else {
      const toBlockLow = (blockLow - addressLow) >>> 0;
      const toBlockHigh = (blockHigh - addressHigh - (blockLow < addressLow ? 1 : 0)) >>> 0;
      if (toBlockHigh === 0 && toBlockLow < lenBytes) bits |= 1 << n;
    }
  }
  return bits;
}

/** Which breakpoints the execution of the instruction that starts at an address fires, as B bits. */
export function matchExecute(registers: RegisterWords, addressLow: number, addressHigh: number): number {
  const { low, high } = registers;
  const control = low[dr7]!; // as above
  if ((control & dr7Enables) === 0) return 0;
  let bits = 0;
  for (let n = 0; n < breakpointRegisters; n++) {
    if ((control & (3 << (2 * n))) === 0) continue;
    if (((control >>> (16 + 4 * n)) & 3) !== rwExecute) continue;
    if (low[n] === addressLow && high[n] === addressHigh) bits |= 1 << n;
  }
  return bits;
}
