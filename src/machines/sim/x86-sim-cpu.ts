import type { TrapFrame } from '../../arch/trap-frame.ts';
import {
  dr6GeneralDetect,
  dr6Step,
  dr7,
  dr7GeneralDetect,
  flagsResume,
  flagsTrap,
} from '../../arch/x86/debug-register-bits.ts';
import { matchData, matchExecute } from '../../arch/x86/matching.ts';
import { assert } from '../../base/assert.ts';
import { joinPair } from '../../base/pair.ts';
import { SI_KERNEL, SIGTRAP } from '../../uapi/signal.ts';
import { type CpuHost, type KernelAccessOptions, refaultsMax, SimCpu } from './sim-cpu.ts';
import { SimFrame } from './sim-frame.ts';
import type { SimTask } from './sim-task.ts';
import { X86SimRegisters } from './x86-sim-registers.ts';

/**
 * A logical x86 CPU: executes one instruction at a time, with the order of debug exceptions that the manual gives.
 * Execution breakpoints fault before the instruction; data breakpoints and the single step trap after it, together in
 * one exception. docs/spec/04 section 4.
 */
export class X86SimCpu extends SimCpu {
  readonly registers: X86SimRegisters;
  readonly stepFlag: number = flagsTrap;
  readonly #host: CpuHost;
  readonly #frame: SimFrame = new SimFrame({ userMode: true });
  readonly #kernelFrame: SimFrame = new SimFrame({ userMode: false });

  constructor(number: number, host: CpuHost) {
    super(number);
    this.#host = host;
    this.registers = new X86SimRegisters(() => host.point());
  }

  /** B bits of an access to memory; 0 without looking further where the filter rules it out. */
  dataBits(addressLow: number, addressHigh: number, lenBytes: number, store: boolean): number {
    if (this.registers.filter(lenBytes)[(addressLow >>> 6) & 0xffff] === 0) return 0;
    return matchData(this.registers.words, addressLow, addressHigh, lenBytes, store);
  }

  /**
   * The part of an instruction before its effects: execution breakpoints, unless RF is set. The task stands at the
   * instruction. False: its tracer holds it there, and it is to be executed later.
   */
  beforeInstruction(task: SimTask): boolean {
    if (this.registers.filter()[(task.ipLow >>> 6) & 0xffff] === 0) return true;
    for (let faults = 0; (task.processorFlags & flagsResume) === 0; faults++) {
      const bits = matchExecute(this.registers.words, task.ipLow, task.ipHigh);
      if (bits === 0) return true;
      assert(
        faults < refaultsMax,
        'an execution breakpoint that nobody claims: the instruction would fault for ever',
      );
      this.exception(bits, task.ipLow, task.ipHigh, task);
      this.#host.deliverSignals(task);
      if (task.stop !== null || !task.alive) return false;
    }
    return true;
  }

  /** The part of an instruction after its effects: RF goes, and what it touched traps. The task stands after it. */
  afterInstruction(task: SimTask, dataBits: number): void {
    const bits = dataBits | ((task.processorFlags & flagsTrap) !== 0 ? dr6Step : 0);
    task.processorFlags &= ~flagsResume;
    if (bits !== 0) this.exception(bits, task.ipLow, task.ipHigh, task);
  }

  /** Nothing: data breakpoints trap after the access. */
  beforeAccess(): boolean {
    return true;
  }

  trapInstruction(task: SimTask, kind: 'icebp' | 'int3'): void {
    if (kind === 'icebp') {
      // An exception without a reason in DR6; not merged with a step, which would give one.
      this.exception(0, task.ipLow, task.ipHigh, task);
      return;
    }
    this.#host.forceSignal(task, { signal: SIGTRAP, code: SI_KERNEL, address: 0n });
    // An interrupt like any other: taking it clears TF, so no step is reported behind it.
    task.processorFlags &= ~flagsResume;
  }

  /** RF and TF are saved in the frame: a handler starts without them. */
  enterHandler(task: SimTask): void {
    task.processorFlags &= ~(flagsResume | flagsTrap);
  }

  leaveHandler(task: SimTask, interruptedFlags: number): void {
    task.processorFlags = interruptedFlags;
  }

  /** Takes a debug exception from user mode, at an instruction pointer. */
  exception(bits: number, ipLow: number, ipHigh: number, task: SimTask): void {
    const frame = this.#frame;
    frame.enter({ ipLow, ipHigh, flags: task.processorFlags, status: task.debugStatus });
    this.#enter(bits, frame);
    const code = this.#host.kernel.debugException(this, frame);
    task.debugStatus = frame.status;
    task.debugStatusHigh = 0;
    task.processorFlags = frame.flags;
    if (code !== 0) this.#host.forceSignal(task, { signal: SIGTRAP, code, address: joinPair(ipLow, ipHigh) });
  }

  /** Takes a debug exception from kernel mode. */
  kernelException(bits: number, ipLow: number, ipHigh: number): void {
    const frame = this.#kernelFrame;
    frame.enter({ ipLow, ipHigh, flags: 0, status: this.current?.debugStatus ?? 0 });
    this.#enter(bits, frame);
    const code = this.#host.kernel.debugException(this, frame);
    assert(code === 0, `a debug exception in the kernel gives no signal ${SIGTRAP}`);
    if (this.current !== null) this.current.debugStatus = frame.status;
  }

  /** One access by kernel code on this CPU, at an instruction of the kernel. */
  kernelAccess(
    addressLow: number,
    addressHigh: number,
    lenBytes: number,
    options: KernelAccessOptions,
  ): void {
    const bits = this.dataBits(addressLow, addressHigh, lenBytes, options.store);
    if (bits === 0) return;
    this.#kernelFrame.copy(options.copy);
    this.kernelException(bits, Number(options.ip & 0xffff_ffffn), Number(options.ip >> 32n));
  }

  /** Kernel code on this CPU comes to an instruction: an execution breakpoint faults once, then it is executed. */
  kernelExecute(ip: bigint): void {
    const low = Number(ip & 0xffff_ffffn);
    const high = Number(ip >> 32n);
    const bits = matchExecute(this.registers.words, low, high);
    if (bits !== 0) this.kernelException(bits, low, high);
  }

  /** A MOV from or to a debug register by kernel code: a fault if DR7.GD is set, which clears GD. */
  kernelMovesDebugRegister(ip: bigint): void {
    if ((this.registers.low(dr7) & dr7GeneralDetect) === 0) return;
    this.kernelException(dr6GeneralDetect, Number(ip & 0xffff_ffffn), Number(ip >> 32n));
  }

  #enter(bits: number, frame: TrapFrame): void {
    this.exceptions++;
    this.registers.raise(bits);
    const control = this.registers.low(dr7);
    if ((control & dr7GeneralDetect) !== 0) this.registers.write(dr7, control & ~dr7GeneralDetect, 0);
    assert(
      frame.userMode || !this.inNmi,
      'a debug exception inside an NMI: the handler runs with DR7 cleared',
    );
  }
}
