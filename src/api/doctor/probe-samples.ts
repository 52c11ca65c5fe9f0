import { assert } from '../../base/assert.ts';
import { joinPair } from '../../base/pair.ts';
import { RingView } from '../../ring/ring-view.ts';
import type { Ring } from '../../surface/events.ts';
import {
  PERF_REG_X86_SI,
  PERF_SAMPLE_IP,
  PERF_SAMPLE_REGS_INTR,
  PERF_SAMPLE_TID,
  type PerfEventAttr,
} from '../../uapi/perf-event-attr.ts';
import {
  PERF_RECORD_MISC_CPUMODE_MASK,
  PERF_RECORD_MISC_KERNEL,
  PERF_RECORD_SAMPLE,
} from '../../uapi/perf-event-ring.ts';

/** One hit, as a ring tells it. */
export interface ProbeSample {
  readonly ip: bigint;
  readonly pid: number;
  readonly tid: number;
  readonly kernel: boolean;
  /** The SI register at the hit, if it was asked for and is told. */
  readonly si?: bigint;
}

/** `attr` with a sample for every hit. `si`: with the SI register (x86). */
export function samplingAttr(attr: PerfEventAttr, options: { readonly si: boolean }): PerfEventAttr {
  return {
    ...attr,
    samplePeriod: 1n,
    sampleType: PERF_SAMPLE_IP | PERF_SAMPLE_TID | (options.si ? PERF_SAMPLE_REGS_INTR : 0),
    ...(options.si ? { sampleRegsIntr: 1n << BigInt(PERF_REG_X86_SI) } : {}),
  };
}

/**
 * The samples in a ring of an event with {@link samplingAttr}, without moving its tail. In u32 words from the start
 * of a record:
 *
 *     0 type | 1 misc u16, size u16 | 2 ip u64 | 4 pid | 5 tid | (6 abi u64 | 8 si u64; without si if abi is 0)
 */
export function readProbeSamples(ring: Ring): ProbeSample[] {
  const view = new RingView(ring.memory, ring.pageBytes);
  const word = (index: number): number => view.words[index & view.wordMask]!; // masked
  const samples: ProbeSample[] = [];
  const head = view.headLow();
  for (let at = view.tailLow; at !== head; ) {
    const w = at >>> 2;
    const misc = word(w + 1) & 0xffff;
    const size = word(w + 1) >>> 16;
    assert(size >= 8, 'a record has a header');
    if (word(w) === PERF_RECORD_SAMPLE) {
      samples.push({
        ip: joinPair(word(w + 2), word(w + 3)),
        pid: word(w + 4),
        tid: word(w + 5),
        kernel: (misc & PERF_RECORD_MISC_CPUMODE_MASK) === PERF_RECORD_MISC_KERNEL,
        ...(size >= 40 && word(w + 6) !== 0 ? { si: joinPair(word(w + 8), word(w + 9)) } : {}),
      });
    }
    at = (at + size) >>> 0;
  }
  return samples;
}
