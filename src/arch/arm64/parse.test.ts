import { describe, expect, it } from 'vitest';
import { KernelError } from '../../base/kernel-error.ts';
import type { BreakpointRequest } from '../architecture.ts';
import { encodeControl } from './control.ts';
import { parseArm64, taskSize } from './parse.ts';

const [R, W, RW, X] = [1, 2, 3, 4] as const;
type Target = BreakpointRequest['target'];

/** "address/control" in hexadecimal, enabled, or the errno. */
function parsed(bpType: number, bpAddr: bigint, bpLen: bigint, target: Target = 'task', vhe = false): string {
  try {
    const record = parseArm64({ bpType, bpAddr, bpLen, target });
    const address = (BigInt(record.addressHigh) << 32n) | BigInt(record.addressLow);
    return `${address.toString(16)}/${encodeControl({ ...record, type: record.type, enabled: true }, { vhe }).toString(16)}`;
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

describe('a request on arm64', () => {
  it('220, 221: becomes an aligned address and a control value', () => {
    expect([parsed(X, 0x1000n, 8n), parsed(X, 0x1000n, 4n), parsed(X, 0x1000n, 1n)]).toEqual([
      '1000/1e5',
      '1000/1e5',
      '1000/1e5',
    ]);
    expect(parsed(W, 0x1000n, 8n)).toBe('1000/1ff5');
    expect(parsed(RW, 0x1004n, 4n)).toBe('1000/1e1d');
    expect(parsed(R, 0x1003n, 1n)).toBe('1000/10d');
    expect(parsed(W, 0x1000n, 2n)).toBe('1000/75');
  });

  it('222: lies in one doubleword', () => {
    expect([4n, 3n].map((len) => parsed(W, 0x1005n, len))).toEqual(['EINVAL', '1000/1c15']);
    expect(parsed(X, 0x1003n, 4n)).toBe('1000/f05');
  });

  it('223: has a length of 1 to 8, whatever else', () => {
    expect([3n, 5n, 6n, 7n].map((len) => parsed(W, 0x1000n, len))).toEqual([
      '1000/f5',
      '1000/3f5',
      '1000/7f5',
      '1000/ff5',
    ]);
    expect([0n, 9n, 1n << 63n].map((len) => parsed(W, 0x1000n, len))).toEqual(['EINVAL', 'EINVAL', 'EINVAL']);
    expect([0, 5, 6, 7, 8].map((type) => parsed(type, 0x1000n, 4n))).toEqual(Array(5).fill('EINVAL'));
  });

  it('224: watches the kernel on CPUs only', () => {
    expect([parsed(W, taskSize, 1n), parsed(W, taskSize, 1n, 'cpu')]).toEqual(['EINVAL', '1000000000000/33']);
    expect(parsed(W, taskSize, 1n, 'cpu', true)).toBe('1000000000000/2033');
    expect(parsed(X, 0xffff_8000_0800_0000n, 4n, 'cpu')).toBe('ffff800008000000/1e3');
    expect(parsed(W, taskSize - 1n, 1n)).toBe('fffffffffff8/1015');
    expect(parsed(W, taskSize - 1n, 8n)).toBe('EINVAL');
    // The end wraps: a user's, by the rule.
    expect(parsed(X, 0xffff_ffff_ffff_fffdn, 4n)).toBe('fffffffffffffffc/3c5');
  });

  it('of a 32-bit task lies in one word, or is a doubleword', () => {
    const offsets = (type: number, len: bigint): string[] =>
      [0n, 1n, 2n, 3n, 4n].map((offset) => parsed(type, 0x1000n + offset, len, 'task32'));
    expect(offsets(W, 1n)).toEqual(['1000/35', '1000/55', '1000/95', '1000/115', '1004/35']);
    expect(offsets(W, 2n)).toEqual(['1000/75', '1000/d5', '1000/195', 'EINVAL', '1004/75']);
    expect(offsets(W, 4n)).toEqual(['1000/1f5', 'EINVAL', 'EINVAL', 'EINVAL', '1004/1f5']);
    expect(offsets(W, 8n)).toEqual(['1000/1ff5', 'EINVAL', 'EINVAL', 'EINVAL', 'EINVAL']);
    expect(offsets(X, 2n).slice(0, 3)).toEqual(['1000/65', '1000/c5', '1000/185']);
    expect([1n, 3n, 8n].map((len) => parsed(X, 0x1000n, len, 'task32'))).toEqual(Array(3).fill('EINVAL'));
  });
});
