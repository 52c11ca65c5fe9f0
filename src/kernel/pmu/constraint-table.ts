import { assert } from '../../base/assert.ts';
import { errnoValues } from '../../base/errno.ts';
import type { Admission } from './admission.ts';
import { histogramMax, histogramMove } from './histogram.ts';
import { type PoolShare, shareOnCpu, type TaskSlots } from './task-slots.ts';

/** What a breakpoint asks of the table. It must be the same at the release as it was at the reservation. */
export interface SlotRequest {
  /** Number of the pool. */
  readonly slotPool: number;
  /** The CPU, or -1 for all; -1 needs a task. */
  readonly cpu: number;
  /** The target task's share; null: a CPU, whatever runs there. */
  readonly taskSlots: TaskSlots | null;
}

/** The dbg calls' answer when somebody holds a lock: try again later. */
export const lockHeld: number = -1;

/** The counters of one pool. Capacity is `slots`, the N of docs/spec/02 section 4. */
interface PoolCounters {
  readonly slots: number;
  /** C[c]: breakpoints on a CPU without a task. */
  readonly cpuPinned: Int32Array;
  /** [k]: CPUs with exactly k + 1 of those. */
  readonly cpuHist: Int32Array;
  /** [k]: tasks with exactly k + 1 breakpoints, none of them bound to a CPU. */
  readonly taskHistAll: Int32Array;
  /** [c * slots + k]: tasks that have a bound breakpoint, with exactly k + 1 effective on CPU c. */
  readonly taskHist: Int32Array;
}

/** What a {@link ConstraintTable} is made for. */
export interface ConstraintTableOptions {
  /** Capacity of each pool. */
  readonly slots: readonly number[];
  readonly possibleCpus: number;
  /** Called between any two steps: an NMI may come there. */
  readonly point: () => void;
}

/**
 * Admission: may one more breakpoint exist? Decided once, at creation, so that whatever was admitted finds a register
 * whenever its target runs. The rule is docs/spec/02 section 4.1; the histograms of section 4.4 make a task's
 * breakpoint cost the same whatever the number of tasks and CPUs.
 *
 * Locks are modelled as what they exclude: a task's breakpoint holds that task's mutex and shares the table, a CPU's
 * breakpoint has the table for itself. The kernel is synchronous, so only an NMI can find them held.
 */
export class ConstraintTable implements Admission {
  readonly #pools: readonly PoolCounters[];
  readonly #possibleCpus: number;
  readonly #point: () => void;
  #readers = 0;
  #writer = false;

