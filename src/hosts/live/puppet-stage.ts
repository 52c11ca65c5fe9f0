import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { assert } from '../../base/assert.ts';
import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import type { System } from '../../linux/system.ts';
import { LabFailure, type TaskPlace } from '../../scenario/lab.ts';
import { SIGIO } from '../../uapi/signal.ts';
import { type PuppetCode, puppetCode } from './puppet-code.ts';
import {
  type Puppet,
  PuppetControl,
  type PuppetOutcome,
  type PuppetProcess,
  type PuppetSignal,
} from './puppet-control.ts';
import { puppetImage } from './puppet-image.ts';
import {
  controlBytes,
  controlFd,
  onesOffset,
  pageBytes,
  puppetLayout,
  slot,
  slotBytes,
  slotCount,
  stackBytes,
} from './puppet-layout.ts';
import { startCode } from './start-code.ts';
import { syscalls } from './syscalls.ts';

const PROT_ALL = 7;
const MFD_CLOEXEC = 1;
const SIGKILL = 9;
const CLONE_PARENT = 0x8000;
const CLONE_PARENT_SIGCHLD = 0x8011;
const CLONE_CLEAR_SIGHAND = 0x1_0000_0000n;
/** CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM: a thread as pthread_create(3) makes it. */
const CLONE_THREAD_FLAGS = 0x5_0f00;
const trialSlices = 10;
/** A place that no scenario reaches. */
const trialPlace = 400;
/** Of the thread: the process's own is gone with its first thread. */
const pathText = '/proc/thread-self/exe';

/**
 * Starts puppets, tells them what to do, one at a time, and waits until it is done. Puppets end with the thread that
 * made them, whatever it dies of.
 */
export class PuppetStage {
  readonly #system: System;
  readonly #code: PuppetCode;
  /** The memory that puppets share with the runner. */
  readonly control: PuppetControl;
  readonly #controlFd: number;
  readonly #startAddress: number;
  readonly #selfBase: bigint;
  /** Images by the number of the puppet's place. */
  readonly #images: Map<number, number> = new Map();
  readonly #region: bigint;
  readonly #puppets: Set<Puppet> = new Set();
  readonly #processes: Set<PuppetProcess> = new Set();
  readonly #freeSlots: number[] = [];
  readonly #endured: Map<string, boolean> = new Map();

