import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { assert } from '../../base/assert.ts';
import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import type { System } from '../../linux/system.ts';
import { LabFailure } from '../../scenario/lab.ts';
import { type PuppetCode, puppetCode } from './puppet-code.ts';
import { puppetImage } from './puppet-image.ts';
import {
  controlBytes,
  controlFd,
  onesOffset,
  pageBytes,
  puppetLayout,
  signalBytes,
  signalLimit,
  slot,
  slotBytes,
  slotCount,
  stackBytes,
} from './puppet-layout.ts';
import { startCode } from './start-code.ts';
import { syscalls } from './syscalls.ts';

const PROT_ALL = 7;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MFD_CLOEXEC = 1;
const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
const WNOHANG = 1;
const SIGKILL = 9;
const CLONE_PARENT_SIGCHLD = 0x8011;
/** CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM: a thread as pthread_create(3) makes it. */
const CLONE_THREAD_FLAGS = 0x5_0f00;
/** How often somebody who waits for a puppet looks whether it lives. */
const waitSliceNs = 20_000_000;
/** A puppet that lives and does not answer is given up. */
const answerSlices = 250;
const trialSlices = 10;
/** A place that no scenario reaches. */
const trialPlace = 400;
/** Of the thread: the process's own is gone with its first thread. */
const pathText = '/proc/thread-self/exe';

/** A task that the stage made. */
export interface Puppet {
  tid: number;
  /** Its process. */
  readonly process: PuppetProcess;
  readonly slotNumber: number;
  ended: boolean;
}

/** A process of puppets. */
export interface PuppetProcess {
  readonly pid: number;
  /** Where its code and data are; those of its relatives are there too. */
  readonly base: bigint;
  reaped: boolean;
}

/** A signal as a puppet's handler found it. */
export interface PuppetSignal {
  readonly signal: number;
  readonly code: number;
  /** The first three words behind: si_addr or si_band; si_perf_data or si_fd; si_perf_type and si_perf_flags. */
  readonly words: readonly [bigint, bigint, bigint];
}

/**
 * Starts puppets, tells them what to do, one at a time, and waits until it is done. Puppets end with the thread that
 * made them, whatever it dies of.
 */
