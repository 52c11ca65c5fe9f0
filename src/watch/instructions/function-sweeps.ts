import { type CodeReader, readSome } from './code-reader.ts';
import type { InstructionDecoder } from './instruction-decoder.ts';

/** Where an address stands among the instructions of its function. */
export type BoundaryAnswer =
  /** An instruction begins at `start` and ends at the address asked for. */
  | { readonly kind: 'after'; readonly start: bigint }
  /** The address is the function's first. */
  | { readonly kind: 'entry' }
  /** The sweep does not reach the address, or finds no boundary there. */
  | { readonly kind: 'lost' };

/** The instruction boundaries of one function, found so far. */
interface Sweep {
  /** Offsets of instructions; the first `count` are in use. */
  starts: Uint32Array;
  count: number;
  /** Offset after the last instruction found. */
  endOffset: number;
  /** No instruction follows at `endOffset`: data, or an `int3` that was patched in. */
  broken: boolean;
}

/**
 * The instruction boundaries of functions, found by decoding forward from the function's start, each function once
 * and only as far as it was asked for. One of these per address space; drop it when the address space changes
 * (exec), and `forget` code that was replaced.
 */
export class FunctionSweeps {
  readonly #reader: CodeReader;
  readonly #decoder: InstructionDecoder;
  /** By function start, the least recently used first. */
  readonly #sweeps: Map<bigint, Sweep> = new Map();
  #heldStarts = 0;

  constructor(reader: CodeReader, decoder: InstructionDecoder) {
    this.#reader = reader;
    this.#decoder = decoder;
  }

  /** The instruction of the function at `functionStart` that ends at `ip`. A distance over {@link maxFunctionBytes} is `lost`. */
  boundaryBefore(functionStart: bigint, ip: bigint): BoundaryAnswer {
    if (ip === functionStart) return { kind: 'entry' };
    const distance = ip - functionStart;
    if (distance < 0n || distance > BigInt(maxFunctionBytes)) return { kind: 'lost' };
    const offset = Number(distance);
    const sweep = this.#sweep(functionStart);
    if (sweep.endOffset < offset) this.#extend(functionStart, sweep, offset);
    const index = lowerBound(sweep.starts, sweep.count, offset);
    const isBoundary = index < sweep.count ? sweep.starts[index] === offset : sweep.endOffset === offset;
    const start = index > 0 ? sweep.starts[index - 1] : undefined;
    if (!isBoundary || start === undefined) return { kind: 'lost' };
    return { kind: 'after', start: functionStart + BigInt(start) };
  }

  /** Drops what is known of the function at `functionStart`, or of all. */
  forget(functionStart?: bigint): void {
    if (functionStart === undefined) {
      this.#sweeps.clear();
      this.#heldStarts = 0;
      return;
    }
    const sweep = this.#sweeps.get(functionStart);
    if (sweep === undefined) return;
    this.#heldStarts -= sweep.starts.length;
    this.#sweeps.delete(functionStart);
  }

  #sweep(functionStart: bigint): Sweep {
    const known = this.#sweeps.get(functionStart);
    if (known !== undefined) {
      this.#sweeps.delete(functionStart);
      this.#sweeps.set(functionStart, known);
      return known;
    }
    const fresh: Sweep = { starts: new Uint32Array(0), count: 0, endOffset: 0, broken: false };
    this.#sweeps.set(functionStart, fresh);
    return fresh;
  }

  /** Decodes on until `offset` is reached or passed, or nothing more can be decoded. */
  #extend(functionStart: bigint, sweep: Sweep, offset: number): void {
    while (!sweep.broken && sweep.endOffset < offset) {
      const wanted = Math.min(chunkBytes, offset - sweep.endOffset + readAheadBytes);
      const code = readSome(this.#reader, functionStart + BigInt(sweep.endOffset), wanted);
      if (code === undefined || code.length === 0) return;
      const scan = this.#decoder.scan(code);
      const kept = this.#untilPatch(code, scan.starts);
      if (kept === 0 && scan.stopped === 'end') return;
      this.#append(sweep, scan.starts, kept);
      const patched = kept < scan.starts.length;
      sweep.endOffset += patched ? (scan.starts[kept] ?? 0) : scan.endOffset;
      sweep.broken = patched || scan.stopped === 'invalid';
    }
    this.#trim(functionStart);
  }

  /**
   * How many of `starts` come before an `int3` that may stand in the place of another instruction's first byte.
   * One that follows another, or precedes another, or that nothing falls into, is padding.
   */
  #untilPatch(code: Uint8Array, starts: Uint32Array): number {
    for (let i = 0; i < starts.length; i++) {
      const start = starts[i] ?? 0;
      if (code[start] !== int3) continue;
      if (code[start + 1] === int3 || (i > 0 && code[start - 1] === int3)) continue;
      const before = i > 0 ? this.#decoder.decode(code.subarray(starts[i - 1] ?? 0), 0n) : undefined;
      // A call is no proof of padding: most return.
      if (before !== undefined && before.flow !== 'next' && before.flow !== 'call') continue;
      return i;
    }
    return starts.length;
  }

  #append(sweep: Sweep, starts: Uint32Array, kept: number): void {
    const needed = sweep.count + kept;
    if (needed > sweep.starts.length) {
      const grown = new Uint32Array(Math.max(needed, sweep.starts.length * 2));
      grown.set(sweep.starts.subarray(0, sweep.count));
      this.#heldStarts += grown.length - sweep.starts.length;
      sweep.starts = grown;
    }
    for (let i = 0; i < kept; i++) sweep.starts[sweep.count + i] = sweep.endOffset + (starts[i] ?? 0);
    sweep.count = needed;
  }

  /** Drops the least recently used functions until the rest fits. */
  #trim(keep: bigint): void {
    for (const functionStart of this.#sweeps.keys()) {
      if (this.#heldStarts <= maxHeldStarts && this.#sweeps.size <= maxHeldFunctions) return;
      if (functionStart !== keep) this.forget(functionStart);
    }
  }
}

/** Index of the first of the `count` ascending `values` that is not below `wanted`. */
function lowerBound(values: Uint32Array, count: number, wanted: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** No function is swept further than this from its start, in bytes. */
export const maxFunctionBytes: number = 1 << 20;

const int3 = 0xcc;
const chunkBytes = 1 << 16;
/** Read past the address asked for, so that the next site of the same function is often known already. */
const readAheadBytes = 256;
const maxHeldStarts = 1 << 22;
const maxHeldFunctions = 4096;
