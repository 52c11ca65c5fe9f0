import type { ArchRecord, RegisterImage } from '../../arch/architecture.ts';
import type { TrapFrame } from '../../arch/trap-frame.ts';
import { assert } from '../../base/assert.ts';
import { isKernelError } from '../../base/kernel-error.ts';
import { joinPair } from '../../base/pair.ts';
import type { Cpu } from '../../machine/cpu.ts';
import {
  HW_BREAKPOINT_R,
  HW_BREAKPOINT_RW,
  HW_BREAKPOINT_W,
  HW_BREAKPOINT_X,
} from '../../uapi/perf-event-attr.ts';
import { type BreakpointCore, kernelBreakpointAttr, type WideBreakpoint } from '../core/breakpoint-core.ts';
import type { PerfEvent } from '../perf/perf-event.ts';
import type { PerfKernel } from '../perf/perf-kernel.ts';

/** Breakpoints that the debugger has. */
export const kgdbEntries = 4;
/** B0 to B3 of the virtual status: which entries are enabled, not which one was hit. */
const entryBits = (1 << kgdbEntries) - 1;

/** What the operator asks for. */
export interface KgdbRequest {
  readonly kind: 'hardware' | 'write' | 'read' | 'access';
  readonly address: bigint;
  readonly lenBytes: number;
}

const bpTypes: Readonly<Record<KgdbRequest['kind'], number>> = {
  hardware: HW_BREAKPOINT_X,
  write: HW_BREAKPOINT_W,
  read: HW_BREAKPOINT_R,
  access: HW_BREAKPOINT_RW,
};

/** A hit that the debugger took. */
export interface KgdbStop {
  readonly cpu: Cpu;
  /** The entry that fired, as it was asked for. */
  readonly request: KgdbRequest;
  /** Where the CPU stands. */
  readonly ip: bigint;
}

/** What the debugger stands on. */
export interface KgdbOptions {
  readonly kernel: PerfKernel;
  readonly core: BreakpointCore;
  /** What a request is in registers; `undefined`: the architecture has no such breakpoint. */
  record(request: KgdbRequest): ArchRecord | undefined;
  /** A kernel address that nobody minds: the entries are made on it. */
  readonly harmlessAddress: bigint;
  /** Takes control after a hit in kernel mode, on the CPU that was hit: the operator's session is in here. */
  onStop(stop: KgdbStop): void;
}

interface Entry {
  /** The operator wants it: it holds a slot on every CPU. */
  enabled: boolean;
  request: KgdbRequest;
  /** What it is in registers, while it is wanted. */
  record: ArchRecord | undefined;
  readonly wide: WideBreakpoint;
}

/** No slot, or somebody was interrupted in the accounting: try again later. */
const failed = -1;
const noRequest: KgdbRequest = { kind: 'write', address: 0n, lenBytes: 1 };

/**
 * The kernel debugger's hardware breakpoints. It stops all CPUs wherever they are, also inside the accounting, and so takes
 * no lock and waits for nobody: what cannot be had now is refused. Its events exist from the start, disabled and without
 * slots; slots are theirs only while the operator wants a breakpoint. docs/spec/04 section 8, docs/spec/02 section 5.
 */
export class Kgdb {
  readonly #options: KgdbOptions;
  readonly #entries: Entry[] = [];
  /** The entry that fired last, until the debugger has taken control. */
  #fired: Entry | undefined;
  #inside = false;
  #ready = false;

  constructor(options: KgdbOptions) {
    this.#options = options;
  }

  /** Whether the machine stands, in the operator's hands. */
  get inside(): boolean {
    return this.#inside;
  }

  /** Whether the entries could be made. */
  get ready(): boolean {
    return this.#ready;
  }

