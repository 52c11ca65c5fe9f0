/** A task's breakpoints in one pool. */
export interface PoolShare {
  /** Breakpoints with cpu -1. */
  independent: number;
  /** Breakpoints that name a CPU. */
  bound: number;
  /** The bound ones by CPU, while there are any. */
  perCpu: Int32Array | null;
}

/**
 * What the constraint table keeps of a task: how many breakpoints target it, alive or dead, enabled or not. It is
 * reached from the task itself, so finding it costs the same however many tasks there are. docs/spec/02 section 4.
 */
export class TaskSlots {
  /** The task's mutex is held: one of its breakpoints is being reserved or released. */
  mutexHeld = false;
  /** By pool. */
  readonly shares: PoolShare[];

  constructor(pools: number) {
    this.shares = [];
    for (let pool = 0; pool < pools; pool++) this.shares.push({ independent: 0, bound: 0, perCpu: null });
  }
}

/** Breakpoints of a share that are effective on `cpu`: T[t][c] of docs/spec/02 section 4.1. */
export function shareOnCpu(share: PoolShare, cpu: number): number {
  return share.independent + (share.perCpu === null ? 0 : share.perCpu[cpu]!); // one entry for each possible CPU
}
