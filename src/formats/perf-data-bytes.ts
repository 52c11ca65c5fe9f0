import { encodeUtf8 } from '../base/text.ts';

/** The little-endian bytes of a perf.data, appended. */
export class PerfDataBytes {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  #view: DataView = new DataView(this.#bytes.buffer);
  #recordAt: number = 0;
  /** Bytes so far. */
  length: number = 0;

  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.length++] = value;
    return this;
  }

  u16(value: number): this {
    this.#room(2);
    this.#view.setUint16(this.length, value, true);
    this.length += 2;
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    this.#view.setUint32(this.length, value, true);
    this.length += 4;
    return this;
  }

  u64(value: number | bigint): this {
    this.#room(8);
    this.#view.setBigUint64(this.length, BigInt(value), true);
    this.length += 8;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  /** `text` in `lengthBytes` bytes, cut or filled with NUL. */
  text(text: string, lengthBytes: number): this {
    const bytes = encodeUtf8(text).subarray(0, lengthBytes);
    return this.raw(bytes).raw(new Uint8Array(lengthBytes - bytes.length));
  }

  /** `text` and NULs up to a multiple of 8. */
  padded(text: string): this {
    return this.text(text, (encodeUtf8(text).length + 8) & ~7);
  }

  /** A build id in hex: its size, three zeros, 20 bytes. */
  buildId(hex: string): this {
    return this.u8(Math.min(20, hex.length >> 1))
      .u8(0)
      .u16(0)
      .raw(buildIdBytes(hex));
  }

  /** Begins a record: type, misc and size. {@link end} fills in the size. */
  begin(type: number, misc: number): this {
    this.#recordAt = this.length;
    return this.u32(type).u16(misc).u16(0);
  }

  end(): this {
    this.#view.setUint16(this.#recordAt + 6, this.length - this.#recordAt, true);
    return this;
  }

  /** What was written, a copy; begins anew. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.length);
    this.length = 0;
    return bytes;
  }

  #room(more: number): void {
    if (this.length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.length + more));
    larger.set(this.#bytes.subarray(0, this.length));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

/** 20 bytes of a build id in hex. */
export function buildIdBytes(hex: string): Uint8Array {
  const bytes = new Uint8Array(20);
  for (let i = 0; i < 20; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16) || 0;
  return bytes;
}
