import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { LabFailure, type LabStop, type LabUserWord } from '../../scenario/lab.ts';
import {
  PTRACE_CONT,
  PTRACE_DETACH,
  PTRACE_EVENT_CLONE,
  PTRACE_EVENT_FORK,
  PTRACE_EVENT_STOP,
  PTRACE_INTERRUPT,
  PTRACE_O_TRACECLONE,
  PTRACE_O_TRACEFORK,
  PTRACE_PEEKUSER,
  PTRACE_POKEUSER,
  PTRACE_SEIZE,
  PTRACE_SINGLESTEP,
} from '../../uapi/ptrace.ts';
import { SIGTRAP } from '../../uapi/signal.ts';
import type { Puppet, PuppetControl } from './puppet-control.ts';
import { idleSignal, pageBytes, slot } from './puppet-layout.ts';
import type { PuppetStage } from './puppet-stage.ts';
import { syscalls } from './syscalls.ts';

/** A place that no scenario reaches. */
const tracerPlace = 401;
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_ANONYMOUS_32BIT = 0x62;
const stoppedStatus = 0x7f;
/** A puppet that is let run for a command of its own gets at most so many signals. */
const passesMax = 1000;

interface Held {
  readonly followFork: boolean;
  /** It stopped in the midst of an act. */
  inAct: boolean;
  stop: LabStop | null;
}

/**
 * A tracer in a process of its own: a puppet that is told which ptrace requests to make, because the runner's own children
 * are waited for by its event loop, and because a tracer is one thread. It is started when it is first needed, and ends
 * with the runner as every puppet does; tracees are then free. Source: ptrace(2).
 */
export class LiveTracer {
  readonly #stage: PuppetStage;
  readonly #control: PuppetControl;
  readonly #held: Map<Puppet, Held> = new Map();
  #puppet: Puppet | undefined;
  /** Memory of the tracer that a 32-bit call can point to. */
  #lowAddress = 0;

  constructor(stage: PuppetStage) {
    this.#stage = stage;
    this.#control = stage.control;
  }

  holds(puppet: Puppet): boolean {
    return this.#held.has(puppet);
  }

