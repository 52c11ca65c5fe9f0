import { type ArrayType, type TypeDescription, unaliased } from '../symbols/types.ts';
import type { PlannedWatch } from './plan.ts';
import type { HitValue, ValueWords } from './values/hit-value.ts';

/** A slice of an array, which takes several registers. */
export interface WatchedSlice {
  /** What it is a slice of, as it was written: "cfg->table". */
  readonly of: string;
  /** Of its first element. */
  readonly address: bigint;
  readonly lenBytes: number;
  /** The index of its first element. */
  readonly from: bigint;
  /** All its elements. */
  readonly type: ArrayType;
}

/** The part of a slice that one hit was for. */
export interface HitElement {
  /** "a[3]"; "a[2:4]" where the access was to several or it is not known to which; "a[2]+8" of an element with several registers. */
  readonly text: string;
  readonly address: bigint;
  readonly lenBytes: number;
  readonly type?: TypeDescription | undefined;
}

/** Bytes that an access touched, from the watched address on. */
export interface AccessRange {
  readonly from: number;
  readonly to: number;
  /** The value after the access is certain in these bytes. */
  readonly exact: boolean;
}

/**
 * Which elements a hit of a register of a slice was for, and its value cut to them. `range`: what the instruction
 * accessed; without it, what has changed, otherwise all that the register holds.
 */
export function sliceElement(
  watch: PlannedWatch,
  slice: WatchedSlice,
  value: HitValue | undefined,
  range: AccessRange | undefined,
): { readonly element: HitElement; readonly value: HitValue | undefined } {
  const { element } = slice.type;
  const { byteSize } = unaliased(element);
  const into = Number(watch.address - slice.address);
  const whole: HitElement = {
    text: watch.text,
    address: watch.address,
    lenBytes: watch.lenBytes,
    type: watch.type,
  };
  if (byteSize === 0 || into % byteSize !== 0 || watch.lenBytes % byteSize !== 0)
    return { element: whole, value };
  const touched = range ?? changedBytes(value, watch.lenBytes);
  if (touched === undefined) return { element: whole, value };
  const first = Math.floor(Math.max(0, touched.from) / byteSize);
  const end = Math.ceil(Math.min(watch.lenBytes, touched.to) / byteSize);
  const count = end - first;
  const index = slice.from + BigInt(into / byteSize + first);
  const at = { address: watch.address + BigInt(first * byteSize), lenBytes: count * byteSize };
  const text = count === 1 ? `${slice.of}[${index}]` : `${slice.of}[${index}:${index + BigInt(count)}]`;
  const type: TypeDescription =
    count === 1
      ? element
      : { ...slice.type, name: `${element.name}[${count}]`, byteSize: count * byteSize, count };
  const cut = (words: ValueWords | undefined): ValueWords | undefined =>
    words === undefined ? undefined : bytesOf(words, first * byteSize, count * byteSize);
  const isCertain =
    touched.exact &&
    touched.from <= first * byteSize &&
    touched.to >= Math.min(watch.lenBytes, end * byteSize);
  return {
    element: { text, ...at, type },
    value:
      value === undefined
        ? undefined
        : { ...value, before: cut(value.before), after: cut(value.after), exact: value.exact || isCertain },
  };
}

/** From the first byte that differs to the last; `undefined` where none does or one side is not known. */
function changedBytes(value: HitValue | undefined, lenBytes: number): AccessRange | undefined {
  const { before, after } = value ?? {};
  if (before === undefined || after === undefined) return undefined;
  const byte = (words: ValueWords, i: number): number =>
    ((i < 4 ? words.low : words.high) >>> (8 * (i & 3))) & 0xff;
  const changed = Array.from({ length: lenBytes }, (_, i) => i).filter(
    (i) => byte(before, i) !== byte(after, i),
  );
  const [from] = changed;
  const last = changed.at(-1);
  return from === undefined || last === undefined ? undefined : { from, to: last + 1, exact: false };
}

/** `lenBytes` bytes from byte `from` on, as the lowest. */
function bytesOf({ low, high }: ValueWords, from: number, lenBytes: number): ValueWords {
  const all = (BigInt(high) << 32n) | BigInt(low);
  const cut = BigInt.asUintN(8 * lenBytes, all >> BigInt(8 * from));
  return { low: Number(cut & 0xffff_ffffn), high: Number(cut >> 32n) };
}
