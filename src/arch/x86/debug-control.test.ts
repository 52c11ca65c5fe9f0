import { describe, expect, it } from 'vitest';
import { isKernelError } from '../../base/kernel-error.ts';
import { decodeDr7, encodeDr7, genericBreakpoint } from './debug-control.ts';
import { x86Len, x86Type } from './debug-register-bits.ts';

// docs/spec/04 section 2, the encode table: X, W1, W2, W4, W8, RW1, RW2, RW4, RW8.
const encodeTable = [
  [0x202, 0x10202, 0x50202, 0xd0202, 0x90202, 0x30202, 0x70202, 0xf0202, 0xb0202],
  [0x208, 0x100208, 0x500208, 0xd00208, 0x900208, 0x300208, 0x700208, 0xf00208, 0xb00208],
  [0x220, 0x1000220, 0x5000220, 0xd000220, 0x9000220, 0x3000220, 0x7000220, 0xf000220, 0xb000220],
  [0x280, 0x10000280, 0x50000280, 0xd0000280, 0x90000280, 0x30000280, 0x70000280, 0xf0000280, 0xb0000280],
];
const lengths = [x86Len.one, x86Len.two, x86Len.four, x86Len.eight];
const columns = [
  { len: x86Len.execute, type: x86Type.execute },
  ...[x86Type.write, x86Type.readWrite].flatMap((type) => lengths.map((len) => ({ len, type }))),
];

describe('DR7', () => {
  it('encodes the whole table', () => {
    expect([0, 1, 2, 3].map((n) => columns.map(({ len, type }) => encodeDr7(n, len, type)))).toEqual(
      encodeTable,
    );
  });

  it('decodes what it encodes, with the G bit', () => {
    for (const n of [0, 1, 2, 3])
      for (const { len, type } of columns)
        expect(decodeDr7(encodeDr7(n, len, type), n)).toEqual({ len, type, enabled: 2 });
  });

  it('172: decodes the three entries of 0xBD020A', () => {
    expect(decodeDr7(0xbd020a, 0)).toEqual({ len: x86Len.four, type: x86Type.write, enabled: 2 });
    expect(decodeDr7(0xbd020a, 1)).toEqual({ len: x86Len.eight, type: x86Type.readWrite, enabled: 2 });
    expect(decodeDr7(0xbd020a, 2)).toEqual({ len: x86Len.one, type: x86Type.execute, enabled: 0 });
  });

  it('173: decodes a local enable', () => {
    expect(decodeDr7(0x00010001, 0)).toEqual({ len: x86Len.one, type: x86Type.write, enabled: 1 });
  });

  it('gives the generic type and length, and refuses I/O and execution with a length', () => {
    expect(genericBreakpoint(x86Len.one, x86Type.execute)).toEqual({ bpType: 4, bpLen: 8n });
    expect(genericBreakpoint(x86Len.two, x86Type.write)).toEqual({ bpType: 2, bpLen: 2n });
    expect(genericBreakpoint(x86Len.eight, x86Type.readWrite)).toEqual({ bpType: 3, bpLen: 8n });
    for (const [len, type] of [
      [0x40, 0x82],
      [0x4c, 0x80],
    ] as const) {
      let thrown: unknown;
      try {
        genericBreakpoint(len, type);
      } catch (error) {
        thrown = error;
      }
      expect(isKernelError(thrown, 'EINVAL')).toBe(true);
    }
  });
});
