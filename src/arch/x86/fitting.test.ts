import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  alignedPieces,
  countAlignedPieces,
  type FittingRequest,
  fitRequest,
  isKernelAddress,
  maxPiecesListed,
  spellPieces,
} from './fitting.ts';

const fitOf = (address: bigint, lenBytes: bigint | number, access: FittingRequest['access'] = 'w') =>
  fitRequest({ address, lenBytes, access });

describe('what one register holds', () => {
  it('takes 1, 2, 4 and 8 bytes, aligned, for writes and for both', () => {
    for (const lenBytes of [1, 2, 4, 8] as const) {
      for (const access of ['w', 'rw'] as const) {
        expect(fitOf(0x404040n, lenBytes, access)).toEqual({
          fits: true,
          pieces: [{ address: 0x404040n, lenBytes }],
          pieceCount: 1n,
        });
      }
    }
    expect(fitOf(0x404041n, 1n)).toMatchObject({ fits: true });
    expect(fitOf(0n, 8)).toMatchObject({ fits: true });
    expect(fitOf(0xffff_ffff_ffff_fff8n, 8)).toMatchObject({ fits: true });
  });
  it('refuses a misaligned request with EINVAL and gives the pieces', () => {
    expect(fitOf(0x404042n, 4)).toEqual({
      fits: false,
      errno: 22,
      code: 'EINVAL',
      reason: '4 bytes at 0x404042 are not aligned: 0x404042 is no multiple of 4',
      pieces: [
        { address: 0x404042n, lenBytes: 2 },
        { address: 0x404044n, lenBytes: 2 },
      ],
      pieceCount: 2n,
    });
  });
  it('refuses 24 bytes and names three pieces', () => {
    const fitting = fitOf(0x404040n, 24);
    expect(fitting).toMatchObject({
      fits: false,
      code: 'EINVAL',
      reason: '24 bytes at 0x404040: a register holds 1, 2, 4 or 8 aligned bytes',
    });
    expect(spellPieces('cfg', 0x404040n, fitting)).toBe('cfg/8 cfg+8/8 cfg+16/8');
  });
  it('lists four pieces of a large array and counts the rest', () => {
    const fitting = fitOf(0x404040n, 1n << 20n);
    expect(fitting.pieces).toHaveLength(maxPiecesListed);
    expect(fitting.pieceCount).toBe(131072n);
    expect(spellPieces('a', 0x404040n, fitting)).toBe('a/8 a+8/8 a+16/8 a+24/8 … (131072 in all)');
  });
  it('refuses larger powers of two with EOPNOTSUPP unless the CPU has address masks', () => {
    expect(fitOf(0x404040n, 16)).toMatchObject({ fits: false, code: 'EOPNOTSUPP' });
    expect(fitOf(0x404048n, 16)).toMatchObject({ fits: false, code: 'EINVAL' });
    const request = { address: 0x404040n, lenBytes: 16, access: 'w' } as const;
    expect(fitRequest(request, { hasBpext: true })).toMatchObject({ fits: true, pieceCount: 2n });
  });
  it('refuses a read-only watch and says what there is instead', () => {
    expect(fitOf(0x404040n, 4, 'r')).toMatchObject({
      fits: false,
      code: 'EINVAL',
      reason: 'x86 has no read-only watch: 0x404040 can be watched for reads and writes (rw)',
      pieces: [{ address: 0x404040n, lenBytes: 4 }],
    });
  });
  it('takes length 8 for execute at any address, and no other', () => {
    expect(fitOf(0x401001n, 8, 'x')).toMatchObject({ fits: true });
    for (const lenBytes of [1, 4, 16]) {
      expect(fitOf(0x401001n, lenBytes, 'x')).toMatchObject({
        fits: false,
        code: 'EINVAL',
        pieces: [{ address: 0x401001n, lenBytes: 8 }],
      });
    }
  });
  it('refuses length 0 and a range past the end, with no pieces', () => {
    for (const access of ['r', 'w', 'rw', 'x'] as const) {
      expect(fitOf(0n, 0, access)).toMatchObject({ fits: false, code: 'EINVAL', pieces: [], pieceCount: 0n });
      expect(fitOf(0x404040n, 0, access)).toMatchObject({ fits: false, code: 'EINVAL', pieces: [] });
      expect(fitOf(0xffff_ffff_ffff_fffcn, 8, access)).toMatchObject({
        fits: false,
        code: 'EINVAL',
        pieces: [],
      });
    }
  });
  it('refuses the CPU entry area, first and last byte, for every access', () => {
    for (const access of ['r', 'w', 'rw', 'x'] as const) {
      expect(fitOf(0xffff_fe00_0000_0000n, 8, access)).toMatchObject({ fits: false, pieces: [] });
      expect(fitOf(0xffff_fe7f_ffff_fff8n, 8, access)).toMatchObject({ fits: false, pieces: [] });
    }
    expect(fitOf(0xffff_fe80_0000_0000n, 8)).toMatchObject({ fits: true });
    expect(fitOf(0xffff_fdff_ffff_fff8n, 8)).toMatchObject({ fits: true });
  });
  it('refuses what is no number of bytes and no address', () => {
    expect(() => fitOf(-1n, 4)).toThrow(RangeError);
    expect(() => fitOf(1n << 64n, 4)).toThrow(RangeError);
    expect(() => fitOf(0n, -4)).toThrow(RangeError);
    expect(() => fitOf(0n, 1.5)).toThrow(RangeError);
  });
});

