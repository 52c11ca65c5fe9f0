import { decodeUtf8 } from '../base/text.ts';
import { RecordingError } from './recording-error.ts';

/**
 * A table of a flatbuffer that came from outside: every offset is checked, so whatever the bytes are, a read gives a value
 * or throws {@link RecordingError}.
 *
 * ```
 * table:  i32 distance back to its vtable, then its fields
 * vtable: u16 its size, u16 the table's size, then for each field u16 its offset in the table (0: absent)
 * vector: u32 its length, then its elements        string: a vector of bytes, UTF-8
 * ```
 * Where a table, vector or string is meant, the field holds a u32 distance to it. Source: the FlatBuffers documentation,
 * "FlatBuffers internals".
 */
export class FlatTable {
  readonly #view: DataView;
  readonly #at: number;
  readonly #vtable: number;
  readonly #vtableBytes: number;

  /** The table at byte `at`. */
  constructor(view: DataView, at: number) {
    this.#view = view;
    this.#at = at;
    this.#vtable = at - this.#i32(at);
    this.#vtableBytes = this.#u16(this.#vtable);
  }

  /** The root table of a buffer. */
  static root(bytes: Uint8Array): FlatTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < 4) throw damaged();
    return new FlatTable(view, view.getUint32(0, true));
  }

  u8(field: number): number {
    const at = this.#field(field);
    return at === undefined ? 0 : this.#check(at, 1).getUint8(at);
  }

  /** An i64 that must be a length or an offset: 0 and above. 0 where it is absent. */
  size(field: number): number {
    const at = this.#field(field);
    return at === undefined ? 0 : this.#size(at);
  }

  text(field: number): string | undefined {
    const at = this.#field(field);
    if (at === undefined) return undefined;
    const { start, length } = this.#vector(at, 1);
    return decodeUtf8(new Uint8Array(this.#view.buffer, this.#view.byteOffset + start, length));
  }

  table(field: number): FlatTable | undefined {
    const at = this.#field(field);
    return at === undefined ? undefined : new FlatTable(this.#view, at + this.#u32(at));
  }

  tables(field: number): FlatTable[] {
    const at = this.#field(field);
    if (at === undefined) return [];
    const { start, length } = this.#vector(at, 4);
    return Array.from({ length }, (_, i) => {
      const element = start + 4 * i;
      return new FlatTable(this.#view, element + this.#u32(element));
    });
  }

  /** A vector of structs of two i64, both sizes. */
  sizePairs(field: number): (readonly [number, number])[] {
    const at = this.#field(field);
    if (at === undefined) return [];
    const { start, length } = this.#vector(at, 16);
    return Array.from({ length }, (_, i) => [this.#size(start + 16 * i), this.#size(start + 16 * i + 8)]);
  }

  #field(field: number): number | undefined {
    const slot = 4 + 2 * field;
    if (slot + 2 > this.#vtableBytes) return undefined;
    const offset = this.#u16(this.#vtable + slot);
    return offset === 0 ? undefined : this.#at + offset;
  }

  #vector(at: number, elementBytes: number): { readonly start: number; readonly length: number } {
    const vector = at + this.#u32(at);
    const length = this.#u32(vector);
    this.#check(vector + 4, length * elementBytes);
    return { start: vector + 4, length };
  }

  #size(at: number): number {
    const view = this.#check(at, 8);
    const high = view.getUint32(at + 4, true);
    if (high >= 0x20_0000) throw damaged();
    return high * 0x1_0000_0000 + view.getUint32(at, true);
  }

  #i32(at: number): number {
    return this.#check(at, 4).getInt32(at, true);
  }

  #u32(at: number): number {
    return this.#check(at, 4).getUint32(at, true);
  }

  #u16(at: number): number {
    return this.#check(at, 2).getUint16(at, true);
  }

  #check(at: number, lengthBytes: number): DataView {
    if (!(at >= 0) || at + lengthBytes > this.#view.byteLength) throw damaged();
    return this.#view;
  }
}

function damaged(): RecordingError {
  return new RecordingError('the description of a batch contradicts itself');
}
