import { DwarfError } from './dwarf-error.ts';

/**
 * Reads numbers and strings of a section one after the other, little-endian. Whatever would lead out of the bytes is a
 * {@link DwarfError}, so a loop that reads at least a byte a turn ends.
 */
export class ByteCursor {
  readonly bytes: Uint8Array;
  /** Offset of the next byte in `bytes`. */
  at: number;
  /** Where reading must end. */
  readonly end: number;
  readonly #file: string;
  readonly #view: DataView;

  /** @param file for messages. */
  constructor(bytes: Uint8Array, options: { file: string; at?: number; end?: number }) {
    this.bytes = bytes;
    this.at = options.at ?? 0;
    this.end = Math.min(options.end ?? bytes.length, bytes.length);
    this.#file = options.file;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get atEnd(): boolean {
    return this.at >= this.end;
  }

  u8(): number {
    const at = this.#take(1);
    return this.bytes[at]!; // taken
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u24(): number {
    const at = this.#take(3);
    return this.#view.getUint16(at, true) + this.bytes[at + 2]! * 0x1_0000; // taken
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** Eight bytes that are an offset or a count: refused where a number cannot hold them. */
  u64Number(): number {
    const at = this.#take(8);
    const high = this.#view.getUint32(at + 4, true);
    if (high > 0x1f_ffff)
      throw new DwarfError(this.#file, `an offset of ${this.#view.getBigUint64(at, true)}`);
    return high * 0x1_0000_0000 + this.#view.getUint32(at, true);
  }

  /** An offset or address of `sizeBytes`: 1, 2, 4 or 8. */
  unsigned(sizeBytes: number): bigint {
    switch (sizeBytes) {
      case 1:
        return BigInt(this.u8());
      case 2:
        return BigInt(this.u16());
      case 4:
        return BigInt(this.u32());
      case 8:
        return this.u64();
      default:
        throw new DwarfError(this.#file, `a number of ${sizeBytes} bytes`);
    }
  }

  /** An unsigned LEB128 number that must be below 2^53. */
  uleb(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    // Padded with zeros, or too large.
    for (let i = 0; i < 8 && value <= Number.MAX_SAFE_INTEGER; i++) {
      const byte = this.u8();
      if ((byte & 0x7f) !== 0) break;
      if (byte === 0) return value;
    }
    throw new DwarfError(this.#file, 'a number that is too large (LEB128)');
  }

  /** An unsigned LEB128 number, of which the low 64 bits count. */
  ulebBig(): bigint {
    return BigInt.asUintN(64, this.#leb(false));
  }

  /** A signed LEB128 number of 64 bits. */
  slebBig(): bigint {
    return BigInt.asIntN(64, this.#leb(true));
  }

  skipLeb(): void {
    while (this.u8() >= 0x80);
  }

  /** Bytes as they are stored, not copied. */
  take(lengthBytes: number): Uint8Array {
    const at = this.#take(lengthBytes);
    return this.bytes.subarray(at, at + lengthBytes);
  }

  skip(lengthBytes: number): void {
    this.#take(lengthBytes);
  }

  /** The bytes up to a NUL, which is passed over. */
  cstring(): Uint8Array {
    const start = this.at;
    const nul = this.bytes.indexOf(0, start);
    if (nul < 0 || nul >= this.end) throw this.overrun();
    this.at = nul + 1;
    return this.bytes.subarray(start, nul);
  }

  /** What to throw where a read leads out of the bytes. */
  overrun(): DwarfError {
    return new DwarfError(this.#file, `truncated at byte ${this.at} of ${this.end}`);
  }

  #leb(signed: boolean): bigint {
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.u8();
      if (shift < 70n) value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte >= 0x80) continue;
      return signed && (byte & 0x40) !== 0 && shift < 70n ? value - (1n << shift) : value;
    }
  }

  #take(lengthBytes: number): number {
    const at = this.at;
    if (!(lengthBytes >= 0) || at + lengthBytes > this.end) throw this.overrun();
    this.at = at + lengthBytes;
    return at;
  }
}
