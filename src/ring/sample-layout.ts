import {
  PERF_REG_X86_CX,
  PERF_REG_X86_DI,
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
 *     | registers at the hit: abi u64, cx, di u64 (copyRegisters)
 *
 * Any other record ends with `tid 8 bytes, time 8, cpu 8, identifier 8`.
 */
export interface SampleLayout {
  /** Call stacks are recorded. */
  readonly stacks: boolean;
  /** The two registers that tell whether two kernel hits are one copy are recorded (x86). */
  readonly copyRegisters: boolean;
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
    (layout.copyRegisters ? PERF_SAMPLE_REGS_INTR : 0)
  );
}

/** `sample_regs_intr` for a layout that has registers. */
export const copyRegisterMask: bigint = (1n << BigInt(PERF_REG_X86_CX)) | (1n << BigInt(PERF_REG_X86_DI));

/** Bytes that the trailer of a record that is no sample takes. */
export const sampleIdBytes = 32;
/** Where the time lies, in words from the record's end. */
export const sampleIdTimeWordsFromEnd = 6;
/** Bytes of a sample without stack and registers. */
export const fixedSampleBytes = 48;
