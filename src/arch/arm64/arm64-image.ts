import { assert } from '../../base/assert.ts';
import type { RegisterImage, Slot, SlotHolder } from '../architecture.ts';
import type { DebugRegisters } from '../debug-registers.ts';
import { type Arm64Breakpoint, arm64Record } from './arm64-breakpoint.ts';
import {
  breakpointControl0,
  breakpointValue0,
  controlEnable,
  mdscr,
  mdscrKernel,
  mdscrMonitor,
  mdscrStep,
  osLock,
  watchpointControl0,
  watchpointValue0,
} from './arm64-register-bits.ts';
import { encodeControl } from './control.ts';

/** The two classes of registers, as bits of a thread's status while it steps over one of them. */
export const classBits: { readonly breakpoints: number; readonly watchpoints: number } = {
  breakpoints: 1,
  watchpoints: 2,
};
/** A thread's status: a debugger steps it as well, and is told of the step. */
export const statusSuspendedStep: number = 4;

/** Whether kernel code on a CPU is stepping over a breakpoint; "suspend": somebody else stepped it already. */
export type KernelStepping = 'none' | 'active' | 'suspend';

/** How a kernel is built, as far as registers go. */
export interface Arm64ImageOptions {
  readonly breakpoints: number;
  readonly watchpoints: number;
  /** The kernel runs at EL2. */
  readonly vhe: boolean;
  /** Self-hosted debug; false: switched off at boot ("nodebugmon"). */
  readonly monitors: boolean;
}

/**
 * The software image of one CPU: who holds which register (breakpoints first, then watchpoints), who needs MDSCR's
 * enables, and whose step is under way. docs/spec/05 section 5, docs/spec/01 section 3.4.
 */
export class Arm64Image implements RegisterImage {
  readonly slots: Slot[];
  readonly registers: DebugRegisters;
  readonly breakpoints: number;
  kernelStepping: KernelStepping = 'none';
  readonly #options: Arm64ImageOptions;
  /** Who needs MDE, and who KDE. */
  #monitorUsers = 0;
  #kernelUsers = 0;
  #held = 0;
  #suspended = 0;
  /** Status of the thread that this CPU executes. */
  #threadStatus = 0;

  constructor(registers: DebugRegisters, options: Arm64ImageOptions) {
    this.registers = registers;
    this.#options = options;
    this.breakpoints = options.breakpoints;
    this.slots = Array.from({ length: options.breakpoints + options.watchpoints }, () => null);
  }

  get active(): boolean {
    return this.#held !== 0;
  }

  /** Status of the thread that this CPU executes. */
  get threadStatus(): number {
    return this.#threadStatus;
  }

  /** The control register of slot `n`. */
  controlRegister(n: number): number {
    return n < this.breakpoints ? breakpointControl0 + n : watchpointControl0 + n - this.breakpoints;
  }

