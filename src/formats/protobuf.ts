import { encodeUtf8 } from '../base/text.ts';

/**
 * Protocol buffer messages, written: a field is a tag (number << 3 | kind) and a varint (kind 0) or a length and bytes
 * (kind 2). Source: the Protocol Buffers documentation, "Encoding".
 */
export class ProtobufWriter {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(256);
  #length: number = 0;

  /** A number that is not negative and below 2^53, or any 64-bit one as a bigint; absent fields are 0, and 0 is left out. */
  number(field: number, value: number | bigint): this {
    if (value === 0 || value === 0n) return this;
    this.#varint(field << 3);
    this.#varint(value);
    return this;
  }

  /** Also where it is 0: in a `oneof`, or where 0 is something else than nothing. */
  present(field: number, value: number | bigint): this {
    this.#varint(field << 3);
    this.#varint(value);
    return this;
  }

  double(field: number, value: number): this {
    this.#varint((field << 3) | 1);
    this.#room(8);
    new DataView(this.#bytes.buffer).setFloat64(this.#length, value, true);
    this.#length += 8;
    return this;
  }

  text(field: number, value: string): this {
    // Short texts are nearly always ASCII, and an array for each would be the most of the work.
    const { length } = value;
    if (length > 64) return this.bytes(field, encodeUtf8(value));
    this.#room(length + 12);
    const before = this.#length;
    this.#varint((field << 3) | 2);
    this.#varint(length);
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code >= 0x80) {
        this.#length = before;
        return this.bytes(field, encodeUtf8(value));
      }
      this.#bytes[this.#length++] = code;
    }
    return this;
  }

  /** Empties it, to be used again. */
  clear(): this {
    this.#length = 0;
    return this;
  }

  bytes(field: number, value: Uint8Array): this {
    this.#varint((field << 3) | 2);
    this.#varint(value.length);
    this.#room(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  message(field: number, value: ProtobufWriter): this {
    return this.bytes(field, value.#bytes.subarray(0, value.#length));
  }

  packed(field: number, values: readonly number[]): this {
    const inner = new ProtobufWriter();
    for (const value of values) inner.#varint(value);
    return this.message(field, inner);
  }

  /** What was written, a copy. */
  take(): Uint8Array {
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return bytes;
  }

  get lengthBytes(): number {
    return this.#length;
  }

  #varint(value: number | bigint): void {
    this.#room(10);
    let rest = value;
    if (typeof rest === 'bigint') {
      rest = BigInt.asUintN(64, rest);
      while (rest > 0xffff_ffffn) {
        this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
        rest >>= 7n;
      }
      rest = Number(rest);
    }
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.#length++] = rest;
  }

  #room(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * (this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
