import type { DebugRegisters } from './debug-registers.ts';
import type { TrapFrame } from './trap-frame.ts';

/** The accounting class of a breakpoint: code (X) or data (R, W, RW). docs/spec/01 section 2. */
export type SlotKind = 'inst' | 'data';

/** The part of a `perf_event_attr` that an architecture judges. */
export interface BreakpointRequest {
  /** HW_BREAKPOINT_R 1, W 2, X 4, or a union; u32. */
  readonly bpType: number;
  /** Linear address, u64. */
  readonly bpAddr: bigint;
  /** Length in bytes, u64. */
  readonly bpLen: bigint;
  /** What the breakpoint is to be on: a CPU, a task, or a task that executes 32-bit code. */
  readonly target: 'cpu' | 'task' | 'task32';
}

/**
 * What an architecture made of a request: the contents of registers, ready to be written. Opaque above `arch/` but
 * for the address.
 */
export interface ArchRecord {
  /** Low word of the watched address, u32. */
  readonly addressLow: number;
  /** High word of the watched address, u32. */
  readonly addressHigh: number;
}

/** What can sit in a register: an event, seen by an architecture. */
export interface SlotHolder {
  readonly record: ArchRecord;
  /** A client in the kernel deals with its hits by itself, and with how the program gets past them. */
  readonly handledByClient: boolean;
}

/** One register of a CPU as the layer sees it: free, or held. */
export type Slot = SlotHolder | null;

/**
 * The software image of one CPU's debug registers: what is installed, and enough to write it all again. It is what a
 * hypervisor and a debugger restore from, and what makes "is anything active here?" one test. docs/spec/01 section 3.4.
 */
export interface RegisterImage {
  /** Who holds which register, by register number. */
  readonly slots: readonly Slot[];
  /** Whether some breakpoint is enabled on this CPU. */
  readonly active: boolean;
  /** Writes the whole image to the hardware again (after a guest, after a debugger). docs/spec/04 section 3. */
  restore(): void;
  /** Brings the hardware into the state after power-on, with the image empty. Nothing may be installed. */
  reset(): void;
  /** Switches the hardware off for the duration of an exception, an NMI or a debugger; these may nest. */
  suspend(): void;
  /** Undoes one {@link suspend}; after the last one the hardware is as the image says. */
  resume(): void;
  /** Before a jump into another kernel: switches the hardware off for good and clears the addresses. docs/spec/04 section 3. */
  disable(): void;
  /** The CPU is about to execute another thread, with the virtual debug status `status`; 0: none. */
  switchThread(status: number): void;
  /** `undefined`, or in which way hardware and image differ. Holds whenever no install or uninstall is under way. */
  difference(): string | undefined;
}

/** Called for a breakpoint that fired, in the order of register numbers. */
export type HitHandler = (holder: SlotHolder, frame: TrapFrame) => void;

/**
 * What debug registers mean on one kind of processor: seven hooks, all that the layer knows of it.
 * docs/spec/01 section 1, docs/spec/08 row 14.
 */
export interface Architecture {
  /** "x86", "arm64". */
  readonly name: string;
  /** Whether code and data breakpoints share one pool of registers. */
  readonly mixedSlots: boolean;
  /** General registers that a sample can hold, as bits of `sample_regs_user`. */
  readonly sampledRegisters: bigint;
  /** How many registers a CPU has for breakpoints of `kind`. With {@link mixedSlots} the same for both kinds. */
  slots(kind: SlotKind): number;
  /**
   * Validates a request and turns it into register contents. Throws `KernelError`: EINVAL, EOPNOTSUPP.
   * docs/spec/02 section 3 step 3.
   */
  parse(request: BreakpointRequest): ArchRecord;
  /** Whether the watched bytes reach into the kernel's addresses. */
  inKernelSpace(record: ArchRecord): boolean;
  /** Puts `holder` into the lowest free register. False: none is free (EBUSY; a bug of the accounting, warned of once). */
  install(image: RegisterImage, holder: SlotHolder): boolean;
  /** Takes `holder` out of its register. A holder that is in none is warned of once. */
  uninstall(image: RegisterImage, holder: SlotHolder): void;
  /**
   * Handles a debug exception: finds which registers fired, calls `hit` for each event, and tells with which `si_code`
   * the interrupted task gets a SIGTRAP; 0: no signal. docs/spec/04 section 5.
   */
  claim(image: RegisterImage, frame: TrapFrame, hit: HitHandler): number;
  /** Brings the count of an installed breakpoint up to date. Registers that do not count have nothing to do. */
  read(image: RegisterImage, holder: SlotHolder): void;
  /** An empty image over the registers of one CPU. */
  createImage(registers: DebugRegisters): RegisterImage;
}