  /**
   * Makes the entries, each with an event on every CPU, and gives their slots away: one free slot a CPU is enough, if only
   * for a moment. False: there was none, and there is no debugger.
   */
  init(): boolean {
    assert(!this.#ready, 'the entries are made once');
    const { kernel, core, harmlessAddress } = this.#options;
    try {
      for (let n = 0; n < kgdbEntries; n++) {
        const wide = core.registerWide({
          attr: kernelBreakpointAttr({
            bpType: HW_BREAKPOINT_W,
            bpLen: 1n,
            bpAddr: harmlessAddress,
            disabled: true,
          }),
          handler: (event, frame) => this.#hit(event, frame),
        });
        if (wide === null) return false;
        this.#entries.push({ enabled: false, request: noRequest, record: undefined, wide });
        for (const event of eventsOf(wide)) this.#release(event);
      }
    } catch (error) {
      if (!isKernelError(error)) throw error;
      this.#removeEntries();
      return false;
    }
    kernel.debugNotifier = (cpu, frame) => this.#takeControl(cpu, frame);
    this.#ready = true;
    return true;
  }

  /** Takes everything back. The machine must not stand in the debugger. */
  close(): void {
    if (!this.#ready) return;
    assert(!this.#inside, 'the operator has left');
    this.enter();
    this.removeAll();
    this.leave();
    this.#removeEntries();
    this.#options.kernel.debugNotifier = undefined;
    this.#ready = false;
  }

  #removeEntries(): void {
    for (const { wide } of this.#entries) this.#options.core.unregisterWide(wide);
    this.#entries.length = 0;
  }

  // --- the operator ------------------------------------------------------------------------------------------------

  /**
   * Sets a breakpoint, which is armed when the machine goes on. Gives 0, or -1: no entry is free, the architecture has no
   * such breakpoint, some CPU has no slot, or somebody was interrupted inside the accounting.
   */
  set(request: KgdbRequest): number {
    const record = this.#options.record(request);
    const entry = this.#entries.find(({ enabled }) => !enabled);
    if (record === undefined || entry === undefined) return failed;
    const events = eventsOf(entry.wide);
    const pool = this.#options.kernel.breakpoints?.poolOf(bpTypes[request.kind]) ?? 0;
    const held: PerfEvent[] = [];
    for (const event of events) {
      event.slotPool = pool;
      if (this.#options.core.dbgReserve(event) !== 0) {
        for (const each of held) this.#release(each);
        entry.request = noRequest;
        return failed;
      }
      event.holdsSlot = true;
      held.push(event);
    }
    entry.request = request;
    entry.record = record;
    entry.enabled = true;
    return 0;
  }

  /**
   * Removes the breakpoint at an address, whatever its kind and length. Gives 0, or -1: there is none, or somebody was
   * interrupted inside the accounting; then it stays, and another try later does it.
   */
  remove(address: bigint): number {
    const entry = this.#entries.find(({ enabled, request }) => enabled && request.address === address);
    return entry === undefined ? failed : this.#giveUp(entry);
  }

  /** Removes every breakpoint that can be: those stay that {@link remove} refuses. */
  removeAll(): void {
    for (const entry of this.#entries) if (entry.enabled) this.#giveUp(entry);
  }

  /** The breakpoints that are set. */
  requests(): readonly KgdbRequest[] {
    return this.#entries.filter(({ enabled }) => enabled).map(({ request }) => request);
  }

  #giveUp(entry: Entry): number {
    const events = eventsOf(entry.wide).filter(({ holdsSlot }) => holdsSlot);
    for (const [done, event] of events.entries()) {
      if (this.#release(event) === 0) continue;
      assert(done === 0, 'who holds a lock holds it for as long as everybody stands');
      return failed;
    }
    // Armed registers of CPUs that stand are empty by now; a CPU that went offline still has its own.
    for (const event of events) if (event.placedDirectly) this.#uninstall(this.#image(event.cpu), event);
    entry.enabled = false;
    entry.record = undefined;
    entry.request = noRequest;
    return 0;
  }

  #release(event: PerfEvent): number {
    const result = this.#options.core.dbgRelease(event);
    if (result === 0) event.holdsSlot = false;
    return result;
  }

  // --- the way in and out ------------------------------------------------------------------------------------------

  /** Stops every CPU: from now on no breakpoint of anybody fires. */
  enter(): void {
    assert(!this.#inside, 'the debugger is entered once');
    this.#inside = true;
    this.#onEachCpu((cpu) => {
      const image = this.#image(cpu.number);
      image.suspend();
      for (const { enabled, wide } of this.#entries) {
        const event = wide.events[cpu.number] ?? null;
        if (enabled && event?.placedDirectly === true) this.#uninstall(image, event);
      }
    });
  }

  /** Lets every CPU go on, with the registers that everybody wants, the debugger's among them. */
  leave(): void {
    assert(this.#inside, 'who leaves was inside');
    this.#onEachCpu((cpu) => {
      const image = this.#image(cpu.number);
      for (const { record, request, wide } of this.#entries) {
        const event = wide.events[cpu.number] ?? null;
        if (record !== undefined && event?.holdsSlot === true) this.#install(image, event, record, request);
      }
      image.restore();
      image.resume();
    });
    this.#inside = false;
  }

  /** Puts an event into the first free register; where none is, it stays inactive on this CPU. */
  #install(image: RegisterImage, event: PerfEvent, record: ArchRecord, request: KgdbRequest): void {
    if (!image.slots.includes(null)) return;
    const { kind, address, lenBytes } = request;
    event.attr = { ...event.attr, bpType: bpTypes[kind], bpAddr: address, bpLen: BigInt(lenBytes) };
    event.record = record;
    event.placedDirectly = this.#arch().install(image, event);
  }

  #uninstall(image: RegisterImage, event: PerfEvent): void {
    this.#arch().uninstall(image, event);
    event.placedDirectly = false;
  }

  #arch() {
    const { breakpoints } = this.#options.kernel;
    assert(breakpoints !== undefined, 'there are breakpoints');
    return breakpoints.arch;
  }

  #image(cpu: number): RegisterImage {
    const { image } = this.#options.kernel.cpuState(cpu);
    assert(image !== null, 'a CPU has debug registers');
    return image;
  }

  #onEachCpu(work: (cpu: Cpu) => void): void {
    for (const state of this.#options.kernel.cpus)
      if (state.cpu.online) this.#options.kernel.onCpu(state, () => work(state.cpu));
  }

  // --- hits --------------------------------------------------------------------------------------------------------

  /** The overflow: says of all enabled entries that they were hit, so that the exception is left to the debugger. */
  #hit(event: PerfEvent, frame: TrapFrame): void {
    for (const [n, { enabled, wide }] of this.#entries.entries()) {
      if (enabled) frame.status |= 1 << n;
      if (wide.events.includes(event)) this.#fired = this.#entries[n];
    }
  }

  /** What the layer left of an exception: in kernel mode the debugger takes control, in user mode it does not care. */
  #takeControl(cpu: Cpu, frame: TrapFrame): void {
    const fired = this.#fired;
    this.#fired = undefined;
    if (fired === undefined || frame.userMode || (frame.status & entryBits) === 0) return;
    this.#options.onStop({ cpu, request: fired.request, ip: joinPair(frame.ipLow, frame.ipHigh) });
  }
}

function eventsOf(wide: WideBreakpoint): readonly PerfEvent[] {
  return wide.events.filter((event) => event !== null);
}