  #valueRegister(n: number): number {
    return n < this.breakpoints ? breakpointValue0 + n : watchpointValue0 + n - this.breakpoints;
  }

  /** The class of slot `n`. */
  classOf(n: number): number {
    return n < this.breakpoints ? classBits.breakpoints : classBits.watchpoints;
  }

  /** Installs into the lowest free register of its class; false: there is none. */
  install(holder: SlotHolder): boolean {
    const { slots, registers, breakpoints } = this;
    const record = arm64Record(holder);
    const end = record.execute ? breakpoints : slots.length;
    let n = record.execute ? 0 : breakpoints;
    while (n < end && slots[n] !== null) n++;
    if (n === end) return false;
    slots[n] = holder;
    this.#held++;
    registers.point();
    this.#enableMonitors(record.kernel);
    this.#program(n, record);
    return true;
  }

  /** Takes a holder out of its register; false: it was in none. */
  uninstall(holder: SlotHolder): boolean {
    const { slots, registers } = this;
    const n = slots.indexOf(holder);
    if (n < 0) return false;
    registers.write(this.controlRegister(n), 0, 0);
    slots[n] = null;
    this.#held--;
    registers.point();
    this.#disableMonitors(arm64Record(holder).kernel);
    return true;
  }

  /** The value, then the control: on, unless its thread is stepping over one of its class. */
  #program(n: number, record: Arm64Breakpoint): void {
    const { registers } = this;
    registers.write(this.#valueRegister(n), record.addressLow, record.addressHigh);
    const enabled = (this.#threadStatus & this.classOf(n)) === 0;
    registers.write(this.controlRegister(n), this.#control(record, enabled), 0);
  }

  #control(record: Arm64Breakpoint, enabled: boolean): number {
    return encodeControl({ ...record, type: record.type, enabled }, { vhe: this.#options.vhe });
  }

  #enableMonitors(kernel: boolean): void {
    this.#monitorUsers++;
    if (kernel) this.#kernelUsers++;
    if (this.#monitorUsers === 1 || (kernel && this.#kernelUsers === 1)) this.#writeMdscr();
  }

  #disableMonitors(kernel: boolean): void {
    this.#monitorUsers--;
    if (kernel) this.#kernelUsers--;
    if (this.#monitorUsers === 0 || (kernel && this.#kernelUsers === 0)) this.#writeMdscr();
  }

  #mdscr(): number {
    if (!this.#options.monitors) return 0;
    return (
      (this.#monitorUsers > 0 ? mdscrMonitor : 0) |
      (this.#kernelUsers > 0 ? mdscrKernel : 0) |
      (this.kernelStepping === 'active' ? mdscrStep : 0)
    );
  }

  #writeMdscr(): void {
    if (this.#suspended === 0) this.registers.write(mdscr, this.#mdscr(), 0);
  }

  /** Begins to step kernel code; it needs both enables. */
  beginKernelStep(): void {
    this.kernelStepping = 'active';
    this.#monitorUsers++;
    this.#kernelUsers++;
    this.#writeMdscr();
  }

  endKernelStep(): void {
    this.kernelStepping = 'none';
    this.#monitorUsers--;
    this.#kernelUsers--;
    this.#writeMdscr();
  }

  /** Sets or clears E of the occupied registers of a class that watch user code, or those that watch the kernel. */
  toggle(classBit: number, options: { readonly kernel: boolean; readonly enabled: boolean }): void {
    const { slots, registers } = this;
    const watch = classBit === classBits.watchpoints;
    const end = watch ? slots.length : this.breakpoints;
    for (let n = watch ? this.breakpoints : 0; n < end; n++) {
      const holder = slots[n] ?? null;
      if (holder === null) continue;
      if (arm64Record(holder).kernel !== options.kernel) continue;
      const register = this.controlRegister(n);
      const control = registers.low(register);
      registers.write(register, options.enabled ? control | controlEnable : control & ~controlEnable, 0);
    }
  }

  /** The status of the thread became another, by its own exception: registers are as they should be already. */
  setThreadStatus(status: number): void {
    this.#threadStatus = status;
  }

  switchThread(status: number): void {
    const changed = this.#threadStatus ^ status;
    this.#threadStatus = status;
    for (const bit of [classBits.breakpoints, classBits.watchpoints])
      if ((changed & bit) !== 0) this.toggle(bit, { kernel: false, enabled: (status & bit) === 0 });
  }

  restore(): void {
    const { registers, slots } = this;
    registers.write(osLock, 0, 0);
    for (const [n, holder] of slots.entries()) {
      if (holder !== null) {
        this.#program(n, arm64Record(holder));
        continue;
      }
      registers.write(this.controlRegister(n), 0, 0);
      registers.write(this.#valueRegister(n), 0, 0);
    }
    this.#writeMdscr();
  }

  reset(): void {
    assert(
      this.slots.every((slot) => slot === null),
      'reset of a CPU that has breakpoints installed',
    );
    this.#monitorUsers = 0;
    this.#kernelUsers = 0;
    this.kernelStepping = 'none';
    this.restore();
  }

  /** Debug exceptions are masked at the kernel's level while it handles one; MDSCR does for that here. */
  suspend(): void {
    this.#suspended++;
    this.registers.write(mdscr, 0, 0);
  }

  resume(): void {
    assert(this.#suspended > 0, 'what is resumed was suspended');
    this.#suspended--;
    this.#writeMdscr();
  }

  disable(): void {
    const { registers, slots } = this;
    this.#suspended++; // an NMI that comes now switches nothing on when it ends
    registers.write(mdscr, 0, 0);
    for (const n of slots.keys()) {
      registers.write(this.controlRegister(n), 0, 0);
      registers.write(this.#valueRegister(n), 0, 0);
    }
  }

  difference(): string | undefined {
    const { registers, slots } = this;
    if (this.#suspended > 0) return undefined;
    if (registers.low(mdscr) !== this.#mdscr())
      return `MDSCR is ${registers.low(mdscr).toString(16)}, the image says ${this.#mdscr().toString(16)}`;
    for (const [n, holder] of slots.entries()) {
      const control = registers.low(this.controlRegister(n));
      if (holder === null) {
        if (control !== 0) return `control register ${n} is on, and nobody holds it`;
        continue;
      }
      const record = arm64Record(holder);
      const value = this.#valueRegister(n);
      if (registers.low(value) !== record.addressLow || registers.high(value) !== record.addressHigh)
        return `value register ${n} is not its holder's address`;
      // A step that is under way may have it off.
      const stepping = this.kernelStepping !== 'none' || (this.#threadStatus & this.classOf(n)) !== 0;
      const expected = this.#control(record, stepping ? (control & controlEnable) !== 0 : true);
      if (control !== expected)
        return `control register ${n} is ${control.toString(16)}, its holder says ${expected.toString(16)}`;
    }
    const kernel = slots.filter((slot) => slot !== null && arm64Record(slot).kernel).length;
    const steps = this.kernelStepping === 'active' ? 1 : 0;
    return this.#monitorUsers === this.#held + steps && this.#kernelUsers === kernel + steps
      ? undefined
      : 'MDSCR is enabled for others than the holders';
  }
}
