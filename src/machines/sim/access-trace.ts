import { assert } from '../../base/assert.ts';

/** Kinds of a recorded access: the two high bits of {@link AccessTrace.shape}. */
export const accessKinds: {
  readonly instruction: number;
  readonly load: number;
  readonly store: number;
  readonly modify: number;
} = {
  instruction: 0,
  load: 1,
  store: 2,
  modify: 3,
};

/** Bits of a shape that are the size in bytes. */
export const accessSizeMask: number = 0x3fff;
/** A shape's kind is `shape >>> accessKindShift`. */
export const accessKindShift: number = 14;

/**
 * What a real program did, access by access, as columns. An instruction comes first; the accesses to memory that
 * follow, up to the next instruction, are its own.
 */
export interface AccessTrace {
  /** Number of accesses, instructions included. */
  readonly length: number;
  readonly addressLow: Uint32Array;
  readonly addressHigh: Uint32Array;
  /** Kind in bits 14-15, size in bytes in bits 0-13. */
  readonly shape: Uint16Array;
  /** The largest access in bytes. */
  readonly maxBytes: number;
}

/** A growing {@link AccessTrace}. */
export class AccessTraceBuilder {
  #low = new Uint32Array(4096);
  #high = new Uint32Array(4096);
  #shape = new Uint16Array(4096);
  #length = 0;
  #maxBytes = 1;

  get length(): number {
    return this.#length;
  }

  /** Appends an access; `lenBytes` is 1 to 16383. */
  add(kind: number, addressLow: number, addressHigh: number, lenBytes: number): void {
    assert(lenBytes > 0 && lenBytes <= accessSizeMask, 'an access has 1 to 16383 bytes');
    const i = this.#length++;
    if (i === this.#low.length) this.#grow();
    this.#low[i] = addressLow;
    this.#high[i] = addressHigh;
    this.#shape[i] = (kind << accessKindShift) | lenBytes;
    if (lenBytes > this.#maxBytes) this.#maxBytes = lenBytes;
  }

  #grow(): void {
    const size = this.#low.length * 2;
    const grown = <T extends Uint32Array | Uint16Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.#low = grown(this.#low, new Uint32Array(size));
    this.#high = grown(this.#high, new Uint32Array(size));
    this.#shape = grown(this.#shape, new Uint16Array(size));
  }

  finish(): AccessTrace {
    return {
      length: this.#length,
      addressLow: this.#low.subarray(0, this.#length),
      addressHigh: this.#high.subarray(0, this.#length),
      shape: this.#shape.subarray(0, this.#length),
      maxBytes: this.#maxBytes,
    };
  }
}
