/** `perf_event_attr.type`: which PMU an event belongs to. Source: linux/perf_event.h `enum perf_type_id`. */
export const PERF_TYPE_HARDWARE = 0;
export const PERF_TYPE_SOFTWARE = 1;
export const PERF_TYPE_TRACEPOINT = 2;
export const PERF_TYPE_HW_CACHE = 3;
export const PERF_TYPE_RAW = 4;
export const PERF_TYPE_BREAKPOINT = 5;

/** `config` of PERF_TYPE_SOFTWARE events that are used here. Source: `enum perf_sw_ids`. */
export const PERF_COUNT_SW_CPU_CLOCK = 0;
export const PERF_COUNT_SW_TASK_CLOCK = 1;
export const PERF_COUNT_SW_PAGE_FAULTS = 2;
export const PERF_COUNT_SW_DUMMY = 9;
export const PERF_COUNT_SW_BPF_OUTPUT = 10;

/** `bp_type`. Source: linux/hw_breakpoint.h. */
export const HW_BREAKPOINT_EMPTY = 0;
export const HW_BREAKPOINT_R = 1;
export const HW_BREAKPOINT_W = 2;
export const HW_BREAKPOINT_RW = 3;
export const HW_BREAKPOINT_X = 4;
export const HW_BREAKPOINT_INVALID = 7;

/** `sample_type` bits. Source: `enum perf_event_sample_format`. */
export const PERF_SAMPLE_IP = 0x1;
export const PERF_SAMPLE_TID = 0x2;
export const PERF_SAMPLE_TIME = 0x4;
export const PERF_SAMPLE_ADDR = 0x8;
export const PERF_SAMPLE_READ = 0x10;
export const PERF_SAMPLE_CALLCHAIN = 0x20;
export const PERF_SAMPLE_ID = 0x40;
export const PERF_SAMPLE_CPU = 0x80;
export const PERF_SAMPLE_PERIOD = 0x100;
export const PERF_SAMPLE_STREAM_ID = 0x200;
export const PERF_SAMPLE_RAW = 0x400;
export const PERF_SAMPLE_BRANCH_STACK = 0x800;
export const PERF_SAMPLE_REGS_USER = 0x1000;
export const PERF_SAMPLE_STACK_USER = 0x2000;
export const PERF_SAMPLE_WEIGHT = 0x4000;
export const PERF_SAMPLE_DATA_SRC = 0x8000;
export const PERF_SAMPLE_IDENTIFIER = 0x10000;
export const PERF_SAMPLE_TRANSACTION = 0x20000;
export const PERF_SAMPLE_REGS_INTR = 0x40000;
export const PERF_SAMPLE_PHYS_ADDR = 0x80000;
export const PERF_SAMPLE_AUX = 0x100000;
export const PERF_SAMPLE_CGROUP = 0x200000;
export const PERF_SAMPLE_DATA_PAGE_SIZE = 0x400000;
export const PERF_SAMPLE_CODE_PAGE_SIZE = 0x800000;
export const PERF_SAMPLE_WEIGHT_STRUCT = 0x1000000;

/** `read_format` bits. Source: `enum perf_event_read_format`. */
export const PERF_FORMAT_TOTAL_TIME_ENABLED = 0x1;
export const PERF_FORMAT_TOTAL_TIME_RUNNING = 0x2;
export const PERF_FORMAT_ID = 0x4;
export const PERF_FORMAT_GROUP = 0x8;
export const PERF_FORMAT_LOST = 0x10;

/** `perf_event_open` flags. Source: perf_event_open(2). */
export const PERF_FLAG_FD_NO_GROUP = 0x1;
export const PERF_FLAG_FD_OUTPUT = 0x2;
export const PERF_FLAG_PID_CGROUP = 0x4;
export const PERF_FLAG_FD_CLOEXEC = 0x8;

/** Bit numbers in `sample_regs_user` and `sample_regs_intr` on x86. Source: asm/perf_regs.h. */
export const PERF_REG_X86_AX = 0;
export const PERF_REG_X86_BX = 1;
export const PERF_REG_X86_CX = 2;
export const PERF_REG_X86_DX = 3;
export const PERF_REG_X86_SI = 4;
export const PERF_REG_X86_DI = 5;
export const PERF_REG_X86_BP = 6;
export const PERF_REG_X86_SP = 7;
export const PERF_REG_X86_IP = 8;
export const PERF_REG_X86_FLAGS = 9;
export const PERF_REG_X86_CS = 10;
export const PERF_REG_X86_SS = 11;
export const PERF_REG_X86_R8 = 16;
/** There are this many numbers, those of the data segments included. */
export const PERF_REG_X86_64_MAX = 24;