  constructor(options: ConstraintTableOptions) {
    this.#possibleCpus = options.possibleCpus;
    this.#point = options.point;
    this.#pools = options.slots.map((slots) => ({
      slots,
      cpuPinned: new Int32Array(options.possibleCpus),
      cpuHist: new Int32Array(slots),
      taskHistAll: new Int32Array(slots),
      taskHist: new Int32Array(slots * options.possibleCpus),
    }));
  }

  /** Number of pools. */
  get pools(): number {
    return this.#pools.length;
  }

  /** Reserves a slot. Gives 0, or ENOSPC and nothing has changed. */
  reserve(request: SlotRequest): number {
    this.#lock(request);
    const errno = this.#reserve(request);
    this.#unlock(request);
    return errno;
  }

  /** Gives a reserved slot back. */
  release(request: SlotRequest): void {
    this.#lock(request);
    this.#change(request, -1);
    this.#unlock(request);
  }

  /**
   * Moves a reserved slot from one pool to another, under one lock. Gives 0, or ENOSPC and the old slot is still held.
   * docs/spec/02 section 7.1 step 3.
   */
  move(from: SlotRequest, to: SlotRequest): number {
    this.#lock(from);
    this.#change(from, -1);
    const errno = this.#reserve(to);
    if (errno !== 0) this.#change(from, 1);
    this.#unlock(from);
    return errno;
  }

  /**
   * {@link reserve} for a debugger that stopped all CPUs: takes no lock and waits for nothing. Gives
   * {@link lockHeld} without effect if somebody was interrupted inside the table. docs/spec/02 section 5.
   */
  dbgReserve(request: SlotRequest): number {
    return this.#isLocked(request) ? lockHeld : this.#reserve(request);
  }

  /** {@link release} without a lock: 0, or {@link lockHeld} without effect. */
  dbgRelease(request: SlotRequest): number {
    if (this.#isLocked(request)) return lockHeld;
    this.#change(request, -1);
    return 0;
  }

  /** Whether any counter is not 0: whether any breakpoint exists. */
  isUsed(): boolean {
    return this.#pools.some((pool) =>
      [pool.cpuPinned, pool.cpuHist, pool.taskHistAll, pool.taskHist].some((counters) =>
        counters.some((count) => count !== 0),
      ),
    );
  }

  /** All counters of a pool as text, to be compared. */
  snapshot(): string {
    return this.#pools
      .map((pool) =>
        [pool.cpuPinned, pool.cpuHist, pool.taskHistAll, pool.taskHist]
          .map((counters) => counters.join(' '))
          .join(' | '),
      )
      .join('\n');
  }

  #lock(request: SlotRequest): void {
    assert(
      !this.#isLocked(request),
      'the constraint table is locked: only an NMI can meet that, and it uses the dbg calls',
    );
    if (request.taskSlots === null) this.#writer = true;
    else {
      request.taskSlots.mutexHeld = true;
      this.#readers++;
    }
    this.#point();
  }

  #unlock(request: SlotRequest): void {
    if (request.taskSlots === null) this.#writer = false;
    else {
      request.taskSlots.mutexHeld = false;
      this.#readers--;
    }
    this.#point();
  }

  #isLocked(request: SlotRequest): boolean {
    return request.taskSlots === null
      ? this.#writer || this.#readers > 0
      : this.#writer || request.taskSlots.mutexHeld;
  }

  #reserve(request: SlotRequest): number {
    const pool = this.#pools[request.slotPool];
    assert(pool !== undefined, `there is no pool ${request.slotPool}`);
    if (this.#used(pool, request) >= pool.slots) return errnoValues.ENOSPC;
    this.#change(request, 1);
    return 0;
  }

  /** The largest number of slots in use on a CPU of the request, as it competes with them. */
  #used(pool: PoolCounters, request: SlotRequest): number {
    const { cpu, taskSlots } = request;
    if (taskSlots === null) return pool.cpuPinned[cpu]! + greediestTask(pool, cpu); // cpu is a possible CPU, here and below
    const share = taskSlots.shares[request.slotPool]!; // one share for each pool
    if (cpu >= 0) return pool.cpuPinned[cpu]! + shareOnCpu(share, cpu);
    if (share.bound === 0) return share.independent + histogramMax(pool.cpuHist, 0, pool.slots);
    let used = 0;
    for (let c = 0; c < this.#possibleCpus; c++)
      used = Math.max(used, pool.cpuPinned[c]! + shareOnCpu(share, c));
    return used;
  }

  /** Counts a breakpoint in (`step` 1) or out (-1): the table of docs/spec/02 section 4.4. */
  #change(request: SlotRequest, step: 1 | -1): void {
    const pool = this.#pools[request.slotPool]!; // checked at the reservation
    const { cpu, taskSlots } = request;
    if (taskSlots === null) {
      const before = pool.cpuPinned[cpu]!; // a possible CPU
      assert(before + step >= 0, 'a CPU gives back only what it has');
      histogramMove(pool.cpuHist, 0, before, before + step);
      this.#point();
      pool.cpuPinned[cpu] = before + step;
      this.#point();
      return;
    }
    const share = taskSlots.shares[request.slotPool]!; // one share for each pool
    if (cpu < 0) this.#changeIndependent(pool, share, step);
    else this.#changeBound(pool, share, cpu, step);
  }

  #changeIndependent(pool: PoolCounters, share: PoolShare, step: 1 | -1): void {
    const before = share.independent;
    assert(before + step >= 0, 'a task gives back only what it has');
    if (share.bound === 0) {
      histogramMove(pool.taskHistAll, 0, before, before + step);
      this.#point();
    } else
      for (let c = 0; c < this.#possibleCpus; c++) {
        const onCpu = shareOnCpu(share, c);
        histogramMove(pool.taskHist, c * pool.slots, onCpu, onCpu + step);
        this.#point();
      }
    share.independent = before + step;
    this.#point();
  }

  #changeBound(pool: PoolCounters, share: PoolShare, cpu: number, step: 1 | -1): void {
    if (share.bound === 0) {
      // The first breakpoint that names a CPU: from now on the task is counted CPU by CPU.
      assert(step === 1, 'a task gives back only what it has');
      share.perCpu = new Int32Array(this.#possibleCpus);
      this.#moveTask(pool, share.independent, { toPerCpu: true });
    }
    const perCpu = share.perCpu;
    assert(perCpu !== null, 'a task with bound breakpoints has counts by CPU');
    const onCpu = shareOnCpu(share, cpu);
    histogramMove(pool.taskHist, cpu * pool.slots, onCpu, onCpu + step);
    this.#point();
    perCpu[cpu]! += step; // a possible CPU
    assert(perCpu[cpu]! >= 0, 'a task gives back only what it has');
    share.bound += step;
    this.#point();
    if (share.bound === 0) {
      share.perCpu = null;
      this.#moveTask(pool, share.independent, { toPerCpu: false });
    }
  }

  /** A task with `count` breakpoints on every CPU moves between the histogram of all CPUs and those of each. */
  #moveTask(pool: PoolCounters, count: number, options: { toPerCpu: boolean }): void {
    for (let c = 0; c < this.#possibleCpus; c++) {
      if (options.toPerCpu) histogramMove(pool.taskHist, c * pool.slots, 0, count);
      else histogramMove(pool.taskHist, c * pool.slots, count, 0);
      this.#point();
    }
    if (options.toPerCpu) histogramMove(pool.taskHistAll, 0, count, 0);
    else histogramMove(pool.taskHistAll, 0, 0, count);
    this.#point();
  }
}

/** The most breakpoints that any task has effective on `cpu`. */
function greediestTask(pool: PoolCounters, cpu: number): number {
  for (let k = pool.slots - 1; k >= 0; k--)
    if (pool.taskHist[cpu * pool.slots + k]! + pool.taskHistAll[k]! > 0) return k + 1; // k < slots
  return 0;
}
