import {
  PERF_REG_X86_AX,
  PERF_REG_X86_BP,
  PERF_REG_X86_BX,
  PERF_REG_X86_CX,
  PERF_REG_X86_DI,
  PERF_REG_X86_DX,
  PERF_REG_X86_FLAGS,
  PERF_REG_X86_R8,
  PERF_REG_X86_SI,
  PERF_REG_X86_SP,
  PERF_SAMPLE_CALLCHAIN,
  PERF_SAMPLE_CPU,
  PERF_SAMPLE_IDENTIFIER,
  PERF_SAMPLE_IP,
  PERF_SAMPLE_REGS_INTR,
  PERF_SAMPLE_TID,
  PERF_SAMPLE_TIME,
} from '../uapi/perf-event-attr.ts';

/**
 * What every sample of a session holds. All events that write to one ring use the same `sample_type`, and
 * `sample_id_all`, so that every record can be placed in time. In u32 words from the start of the record:
 *
 *     0 header | 2 id | 4 ip | 6 pid | 7 tid | 8 time | 10 cpu | 11 0
 *     | 12 callchain: nr u64, nr x u64            (stacks)
 *     | registers at the hit: abi u64, then a u64 each: cx, di (copyRegisters) or sampledRegisters (values)
 *
 * Any other record ends with `tid 8 bytes, time 8, cpu 8, identifier 8`.
 */
export interface SampleLayout {
  /** Call stacks are recorded. */
  readonly stacks: boolean;
  /** The two registers that tell whether two kernel hits are one copy are recorded (x86). */
  readonly copyRegisters: boolean;
  /**
   * The values of hits are wanted (x86): their columns are there. `registers`: samples hold all general registers, what a
   * copy needs included. `bpf`: hits are records with {@link rawHit}; samples that come as well hold neither.
   */
  readonly values?: 'registers' | 'bpf' | undefined;
}

/**
 * The registers of a sample with values, as bit numbers of `sample_regs_intr`, in the order in which the kernel writes
 * them. The place in this list is the number of a register everywhere above.
 */
export const sampledRegisters: readonly number[] = [
  ...[PERF_REG_X86_AX, PERF_REG_X86_BX, PERF_REG_X86_CX, PERF_REG_X86_DX],
  ...[PERF_REG_X86_SI, PERF_REG_X86_DI, PERF_REG_X86_BP, PERF_REG_X86_SP, PERF_REG_X86_FLAGS],
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((n) => PERF_REG_X86_R8 + n),
];

/** Words of the registers of one sample with values. */
export const sampledRegisterWords: number = 2 * sampledRegisters.length;

/** The registers of a layout that has only what a copy needs. */
const copyRegisters: readonly number[] = [PERF_REG_X86_CX, PERF_REG_X86_DI];

/** The registers that a sample holds, in the order of their bits. */
function registersOf(layout: SampleLayout): readonly number[] {
  if (layout.values === 'bpf') return [];
  return layout.values === 'registers' ? sampledRegisters : layout.copyRegisters ? copyRegisters : [];
}

/** Where cx and di stand in the registers of a sample, in words behind the abi. */
export function copyRegisterWords(layout: SampleLayout): {
  readonly count: number;
  readonly destination: number;
} {
  const registers = layout.values === undefined ? copyRegisters : sampledRegisters;
  return {
    count: 2 * registers.indexOf(PERF_REG_X86_CX),
    destination: 2 * registers.indexOf(PERF_REG_X86_DI),
  };
}

/** Bytes of the registers of a sample, the abi included. */
export function registerBytes(layout: SampleLayout): number {
  const count = registersOf(layout).length;
  return count === 0 ? 0 : 8 + 8 * count;
}

/** `sample_type` for a layout. */
export function sampleTypeOf(layout: SampleLayout): number {
  return (
    PERF_SAMPLE_IDENTIFIER |
    PERF_SAMPLE_IP |
    PERF_SAMPLE_TID |
    PERF_SAMPLE_TIME |
    PERF_SAMPLE_CPU |
    (layout.stacks ? PERF_SAMPLE_CALLCHAIN : 0) |
    (registersOf(layout).length > 0 ? PERF_SAMPLE_REGS_INTR : 0)
  );
}

/** `sample_regs_intr` for a layout; 0 where it has no registers. */
export function sampleRegsIntrOf(layout: SampleLayout): bigint {
  return registersOf(layout).reduce((mask, register) => mask | (1n << BigInt(register)), 0n);
}

/**
 * The raw data of a hit that a bpf program writes in place of the sample, in u32 words behind its size. The record is
 * otherwise as above: its id is that of the event it is written to, and raw data stands where registers would.
 *
 *     0 size in bytes | 1 sampledRegisters, u64 each | 35 value low | 36 value high | 37 marks
 *
 * Marks: the watch's number in the low 16 bits, and {@link rawHitMarks}.
 */
export const rawHit: {
  readonly registers: number;
  readonly valueLow: number;
  readonly valueHigh: number;
  readonly marks: number;
  readonly bytes: number;
} = {
  registers: 1,
  valueLow: 1 + sampledRegisterWords,
  valueHigh: 2 + sampledRegisterWords,
  marks: 3 + sampledRegisterWords,
  bytes: 12 + 4 * sampledRegisterWords,
};

/** In the last word of a {@link rawHit}. */
export const rawHitMarks = {
  /** Eight bits: the round of arming that the event was opened in; a thread that is armed twice has events of two. */
  roundShift: 16,
  /** The value was read. */
  read: 0x100_0000,
  /** The registers are those of 64-bit code. */
  is64Bit: 0x200_0000,
} as const;

/** Bytes that the trailer of a record that is no sample takes. */
export const sampleIdBytes = 32;
/** Where the time lies, in words from the record's end. */
export const sampleIdTimeWordsFromEnd = 6;
/** Bytes of a sample without stack and registers. */
export const fixedSampleBytes = 48;
