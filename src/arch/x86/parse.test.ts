import { describe, expect, it } from 'vitest';
import { KernelError } from '../../base/kernel-error.ts';
import { modelKernelLayout } from './kernel-layout.ts';
import { X86Parser } from './parse.ts';

const R = 1;
const W = 2;
const RW = 3;
const X = 4;
const layout = modelKernelLayout({ cpus: 2 });
const cpu1 = layout.perCpu[1]!; // two CPUs

function verdict(
  bpType: number,
  bpAddr: bigint,
  bpLen: bigint,
  options: { bpext?: boolean; kprobes?: boolean } = {},
): string {
  const parser = new X86Parser({ layout, bpext: options.bpext ?? false, kprobes: options.kprobes ?? true });
  try {
    parser.parse({ bpType, bpAddr, bpLen, target: 'cpu' });
    return 'ok';
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

// One row a check of docs/spec/04 section 6, in its order, with the scenario's number where there is one.
const cases: readonly [string, string, number, bigint, bigint, { bpext?: boolean; kprobes?: boolean }?][] = [
  ['15: the end wraps below the start', 'EINVAL', W, 0xc000_0000_0000_0000n, 1n << 63n, { bpext: true }],
  ['8: length 0', 'EINVAL', W, 0x1000n, 0n],
  ['8: length 0 at address 0', 'EINVAL', W, 0n, 0n],
  ['19: address 0 is an address', 'ok', W, 0n, 4n],
  ['24: CPU entry area', 'EINVAL', W, 0xffff_fe00_0000_0000n, 8n],
  ['last byte of the entry area', 'EINVAL', W, 0xffff_fe7f_ffff_ffffn, 1n],
  ['first byte after the entry area', 'ok', W, 0xffff_fe80_0000_0000n, 1n],
  ['25: cpu_dr7 of a CPU', 'EINVAL', W, cpu1.cpuDr7.start, 8n],
  ['25: writable GDT', 'EINVAL', RW, cpu1.gdt.start + 8n, 8n],
  ['25: TSS', 'EINVAL', W, cpu1.tss.start, 4n],
  ['25: TLB state', 'EINVAL', W, cpu1.tlbState.start, 1n],
  ['25: per-CPU offset table', 'EINVAL', W, layout.perCpuOffsets.start + 8n, 8n],
  ['26: 8 bytes before a forbidden area', 'ok', W, layout.entryArea.start - 8n, 8n],
  ['26: a range that reaches into it', 'EINVAL', W, cpu1.cpuDr7.start - 8n, 16n, { bpext: true }],
  ['forbidden before the type', 'EINVAL', R, cpu1.cpuDr7.start, 8n],
  ['5: R alone', 'EINVAL', R, 0x1000n, 8n],
  ['6: type 5', 'EINVAL', 5, 0x1000n, 8n],
  ['6: type 6', 'EINVAL', 6, 0x1000n, 8n],
  ['7: type 8', 'EINVAL', 8, 0x1000n, 8n],
  ['27: X in no-probe text', 'EINVAL', X, layout.noProbeText[0]!.start, 8n], // one area
  ['27: X in kernel text', 'ok', X, 0xffff_ffff_8100_0000n, 8n],
  ['27: X in kernel text without kprobes', 'EINVAL', X, 0xffff_ffff_8100_0000n, 8n, { kprobes: false }],
  ['X at the end of user space without kprobes', 'ok', X, 0x7fff_ffff_effen, 8n, { kprobes: false }],
  ['16: X of 8 bytes', 'ok', X, 0x1000n, 8n],
  ['17: X needs no alignment', 'ok', X, 0x1001n, 8n],
  ...[1n, 2n, 4n, 16n].map((len): [string, string, number, bigint, bigint] => [
    `16: X of ${len} bytes`,
    'EINVAL',
    X,
    0x1000n,
    len,
  ]),
  ...[1n, 2n, 4n, 8n].map((len): [string, string, number, bigint, bigint] => [
    `W of ${len} bytes`,
    'ok',
    W,
    0x1000n,
    len,
  ]),
  ['9: length 3', 'EINVAL', W, 0x1000n, 3n],
  ['13: length 24', 'EINVAL', W, 0x1000n, 24n],
  ['12: misaligned range before the feature', 'EINVAL', W, 0x1008n, 16n],
  ['11: range without BPEXT', 'EOPNOTSUPP', W, 0x1000n, 16n],
  ['14: range with BPEXT', 'ok', W, 0x1000n, 512n, { bpext: true }],
  ['10: length 2 at an odd address', 'EINVAL', W, 0x1001n, 2n],
  ['10: length 4 at 0x1002', 'EINVAL', W, 0x1002n, 4n],
  ['10: length 8 at 0x1004', 'EINVAL', RW, 0x1004n, 8n],
  ['10: length 1 anywhere', 'ok', W, 0x1003n, 1n],
  ['non-canonical data address', 'ok', W, 0x8000_0000_0000_0000n, 8n],
];

describe('x86 validation', () => {
  it.each(cases)('%s: %s', (_name, expected, bpType, bpAddr, bpLen, options) => {
    expect(verdict(bpType, bpAddr, bpLen, options)).toBe(expected);
  });

  it('tells kernel space by the length code: X at the last user bytes is user space', () => {
    const parser = new X86Parser({ layout, bpext: true, kprobes: true });
    const inKernel = (bpType: number, bpAddr: bigint, bpLen: bigint): boolean =>
      parser.parse({ bpType, bpAddr, bpLen, target: 'cpu' }).kernelSpace;
    expect(inKernel(W, 0x7fff_ffff_efffn, 1n)).toBe(false);
    expect(inKernel(X, 0x7fff_ffff_efffn, 8n)).toBe(false);
    expect(inKernel(W, 0x7fff_ffff_eff8n, 8n)).toBe(false);
    expect(inKernel(W, 0x7fff_ffff_f000n, 1n)).toBe(true);
    expect(inKernel(W, 0x8000_0000_0000_0000n, 8n)).toBe(true);
  });
});
