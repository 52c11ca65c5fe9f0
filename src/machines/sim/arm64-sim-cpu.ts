import {
  debugFeatures,
  exceptionClass,
  exceptionClassShift,
  flagsStep,
  mdscr,
  mdscrKernel,
  mdscrMonitor,
  mdscrStep,
  osLock,
  syndromeStore,
  watchpointControl0,
  watchpointValue0,
} from '../../arch/arm64/arm64-register-bits.ts';
import { matchBreakpoints, matchWatchpoints, untagged } from '../../arch/arm64/matching.ts';
import { assert } from '../../base/assert.ts';
import { joinPair } from '../../base/pair.ts';
import { SIGTRAP } from '../../uapi/signal.ts';
import { Arm64SimRegisters } from './arm64-sim-registers.ts';
import { type CpuHost, type KernelAccessOptions, refaultsMax, SimCpu } from './sim-cpu.ts';
import { SimFrame } from './sim-frame.ts';
import type { SimTask } from './sim-task.ts';

/** Exceptions from the same level have a class of their own. */
const sameLevel = 1;
/** Length of an instruction. */
const instructionBytes = 4n;

/** An access, as words. */
interface Access {
  readonly low: number;
  readonly high: number;
  readonly lenBytes: number;
  readonly load: boolean;
  readonly store: boolean;
  readonly user: boolean;
}

/**
 * A logical arm64 CPU: breakpoints and watchpoints fault before their instruction has done anything, as often as it is
 * executed, until software lets it pass with the register off and a step armed. docs/spec/05.
 */
export class Arm64SimCpu extends SimCpu {
  readonly registers: Arm64SimRegisters;
  readonly stepFlag: number = flagsStep;
  readonly #host: CpuHost;
  readonly #reportsWatched: boolean;
  readonly #frame: SimFrame = new SimFrame({ userMode: true });
  readonly #kernelFrame: SimFrame = new SimFrame({ userMode: false });

  /**
   * @param options.features ID_AA64DFR0_EL1, low word.
   * @param options.reportsWatched a watchpoint is reported by the first watched byte of the access, as QEMU does; otherwise
   * by the first byte of the access.
   */
  constructor(
    number: number,
    host: CpuHost,
    options: { readonly features: number; readonly reportsWatched?: boolean },
  ) {
    super(number);
    this.#host = host;
    this.#reportsWatched = options.reportsWatched ?? false;
    this.registers = new Arm64SimRegisters(options.features, () => host.point());
  }

  /** ID_AA64DFR0_EL1, low word. */
  get features(): number {
    return this.registers.low(debugFeatures);
  }

