import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hex } from '../base/hex.ts';
import { WatchError } from './errors.ts';
import { parseWatchRequest, type WatchRequest } from './watch-request.ts';

type Parsed = Omit<WatchRequest, 'text'>;

const name = (text: string, offset = 0n): Parsed['location'] => ({ type: 'name', name: text, offset });
const inModule = (module: string, text: string, offset = 0n): Parsed['location'] => ({
  type: 'name',
  name: text,
  module,
  offset,
});
const address = (value: bigint): Parsed['location'] => ({ type: 'address', address: value });

const good: readonly (readonly [string, Parsed])[] = [
  ['counter', { location: name('counter') }],
  ['counter:w', { location: name('counter'), access: 'w' }],
  ['counter:r', { location: name('counter'), access: 'r' }],
  ['counter:rw', { location: name('counter'), access: 'rw' }],
  ['counter:wr', { location: name('counter'), access: 'rw' }],
  ['main:x', { location: name('main'), access: 'x' }],
  ['w:w', { location: name('w'), access: 'w' }],
  ['counter/8', { location: name('counter'), lenBytes: 8n }],
  ['counter/0x8:w', { location: name('counter'), lenBytes: 8n, access: 'w' }],
  ['counter/0', { location: name('counter'), lenBytes: 0n }],
  ['counter+4', { location: name('counter', 4n) }],
  ['counter+0x10/4:rw', { location: name('counter', 16n), lenBytes: 4n, access: 'rw' }],
  ['counter-8/4:w', { location: name('counter', -8n), lenBytes: 4n, access: 'w' }],
  ['counter+0xffffffffffffffff', { location: name('counter', 0xffff_ffff_ffff_ffffn) }],
  // C++ names
  ['ns::var', { location: name('ns::var') }],
  ['ns::var:w', { location: name('ns::var'), access: 'w' }],
  ['ns::w', { location: name('ns::w') }],
  ['ns::rw:rw', { location: name('ns::rw'), access: 'rw' }],
  ['a::b::c+8/4:rw', { location: name('a::b::c', 8n), lenBytes: 4n, access: 'rw' }],
  ['std::x<int>:w', { location: name('std::x<int>'), access: 'w' }],
  ['f(int)', { location: name('f(int)') }],
  ['operator<<', { location: name('operator<<') }],
  // files
  ['lib.so:table', { location: inModule('lib.so', 'table') }],
  ['lib.so:table:w', { location: inModule('lib.so', 'table'), access: 'w' }],
  ['lib.so:table+16/8:rw', { location: inModule('lib.so', 'table', 16n), lenBytes: 8n, access: 'rw' }],
  ['lib.so:table/8:rw', { location: inModule('lib.so', 'table'), lenBytes: 8n, access: 'rw' }],
  ['lib.so:rw', { location: inModule('lib.so', 'rw') }],
  ['lib.so.6:w', { location: inModule('lib.so.6', 'w') }],
  ['lib.so:rw:w', { location: inModule('lib.so', 'rw'), access: 'w' }],
  ['lib.so:x/8:w', { location: inModule('lib.so', 'x'), lenBytes: 8n, access: 'w' }],
  ['lib.so:ns::var:w', { location: inModule('lib.so', 'ns::var'), access: 'w' }],
  ['prog:counter', { location: inModule('prog', 'counter') }],
  ['prog:counter:rw', { location: inModule('prog', 'counter'), access: 'rw' }],
  ['prog.c:state:w', { location: inModule('prog.c', 'state'), access: 'w' }],
  ['a:counter/4:w', { location: inModule('a', 'counter'), lenBytes: 4n, access: 'w' }],
  ['/usr/lib/libfoo.so:var', { location: inModule('/usr/lib/libfoo.so', 'var') }],
  [
    '/usr/lib/x86/prog:var/4:w',
    { location: inModule('/usr/lib/x86/prog', 'var'), lenBytes: 4n, access: 'w' },
  ],
  ['my-lib.so:var', { location: inModule('my-lib.so', 'var') }],
  ['lib.so+0x10', { location: name('lib.so', 16n) }],
  ['lib.so+0x10/8:w', { location: name('lib.so', 16n), lenBytes: 8n, access: 'w' }],
  // addresses
  ['0x404028', { location: address(0x40_4028n) }],
  ['0x404028/4', { location: address(0x40_4028n), lenBytes: 4n }],
  ['0x404028/4:w', { location: address(0x40_4028n), lenBytes: 4n, access: 'w' }],
  ['4096:x', { location: address(4096n), access: 'x' }],
  ['18446744073709551615', { location: address(0xffff_ffff_ffff_ffffn) }],
  // perf's syntax
  ['mem:0x1000', { location: address(0x1000n) }],
  ['mem:4096:rw', { location: address(4096n), access: 'rw' }],
  ['mem:0x1000/8:w', { location: address(0x1000n), lenBytes: 8n, access: 'w' }],
  ['mem:0x1000/512:w', { location: address(0x1000n), lenBytes: 512n, access: 'w' }],
  ['mem:0:r', { location: address(0n), access: 'r' }],
  ['mem:0x1000:u', { location: address(0x1000n), only: 'user' }],
  ['mem:0x1000/8:w:u', { location: address(0x1000n), lenBytes: 8n, access: 'w', only: 'user' }],
  ['mem:0x1000:rw:k', { location: address(0x1000n), access: 'rw', only: 'kernel' }],
  ['mem:0x1000:w:uk', { location: address(0x1000n), access: 'w' }],
  ['mem:0x1000:w:p', { location: address(0x1000n), access: 'w' }],
  ['mem:0x1000:w:up', { location: address(0x1000n), access: 'w', only: 'user' }],
];

