import { afterAll, describe, expect, it } from 'vitest';
import { isKernelError } from '../../src/base/kernel-error.ts';
import { LiveLabMaker } from '../../src/hosts/live/live-lab.ts';
import { ModelHost } from '../../src/hosts/model/model-host.ts';
import type { PerfSystemCalls } from '../../src/surface/perf-calls.ts';
import { encodePerfEventAttr, PERF_TYPE_BREAKPOINT } from '../../src/uapi/perf-event-attr.ts';

// The errno table of docs/spec/03 section 9 over raw bytes: every size, and every bit of the structure, on both kernels.

const live = new LiveLabMaker();
const reason = live.unable() ?? (live.machine.root ? undefined : 'it needs root');
if (reason !== undefined) console.log(`skipped: attr bytes on both kernels: ${reason}`);
afterAll(() => live.close());

const knownBytes = 136;
const sizeOffset = 4;
const sizesMax = 4100;
/** Bits that are left alone: of the type, which names a PMU that a machine has or lacks; of the size. */
const firstBit = 64;

/** A watch of eight bytes at an address that nobody has. */
function plain(fields: object, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  bytes.set(
    encodePerfEventAttr({
      ...{ type: PERF_TYPE_BREAKPOINT, bpType: 2, bpAddr: 0x1000n, bpLen: 8n, disabled: true },
      ...fields,
    }).subarray(0, lengthBytes),
  );
  return bytes;
}

/** How a kernel answers an open: 0 or the errno, and the size that it told. */
function answer(calls: PerfSystemCalls, attr: Uint8Array, cpu: number): string {
  const bytes = attr.slice();
  const told = (): number => new DataView(bytes.buffer).getUint32(sizeOffset, true);
  try {
    calls.close(calls.perfEventOpen({ attr: bytes, pid: cpu === -1 ? 0 : -1, cpu, groupFd: -1, flags: 0 }));
    return `0 ${told()}`;
  } catch (error) {
    if (!isKernelError(error)) throw error;
    return `${error.code} ${told()}`;
  }
}

describe.skipIf(reason !== undefined)('attr bytes on both kernels', () => {
  const seen = new Map<string, number>();
  /** What differs, as one line a case. */
  const compare = (cases: Iterable<readonly [string, Uint8Array]>): string[] => {
    const lab = live.make({
      ...{
        arch: 'x86',
        brps: [],
        wrps: [],
        cpus: 1,
        era: 'modern',
        features: [],
        paranoid: live.machine.paranoid,
      },
      ...{ kallsyms: {}, offline: [] },
    });
    const host = new ModelHost({ cpus: 1, features: live.machine.features, paranoid: live.machine.paranoid });
    const differences: string[] = [];
    try {
      for (const [name, attr] of cases)
        for (const cpu of [-1, 0]) {
          const [onLinux, onModel] = [answer(lab.calls, attr, cpu), answer(host.calls, attr, cpu)];
          const [code = ''] = onLinux.split(' ');
          seen.set(code, (seen.get(code) ?? 0) + 1);
          if (onLinux !== onModel) differences.push(`${name} cpu ${cpu}: linux ${onLinux}, model ${onModel}`);
        }
    } finally {
      host.close();
      lab.close();
    }
    return differences;
  };

  it('are refused alike for every size, with a tail of zeroes or not', () => {
    function* cases(): Generator<readonly [string, Uint8Array]> {
      for (let size = 0; size <= sizesMax; size++)
        for (const last of [0, 1]) {
          const bytes = plain({ size }, Math.max(size, knownBytes));
          if (size > 64) bytes[size - 1] = last;
          yield [`size ${size}, last byte ${last}`, bytes];
        }
    }
    expect(compare(cases())).toEqual([]);
  });

  it('are refused alike for every bit of the structure and behind it, alone', () => {
    function* cases(): Generator<readonly [string, Uint8Array]> {
      for (const size of [64, 112, 120, 128, 136, 144])
        for (let bit = firstBit; bit < 8 * 144; bit++) {
          const bytes = plain({ size }, 144);
          bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          yield [`size ${size}, bit ${bit & 7} of byte ${bit >> 3}`, bytes];
        }
    }
    expect(compare(cases())).toEqual([]);
  });

  it('are refused alike for every bit of what a sample type brings with it', () => {
    function* cases(): Generator<readonly [string, Uint8Array]> {
      const types = Array.from({ length: 25 }, (_, bit) => 1 << bit);
      for (const sampleType of types)
        for (let bit = 8 * 40; bit < 8 * 136; bit++) {
          const bytes = plain({ size: 136, sampleType, samplePeriod: 1n }, 144);
          bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          yield [`sample type ${sampleType}, bit ${bit & 7} of byte ${bit >> 3}`, bytes];
        }
    }
    expect(compare(cases())).toEqual([]);
    console.log(`attr bytes: ${[...seen].map(([result, times]) => `${result} x${times}`).join(', ')}`);
    for (const code of ['0', 'E2BIG', 'EINVAL', 'EOPNOTSUPP', 'EOVERFLOW'])
      expect(seen.get(code)).toBeGreaterThan(0);
  });
});
