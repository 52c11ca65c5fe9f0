import type { ByteSource } from '../base/byte-source.ts';

/** The CRC-32 of all of `source` (polynomial 0xedb88320, as zlib and .gnu_debuglink have it), as a u32. */
export function crc32(source: ByteSource): number {
  let crc = 0xffff_ffff;
  for (let offset = 0; offset < source.sizeBytes; ) {
    const bytes = source.read(offset, chunkBytes);
    if (bytes.length === 0) break;
    for (let i = 0; i < bytes.length; i++) {
      crc = table[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8); // in bounds: masked to 8 bits
    }
    offset += bytes.length;
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}

const chunkBytes = 1024 * 1024;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ 0xedb8_8320 : value >>> 1;
  return value;
});
