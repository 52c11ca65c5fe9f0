/**
 * What is saved when a CPU takes a debug exception, in words that suit every architecture. One object a CPU, used
 * again for each exception: not to be kept.
 */
export interface TrapFrame {
  /** Low word of the reported instruction pointer, u32. */
  ipLow: number;
  /** High word of the reported instruction pointer, u32. */
  ipHigh: number;
  /** The exception came from user mode. */
  readonly userMode: boolean;
  /** The saved processor flags, in the architecture's layout; what is changed here is loaded on return. */
  flags: number;
  /** Why it was taken, in the architecture's layout (arm64: ESR); 0 where the debug registers tell that. */
  readonly syndrome: number;
  /** The data address that the exception reports, where the architecture reports one. */
  readonly faultLow: number;
  readonly faultHigh: number;
  /** The thread's virtual debug status, in the architecture's layout (x86: virtual DR6, positive polarity; arm64: what it steps over). */
  status: number;
  /** What was interrupted, by the register numbers of `sample_regs_*`: low and high words. null: it is not known. */
  readonly registers: Uint32Array | null;
}
