import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AssertionError, assert, unreachable } from './assert.ts';
import { bytesSource } from './byte-source.ts';
import { errnoName, errnoValues } from './errno.ts';
import { hex, hexPair, parseUnsigned } from './hex.ts';
import { isKernelError, KernelError } from './kernel-error.ts';
import { highWord, joinPair, lowWord } from './pair.ts';
import { decodeCString, decodeUtf8, encodeUtf8 } from './text.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });

test('hex spells numbers and bigints alike, in lower case without leading zeros', () => {
  expect(hex(0)).toBe('0x0');
  expect(hex(0xdead_beefn)).toBe('0xdeadbeef');
  expect(hex(255)).toBe('0xff');
  expect(hex(0xffff_ffff_ffff_ffffn)).toBe('0xffffffffffffffff');
});

test('hex refuses what is below 0', () => {
  expect(() => hex(-1)).toThrow(RangeError);
  expect(() => hex(-1n)).toThrow(RangeError);
});

test('hex and hexPair give what parseUnsigned reads back', () => {
  fc.assert(
    fc.property(u64, (value) => {
      expect(parseUnsigned(hex(value))).toBe(value);
      expect(parseUnsigned(String(value))).toBe(value);
      expect(hexPair(lowWord(value), highWord(value))).toBe(hex(value));
    }),
  );
});

test('hexPair takes words that bit operations made negative', () => {
  expect(hexPair(-1, 0)).toBe('0xffffffff');
  expect(hexPair(0x1234, 0x8000_0000 | 0)).toBe('0x8000000000001234');
  expect(hexPair(0, 1)).toBe('0x100000000');
});

test.each([
  '',
  ' ',
  ' 1',
  '1 ',
  '+1',
  '-1',
  '1_000',
  '1e3',
  '1.0',
  '0x',
  '0xg',
  'x10',
  '0b1',
  '0x1ffffffffffffffff',
  '18446744073709551616',
  '99999999999999999999',
  '١',
])('parseUnsigned takes %j for no number', (text) => {
  expect(parseUnsigned(text)).toBeUndefined();
});

test.each([
  ['0', 0n],
  ['007', 7n],
  ['0X1f', 31n],
  ['0xABCDEF', 0xabcdefn],
  ['18446744073709551615', 0xffff_ffff_ffff_ffffn],
] as const)('parseUnsigned reads %j', (text, value) => {
  expect(parseUnsigned(text)).toBe(value);
});

test('words of a pair join and come apart again', () => {
  fc.assert(
    fc.property(u32, u32, (low, high) => {
      const value = joinPair(low, high);
      expect(value).toBe(BigInt(high) * 0x1_0000_0000n + BigInt(low));
      expect([lowWord(value), highWord(value)]).toEqual([low, high]);
      expect(joinPair(low | 0, high | 0)).toBe(value);
    }),
  );
});

test('a byte source gives what a slice of its array has, for any range', () => {
  const range = fc.integer({ min: -3, max: 20 });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), range, range, (bytes, offset, lengthBytes) => {
      const source = bytesSource(bytes);
      expect(source.sizeBytes).toBe(bytes.length);
      const expected = [...bytes].filter(
        (_, i) => offset >= 0 && lengthBytes > 0 && i >= offset && i < offset + lengthBytes,
      );
      expect([...source.read(offset, lengthBytes)]).toEqual(expected);
    }),
  );
});

test('a byte source answers NaN and endless ranges with what there is', () => {
  const source = bytesSource(Uint8Array.of(1, 2, 3));
  expect([...source.read(Number.NaN, 1)]).toEqual([]);
  expect([...source.read(0, Number.NaN)]).toEqual([]);
  expect([...source.read(1, Number.POSITIVE_INFINITY)]).toEqual([2, 3]);
});

test('a byte source does not reach into the array around its own', () => {
  const around = Uint8Array.of(9, 1, 2, 9);
  expect([...bytesSource(around.subarray(1, 3)).read(0, 10)]).toEqual([1, 2]);
});

test('text of UTF-8 comes back; what is no UTF-8 becomes U+FFFD', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(decodeUtf8(encodeUtf8(text))).toBe(text);
    }),
  );
  expect(decodeUtf8(Uint8Array.of(0x61, 0xff, 0x62))).toBe('a�b');
});

test('a C string ends at its NUL, or with the bytes', () => {
  const bytes = encodeUtf8('one\0zwö\0tail');
  expect(decodeCString(bytes)).toBe('one');
  expect(decodeCString(bytes, 4)).toBe('zwö');
  expect(decodeCString(bytes, 9)).toBe('tail');
  expect(decodeCString(bytes, 3)).toBe('');
  expect(decodeCString(bytes, 99)).toBe('');
});

test('errno names are those of their values, each value once', () => {
  const values = Object.entries(errnoValues);
  for (const [name, value] of values) expect(errnoName(value)).toBe(name);
  expect(new Set(values.map(([, value]) => value)).size).toBe(values.length);
  expect(errnoName(4095)).toBe('errno 4095');
});

test('a KernelError says what was asked, the errno by name, and the hint', () => {
  const error = new KernelError({ errno: errnoValues.ENOSPC, operation: 'perf_event_open(pid 1)' });
  expect(error).toMatchObject({
    name: 'KernelError',
    errno: 28,
    code: 'ENOSPC',
    operation: 'perf_event_open(pid 1)',
    hint: undefined,
    message: 'perf_event_open(pid 1): ENOSPC',
  });
  expect(new KernelError({ errno: 1, operation: 'mmap()', hint: 'mlock budget' }).message).toBe(
    'mmap(): EPERM (mlock budget)',
  );
});

test('isKernelError knows its own by errno, and nothing else', () => {
  const error = new KernelError({ errno: errnoValues.ESRCH, operation: 'x' });
  expect(isKernelError(error)).toBe(true);
  expect(isKernelError(error, 'ESRCH')).toBe(true);
  expect(isKernelError(error, 'EPERM', 'ESRCH')).toBe(true);
  expect(isKernelError(error, 'EPERM')).toBe(false);
  expect(isKernelError(Object.assign(new Error('x'), { errno: 3, code: 'ESRCH' }), 'ESRCH')).toBe(false);
  expect(isKernelError(undefined)).toBe(false);
});

test('assert throws what was claimed, and only then', () => {
  expect(() => assert(true, 'fine')).not.toThrow();
  expect(() => assert(false, 'two and two')).toThrow(new AssertionError('two and two'));
  expect(() => unreachable('value' as never)).toThrow('unreachable value value');
});
