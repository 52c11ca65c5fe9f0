import zlib from 'node:zlib';
import { Decompress } from 'fzstd';
import type { Compression } from '../symbols/symbol-tools.ts';

/**
 * Exactly `sizeBytes` bytes out of `bytes`: zlib by Node, zstd by fzstd (Node 20 has none). `undefined` where `bytes`
 * is damaged or holds fewer or more.
 */
export function decompress(
  compression: Compression,
  bytes: Uint8Array,
  sizeBytes: number,
): Uint8Array | undefined {
  try {
    if (compression === 'zstd') return unzstd(bytes, sizeBytes);
    const data = zlib.inflateSync(bytes, { maxOutputLength: Math.max(1, sizeBytes) });
    return data.length === sizeBytes ? data : undefined;
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

/** In pieces, because fzstd given a whole buffer fills it without saying how far the data went. */
function unzstd(bytes: Uint8Array, sizeBytes: number): Uint8Array | undefined {
  if (!(windowBytes(bytes) <= Math.max(sizeBytes, mostWindowBytes))) return undefined;
  const data = new Uint8Array(sizeBytes);
  let filled = 0;
  const stream = new Decompress((chunk) => {
    if (filled + chunk.length > sizeBytes) throw new RangeError('more data than announced');
    data.set(chunk, filled);
    filled += chunk.length;
  });
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    stream.push(bytes.subarray(at, at + pieceBytes), at + pieceBytes >= bytes.length);
  }
  return filled === sizeBytes ? data : undefined;
}

/**
 * The window of the first frame, which the decompressor allocates.
 *
 * ```
 * frame = magic u32 | descriptor u8 | window u8 unless single segment | dictionary id | content size
 * descriptor: bit 5 single segment, the window is the content; bits 0-1 dictionary id of 0, 1, 2, 4 bytes;
 *             bits 6-7 content size of 0 (1 with a single segment), 2, 4, 8 bytes
 * window:     bits 3-7 exponent above 1 KiB, bits 0-2 eighths
 * ```
 * Source: RFC 8878, "Zstandard Frames".
 */
function windowBytes(bytes: Uint8Array): number {
  const descriptor = bytes[4] ?? 0;
  if ((descriptor & 0x20) === 0) {
    const window = bytes[5] ?? 0;
    return 2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8);
  }
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const sizeFieldBytes = 1 << (descriptor >> 6);
  let size = 0;
  for (let i = sizeFieldBytes - 1; i >= 0; i--) size = size * 256 + (bytes[5 + dictionaryBytes + i] ?? 0);
  return sizeFieldBytes === 2 ? size + 256 : size;
}

// What every zstd decoder must accept (RFC 8878); larger only as the data itself is.
const mostWindowBytes = 8 * 1024 * 1024;
const pieceBytes = 64 * 1024;
