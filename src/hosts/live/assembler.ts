import { assert } from '../../base/assert.ts';

/** Machine code in the making: bytes, and labels that code before and after them may name. */
export class Assembler {
  readonly #bytes: number[] = [];
  readonly #labels: Map<string, number> = new Map();
  readonly #fixups: { readonly at: number; readonly label: string }[] = [];

  emit(...bytes: readonly number[]): this {
    this.#bytes.push(...bytes);
    return this;
  }

  /** A little-endian u32. */
  u32(value: number): this {
    return this.emit(value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >>> 24) & 0xff);
  }

  label(name: string): this {
    assert(!this.#labels.has(name), `label ${name} is set once`);
    this.#labels.set(name, this.#bytes.length);
    return this;
  }

  /** `bytes`, then the distance from behind it to the label, 32 bits: jumps, calls, and rip-relative operands. */
  to(label: string, ...bytes: readonly number[]): this {
    this.emit(...bytes);
    this.#fixups.push({ at: this.#bytes.length, label });
    return this.u32(0);
  }

  /** Bytes from the start to a label. */
  offset(label: string): number {
    const offset = this.#labels.get(label);
    assert(offset !== undefined, `label ${label} is set`);
    return offset;
  }

  finish(): Uint8Array {
    const code = Uint8Array.from(this.#bytes);
    const view = new DataView(code.buffer);
    for (const { at, label } of this.#fixups) view.setInt32(at, this.offset(label) - (at + 4), true);
    return code;
  }
}