  /** Whether breakpoints and watchpoints are taken from user code, or from the kernel. */
  #enabled(user: boolean): boolean {
    const { registers } = this;
    const control = registers.low(mdscr);
    if (registers.low(osLock) !== 0 || (control & mdscrMonitor) === 0) return false;
    return user || ((control & mdscrKernel) !== 0 && !this.inNmi);
  }

  beforeInstruction(task: SimTask): boolean {
    if (this.registers.filter()[(task.ipLow >>> 6) & 0xffff] === 0) return true;
    for (let faults = 0; this.#enabled(true); faults++) {
      if (matchBreakpoints(this.registers.words, task.ipLow, task.ipHigh, true) === 0) return true;
      assert(
        faults < refaultsMax,
        'a breakpoint that nobody steps over: the instruction would fault for ever',
      );
      this.#userException(task, exceptionClass.breakpoint << exceptionClassShift, 0, 0);
      this.#host.deliverSignals(task);
      if (task.stop !== null || !task.alive) return false;
    }
    return true;
  }

  beforeAccess(
    task: SimTask,
    at: { readonly low: number; readonly high: number; readonly lenBytes: number },
    kind: 'load' | 'store' | 'rmw',
  ): boolean {
    const { low, high, lenBytes } = at;
    if (this.registers.filter(lenBytes)[(low >>> 6) & 0xffff] === 0) return true;
    const access = { low, high, lenBytes, load: kind !== 'store', store: kind !== 'load', user: true };
    for (let faults = 0; this.#enabled(true); faults++) {
      if (matchWatchpoints(this.registers.words, access) === 0) return true;
      assert(faults < refaultsMax, 'a watchpoint that nobody steps over: the access would fault for ever');
      this.#watchpoint(access, (syndrome, faultLow, faultHigh) =>
        this.#userException(task, syndrome, faultLow, faultHigh),
      );
      this.#host.deliverSignals(task);
      if (task.stop !== null || !task.alive) return false;
    }
    return true;
  }

  /** Works out what a watchpoint exception reports: of an access that loads and stores, the load first. */
  #watchpoint(access: Access, take: (syndrome: number, faultLow: number, faultHigh: number) => void): void {
    const { words } = this.registers;
    const one = access.load !== access.store;
    const loads = !access.load ? 0 : matchWatchpoints(words, one ? access : { ...access, store: false });
    const bits = loads !== 0 ? loads : matchWatchpoints(words, one ? access : { ...access, load: false });
    const cause =
      access.user && this.#inUser ? exceptionClass.watchpoint : exceptionClass.watchpoint | sameLevel;
    const syndrome = ((cause << exceptionClassShift) | (loads === 0 ? syndromeStore : 0)) >>> 0;
    const faultLow = this.#reportsWatched ? this.#firstWatched(access, bits) : access.low;
    take(syndrome, faultLow, access.high);
  }

  /** Whether user code executes: an access for a user may be the kernel's. */
  #inUser = true;

  /** The first byte of an access that the watchpoint selects which was programmed first. */
  #firstWatched(access: Access, bits: number): number {
    const { words, lastWrite } = this.registers;
    let first = -1;
    for (let n = 0; n < 16; n++) {
      if ((bits & (1 << n)) === 0) continue;
      if (first < 0 || lastWrite[watchpointControl0 + n]! < lastWrite[watchpointControl0 + first]!) first = n; // in range
    }
    const control = words.low[watchpointControl0 + first] ?? 0;
    const selected = (control >>> 5) & 0xff;
    const start = joinPair(
      words.low[watchpointValue0 + first] ?? 0,
      untagged(words.high[watchpointValue0 + first] ?? 0),
    );
    const watched = start + BigInt(31 - Math.clz32(selected & -selected));
    const from = joinPair(access.low, untagged(access.high));
    return Number((watched > from ? watched : from) & 0xffff_ffffn);
  }

  /** Nothing: watchpoints fault before the access. */
  dataBits(): number {
    return 0;
  }

  afterInstruction(task: SimTask): void {
    if ((task.processorFlags & flagsStep) !== 0) this.#step(task);
  }

  #step(task: SimTask): void {
    if (this.registers.low(osLock) === 0)
      this.#userException(task, (exceptionClass.step << exceptionClassShift) >>> 0, 0, 0);
  }

  trapInstruction(_task: SimTask, kind: 'icebp' | 'int3'): void {
    assert(false, `an arm64 CPU has no instruction ${kind}`);
  }

  /** A step that was armed is taken at once, so that whoever steps sees the handler's first instruction. */
  enterHandler(task: SimTask): void {
    if ((task.processorFlags & flagsStep) !== 0) this.#step(task);
  }

  /** Whether a task is stepped is its own, not its frames'. */
  leaveHandler(): void {}

  #userException(task: SimTask, syndrome: number, faultLow: number, faultHigh: number): void {
    const frame = this.#frame;
    this.exceptions++;
    frame.enter({
      ipLow: task.ipLow,
      ipHigh: task.ipHigh,
      flags: task.processorFlags,
      status: task.debugStatus,
    });
    frame.syndrome = syndrome >>> 0;
    frame.faultLow = faultLow;
    frame.faultHigh = faultHigh;
    const code = this.#host.kernel.debugException(this, frame);
    task.debugStatus = frame.status;
    task.processorFlags = frame.flags;
    if (code !== 0)
      this.#host.forceSignal(task, { signal: SIGTRAP, code, address: joinPair(frame.ipLow, frame.ipHigh) });
  }

  #kernelException(ip: bigint, syndrome: number, faultLow: number, faultHigh: number): void {
    const frame = this.#kernelFrame;
    this.exceptions++;
    const flags = (this.registers.low(mdscr) & mdscrStep) !== 0 ? flagsStep : 0;
    frame.enter({
      ipLow: Number(ip & 0xffff_ffffn),
      ipHigh: Number(ip >> 32n),
      flags,
      status: this.current?.debugStatus ?? 0,
    });
    frame.syndrome = syndrome >>> 0;
    frame.faultLow = faultLow;
    frame.faultHigh = faultHigh;
    const code = this.#host.kernel.debugException(this, frame);
    assert(code === 0, `a debug exception in the kernel gives no signal ${SIGTRAP}`);
  }

  /** The instruction of the kernel that was let pass is done. */
  #kernelStep(ip: bigint): void {
    if ((this.registers.low(mdscr) & mdscrStep) !== 0 && this.registers.low(osLock) === 0)
      this.#kernelException(ip, (exceptionClass.step | sameLevel) << exceptionClassShift, 0, 0);
  }

  /** The kernel reaches a user's memory only by instructions that access it as the user would. */
  kernelAccess(
    addressLow: number,
    addressHigh: number,
    lenBytes: number,
    options: KernelAccessOptions,
  ): void {
    if (this.registers.filter(lenBytes)[(addressLow >>> 6) & 0xffff] === 0) return;
    const user = (addressHigh & 0x0080_0000) === 0;
    const { store } = options;
    const ip = options.copy === undefined ? options.ip - instructionBytes : options.ip;
    const access = { low: addressLow, high: addressHigh, lenBytes, load: !store, store, user };
    this.#inUser = false;
    try {
      for (let faults = 0; this.#enabled(false); faults++) {
        if (matchWatchpoints(this.registers.words, access) === 0) break;
        assert(faults < refaultsMax, 'a watchpoint that nobody steps over: the access would fault for ever');
        this.#watchpoint(access, (syndrome, faultLow, faultHigh) =>
          this.#kernelException(ip, syndrome, faultLow, faultHigh),
        );
      }
      this.#kernelStep(ip + instructionBytes);
    } finally {
      this.#inUser = true;
    }
  }

  kernelExecute(ip: bigint): void {
    const low = Number(ip & 0xffff_ffffn);
    const high = Number(ip >> 32n);
    const cause = (exceptionClass.breakpoint | sameLevel) << exceptionClassShift;
    for (let faults = 0; this.#enabled(false); faults++) {
      if (matchBreakpoints(this.registers.words, low, high, false) === 0) break;
      assert(
        faults < refaultsMax,
        'a breakpoint that nobody steps over: the instruction would fault for ever',
      );
      this.#kernelException(ip, cause, 0, 0);
    }
    this.#kernelStep(ip + instructionBytes);
  }
}
