import zlib from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decompress } from './decompress.ts';

const text = new TextEncoder().encode('trapline '.repeat(10_000));
const deflated = zlib.deflateSync(text);

test('zlib data comes back, only at its own length', () => {
  expect(decompress('zlib', deflated, text.length)).toEqual(Buffer.from(text));
  expect(decompress('zlib', deflated, text.length - 1)).toBeUndefined();
  expect(decompress('zlib', deflated, text.length + 1)).toBeUndefined();
  expect(decompress('zlib', deflated.subarray(0, 40), text.length)).toBeUndefined();
});

// What `printf 'trapline %.0s' $(seq 100) | zstd -19` writes.
const zstdData = Uint8Array.from(atob('KLUv/QRohQAASHRyYXBsaW5lIAEAeFmVI95eY78='), (character) =>
  character.charCodeAt(0),
);

test('zstd data comes back, only at its own length', () => {
  const expected = new TextEncoder().encode('trapline '.repeat(100));
  expect(decompress('zstd', zstdData, 900)).toEqual(expected);
  expect(decompress('zstd', zstdData, 899)).toBeUndefined();
  expect(decompress('zstd', zstdData, 901)).toBeUndefined();
});

test('damaged data gives undefined or as many bytes as were asked for', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<['zlib' | 'zstd', Uint8Array, number]>(
        ['zlib', deflated, text.length],
        ['zstd', zstdData, 900],
      ),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      ([compression, data, sizeBytes], changes) => {
        const bytes = data.slice();
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        const result = decompress(compression, bytes, sizeBytes);
        expect(result === undefined || result.length === sizeBytes).toBe(true);
      },
    ),
    { numRuns: 2_000 },
  );
});