/** Bytes of the structure as this code writes it: up to and with `sig_data` (Linux 5.13). */
export const PERF_ATTR_SIZE_VER7 = 128;
/** Bytes of its first published version; `size` 0 means this. */
export const PERF_ATTR_SIZE_VER0 = 64;

/** The one-bit flags of the u64 at offset 40, in bit order; `preciseIp` takes two bits, 15 and 16. */
const flagBits = {
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
} as const;

/** The name of a one-bit flag of `perf_event_attr`, in camelCase. */
export type PerfEventAttrFlag = keyof typeof flagBits;

/** The names of all one-bit flags, in bit order. */
export const perfEventAttrFlags: readonly PerfEventAttrFlag[] = Object.keys(flagBits) as PerfEventAttrFlag[]; // keys of the literal above

/** Bits 15 and 16 of the flags. */
const preciseIpShift = 15n;

/**
 * `struct perf_event_attr`, field by field, in the header's names. Fields of 64 bits are bigint. A field that is
 * absent is 0. `samplePeriod` is `sample_freq` when `freq` is set; `wakeupEvents` is `wakeup_watermark` when
 * `watermark` is set; `bpAddr` and `bpLen` share their place with `config1` and `config2`.
 * Source: linux/perf_event.h, perf_event_open(2).
 */
export interface PerfEventAttr extends Partial<Readonly<Record<PerfEventAttrFlag, boolean>>> {
  readonly type: number;
  /** Bytes of the structure; absent: {@link PERF_ATTR_SIZE_VER7}. */
  readonly size?: number;
  readonly config?: bigint;
  readonly samplePeriod?: bigint;
  readonly sampleType?: number;
  readonly readFormat?: number;
  /** 0 to 3. */
  readonly preciseIp?: number;
  readonly wakeupEvents?: number;
  readonly bpType?: number;
  readonly bpAddr?: bigint;
  readonly bpLen?: bigint;
  readonly branchSampleType?: bigint;
  readonly sampleRegsUser?: bigint;
  readonly sampleStackUser?: number;
  readonly clockid?: number;
  readonly sampleRegsIntr?: bigint;
  readonly auxWatermark?: number;
  readonly sampleMaxStack?: number;
  readonly auxSampleSize?: number;
  readonly sigData?: bigint;
  /** Flag bits that have no name here (38 and up), as they stand in the u64 at offset 40. */
  readonly reservedFlags?: bigint;
}

/**
 * Byte offset and width of each field that is not a flag.
 *
 *     0 type u32 | 4 size u32 | 8 config u64 | 16 sample_period u64 | 24 sample_type u64 | 32 read_format u64
 *     40 flags u64 | 48 wakeup_events u32 | 52 bp_type u32 | 56 bp_addr u64 | 64 bp_len u64
 *     72 branch_sample_type u64 | 80 sample_regs_user u64 | 88 sample_stack_user u32 | 92 clockid s32
 *     96 sample_regs_intr u64 | 104 aux_watermark u32 | 108 sample_max_stack u16 | 110 reserved u16
 *     112 aux_sample_size u32 | 116 reserved u32 | 120 sig_data u64
 */
export const perfEventAttrOffsets = {
  type: 0,
  size: 4,
  config: 8,
  samplePeriod: 16,
  sampleType: 24,
  readFormat: 32,
  flags: 40,
  wakeupEvents: 48,
  bpType: 52,
  bpAddr: 56,
  bpLen: 64,
  branchSampleType: 72,
  sampleRegsUser: 80,
  sampleStackUser: 88,
  clockid: 92,
  sampleRegsIntr: 96,
  auxWatermark: 104,
  sampleMaxStack: 108,
  auxSampleSize: 112,
  sigData: 120,
} as const;

/** The u64 of flags that `attr` spells. */
export function encodePerfEventAttrFlags(attr: PerfEventAttr): bigint {
  let flags = attr.reservedFlags ?? 0n;
  for (const name of perfEventAttrFlags) if (attr[name] === true) flags |= 1n << BigInt(flagBits[name]);
  return flags | (BigInt((attr.preciseIp ?? 0) & 3) << preciseIpShift);
}

/**
 * `attr` in the kernel's layout, little endian: 128 bytes, whatever its `size` field says.
 */
