/**
 * One symbol table of a file as it is stored: nothing decoded. Entry i is the six words at `words[i * 6]`:
 *
 * ```
 * word 0   st_name: offset in `strings`
 * word 1   st_info (bits 0-3 type, 4-7 binding) | st_other << 8 | st_shndx << 16
 * word 2-3 st_value, low and high
 * word 4-5 st_size, low and high
 * ```
 * Source: elf(5), "String and symbol tables".
 */
export interface RawSymbols {
  readonly count: number;
  readonly words: Uint32Array;
  readonly strings: Uint8Array;
  /** .gnu.version: one entry a symbol; bit 15 says that this is not the name's default version. */
  readonly versions?: Uint16Array;
}

/** Bytes of one entry. */
export const symbolBytes = 24;

/** The little-endian words in `bytes` (a rest of fewer than 4 bytes is left out); shares memory where it can. */
export function littleEndianWords(bytes: Uint8Array): Uint32Array {
  const count = Math.floor(bytes.length / 4);
  if (hostIsLittleEndian && bytes.byteOffset % 4 === 0)
    return new Uint32Array(bytes.buffer, bytes.byteOffset, count);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = new Uint32Array(count);
  for (let i = 0; i < count; i++) words[i] = view.getUint32(i * 4, true);
  return words;
}

/** As {@link littleEndianWords}, in 16-bit words. */
export function littleEndianHalfWords(bytes: Uint8Array): Uint16Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const words = new Uint16Array(Math.floor(bytes.length / 2));
  for (let i = 0; i < words.length; i++) words[i] = view.getUint16(i * 2, true);
  return words;
}

const hostIsLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
