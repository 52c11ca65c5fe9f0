import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AddressSpace } from './address-space.ts';

describe('sparse memory', () => {
  it('holds what a plain map of bytes holds, at page edges and at the end of the address space', () => {
    const bases = [0x1000n, 0xfff0n, 0xffff_ffff_ffff_fff0n];
    const write = fc.record({
      base: fc.constantFrom(...bases),
      offset: fc.bigInt({ min: 0n, max: 40n }),
      len: fc.constantFrom(1, 2, 3, 4, 8, 16),
      value: fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
    });
    fc.assert(
      fc.property(fc.array(write, { maxLength: 30 }), (writes) => {
        const memory = new AddressSpace();
        const naive = new Map<bigint, bigint>();
        for (const { base, offset, len, value } of writes) {
          const at = BigInt.asUintN(64, base + offset);
          memory.writeNumber(at, len, value);
          for (let i = 0; i < len; i++)
            naive.set(BigInt.asUintN(64, at + BigInt(i)), (value >> BigInt(8 * i)) & 0xffn);
        }
        const copy = memory.copy();
        memory.writeNumber(0x1000n, 8, 0xffff_ffff_ffff_ffffn);
        for (const { base, offset, len } of writes) {
          const at = BigInt.asUintN(64, base + offset);
          let expected = 0n;
          for (let i = len - 1; i >= 0; i--)
            expected = (expected << 8n) | (naive.get(BigInt.asUintN(64, at + BigInt(i))) ?? 0n);
          expect(copy.readNumber(at, len)).toBe(expected);
        }
      }),
    );
  });

  it('is zero where nothing was stored, and takes no room there', () => {
    const memory = new AddressSpace();
    expect([memory.readNumber(0x5000n, 8), memory.readNumber(0x5000n, 4), memory.pages]).toEqual([0n, 0n, 0]);
  });
});