export function encodePerfEventAttr(attr: PerfEventAttr): Uint8Array {
  const bytes = new Uint8Array(PERF_ATTR_SIZE_VER7);
  const view = new DataView(bytes.buffer);
  const at = perfEventAttrOffsets;
  view.setUint32(at.type, attr.type, true);
  view.setUint32(at.size, attr.size ?? PERF_ATTR_SIZE_VER7, true);
  view.setBigUint64(at.config, attr.config ?? 0n, true);
  view.setBigUint64(at.samplePeriod, attr.samplePeriod ?? 0n, true);
  view.setBigUint64(at.sampleType, BigInt(attr.sampleType ?? 0), true);
  view.setBigUint64(at.readFormat, BigInt(attr.readFormat ?? 0), true);
  view.setBigUint64(at.flags, encodePerfEventAttrFlags(attr), true);
  view.setUint32(at.wakeupEvents, attr.wakeupEvents ?? 0, true);
  view.setUint32(at.bpType, attr.bpType ?? 0, true);
  view.setBigUint64(at.bpAddr, attr.bpAddr ?? 0n, true);
  view.setBigUint64(at.bpLen, attr.bpLen ?? 0n, true);
  view.setBigUint64(at.branchSampleType, attr.branchSampleType ?? 0n, true);
  view.setBigUint64(at.sampleRegsUser, attr.sampleRegsUser ?? 0n, true);
  view.setUint32(at.sampleStackUser, attr.sampleStackUser ?? 0, true);
  view.setInt32(at.clockid, attr.clockid ?? 0, true);
  view.setBigUint64(at.sampleRegsIntr, attr.sampleRegsIntr ?? 0n, true);
  view.setUint32(at.auxWatermark, attr.auxWatermark ?? 0, true);
  view.setUint16(at.sampleMaxStack, attr.sampleMaxStack ?? 0, true);
  view.setUint32(at.auxSampleSize, attr.auxSampleSize ?? 0, true);
  view.setBigUint64(at.sigData, attr.sigData ?? 0n, true);
  return bytes;
}

/**
 * The attr that `bytes` hold; what lies beyond their end is 0. Every field is present in the result. The two reserved
 * fields (u16@110, u32@116) and bytes beyond 128 have no name: {@link perfEventAttrReservedBytes} shows them.
 */
export function decodePerfEventAttr(bytes: Uint8Array): PerfEventAttr {
  const padded = new Uint8Array(PERF_ATTR_SIZE_VER7);
  padded.set(bytes.subarray(0, PERF_ATTR_SIZE_VER7));
  const view = new DataView(padded.buffer);
  const at = perfEventAttrOffsets;
  const flags = view.getBigUint64(at.flags, true);
  let named = 3n << preciseIpShift;
  const flagValues: Partial<Record<PerfEventAttrFlag, boolean>> = {};
  for (const name of perfEventAttrFlags) {
    const bit = 1n << BigInt(flagBits[name]);
    named |= bit;
    flagValues[name] = (flags & bit) !== 0n;
  }
  return {
    ...flagValues,
    type: view.getUint32(at.type, true),
    size: view.getUint32(at.size, true),
    config: view.getBigUint64(at.config, true),
    samplePeriod: view.getBigUint64(at.samplePeriod, true),
    sampleType: Number(view.getBigUint64(at.sampleType, true)),
    readFormat: Number(view.getBigUint64(at.readFormat, true)),
    preciseIp: Number((flags >> preciseIpShift) & 3n),
    wakeupEvents: view.getUint32(at.wakeupEvents, true),
    bpType: view.getUint32(at.bpType, true),
    bpAddr: view.getBigUint64(at.bpAddr, true),
    bpLen: view.getBigUint64(at.bpLen, true),
    branchSampleType: view.getBigUint64(at.branchSampleType, true),
    sampleRegsUser: view.getBigUint64(at.sampleRegsUser, true),
    sampleStackUser: view.getUint32(at.sampleStackUser, true),
    clockid: view.getInt32(at.clockid, true),
    sampleRegsIntr: view.getBigUint64(at.sampleRegsIntr, true),
    auxWatermark: view.getUint32(at.auxWatermark, true),
    sampleMaxStack: view.getUint16(at.sampleMaxStack, true),
    auxSampleSize: view.getUint32(at.auxSampleSize, true),
    sigData: view.getBigUint64(at.sigData, true),
    reservedFlags: flags & ~named,
  };
}

/** Whether a reserved field of the structure, or a byte beyond its known end, is not 0. */
export function perfEventAttrReservedBytes(bytes: Uint8Array): boolean {
  const reserved = [110, 111, 116, 117, 118, 119];
  return (
    reserved.some((offset) => (bytes[offset] ?? 0) !== 0) ||
    bytes.subarray(PERF_ATTR_SIZE_VER7).some((byte) => byte !== 0)
  );
}
