import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodePerfEventAttr,
  encodePerfEventAttr,
  encodePerfEventAttrFlags,
  PERF_ATTR_SIZE_VER7,
  type PerfEventAttr,
  type PerfEventAttrFlag,
  perfEventAttrFlags,
  perfEventAttrOffsets,
  perfEventAttrReservedBytes,
} from './perf-event-attr.ts';

/** Offset and bytes of each field: docs/spec 03 section 1, typed off by hand. */
const fields = {
  type: [0, 4],
  size: [4, 4],
  config: [8, 8],
  samplePeriod: [16, 8],
  sampleType: [24, 8],
  readFormat: [32, 8],
  wakeupEvents: [48, 4],
  bpType: [52, 4],
  bpAddr: [56, 8],
  bpLen: [64, 8],
  branchSampleType: [72, 8],
  sampleRegsUser: [80, 8],
  sampleStackUser: [88, 4],
  clockid: [92, 4],
  sampleRegsIntr: [96, 8],
  auxWatermark: [104, 4],
  sampleMaxStack: [108, 2],
  auxSampleSize: [112, 4],
  sigData: [120, 8],
} as const;

/** Bit of each flag: likewise. */
const bits: Record<PerfEventAttrFlag, number> = {
  disabled: 0,
  inherit: 1,
  pinned: 2,
  exclusive: 3,
  excludeUser: 4,
  excludeKernel: 5,
  excludeHv: 6,
  excludeIdle: 7,
  mmap: 8,
  comm: 9,
  freq: 10,
  inheritStat: 11,
  enableOnExec: 12,
  task: 13,
  watermark: 14,
  mmapData: 17,
  sampleIdAll: 18,
  excludeHost: 19,
  excludeGuest: 20,
  excludeCallchainKernel: 21,
  excludeCallchainUser: 22,
  mmap2: 23,
  commExec: 24,
  useClockid: 25,
  contextSwitch: 26,
  writeBackward: 27,
  namespaces: 28,
  ksymbol: 29,
  bpfEvent: 30,
  auxOutput: 31,
  cgroup: 32,
  textPoke: 33,
  buildId: 34,
  inheritThread: 35,
  removeOnExec: 36,
  sigtrap: 37,
};

const bigFields = new Set<string>([
  'config',
  'samplePeriod',
  'bpAddr',
  'bpLen',
  'branchSampleType',
  'sampleRegsUser',
  'sampleRegsIntr',
  'sigData',
]);

const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const anyAttr: fc.Arbitrary<PerfEventAttr> = fc.record({
  type: u32,
  size: u32,
  config: u64,
  samplePeriod: u64,
  sampleType: fc.integer({ min: 0, max: 0x1ff_ffff }),
  readFormat: fc.integer({ min: 0, max: 31 }),
  preciseIp: fc.integer({ min: 0, max: 3 }),
  wakeupEvents: u32,
  bpType: u32,
  bpAddr: u64,
  bpLen: u64,
  branchSampleType: u64,
  sampleRegsUser: u64,
  sampleStackUser: u32,
  clockid: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }),
  sampleRegsIntr: u64,
  auxWatermark: u32,
  sampleMaxStack: u16,
  auxSampleSize: u32,
  sigData: u64,
  reservedFlags: fc.bigInt({ min: 0n, max: (1n << 26n) - 1n }).map((value) => value << 38n),
  ...(Object.fromEntries(perfEventAttrFlags.map((name) => [name, fc.boolean()])) as Record<
    PerfEventAttrFlag,
    fc.Arbitrary<boolean>
  >), // one entry a name of the type
});

test('an attr comes back from its bytes, field by field', () => {
  fc.assert(
    fc.property(anyAttr, (attr) => {
      expect(decodePerfEventAttr(encodePerfEventAttr(attr))).toEqual(attr);
    }),
  );
});

