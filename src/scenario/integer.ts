import { parseUnsigned } from '../base/hex.ts';

/** The integer that a JSON value spells: a whole number, or a string of decimal or "0x…", perhaps with a minus. */
export function toInteger(value: unknown): bigint | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value !== 'string') return undefined;
  const negative = value.startsWith('-');
  const magnitude = parseUnsigned(negative ? value.slice(1) : value);
  return magnitude === undefined ? undefined : negative ? -magnitude : magnitude;
}