  constructor(system: System) {
    this.#system = system;
    this.#code = puppetCode();
    this.#controlFd = this.#memfd('trapline-control', new Uint8Array(controlBytes));
    this.control = new PuppetControl(system, this.#code, this.#controlFd);
    const start = system.map(pageBytes, PROT_ALL);
    new Uint8Array(start.buffer).set(startCode());
    this.#startAddress = start.address;
    // The runner's own place for the task "self", laid out as a puppet's.
    const self = system.map(puppetLayout.data + pageBytes, PROT_ALL);
    const selfBytes = new Uint8Array(self.buffer);
    selfBytes.fill(0xc3, 0, pageBytes);
    selfBytes.set(this.#code.bytes, puppetLayout.program);
    this.#selfBase = BigInt(self.address);
    // A region of the address space that programs do not use, another one for every runner: a breakpoint on a CPU sees
    // all that runs there.
    this.#region = 0x1000_0000_0000n + (BigInt(randomBytes(4).readUInt32LE() & 0xffff) << 30n);
    this.clear();
  }

  get selfBase(): bigint {
    return this.#selfBase;
  }

  /** A new single-threaded process at the n-th place. */
  spawn(place: number): Puppet {
    const base = this.#region + BigInt(place * puppetLayout.stride);
    const slotNumber = this.#takeSlot();
    const image = this.#image(place, base);
    const pid = this.#system.scratch((scratch) => {
      const block = scratch.alloc(64);
      const put = (offset: number, value: number): void =>
        block.view.setBigUint64(offset, BigInt(value), true);
      const argv = scratch.alloc(16);
      argv.view.setBigUint64(0, BigInt(scratch.put(Uint8Array.of(slotNumber + 1, 0))), true);
      put(0, scratch.string(`/proc/self/fd/${image}`));
      put(8, argv.address);
      put(16, scratch.alloc(8).address);
      put(32, this.#controlFd);
      block.view.setBigInt64(40, -1n, true);
      const child = this.#system.ffi.call(this.#startAddress, block.address);
      const failure = Number(block.view.getBigInt64(24, true));
      if (child > 0 && failure !== 0) this.#system.ffi.waitpid(child, 0, 0);
      const error = child < 0 ? child : failure;
      if (error !== 0) {
        this.#freeSlots.push(slotNumber);
        throw new KernelError({ errno: -error, operation: 'start of a puppet' });
      }
      return child;
    });
    const process: PuppetProcess = { pid, base, reaped: false };
    this.#processes.add(process);
    return this.#arrived({ tid: pid, process, slotNumber, ended: false, toldSignals: 0 });
  }

  /**
   * Has a puppet make a thread or a child; with `clearHandlers` one that starts with default signal handling.
   * @param options.adopt takes a child that a tracer holds from its birth.
   */
  clone(
    parent: Puppet,
    options: {
      readonly thread: boolean;
      readonly clearHandlers?: boolean;
      readonly adopt?: ((child: Puppet) => void) | undefined;
    },
  ): Puppet {
    const slotNumber = this.#takeSlot();
    const { adopt } = options;
    this.control.memory.setUint32(slotNumber * slotBytes + slot.traced, adopt === undefined ? 0 : 1, true);
    const { base } = parent.process;
    const at = parent.slotNumber * slotBytes;
    const stack = base + BigInt(puppetLayout.stacks + slotNumber * stackBytes);
    this.#put(at + slot.childSlot, base + BigInt(puppetLayout.control + slotNumber * slotBytes));
    let outcome: PuppetOutcome;
    if (options.clearHandlers === true) {
      // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
      const fields = [
        CLONE_CLEAR_SIGHAND | BigInt(CLONE_PARENT),
        0n,
        0n,
        0n,
        0n,
        stack,
        BigInt(stackBytes),
        0n,
      ];
      const address = this.control.show(parent, new Uint8Array(BigUint64Array.from(fields).buffer));
      this.control.putArguments(parent, [address, 8 * fields.length]);
      outcome = this.control.run(parent, 'clone3');
    } else {
      this.control.putArguments(parent, [options.thread ? CLONE_THREAD_FLAGS : CLONE_PARENT_SIGCHLD]);
      this.#put(at + slot.childStack, stack + BigInt(stackBytes));
      outcome = this.control.run(parent, 'clone');
    }
    const { result } = outcome;
    if (result < 0) {
      this.#freeSlots.push(slotNumber);
      throw new KernelError({ errno: -result, operation: 'clone of a puppet' });
    }
    let { process } = parent;
    if (!options.thread) {
      process = { pid: result, base, reaped: false };
      this.#processes.add(process);
    }
    const child: Puppet = { tid: result, process, slotNumber, ended: false, toldSignals: 0 };
    adopt?.(child);
    return this.#arrived(child);
  }

  /** Has a puppet do a system call. Throws `KernelError`. */
  syscall(puppet: Puppet, number: number, ...args: readonly (number | bigint)[]): PuppetOutcome {
    this.control.putArguments(puppet, [...args, 0, 0, 0, 0, 0, 0].slice(0, 6));
    this.#put(puppet.slotNumber * slotBytes + slot.number, BigInt(number));
    const outcome = this.#outcome(puppet, this.control.run(puppet, 'syscall'));
    if (outcome.result < 0)
      throw new KernelError({ errno: -outcome.result, operation: `system call ${number} of a puppet` });
    return outcome;
  }

  /** {@link syscall} with the address of `bytes`, which the call may change, in the place of its n-th argument. */
  syscallShowing(
    puppet: Puppet,
    number: number,
    bytes: Uint8Array,
    place: (address: bigint) => readonly (number | bigint)[],
  ): PuppetOutcome {
    return this.syscall(puppet, number, ...place(this.control.show(puppet, bytes)));
  }

  /** What a puppet was shown last, as the call left it. */
  shown(puppet: Puppet, lengthBytes: number): Uint8Array {
    const at = puppet.slotNumber * slotBytes + slot.block;
    return new Uint8Array(this.control.memory.buffer, at, lengthBytes);
  }

  /** A place of the program in the process at `base`. */
  placeAddress(base: bigint, place: TaskPlace): bigint {
    const routine = place === 'rmw' ? 'rmw8.again' : `handler${SIGIO}`;
    return base + BigInt(puppetLayout.program + this.#code.offset(routine));
  }

  /** Where a puppet has a routine, or the accessing instruction of one, or a handler. */
  programAddress(puppet: Puppet, routine: string): bigint {
    return this.control.programAddress(puppet, routine);
  }

  /** Calls a routine of the program with arguments; `undefined`: the runner itself does. */
  perform(puppet: Puppet | undefined, routine: string, args: readonly bigint[]): PuppetOutcome {
    this.control.putArguments(puppet, args);
    if (puppet !== undefined) return this.#outcome(puppet, this.control.run(puppet, routine));
    this.#put(slot.routine, this.#selfBase + BigInt(puppetLayout.program + this.#code.offset(routine)));
    const entry = Number(this.#selfBase) + puppetLayout.program + this.#code.offset('self');
    this.#system.ffi.call(entry, this.control.address);
    return { result: 0 };
  }

  /** {@link PuppetControl.takeSignals}; the runner itself takes none. */
  takeSignals(puppet: Puppet | undefined): { signals: PuppetSignal[]; total: number } {
    return puppet === undefined ? { signals: [], total: 0 } : this.control.takeSignals(puppet);
  }

  /** A process that died is gone with all its puppets. */
  #outcome(puppet: Puppet, outcome: PuppetOutcome): PuppetOutcome {
    if (outcome.died !== undefined)
      for (const other of this.#puppets) if (other.process === puppet.process) this.#forget(other);
    return outcome;
  }

  /** Whether a routine ends and its task lives: a rare instruction may be lacking, or never come back. Found out once. */
  endures(routine: string): boolean {
    let endures = this.#endured.get(routine);
    if (endures === undefined) {
      const puppet = this.spawn(trialPlace);
      this.control.send(puppet, routine);
      try {
        endures = this.control.answers(puppet, trialSlices) === true;
      } catch (error) {
        if (!(error instanceof LabFailure)) throw error;
        endures = false; // it died of it
      }
      this.#end(puppet.process);
      this.#endured.set(routine, endures);
    }
    return endures;
  }

  /** A puppet sleeps for so long. */
  rest(puppet: Puppet, timeNs: bigint): void {
    const at = puppet.slotNumber * slotBytes + slot.scratch;
    this.#put(at, 0n);
    this.#put(at + 8, timeNs);
    const own = puppet.process.base + BigInt(puppetLayout.control + at);
    this.syscall(puppet, syscalls.nanosleep, own, 0);
  }

  /** The kernel writes `lengthBytes` bytes of 1 at `address` on a puppet's behalf: read(2) from a pipe. */
  kernelWrite(puppet: Puppet, address: bigint, lengthBytes: number): PuppetOutcome {
    assert(lengthBytes <= pageBytes, 'a page at most');
    const { base } = puppet.process;
    const own = base + BigInt(puppetLayout.control + puppet.slotNumber * slotBytes);
    this.syscall(puppet, syscalls.pipe2, own + BigInt(slot.scratch), 0);
    const at = puppet.slotNumber * slotBytes + slot.scratch;
    const readEnd = this.control.memory.getInt32(at, true);
    const writeEnd = this.control.memory.getInt32(at + 4, true);
    this.syscall(
      puppet,
      syscalls.write,
      writeEnd,
      base + BigInt(puppetLayout.control + onesOffset),
      lengthBytes,
    );
    let outcome: PuppetOutcome | undefined;
    try {
      outcome = this.syscall(puppet, syscalls.read, readEnd, address, lengthBytes);
      return outcome;
    } finally {
      if (outcome?.died === undefined) {
        this.syscall(puppet, syscalls.close, readEnd);
        this.syscall(puppet, syscalls.close, writeEnd);
      }
    }
  }

  /** A fresh image in the puppet's process; its other threads end. `meanwhile` is done while that is under way. */
  exec(puppet: Puppet, meanwhile: () => void): void {
    const at = puppet.slotNumber * slotBytes;
    const own = puppet.process.base + BigInt(puppetLayout.control + at);
    const path = new Uint8Array(this.control.memory.buffer, at + slot.path, 32);
    path.fill(0);
    for (let n = 0; n < pathText.length; n++) path[n] = pathText.charCodeAt(n);
    this.#put(at + slot.argv, own + BigInt(slot.name));
    this.#put(at + slot.argv + 8, 0n);
    this.#put(at + slot.name, BigInt(puppet.slotNumber + 1)); // one character and its NUL
    const args = [slot.path, slot.argv, slot.argv + 8]; // the environment is empty
    args.forEach((offset, n) => {
      this.#put(at + slot.arguments + 8 * n, own + BigInt(offset));
    });
    this.#put(at + slot.number, BigInt(syscalls.execve));
    this.control.send(puppet, 'syscall');
    meanwhile();
    const { result } = this.control.await(puppet);
    if (result < 0) throw new KernelError({ errno: -result, operation: 'execve of a puppet' });
    puppet.tid = puppet.process.pid; // as execve(2) says of threads
    for (const other of this.#puppets)
      if (other !== puppet && other.process === puppet.process) this.#forget(other);
  }

  /** A puppet ends itself, and is reaped. */
  exit(puppet: Puppet): void {
    const at = puppet.slotNumber * slotBytes;
    this.#put(at + slot.arguments, 0n);
    this.#put(at + slot.number, BigInt(syscalls.exit));
    this.control.send(puppet, 'syscall');
    const { process } = puppet;
    const alone = ![...this.#puppets].some((other) => other !== puppet && other.process === process);
    this.#forget(puppet);
    if (alone) this.#reap(process);
    else if (puppet.tid !== process.pid) this.#untilGone(puppet);
    else this.#untilZombie(puppet);
  }

  /** Ends a puppet's process at once. */
  end(puppet: Puppet): void {
    this.#end(puppet.process);
  }

  /** Ends all puppets of the stage. */
  clear(): void {
    for (const process of this.#processes) this.#end(process);
    this.#puppets.clear();
    this.#freeSlots.length = 0;
    for (let n = slotCount - 1; n > 0; n--) this.#freeSlots.push(n); // slot 0 is of "self"
  }

  #end(process: PuppetProcess): void {
    if (!process.reaped) {
      this.#system.ffi.syscall(syscalls.kill, process.pid, SIGKILL, 0, 0, 0);
      this.#reap(process);
    }
    this.#processes.delete(process);
    for (const puppet of this.#puppets) if (puppet.process === process) this.#forget(puppet);
  }

  /** Ends it all. */
  close(): void {
    this.clear();
    for (const fd of this.#images.values()) this.#system.ffi.close(fd);
    this.#images.clear();
    this.control.close();
    this.#system.ffi.close(this.#controlFd);
  }

  #put(offset: number, value: bigint): void {
    this.control.put(offset, value);
  }

  // --- tasks -----------------------------------------------------------------------------------------------------------

  #takeSlot(): number {
    const slotNumber = this.#freeSlots.pop();
    if (slotNumber === undefined) throw new LabFailure(`more than ${slotCount - 1} tasks at a time`);
    const at = slotNumber * slotBytes;
    new Uint8Array(this.control.memory.buffer, at, slotBytes).fill(0);
    this.#put(at + slot.runnerPid, BigInt(process.pid));
    return slotNumber;
  }

  #arrived(puppet: Puppet): Puppet {
    this.#puppets.add(puppet);
    this.control.await(puppet);
    return puppet;
  }

  #forget(puppet: Puppet): void {
    puppet.ended = true;
    if (this.#puppets.delete(puppet)) this.#freeSlots.push(puppet.slotNumber);
  }

  #reap(process: PuppetProcess): void {
    while (!process.reaped && this.#system.ffi.waitpid(process.pid, 0, 0) < 0)
      if (this.#system.ffi.errno() !== errnoValues.EINTR) this.#system.fail(`waitpid(${process.pid})`);
    process.reaped = true;
    this.#processes.delete(process);
  }

  #untilGone(puppet: Puppet): void {
    const { ffi } = this.#system;
    this.#until(
      () => ffi.syscall(syscalls.tgkill, puppet.process.pid, puppet.tid, 0, 0, 0) < 0,
      `thread ${puppet.tid} does not end`,
    );
  }

  #untilZombie(puppet: Puppet): void {
    const stat = `/proc/${puppet.process.pid}/task/${puppet.tid}/stat`;
    this.#until(() => /\) [ZX]/.test(fs.readFileSync(stat, 'latin1')), `task ${puppet.tid} does not end`);
  }

  #until(condition: () => boolean, failure: string): void {
    for (let n = 0; n < 10_000; n++) {
      if (condition()) return;
      this.#system.ffi.poll(0, 0, n < 100 ? 0 : 1);
    }
    throw new LabFailure(failure);
  }

  #image(place: number, base: bigint): number {
    let fd = this.#images.get(place);
    if (fd === undefined) {
      fd = this.#memfd('trapline-puppet', puppetImage(this.#code, base));
      this.#images.set(place, fd);
    }
    return fd;
  }

  #memfd(name: string, bytes: Uint8Array): number {
    const { ffi } = this.#system;
    return this.#system.scratch((scratch) => {
      const text = scratch.string(name);
      const fd = this.#system.check(
        ffi.syscall(syscalls.memfdCreate, text, MFD_CLOEXEC, 0, 0, 0),
        `memfd_create(${name})`,
      );
      assert(fd !== controlFd, 'that fd is of the control memory in a puppet');
      for (let done = 0; done < bytes.length; ) {
        const part = scratch.put(bytes.subarray(done));
        done += this.#system.check(ffi.write(fd, part, bytes.length - done), `write(${name})`);
      }
      return fd;
    });
  }
}
