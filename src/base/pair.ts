/** The u64 made of two u32 words. */
export function joinPair(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}

/** The low 32 bits of a u64, unsigned. */
export function lowWord(value: bigint): number {
  return Number(value & 0xffff_ffffn);
}

/** The high 32 bits of a u64, unsigned. */
export function highWord(value: bigint): number {
  return Number((value >> 32n) & 0xffff_ffffn);
}
