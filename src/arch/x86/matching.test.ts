import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { highWord, lowWord } from '../../base/pair.ts';
import { encodeDr7 } from './debug-control.ts';
import { x86Len, x86Type } from './debug-register-bits.ts';
import { matchData, matchExecute } from './matching.ts';

interface Watch {
  readonly address: bigint;
  readonly bytes: 1 | 2 | 4 | 8;
  readonly type: number;
  readonly mask?: bigint;
}

const lenCode = { 1: x86Len.one, 2: x86Len.two, 4: x86Len.four, 8: x86Len.eight };

function registers(watches: readonly Watch[]): { low: Uint32Array; high: Uint32Array } {
  const words = { low: new Uint32Array(12), high: new Uint32Array(12) };
  for (const [n, watch] of watches.entries()) {
    words.low[n] = lowWord(watch.address);
    words.high[n] = highWord(watch.address);
    words.low[7]! |= encodeDr7(n, lenCode[watch.bytes], watch.type); // DR7
    words.low[8 + n] = lowWord(watch.mask ?? 0n);
    words.high[8 + n] = highWord(watch.mask ?? 0n);
  }
  return words;
}

const fire = (watches: readonly Watch[], address: bigint, len: number, store: boolean): number =>
  matchData(registers(watches), lowWord(address), highWord(address), len, store);

const RW = x86Type.readWrite;
const W = x86Type.write;

describe('which accesses fire', () => {
  // The worked example of the architecture manual, docs/spec/04 section 4.
  const example: Watch[] = [
    { address: 0xa0001n, bytes: 1, type: RW },
    { address: 0xa0002n, bytes: 1, type: W },
    { address: 0xb0002n, bytes: 2, type: RW },
    { address: 0xc0000n, bytes: 4, type: W },
  ];
  const accesses: readonly [bigint, number, string, number][] = [
    [0xa0001n, 1, 'r', 1],
    [0xa0001n, 1, 'w', 1],
    [0xa0001n, 2, 'r', 1],
    [0xa0001n, 2, 'w', 3],
    [0xa0002n, 1, 'w', 2],
    [0xa0002n, 2, 'w', 2],
    [0xb0001n, 4, 'r', 4],
    [0xb0001n, 4, 'w', 4],
    [0xb0002n, 1, 'r', 4],
    [0xb0002n, 2, 'w', 4],
    [0xc0000n, 4, 'w', 8],
    [0xc0001n, 2, 'w', 8],
    [0xc0003n, 1, 'w', 8],
    [0xa0000n, 1, 'r', 0],
    [0xa0000n, 1, 'w', 0],
    [0xa0002n, 1, 'r', 0],
    [0xa0003n, 4, 'r', 0],
    [0xa0003n, 4, 'w', 0],
    [0xb0000n, 2, 'r', 0],
    [0xb0000n, 2, 'w', 0],
    [0xc0000n, 2, 'r', 0],
    [0xc0004n, 4, 'r', 0],
    [0xc0004n, 4, 'w', 0],
  ];
  it.each(accesses)('176: %i, %i bytes, %s: B bits %i', (address, len, kind, bits) => {
    expect(fire(example, address, len, kind === 'w')).toBe(bits);
  });

  it('178: an access that reaches into the block from below fires', () => {
    const watch: Watch[] = [{ address: 0x1000n, bytes: 4, type: W }];
    expect([fire(watch, 0xffdn, 8, true), fire(watch, 0xff8n, 8, true)]).toEqual([1, 0]);
  });

  it('177: execution fires at the first byte of an instruction only', () => {
    const words = registers([{ address: 0x1001n, bytes: 1, type: x86Type.execute }]);
    expect([
      matchExecute(words, 0x1001, 0),
      matchExecute(words, 0x1000, 0),
      matchExecute(words, 0x1001, 1),
    ]).toEqual([1, 0, 0]);
    expect(matchData(words, 0x1001, 0, 1, true)).toBe(0);
  });

  it('agrees with a matcher that looks at every byte', () => {
    // Around a page edge, around 2^32 and around the end of the address space, where words carry.
    const bases = [0x1000n, 0xffff_ffe0n, 0x1_0000_0000n, 0xffff_8880_ffff_ffe0n];
    const watchArbitrary = fc.record({
      offset: fc.nat(63),
      bytes: fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const),
      type: fc.constantFrom(W, RW, x86Type.execute),
      maskBits: fc.constantFrom(0, 0, 4, 6),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(...bases),
        fc.array(watchArbitrary, { maxLength: 4 }),
        fc.nat(80),
        fc.constantFrom(1, 2, 4, 8, 16, 32),
        fc.boolean(),
        (base, watches, offset, len, store) => {
          const list = watches.map((watch): Watch => {
            const mask =
              watch.type !== x86Type.execute && watch.bytes === 1 ? (1n << BigInt(watch.maskBits)) - 1n : 0n;
            return { address: base + BigInt(watch.offset), bytes: watch.bytes, type: watch.type, mask };
          });
          const address = base + BigInt(offset) - 16n;
          let expected = 0;
          for (const [n, watch] of list.entries()) {
            if (watch.type === x86Type.execute || (watch.type === W && !store)) continue;
            const ignored = (watch.mask ?? 0n) | BigInt(watch.bytes - 1);
            for (let i = 0; i < len; i++)
              if (((address + BigInt(i)) & ~ignored) === (watch.address & ~ignored)) expected |= 1 << n;
          }
          expect(fire(list, address, len, store)).toBe(expected);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