describe('pieces', () => {
  const address = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_0000n });
  const lenBytes = fc.oneof(fc.bigInt({ min: 0n, max: 40n }), fc.bigInt({ min: 0n, max: 3000n }));
  it('are aligned, follow one another without gap or overlap, and cover exactly', () => {
    fc.assert(
      fc.property(address, lenBytes, (start, length) => {
        let at = start;
        for (const piece of alignedPieces(start, length)) {
          expect(piece.address).toBe(at);
          expect(piece.address % BigInt(piece.lenBytes)).toBe(0n);
          at += BigInt(piece.lenBytes);
        }
        expect(at).toBe(start + length);
      }),
    );
  });
  it('each fit, and are the largest that could stand there', () => {
    fc.assert(
      fc.property(address, fc.bigInt({ min: 0n, max: 40n }), (start, length) => {
        for (const piece of alignedPieces(start, length)) {
          const inEntryArea = piece.address >> 39n === 0xffff_fe00_0000_0000n >> 39n;
          expect(fitRequest({ ...piece, access: 'w' }).fits).toBe(!inEntryArea);
          const twice = BigInt(piece.lenBytes) * 2n;
          const fitsTwice =
            twice <= 8n && piece.address % twice === 0n && piece.address + twice <= start + length;
          expect(fitsTwice).toBe(false);
        }
      }),
    );
  });
  it('are counted without being made', () => {
    fc.assert(
      fc.property(address, lenBytes, (start, length) => {
        expect(countAlignedPieces(start, length)).toBe(BigInt([...alignedPieces(start, length)].length));
      }),
    );
    expect(countAlignedPieces(0n, 1n << 63n)).toBe(1n << 60n);
  });
  it('a request fits exactly if it is one piece (data, no address masks, user space)', () => {
    const user = fc.bigInt({ min: 0n, max: 0x7fff_ffff_0000n });
    fc.assert(
      fc.property(user, lenBytes, (start, length) => {
        expect(fitOf(start, length).fits).toBe(countAlignedPieces(start, length) === 1n);
      }),
    );
  });
});

describe('kernel space', () => {
  it('begins at TASK_SIZE_MAX, for the first byte or the last', () => {
    expect(isKernelAddress(0x7fff_ffff_efffn)).toBe(false);
    expect(isKernelAddress(0x7fff_ffff_f000n)).toBe(true);
    expect(isKernelAddress(0x7fff_ffff_efffn, { lenBytes: 2 })).toBe(true);
    expect(isKernelAddress(0xffff_ffff_8123_4567n)).toBe(true);
  });
  it('begins later with five levels of page tables', () => {
    expect(isKernelAddress(0x7fff_ffff_f000n, { pageTableLevels: 5 })).toBe(false);
    expect(isKernelAddress(0xff_ffff_ffff_f000n, { pageTableLevels: 5 })).toBe(true);
  });
});