test('bytes without reserved ones come back from their attr', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: PERF_ATTR_SIZE_VER7, maxLength: PERF_ATTR_SIZE_VER7 }),
      (bytes) => {
        for (const offset of [110, 111, 116, 117, 118, 119]) bytes[offset] = 0;
        // sample_type and read_format are numbers here: bits beyond 2^53 are not theirs.
        for (const offset of [30, 31, 38, 39]) bytes[offset] = 0;
        expect(encodePerfEventAttr(decodePerfEventAttr(bytes))).toEqual(bytes);
      },
    ),
  );
});

test('every field stands where the table of the specification puts it, and nowhere else', () => {
  for (const [name, [offset, width]] of Object.entries(fields)) {
    const ones = (1n << BigInt(8 * width)) - 1n;
    const wide = bigFields.has(name);
    const value =
      name === 'clockid' ? -1 : wide ? ones : Number(width === 8 ? 0xff_ffff_ffff_ffn >> 4n : ones);
    const bytes = encodePerfEventAttr({ type: 0, size: 0, [name]: value });
    const set = [...bytes.entries()].filter(([, byte]) => byte !== 0).map(([at]) => at);
    expect(set.length, name).toBeGreaterThan(0);
    expect(set[0], name).toBe(offset);
    expect(set.at(-1), name).toBeLessThan(offset + width);
    if (wide || width < 8) expect(set.length, name).toBe(width);
    expect(perfEventAttrOffsets[name as keyof typeof fields], name).toBe(offset); // a key of the table
  }
  expect(Object.keys(perfEventAttrOffsets).sort()).toEqual([...Object.keys(fields), 'flags'].sort());
  expect(perfEventAttrOffsets.flags).toBe(40);
});

test('every flag is its bit of the u64 at offset 40', () => {
  expect([...perfEventAttrFlags].sort()).toEqual(Object.keys(bits).sort());
  for (const name of perfEventAttrFlags) {
    expect(encodePerfEventAttrFlags({ type: 0, [name]: true }), name).toBe(1n << BigInt(bits[name]));
    const bytes = encodePerfEventAttr({ type: 0, size: 0, [name]: true });
    expect(new DataView(bytes.buffer).getBigUint64(40, true), name).toBe(1n << BigInt(bits[name]));
  }
  expect(encodePerfEventAttrFlags({ type: 0, preciseIp: 3 })).toBe(3n << 15n);
  expect(encodePerfEventAttrFlags({ type: 0, preciseIp: 1 })).toBe(1n << 15n);
});

test('an absent size is that of the structure as written; what is absent is 0', () => {
  const bytes = encodePerfEventAttr({ type: 5 });
  expect(bytes.length).toBe(128);
  const view = new DataView(bytes.buffer);
  expect([view.getUint32(0, true), view.getUint32(4, true)]).toEqual([5, 128]);
  expect(bytes.subarray(8).every((byte) => byte === 0)).toBe(true);
});

test('bytes cut short decode as if zeros followed; longer ones lose their tail', () => {
  const bytes = encodePerfEventAttr({ type: 5, bpAddr: 0x1234n, sigData: 7n });
  expect(decodePerfEventAttr(bytes.subarray(0, 64))).toEqual({
    ...decodePerfEventAttr(bytes),
    sigData: 0n,
  });
  const longer = new Uint8Array(136).fill(1, 128);
  longer.set(bytes);
  expect(decodePerfEventAttr(longer)).toEqual(decodePerfEventAttr(bytes));
});

test('reserved bytes are exactly the two holes and what lies beyond the known end', () => {
  const reserved = new Set([110, 111, 116, 117, 118, 119, 128, 135]);
  for (let at = 0; at < 136; at++) {
    const bytes = new Uint8Array(136);
    bytes[at] = 1;
    expect(perfEventAttrReservedBytes(bytes), `byte ${at}`).toBe(reserved.has(at) || at >= 128);
  }
  expect(perfEventAttrReservedBytes(new Uint8Array(0))).toBe(false);
});
