import { hex } from '../base/hex.ts';
import { RecordingError } from './recording-error.ts';

/** An object that came from outside: nothing about it is known yet. */
export type Fields = Readonly<Record<string, unknown>>;

/** `value` as JSON; 64-bit values become "0x…" (negative ones "-0x…"), `undefined` is left out. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === 'bigint' ? (each < 0n ? `-${hex(-each)}` : hex(each)) : each,
  );
}

/** An object of what `text` says. Throws {@link RecordingError}. */
export function parseFields(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RecordingError('an entry is not JSON');
  }
  return asFields(value);
}

/** Throws {@link RecordingError} on what is no object. */
export function asFields(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RecordingError('an entry is not an object');
  return value as Fields; // an object's fields are unknown
}

/** The accessors throw {@link RecordingError} where a field is not what it is to be. */
export function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw wrong(name, 'a text');
  return value;
}

export function optionalText(fields: Fields, name: string): string | undefined {
  return fields[name] === undefined || fields[name] === null ? undefined : text(fields, name);
}

/** A whole number from 0 on. */
export function count(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw wrong(name, 'a number');
  return value;
}

export function optionalCount(fields: Fields, name: string): number | undefined {
  return fields[name] === undefined || fields[name] === null ? undefined : count(fields, name);
}

/** A u64, written "0x…". */
export function u64(fields: Fields, name: string): bigint {
  const value = fields[name];
  if (typeof value !== 'string' || !/^0x[0-9a-f]{1,16}$/.test(value)) throw wrong(name, '"0x…"');
  return BigInt(value);
}

export function optionalU64(fields: Fields, name: string): bigint | undefined {
  return fields[name] === undefined || fields[name] === null ? undefined : u64(fields, name);
}

export function flag(fields: Fields, name: string): boolean {
  const value = fields[name];
  if (value !== undefined && typeof value !== 'boolean') throw wrong(name, 'true or false');
  return value === true;
}

export function list(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name] ?? [];
  if (!Array.isArray(value)) throw wrong(name, 'a list');
  return value;
}

/** One of `words`. */
export function word<Word extends string>(fields: Fields, name: string, words: readonly Word[]): Word {
  const value = fields[name];
  const found = words.find((each) => each === value);
  if (found === undefined) throw wrong(name, `one of ${words.join(', ')}`);
  return found;
}

function wrong(name: string, wanted: string): RecordingError {
  return new RecordingError(`'${name}' of an entry is not ${wanted}`);
}

/** `object` without the fields that are `undefined`. */
export function defined<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  for (const key of Object.keys(object) as (keyof T)[]) if (object[key] === undefined) delete object[key];
  return object as T; // no field is undefined any more
}
