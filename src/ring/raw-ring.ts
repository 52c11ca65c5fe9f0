import { perfEventMmapPageOffsets as at, PERF_EVENT_HEADER_BYTES } from '../uapi/perf-event-ring.ts';

/**
 * A ring looked at record by record, without any promise of speed, and whatever its tail says: for scenarios, which may
 * have stored nonsense there.
 */
export class RawRing {
  readonly #control: DataView;
  readonly #data: Uint8Array;

  constructor(memory: ArrayBufferLike, pageBytes: number) {
    this.#control = new DataView(memory, 0, pageBytes);
    this.#data = new Uint8Array(memory, pageBytes);
  }

  /** `data_head`, u64. */
  get head(): bigint {
    return this.#control.getBigUint64(at.dataHead, true);
  }

  /** `data_tail`, u64. */
  get tail(): bigint {
    return this.#control.getBigUint64(at.dataTail, true);
  }

  set tail(value: bigint) {
    this.#control.setBigUint64(at.dataTail, value, true);
  }

  /** What the control page tells of itself. */
  get description(): Readonly<Record<'version' | 'compatVersion' | 'dataOffset' | 'dataSize', number>> {
    const control = this.#control;
    return {
      version: control.getUint32(at.version, true),
      compatVersion: control.getUint32(at.compatVersion, true),
      dataOffset: Number(control.getBigUint64(at.dataOffset, true)),
      dataSize: Number(control.getBigUint64(at.dataSize, true)),
    };
  }

  /** The bytes of the records from `from` to `to` (byte counters), each whole. Ends at the first that makes no sense. */
  records(from: bigint, to: bigint): Uint8Array[] {
    const records: Uint8Array[] = [];
    const size = BigInt(this.#data.length);
    if (size === 0n) return records;
    for (let next = from; next < to; ) {
      const header = this.#bytes(next, PERF_EVENT_HEADER_BYTES);
      const length = new DataView(header.buffer).getUint16(6, true);
      if (length < PERF_EVENT_HEADER_BYTES || next + BigInt(length) > to) break;
      records.push(this.#bytes(next, length));
      next += BigInt(length);
    }
    return records;
  }

  #bytes(from: bigint, length: number): Uint8Array {
    const start = Number(from % BigInt(this.#data.length));
    const bytes = new Uint8Array(length);
    for (let n = 0; n < length; n++) bytes[n] = this.#data[(start + n) % this.#data.length] ?? 0; // wraps
    return bytes;
  }
}
