import { assert } from '../../base/assert.ts';
import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import type { System } from '../../linux/system.ts';
import { LabFailure } from '../../scenario/lab.ts';
import { SIGTRAP } from '../../uapi/signal.ts';
import { handledSignals, type PuppetCode } from './puppet-code.ts';
import {
  blockBytes,
  controlBytes,
  onesOffset,
  puppetLayout,
  signalBytes,
  signalLimit,
  slot,
  slotBytes,
} from './puppet-layout.ts';
import { syscalls } from './syscalls.ts';

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const FUTEX_WAIT = 0;
const FUTEX_WAKE = 1;
const WNOHANG = 1;
/** How often somebody who waits for a puppet looks whether it lives. */
const waitSliceNs = 20_000_000;
/** A puppet that lives and does not answer is given up. */
const answerSlices = 250;

/** A task that the stage made. */
export interface Puppet {
  tid: number;
  /** Its process. */
  readonly process: PuppetProcess;
  readonly slotNumber: number;
  ended: boolean;
  /** Signals of it that were told. */
  toldSignals: number;
  /** Where a tracer holds it: lets it run until it has done what it was told. */
  drive?: (() => void) | undefined;
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

/** What came of a command. */
export interface PuppetOutcome {
  /** Of a system call; 0 otherwise. */
  readonly result: number;
  /** The signal that the puppet's process died of, instead of answering. */
  readonly died?: number;
}

/** The memory that puppets and their runner share: tells a puppet what to do, waits until it is done. */
export class PuppetControl {
  readonly memory: DataView;
  /** Where the runner has it. */
  readonly address: number;
  readonly #system: System;
  readonly #code: PuppetCode;
  readonly #words: Int32Array;
  readonly #timeoutAddress: number;

  constructor(system: System, code: PuppetCode, fd: number) {
    this.#system = system;
    this.#code = code;
    this.address = system.ffi.mmap(controlBytes, PROT_READ_WRITE, MAP_SHARED, fd);
    if (this.address === -1) system.fail('mmap(control memory of puppets)');
    const buffer = system.ffi.view(this.address, controlBytes);
    new Uint8Array(buffer, onesOffset).fill(1);
    this.memory = new DataView(buffer);
    this.#words = new Int32Array(buffer);
    const timeout = system.map(4096);
    new DataView(timeout.buffer).setBigInt64(8, BigInt(waitSliceNs), true);
    this.#timeoutAddress = timeout.address;
  }

  close(): void {
    this.#system.ffi.munmap(this.address, controlBytes);
  }

  put(offset: number, value: bigint): void {
    this.memory.setBigUint64(offset, BigInt.asUintN(64, value), true);
  }

  putArguments(puppet: Puppet | undefined, args: readonly (number | bigint)[]): void {
    const at = (puppet?.slotNumber ?? 0) * slotBytes + slot.arguments;
    for (const [n, value] of args.entries()) this.put(at + 8 * n, BigInt(value));
  }

  /** Shows bytes to the next system call of a puppet; gives where the puppet has them. */
  show(puppet: Puppet, bytes: Uint8Array): bigint {
    assert(bytes.length <= blockBytes, `${bytes.length} bytes fit a slot`);
    const at = puppet.slotNumber * slotBytes + slot.block;
    new Uint8Array(this.memory.buffer, at, bytes.length).set(bytes);
    return puppet.process.base + BigInt(puppetLayout.control + at);
  }

  /** The slot of a puppet, to be read and written. */
  slotOf(puppet: Puppet): DataView {
    return new DataView(this.memory.buffer, puppet.slotNumber * slotBytes, slotBytes);
  }

  /** Where a puppet has a field of its slot. */
  slotAddress(puppet: Puppet, field: number): bigint {
    return puppet.process.base + BigInt(puppetLayout.control + puppet.slotNumber * slotBytes + field);
  }

