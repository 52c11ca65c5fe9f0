/** `value` as "0x…" in lower case, without leading zeros. Negative values are not addresses: refused. */
export function hex(value: bigint | number): string {
  if (value < 0) throw new RangeError(`hex of a negative value: ${value}`);
  return `0x${value.toString(16)}`;
}

/** The u64 whose low and high words these are, as "0x…". */
export function hexPair(low: number, high: number): string {
  return high === 0
    ? `0x${(low >>> 0).toString(16)}`
    : `0x${(high >>> 0).toString(16)}${(low >>> 0).toString(16).padStart(8, '0')}`;
}

/**
 * The unsigned number that `text` spells, decimal or "0x…", up to 64 bits; `undefined` if it is not one.
 * Signs, blanks, separators and an empty string are not numbers.
 */
export function parseUnsigned(text: string): bigint | undefined {
  if (!/^(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$/.test(text)) return undefined;
  const value = BigInt(text);
  return value <= 0xffff_ffff_ffff_ffffn ? value : undefined;
}
