import {
  PERF_FORMAT_GROUP,
  PERF_FORMAT_ID,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  PERF_SAMPLE_ADDR,
  PERF_SAMPLE_AUX,
  PERF_SAMPLE_CGROUP,
  PERF_SAMPLE_CODE_PAGE_SIZE,
  PERF_SAMPLE_CPU,
  PERF_SAMPLE_DATA_PAGE_SIZE,
  PERF_SAMPLE_DATA_SRC,
  PERF_SAMPLE_ID,
  PERF_SAMPLE_IDENTIFIER,
  PERF_SAMPLE_IP,
  PERF_SAMPLE_PERIOD,
  PERF_SAMPLE_PHYS_ADDR,
  PERF_SAMPLE_RAW,
  PERF_SAMPLE_READ,
  PERF_SAMPLE_REGS_INTR,
  PERF_SAMPLE_REGS_USER,
  PERF_SAMPLE_STACK_USER,
  PERF_SAMPLE_STREAM_ID,
  PERF_SAMPLE_TID,
  PERF_SAMPLE_TIME,
  PERF_SAMPLE_TRANSACTION,
  PERF_SAMPLE_WEIGHT,
  PERF_SAMPLE_WEIGHT_STRUCT,
  type PerfEventAttr,
} from '../../uapi/perf-event-attr.ts';
import { PERF_EVENT_HEADER_BYTES } from '../../uapi/perf-event-ring.ts';

/** Fields of a sample that take 8 bytes whatever happens. RAW has no data here: its size and 4 bytes of padding. */
const wideFields =
  PERF_SAMPLE_IDENTIFIER |
  PERF_SAMPLE_IP |
  PERF_SAMPLE_TID |
  PERF_SAMPLE_TIME |
  PERF_SAMPLE_ADDR |
  PERF_SAMPLE_ID |
  PERF_SAMPLE_STREAM_ID |
  PERF_SAMPLE_CPU |
  PERF_SAMPLE_PERIOD |
  PERF_SAMPLE_RAW |
  PERF_SAMPLE_STACK_USER |
  PERF_SAMPLE_WEIGHT |
  PERF_SAMPLE_WEIGHT_STRUCT |
  PERF_SAMPLE_DATA_SRC |
  PERF_SAMPLE_TRANSACTION |
  PERF_SAMPLE_PHYS_ADDR |
  PERF_SAMPLE_AUX |
  PERF_SAMPLE_CGROUP |
  PERF_SAMPLE_DATA_PAGE_SIZE |
  PERF_SAMPLE_CODE_PAGE_SIZE |
  // The abi, which is there without registers too.
  PERF_SAMPLE_REGS_USER |
  PERF_SAMPLE_REGS_INTR;

/** Fields that `sample_id_all` puts behind records that are no samples. */
const trailerFields =
  PERF_SAMPLE_TID |
  PERF_SAMPLE_TIME |
  PERF_SAMPLE_ID |
  PERF_SAMPLE_STREAM_ID |
  PERF_SAMPLE_CPU |
  PERF_SAMPLE_IDENTIFIER;

/** What of an attr decides how its records look, worked out once. docs/spec/03 section 13. */
export interface SampleFormat {
  readonly sampleType: number;
  readonly readFormat: number;
  /** Bytes of a sample without call chain, read values and registers. */
  readonly fixedBytes: number;
  /** Bytes behind other records; 0 without `sample_id_all`. */
  readonly trailerBytes: number;
  /** Register numbers, ascending. */
  readonly userRegisters: readonly number[];
  readonly interruptedRegisters: readonly number[];
  readonly chainKernel: boolean;
  readonly chainUser: boolean;
  /** Addresses that a call chain has at most; 0: the kernel's own limit. */
  readonly chainMax: number;
  /** Samples to a wakeup; 0: only the watermark wakes. */
  readonly wakeupEvents: number;
}

function bitCount(bits: number): number {
  let count = 0;
  for (let left = bits; left !== 0; left &= left - 1) count++;
  return count;
}

function registersOf(mask: bigint): number[] {
  const registers: number[] = [];
  for (let n = 0; n < 64; n++) if (((mask >> BigInt(n)) & 1n) !== 0n) registers.push(n);
  return registers;
}

/** The format of the records of events with `attr`. */
export function sampleFormatOf(attr: PerfEventAttr): SampleFormat {
  const sampleType = attr.sampleType ?? 0;
  const trailer = attr.sampleIdAll === true ? 8 * bitCount(sampleType & trailerFields) : 0;
  return {
    sampleType,
    readFormat: attr.readFormat ?? 0,
    fixedBytes: PERF_EVENT_HEADER_BYTES + 8 * bitCount(sampleType & wideFields),
    trailerBytes: trailer,
    userRegisters: (sampleType & PERF_SAMPLE_REGS_USER) === 0 ? [] : registersOf(attr.sampleRegsUser ?? 0n),
    interruptedRegisters:
      (sampleType & PERF_SAMPLE_REGS_INTR) === 0 ? [] : registersOf(attr.sampleRegsIntr ?? 0n),
    chainKernel: attr.excludeCallchainKernel !== true,
    chainUser: attr.excludeCallchainUser !== true,
    chainMax: attr.sampleMaxStack ?? 0,
    wakeupEvents: attr.watermark === true ? 0 : (attr.wakeupEvents ?? 0),
  };
}

/** Bytes of the values that a READ field, or a READ record, has for a group of `members`. docs/spec/03 section 10. */
export function readValuesBytes(format: number, members: number): number {
  const member = 1 + ((format & PERF_FORMAT_ID) === 0 ? 0 : 1) + ((format & PERF_FORMAT_LOST) === 0 ? 0 : 1);
  const times =
    ((format & PERF_FORMAT_TOTAL_TIME_ENABLED) === 0 ? 0 : 1) +
    ((format & PERF_FORMAT_TOTAL_TIME_RUNNING) === 0 ? 0 : 1);
  return 8 * ((format & PERF_FORMAT_GROUP) === 0 ? member + times : 1 + times + members * member);
}

/** Whether samples have the values of {@link readValuesBytes}. */
export function samplesRead({ sampleType }: SampleFormat): boolean {
  return (sampleType & PERF_SAMPLE_READ) !== 0;
}