export class PuppetStage {
  readonly #system: System;
  readonly #code: PuppetCode;
  readonly #control: DataView;
  readonly #words: Int32Array;
  readonly #controlAddress: number;
  readonly #controlFd: number;
  readonly #startAddress: number;
  readonly #timeoutAddress: number;
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
    this.#controlAddress = system.ffi.mmap(controlBytes, PROT_READ_WRITE, MAP_SHARED, this.#controlFd);
    if (this.#controlAddress === -1) system.fail('mmap(control memory of puppets)');
    const buffer = system.ffi.view(this.#controlAddress, controlBytes);
    new Uint8Array(buffer, onesOffset).fill(1);
    this.#control = new DataView(buffer);
    this.#words = new Int32Array(buffer);
    const start = system.map(pageBytes, PROT_ALL);
    new Uint8Array(start.buffer).set(startCode());
    this.#startAddress = start.address;
    const timeout = system.map(pageBytes);
    new DataView(timeout.buffer).setBigInt64(8, BigInt(waitSliceNs), true);
    this.#timeoutAddress = timeout.address;
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
    return this.#arrived({ tid: pid, process, slotNumber, ended: false });
  }

  /** Has a puppet make a thread or a child. Throws `KernelError` as clone(2) fails. */
  clone(parent: Puppet, options: { readonly thread: boolean }): Puppet {
    const slotNumber = this.#takeSlot();
    const { base } = parent.process;
    const at = parent.slotNumber * slotBytes;
    this.#put(at + slot.arguments, BigInt(options.thread ? CLONE_THREAD_FLAGS : CLONE_PARENT_SIGCHLD));
    this.#put(at + slot.childSlot, base + BigInt(puppetLayout.control + slotNumber * slotBytes));
    this.#put(at + slot.childStack, base + BigInt(puppetLayout.stacks + (slotNumber + 1) * stackBytes));
    const result = this.#run(parent, 'clone');
    if (result < 0) {
      this.#freeSlots.push(slotNumber);
      throw new KernelError({ errno: -result, operation: 'clone of a puppet' });
    }
    let { process } = parent;
    if (!options.thread) {
      process = { pid: result, base, reaped: false };
      this.#processes.add(process);
    }
    return this.#arrived({ tid: result, process, slotNumber, ended: false });
  }

  /** Has a puppet do a system call. Throws `KernelError`. */
  syscall(puppet: Puppet, number: number, ...args: readonly (number | bigint)[]): number {
    const at = puppet.slotNumber * slotBytes;
    for (let n = 0; n < 6; n++) this.#put(at + slot.arguments + 8 * n, BigInt(args[n] ?? 0));
    this.#put(at + slot.number, BigInt(number));
    const result = this.#run(puppet, 'syscall');
    if (result < 0) throw new KernelError({ errno: -result, operation: `system call ${number} of a puppet` });
    return result;
  }

  /** Calls a routine of the program with arguments; `undefined`: the runner itself does. Gives the signals that came. */
  perform(puppet: Puppet | undefined, routine: string, args: readonly bigint[]): readonly PuppetSignal[] {
    const at = (puppet?.slotNumber ?? 0) * slotBytes;
    for (let n = 0; n < args.length; n++) this.#put(at + slot.arguments + 8 * n, args[n] ?? 0n);
    this.#control.setUint32(at + slot.signals, 0, true);
    if (puppet === undefined) {
      this.#put(slot.routine, this.#selfBase + BigInt(puppetLayout.program + this.#code.offset(routine)));
      const entry = Number(this.#selfBase) + puppetLayout.program + this.#code.offset('self');
      this.#system.ffi.call(entry, this.#controlAddress);
      return [];
    }
    this.#run(puppet, routine);
    return this.#signals(at);
  }

  /** Whether a routine ends: a hypervisor may never come back from a rare instruction. Found out once. */
  endures(routine: string): boolean {
    let endures = this.#endured.get(routine);
    if (endures === undefined) {
      const puppet = this.spawn(trialPlace);
      this.#send(puppet, routine);
      endures = this.#answers(puppet, trialSlices);
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
  kernelWrite(puppet: Puppet, address: bigint, lengthBytes: number): void {
    assert(lengthBytes <= pageBytes, 'a page at most');
    const { base } = puppet.process;
    const own = base + BigInt(puppetLayout.control + puppet.slotNumber * slotBytes);
    this.syscall(puppet, syscalls.pipe2, own + BigInt(slot.scratch), 0);
    const at = puppet.slotNumber * slotBytes + slot.scratch;
    const readEnd = this.#control.getInt32(at, true);
    const writeEnd = this.#control.getInt32(at + 4, true);
    this.syscall(
      puppet,
      syscalls.write,
      writeEnd,
      base + BigInt(puppetLayout.control + onesOffset),
      lengthBytes,
    );
    try {
      this.syscall(puppet, syscalls.read, readEnd, address, lengthBytes);
    } finally {
      this.syscall(puppet, syscalls.close, readEnd);
      this.syscall(puppet, syscalls.close, writeEnd);
    }
  }

  /** A fresh image in the puppet's process; its other threads end. */
  exec(puppet: Puppet): void {
    const at = puppet.slotNumber * slotBytes;
    const own = puppet.process.base + BigInt(puppetLayout.control + at);
    const path = new Uint8Array(this.#control.buffer, at + slot.path, 32);
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
    const result = this.#run(puppet, 'syscall');
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
    this.#send(puppet, 'syscall');
    const { process } = puppet;
    const alone = ![...this.#puppets].some((other) => other !== puppet && other.process === process);
    this.#forget(puppet);
    if (alone) this.#reap(process);
    else if (puppet.tid !== process.pid) this.#untilGone(puppet);
    else this.#untilZombie(puppet);
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
    this.#system.ffi.munmap(this.#controlAddress, controlBytes);
    this.#system.ffi.close(this.#controlFd);
  }

  // --- one command ---------------------------------------------------------------------------------------------------

  #put(offset: number, value: bigint): void {
    this.#control.setBigUint64(offset, BigInt.asUintN(64, value), true);
  }

  #run(puppet: Puppet, routine: string): number {
    this.#send(puppet, routine);
    this.#await(puppet);
    return Number(this.#control.getBigInt64(puppet.slotNumber * slotBytes + slot.result, true));
  }

  #send(puppet: Puppet, routine: string): void {
    if (puppet.ended) throw new KernelError({ errno: errnoValues.ESRCH, operation: `task ${puppet.tid}` });
    const at = puppet.slotNumber * slotBytes;
    const program = puppet.process.base + BigInt(puppetLayout.program);
    this.#put(at + slot.routine, program + BigInt(this.#code.offset(routine)));
    this.#put(at + slot.result, 0n);
    Atomics.store(this.#words, (at + slot.done) / 4, 0);
    Atomics.store(this.#words, (at + slot.go) / 4, 1);
    this.#system.ffi.syscall(syscalls.futex, this.#controlAddress + at + slot.go, FUTEX_WAKE, 1, 0, 0);
  }

  #await(puppet: Puppet): void {
    if (!this.#answers(puppet, answerSlices)) throw new LabFailure(`puppet ${puppet.tid} does not answer`);
  }

  /** Waits until a puppet has done what it was told. */
  #answers(puppet: Puppet, slices: number): boolean {
    const done = puppet.slotNumber * slotBytes + slot.done;
    const { ffi } = this.#system;
    for (let left = slices; left > 0; ) {
      if (Atomics.load(this.#words, done / 4) !== 0) return true;
      const address = this.#controlAddress + done;
      const result = ffi.syscall(syscalls.futex, address, FUTEX_WAIT, 0, this.#timeoutAddress, 0);
      if (result === 0 || ffi.errno() === errnoValues.EAGAIN) continue;
      const death = this.#death(puppet.process);
      if (death !== undefined) throw new LabFailure(`puppet ${puppet.tid} died: ${death}`);
      left--;
    }
    return false;
  }

  #death(process: PuppetProcess): string | undefined {
    if (process.reaped) return 'it was ended';
    return this.#system.scratch((scratch) => {
      const status = scratch.alloc(4);
      const got = this.#system.ffi.waitpid(process.pid, status.address, WNOHANG);
      if (got === 0) return undefined;
      process.reaped = true;
      const word = status.view.getInt32(0, true);
      return (word & 0x7f) === 0 ? `exit status ${(word >> 8) & 0xff}` : `signal ${word & 0x7f}`;
    });
  }

  #signals(at: number): PuppetSignal[] {
    const count = Math.min(this.#control.getUint32(at + slot.signals, true), signalLimit);
    return Array.from({ length: count }, (_, n) => {
      const record = at + slot.signalRecords + n * signalBytes;
      const word = (k: number): bigint => this.#control.getBigUint64(record + 16 + 8 * k, true);
      return {
        signal: this.#control.getInt32(record, true),
        code: this.#control.getInt32(record + 8, true),
        words: [word(0), word(1), word(2)],
      };
    });
  }

  // --- tasks -----------------------------------------------------------------------------------------------------------

  #takeSlot(): number {
    const slotNumber = this.#freeSlots.pop();
    if (slotNumber === undefined) throw new LabFailure(`more than ${slotCount - 1} tasks at a time`);
    const at = slotNumber * slotBytes;
    new Uint8Array(this.#control.buffer, at, slotBytes).fill(0);
    this.#put(at + slot.runnerPid, BigInt(process.pid));
    return slotNumber;
  }

  #arrived(puppet: Puppet): Puppet {
    this.#puppets.add(puppet);
    this.#await(puppet);
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
