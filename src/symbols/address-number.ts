/**
 * A 64-bit address as a number that sorts and compares exactly: the address read as a signed integer, so that the
 * upper half (kernel addresses) is negative. `NaN` where that is not an exact number; every comparison with it is
 * false. User addresses and kernel addresses of 53 bits and fewer are exact, which covers all that a linker or the
 * kernel's symbol list gives; the rest is hostile input.
 */
export function addressNumber(address: bigint): number {
  const signed = BigInt.asIntN(64, address);
  return signed >= -lastExact && signed <= lastExact ? Number(signed) : Number.NaN;
}

/** As {@link addressNumber}, of the two u32 words of an address. */
export function addressNumberOfPair(low: number, high: number): number {
  const value = (high | 0) * 0x1_0000_0000 + (low >>> 0);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** The 64-bit address of an {@link addressNumber}. */
export function addressOfNumber(value: number): bigint {
  return BigInt.asUintN(64, BigInt(value));
}

const lastExact = BigInt(Number.MAX_SAFE_INTEGER);
