import type { SlotRequest } from './constraint-table.ts';

/** May one more breakpoint exist? Today's answer is {@link ConstraintTable}; older ones are in `history/`. */
export interface Admission {
  /** Number of pools of registers. */
  readonly pools: number;
  /** Reserves a slot. Gives 0, or ENOSPC and nothing has changed. */
  reserve(request: SlotRequest): number;
  /** Gives a reserved slot back. */
  release(request: SlotRequest): void;
  /** Moves a reserved slot to another pool. Gives 0, or ENOSPC and the old slot is still held. */
  move(from: SlotRequest, to: SlotRequest): number;
  /** {@link reserve} without a lock; -1: somebody holds one. docs/spec/02 section 5. */
  dbgReserve(request: SlotRequest): number;
  /** {@link release} without a lock: 0, or -1 without effect. */
  dbgRelease(request: SlotRequest): number;
  /** Whether any breakpoint exists. */
  isUsed(): boolean;
  /** The state as text, to be compared. */
  snapshot(): string;
}

/**
 * Dated rules that a machine can be asked for, where a row of docs/spec/08 needs one; docs/spec/09 "Header".
 * "2009-11-08": one counter for the whole machine, 3 breakpoints. "2009-11-10": tables by CPU, every request against the
 * greediest task. "2010-06": today's admission.
 */
export type Era = 'modern' | '2009-11-08' | '2009-11-10' | '2010-06';

/** All eras, the newest first. */
export const eras: readonly Era[] = ['modern', '2010-06', '2009-11-10', '2009-11-08'];
