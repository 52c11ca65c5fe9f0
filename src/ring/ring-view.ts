import { assert } from '../base/assert.ts';
import { perfEventMmapPageOffsets } from '../uapi/perf-event-ring.ts';

/**
 * A perf ring in Linux's layout: one control page, then data pages; the same whether the kernel's memory is looked at
 * or our kernel's array. Head and tail are free-running byte counters; the position is the counter modulo the size.
 */
export class RingView {
  /** Data area as u32 words. */
  readonly words: Uint32Array;
  /** Number of data words less one: `index & wordMask` is the position. */
  readonly wordMask: number;
  readonly dataBytes: number;
  readonly #control32: Int32Array;
  readonly #control64: BigInt64Array;
  /** Low word of the tail that has been read up to; stored to the ring by {@link RingView.storeTail}. */
  tailLow: number;
  #tail: bigint;

  constructor(memory: ArrayBufferLike, pageBytes: number) {
    this.dataBytes = memory.byteLength - pageBytes;
    assert(
      this.dataBytes > 0 && (this.dataBytes & (this.dataBytes - 1)) === 0,
      `a ring's data is a power of two, not ${this.dataBytes} bytes`,
    );
    this.words = new Uint32Array(memory, pageBytes, this.dataBytes / 4);
    this.wordMask = this.words.length - 1;
    this.#control32 = new Int32Array(memory, 0, pageBytes / 4);
    this.#control64 = new BigInt64Array(memory, 0, pageBytes / 8);
    this.#tail = Atomics.load(this.#control64, perfEventMmapPageOffsets.dataTail / 8);
    this.tailLow = Number(BigInt.asUintN(32, this.#tail));
  }

  /** Low word of the head: bytes written so far. What lies before it may be read after this call. */
  headLow(): number {
    return Atomics.load(this.#control32, perfEventMmapPageOffsets.dataHead / 4) >>> 0;
  }

  /** Gives everything before {@link RingView.tailLow} back to the kernel. */
  storeTail(): void {
    const advanced = (this.tailLow - Number(BigInt.asUintN(32, this.#tail))) >>> 0;
    if (advanced === 0) return;
    this.#tail += BigInt(advanced);
    Atomics.store(this.#control64, perfEventMmapPageOffsets.dataTail / 8, this.#tail);
  }
}
