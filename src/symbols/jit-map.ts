import { addressNumber, addressOfNumber } from './address-number.ts';
import { lastAtOrBelow } from './address-order.ts';
import { parseV8CodeName, type V8CodeName } from './v8-code-name.ts';

/** A piece of JIT-compiled code that an address is in. */
export interface JitCode extends V8CodeName {
  /** The name as the map has it. */
  readonly name: string;
  readonly start: bigint;
  readonly sizeBytes: number;
  /** From `start` to the address. */
  readonly offset: number;
}

/**
 * What /tmp/perf-PID.map says: where a JIT put which function. Names stay in the text until they are asked for, so
 * a map of 50 MB costs its text and some 40 bytes a line.
 */
export class JitMap {
  readonly #text: string;
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #nameStarts: Uint32Array;
  readonly #nameEnds: Uint32Array;
  #pieces: Pieces | undefined;

  /**
   * Reads the map.
   *
   * ```
   * line = START " " SIZE " " NAME        START and SIZE in hex without 0x; NAME to the end of the line
   * ```
   * Lines are appended while the program runs: of two that overlap, the later one is the code that is there now.
   * Lines that are not in this format (the last, half written) are left out. Source: the Linux perf tool's
   * "jit-interface" documentation.
   */
  static parse(text: string): JitMap {
    return new JitMap(text);
  }

  private constructor(text: string) {
    this.#text = text;
    let lines = 0;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++;
    // A last line without its end may be half a line.
    const starts = new Float64Array(lines);
    const ends = new Float64Array(lines);
    const nameStarts = new Uint32Array(lines);
    const nameEnds = new Uint32Array(lines);
    let count = 0;
    for (let at = 0; ; ) {
      const lineEnd = text.indexOf('\n', at);
      if (lineEnd < 0) break;
      const startEnd = hexEnd(text, at);
      const sizeEnd = hexEnd(text, startEnd + 1);
      const isEntry =
        startEnd > at &&
        sizeEnd > startEnd + 1 &&
        sizeEnd < lineEnd &&
        text.charCodeAt(startEnd) === space &&
        text.charCodeAt(sizeEnd) === space;
      if (isEntry) {
        const start = hexValue(text, at, startEnd);
        const size = hexValue(text, startEnd + 1, sizeEnd);
        if (size > 0 && start + size <= Number.MAX_SAFE_INTEGER) {
          starts[count] = start;
          ends[count] = start + size;
          nameStarts[count] = sizeEnd + 1;
          nameEnds[count] = lineEnd;
          count++;
        }
      }
      at = lineEnd + 1;
    }
    this.#starts = starts.subarray(0, count);
    this.#ends = ends.subarray(0, count);
    this.#nameStarts = nameStarts.subarray(0, count);
    this.#nameEnds = nameEnds.subarray(0, count);
  }

  /** How many pieces of code were read, replaced ones included. */
  get count(): number {
    return this.#starts.length;
  }

  /** The code that `address` is in, the latest of them. */
  at(address: bigint): JitCode | undefined {
    this.#pieces ??= lastPainted(this.#starts, this.#ends);
    const place = lastAtOrBelow(this.#pieces.bounds, addressNumber(address));
    const entry = place < 0 ? -1 : this.#pieces.owners[place]!; // in bounds
    if (entry < 0) return undefined;
    const start = this.#starts[entry]!; // in bounds: owners are entries
    const name = this.#text.slice(this.#nameStarts[entry], this.#nameEnds[entry]);
    return {
      ...parseV8CodeName(name),
      name,
      start: addressOfNumber(start),
      sizeBytes: this.#ends[entry]! - start,
      offset: Number(address) - start,
    };
  }
}

const space = 0x20;

/** From `bounds[i]` to the next bound, `owners[i]` is the last entry there, or -1. */
interface Pieces {
  readonly bounds: Float64Array;
  readonly owners: Int32Array;
}

/**
 * Paints the entries over each other in order. Done from the last to the first: each takes the pieces that no later
 * one has, and pieces taken are jumped over, so the time is near linear whatever overlaps.
 */
function lastPainted(starts: Float64Array, ends: Float64Array): Pieces {
  // Every `!` below is an index under `count`, or a piece under `boundCount`.
  const count = starts.length;
  const all = new Float64Array(count * 2);
  all.set(starts);
  all.set(ends, count);
  all.sort();
  let boundCount = 0;
  for (let i = 0; i < all.length; i++) {
    if (i === 0 || all[i] !== all[i - 1]) all[boundCount++] = all[i]!;
  }
  const bounds = all.slice(0, boundCount);
  const owners = new Int32Array(boundCount).fill(-1);
  // nextFree[i]: the first free piece at or behind i, when followed to its end.
  const nextFree = new Uint32Array(boundCount + 1);
  for (let i = 0; i <= boundCount; i++) nextFree[i] = i;
  const freeFrom = (piece: number): number => {
    let free = piece;
    while (nextFree[free] !== free) free = nextFree[free]!;
    for (let at = piece; nextFree[at] !== free; ) {
      const next = nextFree[at]!;
      nextFree[at] = free;
      at = next;
    }
    return free;
  };
  for (let entry = count - 1; entry >= 0; entry--) {
    const end = lastAtOrBelow(bounds, ends[entry]!);
    for (
      let piece = freeFrom(lastAtOrBelow(bounds, starts[entry]!));
      piece < end;
      piece = freeFrom(piece + 1)
    ) {
      owners[piece] = entry;
      nextFree[piece] = piece + 1;
    }
  }
  return { bounds, owners };
}

/** Behind the hex digits at `at`. */
function hexEnd(text: string, at: number): number {
  let end = at;
  while (end < text.length && hexDigit(text.charCodeAt(end)) >= 0) end++;
  return end;
}

function hexValue(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) value = value * 16 + hexDigit(text.charCodeAt(at));
  return value;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  return -1;
}
