import { decodeDr7, encodeDr7, genericBreakpoint } from '../../arch/x86/debug-control.ts';
import { breakpointRegisters, dr6Reserved } from '../../arch/x86/debug-register-bits.ts';
import { x86Record } from '../../arch/x86/x86-breakpoint.ts';
import { errnoValues } from '../../base/errno.ts';
import { isKernelError, KernelError } from '../../base/kernel-error.ts';
import { joinPair } from '../../base/pair.ts';
import type { Task } from '../../machine/task.ts';
import { HW_BREAKPOINT_W, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { type BreakpointCore, ptraceBreakpointAttr } from '../core/breakpoint-core.ts';
import type { OverflowHandler, PerfEvent } from '../perf/perf-event.ts';

/** Bits of DR7 that are not looked at: 10 to 15 and 32 to 63. docs/spec/04 section 1. */
const controlReserved = 0xffff_ffff_0000_fc00n;
/** What the first poke of an address makes: a write watch of one byte, off. */
const freshBreakpoint = { bpType: HW_BREAKPOINT_W, bpLen: 1n, disabled: true };
const statusReserved = BigInt(dr6Reserved);

/**
 * The debug registers of one thread as its tracer sees them: four breakpoints of the core API, modified in place, and the
 * virtual DR6 and DR7. Which hardware register a breakpoint is in plays no part. docs/spec/04 section 7.
 */
export class ThreadDebugRegisters {
  readonly #core: BreakpointCore;
  readonly #task: Task;
  readonly #breakpoints: (PerfEvent | null)[] = [null, null, null, null];
  /** DR7 as it was written last, u64. */
  #control = 0n;

  constructor(core: BreakpointCore, task: Task) {
    this.#core = core;
    this.#task = task;
  }

  /** Register `n`, 0 to 7, u64. */
  peek(n: number): bigint {
    if (n < breakpointRegisters) return this.#breakpoints[n]?.attr.bpAddr ?? 0n;
    if (n === 6)
      return joinPair(this.#task.debugStatus >>> 0, this.#task.debugStatusHigh >>> 0) ^ statusReserved;
    return n === 7 ? this.#control : 0n;
  }

  /**
   * Writes register `n`, 0 to 7. Throws `KernelError`: EIO (4 and 5), EINVAL (no such breakpoint, a kernel address),
   * ENOSPC (no slot). A refused DR7 leaves everything armed as it was.
   */
  poke(n: number, value: bigint): void {
    if (n < breakpointRegisters) this.#pokeAddress(n, value);
    else if (n === 6) {
      const status = value ^ statusReserved;
      this.#task.debugStatus = Number(status & 0xffff_ffffn);
      this.#task.debugStatusHigh = Number(status >> 32n);
    } else if (n === 7) this.#pokeControl(value);
    else throw new KernelError({ errno: errnoValues.EIO, operation: `poke of DR${n}` });
  }

  /** Takes over what a child has of its parent: the status and the last control value, but no breakpoint. */
  inheritFrom(parent: Task, registers: ThreadDebugRegisters | undefined): void {
    this.#task.debugStatus = parent.debugStatus;
    this.#task.debugStatusHigh = parent.debugStatusHigh;
    this.#control = registers?.peek(7) ?? 0n;
  }

  /** The thread ended or executed a program: its breakpoints are gone, with their slots. */
  flush(): void {
    for (const [n, event] of this.#breakpoints.entries()) {
      this.#core.unregister(event);
      this.#breakpoints[n] = null;
    }
    this.#task.debugStatus = 0;
    this.#task.debugStatusHigh = 0;
    this.#control = 0n;
  }

  #pokeAddress(n: number, bpAddr: bigint): void {
    const event = this.#breakpoints[n] ?? null;
    if (event === null) this.#breakpoints[n] = this.#register(n, { ...freshBreakpoint, bpAddr });
    else this.#core.modifyUser(event, { ...event.attr, bpAddr });
  }

  #pokeControl(value: bigint): void {
    const before = this.#armed();
    try {
      this.#applyControl(Number(value & ~controlReserved));
    } catch (error) {
      // Entries that the first pass made stay, and with them their slots; they are off after this.
      if (isKernelError(error)) this.#applyControl(before);
      throw error;
    }
    this.#control = value;
  }

  /** DR7 as the breakpoints that are on would have it. */
  #armed(): number {
    let control = 0;
    for (const [n, event] of this.#breakpoints.entries()) {
      if (event === null || event.attr.disabled === true) continue;
      const { len, type } = x86Record(event);
      control |= encodeDr7(n, len, type);
    }
    return control >>> 0;
  }

  #applyControl(control: number): void {
    for (const [n, event] of this.#breakpoints.entries()) {
      const { len, type, enabled } = decodeDr7(control, n);
      if (event === null && enabled === 0) continue;
      // Also what is off must be possible: its bits are judged.
      const wanted = { ...genericBreakpoint(len, type), disabled: enabled === 0 };
      if (event === null) this.#breakpoints[n] = this.#register(n, { ...wanted, bpAddr: 0n });
      else this.#core.modifyUser(event, { ...event.attr, ...wanted });
    }
  }

  #register(n: number, fields: Omit<PerfEventAttr, 'type'>): PerfEvent | null {
    return this.#core.registerUser({
      attr: ptraceBreakpointAttr(fields),
      task: this.#task,
      handler: this.#hit,
      handlerContext: n,
    });
  }

  /** The tracer is told the number that it chose. With that in the status, the exception becomes a SIGTRAP. */
  readonly #hit: OverflowHandler = (_event, frame, n) => {
    frame.status |= 1 << Number(n);
  };
}