  /** Throws `KernelError` EBUSY for a task that stopped in the midst of an act: it cannot begin another. */
  checkIdle(puppet: Puppet): void {
    if (!puppet.ended && this.#held.get(puppet)?.inAct === true)
      throw new KernelError({
        errno: errnoValues.EBUSY,
        operation: `task ${puppet.tid}, which is in an act`,
      });
  }

  /** How the puppet stopped when it last ran; null: it did what it was told; `undefined`: it is not traced. */
  stopped(puppet: Puppet): LabStop | null | undefined {
    return this.#held.get(puppet)?.stop;
  }

  /** PTRACE_SEIZE, PTRACE_INTERRUPT, and the wait for the stop. */
  attach(puppet: Puppet, options: { readonly followFork: boolean }): void {
    const flags = options.followFork ? PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE : 0;
    this.#ptrace(PTRACE_SEIZE, puppet, 0n, BigInt(flags));
    this.#ptrace(PTRACE_INTERRUPT, puppet, 0n, 0n);
    this.#adopt(puppet, options.followFork);
    this.#control.slotOf(puppet).setUint32(slot.traced, 1, true);
  }

  /** Takes the child of a puppet whose children are traced from birth; `undefined`: they are not. */
  adopting(parent: Puppet): ((child: Puppet) => void) | undefined {
    const held = this.#held.get(parent);
    return held?.followFork === true ? (child) => this.#adopt(child, true) : undefined;
  }

  /** Lets the puppet go, waits until it has finished its act, and has handled what came. */
  detach(puppet: Puppet): void {
    const held = this.#held.get(puppet);
    if (held !== undefined) this.#control.slotOf(puppet).setUint32(slot.traced, 0, true);
    this.#ptrace(PTRACE_DETACH, puppet, 0n, 0n);
    this.#held.delete(puppet);
    puppet.drive = undefined;
    if (held?.inAct === true) this.#control.await(puppet);
    this.#stage.perform(puppet, 'nothing', []);
  }

  /** Has a puppet that it holds do something, until that is done or the puppet stops. */
  act(puppet: Puppet, routine: string, args: readonly bigint[]): void {
    this.#control.putArguments(puppet, args);
    this.#control.send(puppet, routine);
    this.#run(puppet, PTRACE_CONT);
  }

  /** Goes on with what the puppet was doing; nothing if it does nothing. Throws `KernelError` ESRCH. */
  resume(puppet: Puppet, options: { readonly step: boolean }): void {
    const request = options.step ? PTRACE_SINGLESTEP : PTRACE_CONT;
    const held = this.#held.get(puppet);
    if (held === undefined)
      this.#ptrace(request, puppet, 0n, 0n); // the kernel refuses
    else if (held.inAct) this.#run(puppet, request);
    else held.stop = null;
  }

  peek(puppet: Puppet, word: LabUserWord): bigint {
    const tracer = this.#tracer();
    const view = this.#control.slotOf(tracer);
    if (word.compat) {
      this.#prepareCompat();
      this.#compat(PTRACE_PEEKUSER, puppet, word.offset, BigInt(this.#lowAddress), this.#lowAddress);
      return BigInt(view.getUint32(slot.scratch, true));
    }
    this.#ptrace(PTRACE_PEEKUSER, puppet, word.offset, this.#control.slotAddress(tracer, slot.scratch));
    return view.getBigUint64(slot.scratch, true);
  }

  poke(puppet: Puppet, word: LabUserWord, value: bigint): void {
    if (word.compat) this.#compat(PTRACE_POKEUSER, puppet, word.offset, value, 0);
    else this.#ptrace(PTRACE_POKEUSER, puppet, word.offset, value);
  }

  /**
   * Executes a fresh image in the puppet's process. The puppet is let go for it, which nobody can tell apart; threads of
   * its process that are held end, and until a tracer has waited for them there is no image.
   */
  exec(puppet: Puppet): void {
    const held = this.#held.get(puppet);
    if (held !== undefined) {
      this.#stage.perform(puppet, 'nothing', []); // what is pending is dropped, as for other commands
      this.detach(puppet);
    }
    const others = [...this.#held.keys()].filter((other) => other.process === puppet.process);
    this.#stage.exec(puppet, () => {
      for (const other of others) {
        this.#held.delete(other);
        other.drive = undefined;
        // A first thread is taken away by the kernel itself.
        if (other.tid !== puppet.process.pid) this.#command('traceAwait', other);
      }
    });
    if (held !== undefined) this.attach(puppet, held);
  }

  /** Ends the tracer, before its tracees: their ends are told to it first. */
  close(): void {
    if (this.#puppet !== undefined) this.#stage.end(this.#puppet);
    this.#puppet = undefined;
    this.#lowAddress = 0;
    this.#held.clear();
  }

  /** The tid of a puppet that ended may be another's by now. */
  #checkAlive(puppet: Puppet): void {
    if (puppet.ended)
      throw new KernelError({ errno: errnoValues.ESRCH, operation: `ptrace of task ${puppet.tid}` });
  }

