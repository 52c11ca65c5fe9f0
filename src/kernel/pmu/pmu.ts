import type { ArchRecord, RegisterImage, SlotHolder } from '../../arch/architecture.ts';
import type { PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import type { SlotRequest } from './constraint-table.ts';
import type { PeriodState } from './period.ts';

/** An event as a PMU sees it. */
export interface PmuEvent extends SlotHolder, SlotRequest, PeriodState {
  record: ArchRecord;
  slotPool: number;
  /** Hits are ignored, while the register stays programmed. */
  stopped: boolean;
  /** It counts in the table of slots. */
  readonly holdsSlot: boolean;
}

/** Who asks for an event, as far as a PMU cares. */
export interface PmuCaller {
  /** The caller may watch kernel addresses (CAP_SYS_ADMIN). */
  readonly sysAdmin: boolean;
}

/** A source of events: the operations of docs/spec/02 section 2. */
export interface Pmu {
  /** `attr.type`, or the type that it has inside the kernel. */
  readonly name: 'breakpoint' | 'software';
  /** Whether this PMU has an event for `attr`; if not, another may. */
  claims(attr: PerfEventAttr): boolean;
  /**
   * Admits and prepares an event; a copy of `original` is validated only as far as the caller's rights go.
   * Throws `KernelError`; then nothing is held.
   */
  init(event: PmuEvent, attr: PerfEventAttr, caller: PmuCaller, original: PmuEvent | null): void;
  /** Puts the event onto the CPU of `image`; with `start` it runs at once. False: no register (EBUSY). */
  add(event: PmuEvent, image: RegisterImage | null, options: AddOptions): boolean;
  /** Takes the event off its CPU. */
  del(event: PmuEvent, image: RegisterImage | null): void;
  start(event: PmuEvent): void;
  stop(event: PmuEvent): void;
  /** Brings the count up to date. */
  read(event: PmuEvent, image: RegisterImage | null): void;
  /** Gives back what {@link init} took. */
  destroy(event: PmuEvent): void;
}

/** How an event comes onto a CPU. */
export interface AddOptions {
  readonly start: boolean;
}
