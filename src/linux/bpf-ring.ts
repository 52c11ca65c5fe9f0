import { BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ } from '../uapi/bpf.ts';
import { pageBytes } from './perf-event.ts';
import type { System } from './system.ts';

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

/**
 * The consumer's side of a bpf ring: the first page, which may be written, holds its position; then, read only, a page
 * with the producer's position and the data twice in a row, so that no record is broken at the end.
 * Source: docs.kernel.org "BPF ring buffer"; each record has a header of length u32 (with two flags) and u32.
 */
export class BpfRing {
  readonly #system: System;
  readonly #dataBytes: number;
  readonly #consumerAddress: number;
  readonly #producerAddress: number;
  readonly #consumer: BigUint64Array;
  readonly #producer: BigUint64Array;
  readonly #data: DataView;

  /** Throws `KernelError` of mmap(2). */
  constructor(system: System, fd: number, dataBytes: number) {
    const { ffi } = system;
    this.#system = system;
    this.#dataBytes = dataBytes;
    this.#consumerAddress = ffi.mmap(pageBytes, PROT_READ_WRITE, MAP_SHARED, fd);
    if (this.#consumerAddress === -1) system.fail('mmap(consumer page of a bpf ring)');
    this.#producerAddress = ffi.mmap(pageBytes + 2 * dataBytes, PROT_READ, MAP_SHARED, fd, pageBytes);
    if (this.#producerAddress === -1) {
      ffi.munmap(this.#consumerAddress, pageBytes);
      system.fail('mmap(data pages of a bpf ring)');
    }
    this.#consumer = new BigUint64Array(ffi.view(this.#consumerAddress, pageBytes), 0, 1);
    const memory = ffi.view(this.#producerAddress, pageBytes + 2 * dataBytes);
    this.#producer = new BigUint64Array(memory, 0, 1);
    this.#data = new DataView(memory, pageBytes);
  }

  /** Takes complete records, oldest first. */
  take(): Uint8Array[] {
    const records: Uint8Array[] = [];
    let at = Atomics.load(this.#consumer, 0);
    const end = Atomics.load(this.#producer, 0);
    while (at < end) {
      const offset = Number(at & BigInt(this.#dataBytes - 1));
      const header = this.#data.getUint32(offset, true);
      if ((header & BPF_RINGBUF_BUSY_BIT) !== 0) break;
      const lengthBytes = header & ~BPF_RINGBUF_DISCARD_BIT;
      if ((header & BPF_RINGBUF_DISCARD_BIT) === 0) {
        const from = this.#data.byteOffset + offset + BPF_RINGBUF_HDR_SZ;
        records.push(new Uint8Array(this.#data.buffer, from, lengthBytes).slice());
      }
      at += BigInt((lengthBytes + BPF_RINGBUF_HDR_SZ + 7) & ~7);
    }
    Atomics.store(this.#consumer, 0, at);
    return records;
  }

  close(): void {
    this.#system.ffi.munmap(this.#consumerAddress, pageBytes);
    this.#system.ffi.munmap(this.#producerAddress, pageBytes + 2 * this.#dataBytes);
  }
}