const bad: readonly (readonly [string, string])[] = [
  ['', 'nothing to watch'],
  ['mem:', 'nothing to watch'],
  [':w', 'expected NAME'],
  ['/4', 'expected NAME'],
  ['counter:', 'is no access'],
  ['counter:W', 'is no access'],
  ['counter:rr', 'is no access'],
  ['counter:xw', 'is no access'],
  ['counter:rwx', 'is no access'],
  ['counter/', 'is no length'],
  ['counter/4x', 'is no length'],
  ['counter/99999999999999999999', 'is no length'],
  ['counter+', 'is no name'],
  ['counter+-4', 'is no name'],
  ['counter+0x1ffffffffffffffff', 'is no offset'],
  ['counter+4q', 'is no offset'],
  ['0x', 'is no address'],
  ['0xfoo', 'is no address'],
  ['0x1ffffffffffffffff', 'is no address'],
  ['18446744073709551616', 'is no address'],
  ['12monkeys', 'is no address'],
  ['0x1000:w:u', 'is no address'],
  ['mem:counter', 'is no address'],
  ['mem:-1', 'is no address'],
  ['mem:0x1000+4', 'is no address'],
  ['mem:0x1000/', 'is no length'],
  ['mem:0x1000/z', 'is no length'],
  ['mem:0x1000:', 'is no access'],
  ['mem:0x1000:rr', 'is no access'],
  ['mem:0x1000:q', 'is no access'],
  ['mem:0x1000::u', 'is no access'],
  ['mem:0x1000:w:', 'are no modifiers'],
  ['mem:0x1000:w:q', 'are no modifiers'],
  ['mem:0x1000:w:uu', 'are no modifiers'],
];

describe('a WHAT', () => {
  test.each(good)('%s is taken', (text, expected) => {
    expect(parseWatchRequest(text)).toEqual({ text, ...expected });
  });

  test.each(bad)('%j is refused, quoted, in one line', (text, why) => {
    let error: unknown;
    try {
      parseWatchRequest(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(WatchError);
    if (!(error instanceof WatchError)) return;
    expect(error.kind).toBe('request');
    expect(error.message).toContain(why);
    expect(error.message.startsWith(`'${text}': `)).toBe(true);
    expect(error.message).not.toContain('\n');
  });

  test('of any text is a request or a WatchError, never another failure', () => {
    const pieces = fc.constantFrom(
      'mem:',
      'lib.so',
      ':',
      '::',
      '/',
      '+',
      '-',
      '0x10',
      '8',
      'w',
      'rw',
      'x',
      'u',
      'name',
      ' ',
      '.c',
    );
    const texts = fc.oneof(
      fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join('')),
      fc.string(),
    );
    fc.assert(
      fc.property(texts, (text) => {
        try {
          expect(parseWatchRequest(text).text).toBe(text);
        } catch (error) {
          expect(error).toBeInstanceOf(WatchError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('put together from parts gives the parts back', () => {
    const identifier = fc.constantFrom('counter', 'w', 'rw', 'ns::state', 'x1', '_a', 'a.b');
    const module = fc.constantFrom(undefined, 'lib.so', 'libx.so.6', 'prog', 'p', 'file.c', '/opt/a/b.so');
    const offset = fc.bigInt({ min: -(2n ** 64n - 1n), max: 2n ** 64n - 1n });
    const length = fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { nil: undefined });
    const access = fc.constantFrom(undefined, 'r' as const, 'w' as const, 'rw' as const, 'x' as const);
    fc.assert(
      fc.property(
        module,
        identifier,
        offset,
        length,
        access,
        fc.boolean(),
        (file, id, by, lenBytes, mode, inHex) => {
          // "lib.so:w" without a name behind the module is the name w: the spelling cannot say otherwise.
          const spelled =
            by === 0n ? '' : `${by < 0n ? '-' : '+'}${inHex ? hex(by < 0n ? -by : by) : by < 0n ? -by : by}`;
          const text = `${file === undefined ? '' : `${file}:`}${id}${spelled}${lenBytes === undefined ? '' : `/${lenBytes}`}${mode === undefined ? '' : `:${mode}`}`;
          fc.pre(
            !(
              file !== undefined &&
              spelled === '' &&
              lenBytes === undefined &&
              mode === undefined &&
              /^[rwx]+$/.test(id) &&
              !file.includes('.so')
            ),
          );
          expect(parseWatchRequest(text)).toEqual({
            text,
            location: file === undefined ? name(id, by) : inModule(file, id, by),
            ...(lenBytes === undefined ? {} : { lenBytes }),
            ...(mode === undefined ? {} : { access: mode }),
          });
        },
      ),
      { numRuns: 500 },
    );
  });
});