  #tracer(): Puppet {
    this.#puppet ??= this.#stage.spawn(tracerPlace);
    return this.#puppet;
  }

  #ptrace(request: number, puppet: Puppet, address: bigint, data: bigint): void {
    this.#checkAlive(puppet);
    this.#stage.syscall(this.#tracer(), syscalls.ptrace, request, puppet.tid, address, data);
  }

  #compat(request: number, puppet: Puppet, offset: bigint, data: bigint, copyFrom: number): void {
    this.#checkAlive(puppet);
    const tracer = this.#tracer();
    this.#control.slotOf(tracer).setBigUint64(slot.number, BigInt(syscalls.compatPtrace), true);
    const tid = BigInt(puppet.tid);
    const args = [BigInt(request), tid, offset, data, BigInt(copyFrom)];
    this.#control.putArguments(tracer, args);
    const { result } = this.#control.run(tracer, 'compat');
    if (result < 0)
      throw new KernelError({ errno: -result, operation: `32-bit ptrace of task ${puppet.tid}` });
  }

  /** Memory below 4 GiB for results of 32-bit calls. */
  #prepareCompat(): void {
    if (this.#lowAddress !== 0) return;
    const map = [0, pageBytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS_32BIT, -1, 0];
    this.#lowAddress = this.#stage.syscall(this.#tracer(), syscalls.mmap, ...map).result;
  }

  #adopt(puppet: Puppet, followFork: boolean): void {
    const status = this.#command('traceAwait', puppet);
    if (status >> 16 !== PTRACE_EVENT_STOP)
      throw new LabFailure(`puppet ${puppet.tid} stopped with status 0x${status.toString(16)}`);
    this.#held.set(puppet, { followFork, inAct: false, stop: null });
    puppet.drive = () => {
      const held = this.#held.get(puppet);
      if (held !== undefined) held.stop = null;
      this.#drive(puppet);
    };
  }

  /** Lets a puppet run for a command that is no act; signals that come are dropped. */
  #drive(puppet: Puppet): void {
    for (let n = 0; n < passesMax; n++) if (this.#go(puppet, PTRACE_CONT) === null) return;
    throw new LabFailure(`puppet ${puppet.tid} gets signals without end`);
  }

  #run(puppet: Puppet, request: number): void {
    const held = this.#held.get(puppet);
    if (held === undefined) throw new LabFailure(`puppet ${puppet.tid} is not held`);
    held.stop = this.#go(puppet, request);
    held.inAct = held.stop !== null;
    // Back from its routine: the rest is no part of the act.
    if (held.stop === null || held.stop.ip !== this.#control.programAddress(puppet, 'returned')) return;
    held.inAct = false;
    this.#drive(puppet);
  }

  /** Lets the puppet run until it has done what it was told (null) or stops. */
  #go(puppet: Puppet, request: number): LabStop | null {
    const view = this.#control.slotOf(this.#tracer());
    for (;;) {
      const status = this.#command('traceResume', puppet, BigInt(request));
      const event = status >> 16;
      if (event === PTRACE_EVENT_FORK || event === PTRACE_EVENT_CLONE) continue;
      const stopSignal = (status >> 8) & 0xff;
      if (stopSignal === idleSignal && event === 0) {
        if (this.#control.slotOf(puppet).getUint32(slot.done, true) !== 0) return null;
        continue; // of what it did last: it was attached on its way from there
      }
      if (event !== 0)
        throw new LabFailure(`puppet ${puppet.tid} stopped with status 0x${status.toString(16)}`);
      const code = view.getInt32(slot.stopInfo + 8, true);
      return {
        signal: stopSignal,
        code,
        // Codes above 0 are the kernel's: what an instruction caused has an address.
        at: stopSignal === SIGTRAP && code > 0 ? view.getBigUint64(slot.stopInfo + 16, true) : 0n,
        ip: view.getBigUint64(slot.stopIp, true),
      };
    }
  }

  /** A routine of the tracer on a puppet; gives the wait status. A puppet that ended where it should not is a failure. */
  #command(routine: string, puppet: Puppet, request = 0n): number {
    const tracer = this.#tracer();
    this.#control.putArguments(tracer, [request, puppet.tid, 0, 0]);
    const { result, died } = this.#control.run(tracer, routine);
    if (died !== undefined) throw new LabFailure(`the tracer died of signal ${died}`);
    if (result < 0)
      throw new LabFailure(`the tracer of puppet ${puppet.tid}: errno ${-result} of ${routine}`);
    const status = this.#control.slotOf(tracer).getUint32(slot.stopStatus, true);
    if (routine === 'traceResume' && (status & 0xff) !== stoppedStatus)
      throw new LabFailure(`puppet ${puppet.tid} ended with status 0x${status.toString(16)}`);
    return status;
  }
}
