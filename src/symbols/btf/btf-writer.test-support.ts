import { encodeUtf8 } from '../../base/text.ts';

/** Writes BTF: types in order (numbers from `first`), names into the string section. */
export class BtfWriter {
  readonly #types: number[] = [];
  readonly #strings: number[] = [];
  readonly #firstString: number;

  constructor(firstString: number = 0) {
    this.#firstString = firstString;
    if (firstString === 0) this.#strings.push(0);
  }

  name(text: string): number {
    if (text === '') return 0;
    const at = this.#firstString + this.#strings.length;
    this.#strings.push(...encodeUtf8(text), 0);
    return at;
  }

  type(
    name: string,
    parts: { kind: number; count?: number; flag?: boolean; size?: number; more?: number[] },
  ): this {
    const info = (parts.kind << 24) | (parts.count ?? 0) | (parts.flag === true ? 0x8000_0000 : 0);
    this.#types.push(this.name(name), info >>> 0, parts.size ?? 0, ...(parts.more ?? []));
    return this;
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(24 + this.#types.length * 4 + this.#strings.length);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, 0xeb9f, true);
    view.setUint8(2, 1);
    view.setUint32(4, 24, true);
    view.setUint32(12, this.#types.length * 4, true);
    view.setUint32(16, this.#types.length * 4, true);
    view.setUint32(20, this.#strings.length, true);
    for (const [i, word] of this.#types.entries()) view.setUint32(24 + i * 4, word, true);
    bytes.set(this.#strings, 24 + this.#types.length * 4);
    return bytes;
  }
}
