import type { Architecture, ArchRecord, RegisterImage, SlotKind } from '../../arch/architecture.ts';
import { assert, unreachable } from '../../base/assert.ts';
import { type ErrnoName, errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import {
  HW_BREAKPOINT_EMPTY,
  HW_BREAKPOINT_INVALID,
  HW_BREAKPOINT_RW,
  PERF_SAMPLE_BRANCH_STACK,
  PERF_TYPE_BREAKPOINT,
  type PerfEventAttr,
} from '../../uapi/perf-event-attr.ts';
import type { Admission, Era } from './admission.ts';
import { ConstraintTable, type ConstraintTableOptions, type SlotRequest } from './constraint-table.ts';
import { MachineCounter } from './history/machine-counter.ts';
import { PerCpuTable } from './history/per-cpu-table.ts';
import { startPeriod } from './period.ts';
import type { AddOptions, Pmu, PmuCaller, PmuEvent } from './pmu.ts';

/** What the PMU is built with. */
export interface BreakpointPmuOptions {
  readonly arch: Architecture;
  readonly possibleCpus: number;
  readonly point: () => void;
  /** The table could not be set up at boot: every reservation is ENOMEM. */
  readonly tableFailed?: boolean;
  /** A stop survives schedule-in, as kernels from 6.17 on have it. docs/spec/03 section 6.3. */
  readonly stickyStop?: boolean;
  /** The dated rule of admission; default today's. */
  readonly era?: Era;
  /** Makes today's table; default {@link ConstraintTable}. A test puts a broken one here. */
  readonly table?: TableMaker;
}

/** Makes a table of admission. */
export type TableMaker = (options: ConstraintTableOptions) => Admission;

/** A breakpoint that was validated but is not the event's yet. */
export interface ParsedBreakpoint {
  readonly record: ArchRecord;
  readonly pool: number;
}

/** The "breakpoint" PMU, type 5. docs/spec/02 sections 2 and 3. */
export class BreakpointPmu implements Pmu {
  readonly name = 'breakpoint';
  readonly arch: Architecture;
  readonly #table: Admission | undefined;
  readonly #poolSlots: readonly number[];
  readonly #stickyStop: boolean;

  constructor(options: BreakpointPmuOptions) {
    const { arch } = options;
    this.arch = arch;
    this.#stickyStop = options.stickyStop ?? false;
    this.#poolSlots = arch.mixedSlots ? [arch.slots('data')] : [arch.slots('inst'), arch.slots('data')];
    this.#table = options.tableFailed === true ? undefined : admissionOf(options, this.#poolSlots);
  }

  /** Number of pools of registers. */
  get pools(): number {
    return this.#poolSlots.length;
  }

  /** Whether any breakpoint exists. docs/spec/02 section 1. */
  isUsed(): boolean {
    return this.#table?.isUsed() ?? false;
  }

  /** The table of admission. Throws `KernelError` ENOMEM if there is none. */
  get table(): Admission {
    if (this.#table === undefined)
      throw new KernelError({ errno: errnoValues.ENOMEM, operation: 'reserve a slot' });
    return this.#table;
  }

  claims(attr: PerfEventAttr): boolean {
    return attr.type === PERF_TYPE_BREAKPOINT;
  }

  /** The pool that breakpoints of `bpType` draw on: any of the R and W bits is data. */
  poolOf(bpType: number): number {
    const kind: SlotKind = (bpType & HW_BREAKPOINT_RW) !== 0 ? 'data' : 'inst';
    return this.arch.mixedSlots || kind === 'inst' ? 0 : 1;
  }

  init(event: PmuEvent, attr: PerfEventAttr, caller: PmuCaller, original: PmuEvent | null): void {
    const bpType = attr.bpType ?? 0;
    event.slotPool = this.poolOf(bpType);
    if (this.#poolSlots[event.slotPool] === 0)
      refuse('EOPNOTSUPP', attr, 'the processor has no such register');
    if (((attr.sampleType ?? 0) & PERF_SAMPLE_BRANCH_STACK) !== 0)
      refuse('EOPNOTSUPP', attr, 'breakpoints have no branch stack');
    this.reserve(event, bpType, attr);
    try {
      if (original === null) event.record = this.parse(event, attr, caller).record;
      else {
        this.#checkRights(original.record, attr, caller);
        event.record = original.record;
      }
    } catch (error) {
      this.table.release(event);
      throw error;
    }
  }

  /** Reserves a slot for `request`. Throws `KernelError` ENOMEM, EINVAL (type 0 or 7), ENOSPC. */
  reserve(request: SlotRequest, bpType: number, attr: PerfEventAttr): void {
    const { table } = this;
    if (bpType === HW_BREAKPOINT_EMPTY || bpType === HW_BREAKPOINT_INVALID)
      refuse('EINVAL', attr, 'no such type of breakpoint');
    const errno = table.reserve(request);
    if (errno !== 0)
      throw new KernelError({
        errno,
        operation: describe(attr),
        hint: 'no slot is left on some CPU of the target',
      });
  }

  /** Validates what an attr asks for. Throws `KernelError` EINVAL, EOPNOTSUPP, EPERM. docs/spec/02 section 3. */
  parse(request: SlotRequest, attr: PerfEventAttr, caller: PmuCaller): ParsedBreakpoint {
    const bpType = attr.bpType ?? 0;
    const record = this.arch.parse({
      bpType,
      bpAddr: attr.bpAddr ?? 0n,
      bpLen: attr.bpLen ?? 0n,
      target: request.taskSlots === null ? 'cpu' : 'task',
    });
    this.#checkRights(record, attr, caller);
    return { record, pool: this.poolOf(bpType) };
  }

  #checkRights(record: ArchRecord, attr: PerfEventAttr, caller: PmuCaller): void {
    if (!this.arch.inKernelSpace(record)) return;
    if (attr.excludeKernel === true) refuse('EINVAL', attr, 'a kernel address with the kernel excluded');
    if (!caller.sysAdmin) refuse('EPERM', attr, 'kernel addresses need CAP_SYS_ADMIN');
  }

  /**
   * Gives an event that is off its CPU another breakpoint. If the pool changes, the old slot is given up only for the
   * new one. Throws `KernelError` ENOSPC, EINVAL; then the event is as it was. docs/spec/02 section 7.1 step 3.
   */
  replace(event: PmuEvent, attr: PerfEventAttr, parsed: ParsedBreakpoint): void {
    if (parsed.pool !== event.slotPool) {
      const { cpu, taskSlots } = event;
      const errno = this.table.move(
        { slotPool: event.slotPool, cpu, taskSlots },
        { slotPool: parsed.pool, cpu, taskSlots },
      );
      if (errno !== 0)
        throw new KernelError({
          errno,
          operation: describe(attr),
          hint: 'no slot is left in the other pool',
        });
      event.slotPool = parsed.pool;
    }
    event.record = parsed.record;
  }

  add(event: PmuEvent, image: RegisterImage | null, options: AddOptions): boolean {
    assert(image !== null, 'breakpoints are installed on a CPU with debug registers');
    if (!options.start) event.stopped = true;
    else if (!this.#stickyStop) event.stopped = false;
    if (event.period !== 0) startPeriod(event);
    return this.arch.install(image, event);
  }

  del(event: PmuEvent, image: RegisterImage | null): void {
    assert(image !== null, 'breakpoints are installed on a CPU with debug registers');
    this.arch.uninstall(image, event);
  }

  start(event: PmuEvent): void {
    event.stopped = false;
  }

  stop(event: PmuEvent): void {
    event.stopped = true;
  }

  read(event: PmuEvent, image: RegisterImage | null): void {
    if (image !== null) this.arch.read(image, event);
  }

  destroy(event: PmuEvent): void {
    if (event.holdsSlot) this.table.release(event);
  }
}

function admissionOf(options: BreakpointPmuOptions, slots: readonly number[]): Admission {
  const { era = 'modern', possibleCpus, point } = options;
  switch (era) {
    case '2009-11-08':
      return new MachineCounter();
    case '2009-11-10':
      return new PerCpuTable({ slots: slots[0] ?? 0, possibleCpus });
    case 'modern':
    case '2010-06':
      return (
        options.table?.({ slots, possibleCpus, point }) ?? new ConstraintTable({ slots, possibleCpus, point })
      );
    default:
      return unreachable(era);
  }
}

function describe(attr: PerfEventAttr): string {
  return `breakpoint of type ${attr.bpType ?? 0}, ${attr.bpLen ?? 0n} bytes at 0x${(attr.bpAddr ?? 0n).toString(16)}`;
}

function refuse(errno: ErrnoName, attr: PerfEventAttr, hint: string): never {
  throw new KernelError({ errno: errnoValues[errno], operation: describe(attr), hint });
}
