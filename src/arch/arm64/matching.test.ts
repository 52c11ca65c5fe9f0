import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { registerCount, watchpointControl0, watchpointValue0 } from './arm64-register-bits.ts';
import { encodeControl } from './control.ts';
import { matchBreakpoints, matchWatchpoints } from './matching.ts';

const words = () => ({ low: new Uint32Array(registerCount), high: new Uint32Array(registerCount) });
const split = (address: bigint) => ({
  low: Number(address & 0xffff_ffffn),
  high: Number((address >> 32n) & 0xffff_ffffn),
});

interface Watch {
  readonly base: bigint;
  readonly bytes: number;
  readonly type: number;
  readonly privilege: number;
}

/** Byte by byte. */
function naive(watch: Watch, address: bigint, lenBytes: number, kind: number, level: number): boolean {
  if ((watch.type & kind) === 0 || (watch.privilege & level) === 0) return false;
  for (let n = 0; n < lenBytes; n++) {
    const at = (address + BigInt(n)) & 0xff_ffff_ffff_ffffn;
    for (let bit = 0; bit < 8; bit++)
      if ((watch.bytes & (1 << bit)) !== 0 && at === watch.base + BigInt(bit)) return true;
  }
  return false;
}

describe('byte address select', () => {
  it('fires where a byte-by-byte matcher says so', () => {
    const bases = [0n, 0xffff_fff8n, 0x1_0000_0000n, 0x5555_0000_1000n];
    let hits = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...bases),
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: -70, max: 20 }),
        fc.constantFrom(1, 2, 3, 4, 8, 16, 32, 64),
        fc.constantFrom('load', 'store'),
        fc.boolean(),
        fc.integer({ min: 0, max: 255 }),
        (base, bytes, type, privilege, offset, lenBytes, kind, user, tag) => {
          const address = base + BigInt(offset);
          if (address < 0n) return;
          const watch = { base, bytes, type, privilege };
          const registers = words();
          const value = split(base);
          registers.low[watchpointValue0 + 3] = value.low;
          registers.high[watchpointValue0 + 3] = value.high;
          registers.low[watchpointControl0 + 3] = encodeControl({ ...watch, enabled: true });
          const access = {
            ...split(address | (BigInt(tag) << 56n)),
            lenBytes,
            load: kind === 'load',
            store: kind === 'store',
            user,
          };
          const expected = naive(watch, address, lenBytes, kind === 'load' ? 1 : 2, user ? 2 : 1);
          if (expected) hits++;
          expect(matchWatchpoints(registers, access)).toBe(expected ? 8 : 0);
          registers.low[watchpointControl0 + 3] = encodeControl({ ...watch, enabled: false });
          expect(matchWatchpoints(registers, access)).toBe(0);
        },
      ),
      { numRuns: 20_000, seed: 9 },
    );
    expect(hits).toBeGreaterThan(1000);
  });

  it('fires at the top of the address space', () => {
    const registers = words();
    registers.low[watchpointValue0] = 0xffff_fff8;
    registers.high[watchpointValue0] = 0xffff_ffff;
    registers.low[watchpointControl0] = 0x1ff3;
    const access = {
      low: 0xffff_ffff,
      high: 0xffff_ffff,
      lenBytes: 1,
      load: false,
      store: true,
      user: false,
    };
    expect(matchWatchpoints(registers, access)).toBe(1);
    expect(matchWatchpoints(registers, { ...access, low: 0xffff_fff0 })).toBe(0);
    expect(matchWatchpoints(registers, { ...access, low: 0xffff_fff0, lenBytes: 16 })).toBe(1);
  });

  it('of a breakpoint has one bit that 64-bit code can meet', () => {
    const registers = words();
    registers.low[0] = 0x1000;
    registers.low[16] = 0x1e5;
    expect([0xffc, 0x1000, 0x1004].map((ip) => matchBreakpoints(registers, ip, 0, true))).toEqual([0, 1, 0]);
    expect(matchBreakpoints(registers, 0x1000, 0, false)).toBe(0);
    registers.low[16] = 0xf05; // X at 0x1003
    expect(matchBreakpoints(registers, 0x1000, 0, true)).toBe(0);
  });
});
