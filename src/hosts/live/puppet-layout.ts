/**
 * Where things are in a puppet, as offsets from its base:
 *
 *     0x00000  code labels, 16 bytes apart, all `ret`
 *     0x01000  its program
 *     0x10000  the data page, which nothing touches but an access that was asked for
 *     0x20000  stacks, one a slot
 *     0x140000 the control memory, shared with the runner: slots, then a page of ones for `syscallWrite`
 */
export const puppetLayout = {
  labels: 0,
  program: 0x1000,
  data: 0x1_0000,
  stacks: 0x2_0000,
  control: 0x14_0000,
  /** From one puppet's base to the next one's. */
  stride: 0x20_0000,
} as const;

export const pageBytes = 4096;
export const labelStride = 16;
export const stackBytes = 0x4000;
/** Tasks that exist at a time. */
export const slotCount = 64;
export const slotBytes = 4096;
export const onesOffset: number = slotCount * slotBytes;
export const controlBytes: number = onesOffset + pageBytes;
/** The fd of the control memory in every puppet. */
export const controlFd = 900;

/**
 * A slot: how one task and the runner talk. The runner writes the rest, then sets `go`; the task does it, then sets
 * `done`. Both are futexes. All but those two and `signals` are 64-bit.
 */
export const slot = {
  go: 0,
  done: 4,
  /** Address of the routine to call. */
  routine: 8,
  result: 16,
  /** Six arguments and a number: of a system call, or of an access (`at`, `at2`, `times`, `value`). */
  arguments: 24,
  number: 72,
  /** For a clone: the new task's slot and the end of its stack, as the puppet addresses them. */
  childSlot: 80,
  childStack: 88,
  runnerPid: 96,
  /** Two ints of pipe2(2), or a struct timespec. */
  scratch: 104,
  /** argv of an execve: a pointer and a null; the string. */
  argv: 120,
  name: 136,
  /** u32: signals that ever came. */
  signals: 144,
  /** u32: not 0 if a tracer holds the task, which then stops itself whenever it has done what it was told. */
  traced: 148,
  /** The first bytes of each siginfo, {@link signalLimit} of them in turn. */
  signalRecords: 256,
  /** Of a tracer: what it found when a tracee stopped: the siginfo, the instruction pointer, the wait status (u32). */
  stopInfo: 2816,
  stopIp: 2944,
  stopStatus: 2952,
  /** Path of an execve. */
  path: 3072,
  /** Room for what a system call is shown. */
  block: 3200,
} as const;

/** The signal with which a traced task stops itself: SIGWINCH, which nothing else sends. */
export const idleSignal = 28;

/** Bytes kept of a siginfo: si_signo, si_code, and the first three words of its union. */
export const signalBytes = 40;
/** Signals that are kept; a power of two. */
export const signalLimit = 64;
export const blockBytes: number = slotBytes - slot.block;
