import { errnoValues } from '../../base/errno.ts';
import { isKernelError } from '../../base/kernel-error.ts';
import type { Task } from '../../machine/task.ts';
import { PERF_TYPE_BREAKPOINT, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { compactAttr } from '../perf/attr-check.ts';
import { failure } from '../perf/failure.ts';
import type { OverflowHandler, PerfEvent } from '../perf/perf-event.ts';
import type { PerfKernel } from '../perf/perf-kernel.ts';

/** The fields of an attr that a client in the kernel chooses. */
export type BreakpointAttr = Omit<PerfEventAttr, 'type' | 'bpAddr'> & { readonly bpAddr?: bigint };

/** The attr of a client in the kernel: pinned, every hit overflows. docs/spec/02 section 1. */
export function kernelBreakpointAttr(fields: BreakpointAttr): PerfEventAttr {
  return { pinned: true, samplePeriod: 1n, ...fields, type: PERF_TYPE_BREAKPOINT };
}

/** The attr of ptrace: as {@link kernelBreakpointAttr}, and hits in the kernel do not count. */
export function ptraceBreakpointAttr(fields: BreakpointAttr): PerfEventAttr {
  return kernelBreakpointAttr({ excludeKernel: true, ...fields });
}

/** A breakpoint on a task, as a client asks for it. */
export interface UserBreakpointRequest {
  readonly attr: PerfEventAttr;
  readonly task: Task;
  readonly handler: OverflowHandler;
  readonly handlerContext?: unknown;
}

/** A breakpoint on CPUs, as a client asks for it. */
export interface WideBreakpointRequest {
  readonly attr: PerfEventAttr;
  /** The name of a kernel symbol to watch, in place of `attr.bpAddr`. */
  readonly symbol?: string;
  readonly handler: OverflowHandler;
  readonly handlerContext?: unknown;
  /** CPU numbers; absent: all online CPUs. Offline ones are passed over. */
  readonly cpus?: readonly number[];
  /** A task cannot be combined with CPUs. */
  readonly task?: Task;
}

/** A breakpoint on several CPUs: one event each. */
export interface WideBreakpoint {
  /** By CPU number; null where there is none. */
  readonly events: readonly (PerfEvent | null)[];
}

/** The kernel is its own caller: it may watch its own addresses. */
const kernelCaller = { sysAdmin: true };

/**
 * The one API under all clients in the kernel. In a kernel without hardware breakpoints the register calls give null,
 * `modifyUser` throws ENOSYS and the rest does nothing. docs/spec/02 sections 1, 6, 7.
 */
export class BreakpointCore {
  readonly #kernel: PerfKernel;

  constructor(kernel: PerfKernel) {
    this.#kernel = kernel;
  }

  /** A breakpoint on a task, whatever CPU it runs on. Throws `KernelError` as perf_event_open does from the PMU on. */
  registerUser(request: UserBreakpointRequest): PerfEvent | null {
    if (this.#kernel.breakpoints === undefined) return null;
    return this.#kernel.call(() => {
      const event = this.#kernel.create({
        attr: compactAttr(request.attr),
        task: request.task,
        cpu: -1,
        caller: kernelCaller,
        overflowHandler: request.handler,
        handlerContext: request.handlerContext,
      });
      this.#attachOrDestroy([event]);
      return event;
    });
  }

  /**
   * Gives a breakpoint other parameters, in place; its slot is never given up in between. Throws `KernelError` EINVAL,
   * EOPNOTSUPP, ENOSPC (the old one goes on), ENOSYS. docs/spec/02 section 7.1.
   */
  modifyUser(event: PerfEvent, attr: PerfEventAttr): void {
    this.#kernel.control.modify(event, attr, { caller: kernelCaller, strict: false });
  }

  /** Removes a breakpoint: no hit comes after this returns. null, or one that is removed already: nothing. */
  unregister(event: PerfEvent | null): void {
    if (event !== null) this.#kernel.control.destroy(event);
  }

  /**
   * A breakpoint on every online CPU, or on those of a mask: all of them or none. All slots are reserved before any
   * register is written. Throws `KernelError` EINVAL (an empty mask, a CPU that cannot exist, a task, an unknown
   * symbol), and what the first CPU that refuses says; then everything is as before. docs/spec/02 section 6.3.
   */
  registerWide(request: WideBreakpointRequest): WideBreakpoint | null {
    if (this.#kernel.breakpoints === undefined) return null;
    const { cpus: mask, symbol } = request;
    if (request.task !== undefined)
      throw failure('EINVAL', 'a task cannot be combined with CPUs', 'register_wide');
    if (mask?.length === 0) throw failure('EINVAL', 'the CPU mask is empty', 'register_wide');
    const { cpus } = this.#kernel;
    if (mask?.some((number) => cpus[number] === undefined))
      throw failure('EINVAL', `CPUs are 0 to ${cpus.length - 1}`, 'register_wide');
    const attr = compactAttr(
      symbol === undefined ? request.attr : { ...request.attr, bpAddr: this.#resolve(symbol) },
    );
    return this.#kernel.call(() => {
      const events: (PerfEvent | null)[] = cpus.map(() => null);
      try {
        for (const { cpu } of cpus) {
          if (!cpu.online || (mask !== undefined && !mask.includes(cpu.number))) continue;
          events[cpu.number] = this.#kernel.create({
            attr,
            task: null,
            cpu: cpu.number,
            caller: kernelCaller,
            overflowHandler: request.handler,
            handlerContext: request.handlerContext,
          });
        }
      } catch (error) {
        if (isKernelError(error)) for (const event of [...events].reverse()) this.unregister(event);
        throw error;
      }
      this.#attachOrDestroy(events.filter((event) => event !== null));
      return { events };
    });
  }

  /** Removes a wide breakpoint from all CPUs, also from those that went offline. null, or removed already: nothing. */
  unregisterWide(wide: WideBreakpoint | null): void {
    for (const event of wide?.events ?? []) this.unregister(event);
  }

  /**
   * Takes back a slot for an event whose slot was given away, without a lock: for a debugger that stopped all CPUs.
   * Gives 0, ENOSPC, or -1 without effect if somebody was interrupted inside the accounting. docs/spec/02 section 5.
   */
  dbgReserve(event: PerfEvent): number {
    return this.#kernel.breakpoints?.table.dbgReserve(event) ?? errnoValues.ENOSYS;
  }

  /** Gives the slot of an event away without a lock: 0, or -1 without effect. docs/spec/02 section 5. */
  dbgRelease(event: PerfEvent): number {
    return this.#kernel.breakpoints?.table.dbgRelease(event) ?? errnoValues.ENOSYS;
  }

  /** Whether any breakpoint exists; false without support. */
  isUsed(): boolean {
    return this.#kernel.breakpoints?.isUsed() ?? false;
  }

  #resolve(symbol: string): bigint {
    const address = this.#kernel.machine.symbol(symbol);
    if (address === undefined) throw failure('EINVAL', `no kernel symbol ${symbol}`, 'register_wide');
    return address;
  }

  #attachOrDestroy(events: readonly PerfEvent[]): void {
    try {
      for (const event of events) this.#kernel.attach(event);
    } catch (error) {
      for (const event of [...events].reverse()) this.unregister(event);
      throw error;
    }
  }
}
