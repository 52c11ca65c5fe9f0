import type { TrapFrame } from '../../arch/trap-frame.ts';
import { highWord, lowWord } from '../../base/pair.ts';
import {
  PERF_REG_X86_64_MAX,
  PERF_REG_X86_CS,
  PERF_REG_X86_CX,
  PERF_REG_X86_DI,
  PERF_REG_X86_FLAGS,
  PERF_REG_X86_IP,
  PERF_REG_X86_SS,
} from '../../uapi/perf-event-attr.ts';

/** Segments of user code and of the kernel. */
const userSegments = [0x33, 0x2b] as const;
const kernelSegments = [0x10, 0x18] as const;
/** Interrupts are enabled, and the bit that is always set. */
const ordinaryFlags = 0x202;

/** A string instruction under way: elements left, and where the next one goes. */
export interface CopyProgress {
  readonly left: number;
  readonly next: bigint;
}

/**
 * What a simulated CPU saves at an exception. Of the general registers it knows only those of a string instruction;
 * the others are 0.
 */
export class SimFrame implements TrapFrame {
  readonly userMode: boolean;
  ipLow = 0;
  ipHigh = 0;
  flags = 0;
  status = 0;
  syndrome = 0;
  faultLow = 0;
  faultHigh = 0;
  readonly registers: Uint32Array = new Uint32Array(2 * PERF_REG_X86_64_MAX);

  constructor(options: { readonly userMode: boolean }) {
    this.userMode = options.userMode;
    const [code, stack] = options.userMode ? userSegments : kernelSegments;
    this.registers[2 * PERF_REG_X86_CS] = code;
    this.registers[2 * PERF_REG_X86_SS] = stack;
  }

  /** Fills it for a new exception. */
  enter(state: {
    readonly ipLow: number;
    readonly ipHigh: number;
    readonly flags: number;
    readonly status: number;
  }): void {
    const { registers } = this;
    this.ipLow = state.ipLow;
    this.ipHigh = state.ipHigh;
    this.flags = state.flags;
    this.status = state.status;
    registers[2 * PERF_REG_X86_IP] = state.ipLow;
    registers[2 * PERF_REG_X86_IP + 1] = state.ipHigh;
    registers[2 * PERF_REG_X86_FLAGS] = state.flags | ordinaryFlags;
  }

  /** The registers of a string instruction; without one they are 0. */
  copy(progress: CopyProgress | undefined): void {
    const next = progress?.next ?? 0n;
    this.registers[2 * PERF_REG_X86_CX] = progress?.left ?? 0;
    this.registers[2 * PERF_REG_X86_DI] = lowWord(next);
    this.registers[2 * PERF_REG_X86_DI + 1] = highWord(next);
  }
}
