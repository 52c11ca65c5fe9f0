import { UsageError } from './errors.ts';

/** The value of an option that is a whole number in a range. Throws `UsageError`. */
export function integerOption(
  option: string,
  text: string,
  range: { readonly min: number; readonly max: number },
): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= range.min && value <= range.max))
    throw new UsageError(`${option} ${text}: expected a number from ${range.min} to ${range.max}`);
  return value;
}