  /** Where a puppet has the n-th byte of its program. */
  programAddress(puppet: Puppet, routine: string): bigint {
    return puppet.process.base + BigInt(puppetLayout.program + this.#code.offset(routine));
  }

  /**
   * Has a puppet call a routine, and waits. Throws `KernelError` ESRCH if it has ended, {@link LabFailure} if it died of
   * something that no scenario asks for, or does not answer.
   */
  run(puppet: Puppet, routine: string): PuppetOutcome {
    this.send(puppet, routine);
    return this.await(puppet);
  }

  send(puppet: Puppet, routine: string): void {
    if (puppet.ended || this.death(puppet.process) !== undefined) throw gone(puppet);
    const at = puppet.slotNumber * slotBytes;
    this.put(at + slot.routine, this.programAddress(puppet, routine));
    this.put(at + slot.result, 0n);
    Atomics.store(this.#words, (at + slot.done) / 4, 0);
    Atomics.store(this.#words, (at + slot.go) / 4, 1);
    this.#system.ffi.syscall(syscalls.futex, this.address + at + slot.go, FUTEX_WAKE, 1, 0, 0);
  }

  /** Waits for the answer to what was sent. */
  await(puppet: Puppet): PuppetOutcome {
    puppet.drive?.();
    const answer = this.answers(puppet, answerSlices);
    if (answer === false) throw new LabFailure(`puppet ${puppet.tid} does not answer`);
    const at = puppet.slotNumber * slotBytes;
    if (answer === true) return { result: Number(this.memory.getBigInt64(at + slot.result, true)) };
    // A signal that came before the command was taken: the command found nobody.
    if (Atomics.load(this.#words, (at + slot.go) / 4) !== 0) throw gone(puppet);
    return { result: 0, died: answer };
  }

  /** Whether a puppet has done what it was told; the number of the signal that it died of instead. */
  answers(puppet: Puppet, slices: number): boolean | number {
    const done = puppet.slotNumber * slotBytes + slot.done;
    const { ffi } = this.#system;
    for (let left = slices; left > 0; ) {
      if (Atomics.load(this.#words, done / 4) !== 0) return true;
      const result = ffi.syscall(syscalls.futex, this.address + done, FUTEX_WAIT, 0, this.#timeoutAddress, 0);
      if (result === 0 || ffi.errno() === errnoValues.EAGAIN) continue;
      const death = this.death(puppet.process);
      if (death !== undefined) return death;
      left--;
    }
    return false;
  }

  /**
   * The signal that a process died of, if it has; it is reaped then. Throws {@link LabFailure} if it ended in a way that
   * no scenario asks for.
   */
  death(process: PuppetProcess): number | undefined {
    if (process.reaped) return SIGTRAP; // whatever it was: it was told
    const word = this.#system.scratch((scratch) => {
      const status = scratch.alloc(4);
      const got = this.#system.ffi.waitpid(process.pid, status.address, WNOHANG);
      return got === 0 ? undefined : status.view.getInt32(0, true);
    });
    if (word === undefined) return undefined;
    process.reaped = true;
    const signal = word & 0x7f;
    if (signal >= 32 || handledSignals.includes(signal)) return signal;
    const how = signal === 0 ? `exit status ${(word >> 8) & 0xff}` : `signal ${signal}`;
    throw new LabFailure(`puppet ${process.pid} died: ${how}`);
  }

  /** Signals of a puppet that were not taken yet, the last {@link signalLimit} of them, and how many they were. */
  takeSignals(puppet: Puppet): { signals: PuppetSignal[]; total: number } {
    const at = puppet.slotNumber * slotBytes;
    const came = this.memory.getUint32(at + slot.signals, true);
    const total = came - puppet.toldSignals;
    const first = Math.max(puppet.toldSignals, came - signalLimit);
    puppet.toldSignals = came;
    const signals = Array.from({ length: came - first }, (_, n): PuppetSignal => {
      const record = at + slot.signalRecords + ((first + n) % signalLimit) * signalBytes;
      const word = (k: number): bigint => this.memory.getBigUint64(record + 16 + 8 * k, true);
      return {
        signal: this.memory.getInt32(record, true),
        code: this.memory.getInt32(record + 8, true),
        words: [word(0), word(1), word(2)],
      };
    });
    return { signals, total };
  }
}

function gone(puppet: Puppet): KernelError {
  return new KernelError({ errno: errnoValues.ESRCH, operation: `task ${puppet.tid}` });
}
