/**
 * The debug registers of one CPU as an architecture reads and writes them; implemented by a machine. Register numbers
 * are the architecture's. Values are u64 as two u32 words. Only to be used on the CPU that they belong to.
 */
export interface DebugRegisters {
  /** Stores a register. An interruption point. */
  write(register: number, low: number, high: number): void;
  /** Low word of a register as the hardware reads back. */
  low(register: number): number;
  /** High word of a register as the hardware reads back. */
  high(register: number): number;
  /** Tells the machine that it may interrupt here: between two steps that are in memory only. */
  point(): void;
}
