import { toInteger } from './integer.ts';

/** Whether `value` is a plain object. */
function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as it is printed and compared: bigint becomes a number, or a decimal string where that is not exact. */
export function plainValue(value: unknown): unknown {
  if (typeof value === 'bigint')
    return value <= BigInt(Number.MAX_SAFE_INTEGER) && value >= BigInt(Number.MIN_SAFE_INTEGER)
      ? Number(value)
      : `0x${value.toString(16)}`;
  if (Array.isArray(value)) return value.map(plainValue);
  if (isObject(value))
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, plainValue(entry)]));
  return value;
}

function sameNumber(expected: unknown, got: unknown): boolean | undefined {
  const a = toInteger(expected);
  const b = typeof got === 'bigint' ? got : toInteger(got);
  return a === undefined || b === undefined ? undefined : a === b;
}

/**
 * Whether a result's field is what a scenario expects: the same value; an object whose fields hold; a list whose
 * entries hold; a list's length, given as a number; `{"min": a, "max": b}`; `{"not": v}`. docs/spec/09 "Steps".
 */
export function holds(expected: unknown, got: unknown): boolean {
  const numbers = sameNumber(expected, got);
  if (numbers !== undefined) return numbers;
  if (typeof expected === 'number' && Array.isArray(got)) return got.length === expected;
  if (Array.isArray(expected))
    return (
      Array.isArray(got) &&
      got.length === expected.length &&
      expected.every((entry, i) => holds(entry, got[i]))
    );
  if (isObject(expected)) {
    const keys = Object.keys(expected);
    if (keys.length > 0 && keys.every((key) => key === 'min' || key === 'max')) return inRange(expected, got);
    if (keys.length === 1 && keys[0] === 'not') return got !== undefined && !holds(expected.not, got);
    return isObject(got) && keys.every((key) => holds(expected[key], got[key]));
  }
  return expected === got;
}

function inRange(range: Record<string, unknown>, got: unknown): boolean {
  const value = typeof got === 'bigint' ? got : Array.isArray(got) ? BigInt(got.length) : toInteger(got);
  if (value === undefined) return false;
  const min = toInteger(range.min);
  const max = toInteger(range.max);
  return (
    (range.min === undefined || (min !== undefined && value >= min)) &&
    (range.max === undefined || (max !== undefined && value <= max))
  );
}
