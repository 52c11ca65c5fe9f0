// A perf ring in ordinary memory, filled as the kernel fills one: for benchmarks of what reads it.
import { RingView } from '../dist/ring/ring-view.js';

const pageBytes = 4096;

export class FakeRing {
  constructor(dataBytes) {
    this.memory = new ArrayBuffer(pageBytes + dataBytes);
    this.words = new Uint32Array(this.memory, pageBytes);
    this.control = new BigInt64Array(this.memory, 0, pageBytes / 8);
    this.view = new RingView(this.memory, pageBytes);
    this.dataBytes = dataBytes;
    this.at = 0;
    this.head = 0n;
  }

  /** How many more bytes fit. */
  get room() {
    return this.dataBytes - Number(this.head - this.control[1032 / 8]) - 8;
  }

  /** One sample in the layout of src/ring/sample-layout.ts. `frames` are addresses below 2^53. */
  sample({ id, ip, pid, tid, timeNs, cpu, kernel = false, frames, registers }) {
    const size = 48 + (frames === undefined ? 0 : 8 + 8 * frames.length) + (registers === undefined ? 0 : 24);
    this.#put((kernel ? 1 : 2) | (size << 16), 9, size);
    this.#u64(id);
    this.#u64(ip);
    this.#pair(pid, tid);
    this.#u64(timeNs);
    this.#pair(cpu, 0);
    if (frames !== undefined) {
      this.#u64(frames.length);
      for (const frame of frames) this.#u64(frame);
    }
    if (registers !== undefined) {
      this.#u64(2);
      this.#u64(registers.cx);
      this.#u64(registers.di);
    }
    this.head += BigInt(size);
  }

  /** Shows everything that was put to the reader. */
  publish() {
    Atomics.store(this.control, 1024 / 8, this.head);
  }

  #put(miscSize, type) {
    this.#pair(type, miscSize);
  }

  #u64(value) {
    this.#pair(value % 0x1_0000_0000, Math.floor(value / 0x1_0000_0000));
  }

  #pair(low, high) {
    this.words[this.at] = low;
    this.words[this.at + 1] = high;
    this.at = (this.at + 2) & (this.words.length - 1);
  }
}
