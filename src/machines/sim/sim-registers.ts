import type { DebugRegisters } from '../../arch/debug-registers.ts';

/** The debug registers of one simulated CPU, and a filter over them that makes an access that hits nothing cheap. */
export interface SimRegisters extends DebugRegisters {
  /** By number. */
  readonly words: { readonly low: Uint32Array; readonly high: Uint32Array };
  /** Register writes since the machine was switched on. */
  readonly writes: number;
  /** The state after power-on. */
  powerOn(): void;
  /**
   * The filter for accesses of up to `reachBytes` bytes (default 64): an access that starts at an address whose
   * `(low >>> 6) & 0xffff` entry is 0 fires nothing. Valid until a register is written.
   */
  filter(reachBytes?: number): Uint8Array;
}
