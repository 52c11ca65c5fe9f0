import fs from 'node:fs';
import { assert } from '../base/assert.ts';
import { errnoValues } from '../base/errno.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { DebugRegisterAccess } from '../surface/debug-registers.ts';
import type { ExitStatus, LaunchedTask, LaunchRequest } from '../surface/tasks.ts';
import {
  PTRACE_CONT,
  PTRACE_DETACH,
  PTRACE_O_EXITKILL,
  PTRACE_PEEKDATA,
  PTRACE_PEEKUSER,
  PTRACE_POKEDATA,
  PTRACE_POKEUSER,
  PTRACE_SETOPTIONS,
  X86_64_USER_DEBUGREG_OFFSET,
  X86_64_USER_RIP_OFFSET,
} from '../uapi/ptrace.ts';
import { SIGKILL, SIGTRAP } from '../uapi/signal.ts';
import { launchCode } from './launch-code.ts';
import type { System } from './system.ts';
import { linuxAuxv } from './tasks.ts';

const PROT_ALL = 7;
const AT_ENTRY = 9n;
const int3 = 0xcc;

/** A stop or an end as waitpid(2) reports it. */
type WaitStatus = { readonly type: 'stopped'; readonly signal: number } | ExitStatus;

function decodeStatus(status: number): WaitStatus {
  if ((status & 0xff) === 0x7f) return { type: 'stopped', signal: (status >> 8) & 0xff };
  if ((status & 0x7f) === 0) return { type: 'exited', code: (status >> 8) & 0xff };
  return { type: 'signaled', signal: status & 0x7f };
}

/**
 * Starts programs under ptrace(2) and holds them before their first instruction.
 *
 * The child is made by our own clone, so Node's event loop, which reaps only children that it made itself, never takes
 * its stops away. All ptrace calls come from the thread that launched, as ptrace demands.
 */
export class Launcher {
  readonly #system: System;
  readonly #waitEnd: (pid: number) => Promise<void>;
  readonly #prlimit64: number;
  #code: number = 0;

  /** `waitEnd` resolves when a process has become a zombie or is gone. */
  constructor(system: System, prlimit64: number, waitEnd: (pid: number) => Promise<void>) {
    this.#system = system;
    this.#prlimit64 = prlimit64;
    this.#waitEnd = waitEnd;
  }

  /** Throws `KernelError` with the errno of execve(2): ENOENT, EACCES, ENOEXEC, ... */
  launch(request: LaunchRequest): LinuxLaunchedTask {
    const system = this.#system;
    const pid = this.#spawn(request);
    const status = waitFor(system, pid);
    if (status.type !== 'stopped') {
      throw new KernelError({
        errno: errnoValues.ESRCH,
        operation: `launch(${request.path})`,
        hint: 'it ended while it was started',
      });
    }
    assert(
      status.signal === SIGTRAP,
      `the first stop of a traced program is SIGTRAP, not signal ${status.signal}`,
    );
    const { ffi } = system;
    system.check(
      ffi.ptrace(PTRACE_SETOPTIONS, pid, 0, BigInt(PTRACE_O_EXITKILL)),
      'ptrace(PTRACE_SETOPTIONS)',
    );
    restoreFileLimit(system, this.#prlimit64, pid);
    return new LinuxLaunchedTask(system, pid, this.#waitEnd);
  }

  #spawn(request: LaunchRequest): number {
    const system = this.#system;
    if (this.#code === 0) {
      const code = system.map(4096, PROT_ALL);
      new Uint8Array(code.buffer).set(launchCode());
      this.#code = code.address;
    }
    // Not the arena: arguments and environment may take megabytes.
    const strings = [request.path, ...request.argv, ...request.env].map((text) =>
      typeof text === 'string' ? Buffer.from(`${text}\0`) : Buffer.concat([text, Buffer.from([0])]),
    );
    const tableWords = 8 + request.argv.length + 1 + request.env.length + 1 + 5;
    const block = system.map(tableWords * 8 + strings.reduce((sum, bytes) => sum + bytes.length, 0));
    const view = new DataView(block.buffer);
    const bytes = new Uint8Array(block.buffer);
    const addresses: number[] = [];
    let at = tableWords * 8;
    for (const text of strings) {
      bytes.set(text, at);
      addresses.push(block.address + at);
      at += text.length;
    }
    const word = (index: number, value: number): void => view.setBigUint64(index * 8, BigInt(value), true);
    const argvAt = 8;
    const envAt = argvAt + request.argv.length + 1;
    const zerosAt = envAt + request.env.length + 1;
    const fullMaskAt = zerosAt + 4;
    word(0, addresses[0]!); // the path is the first string
    word(1, block.address + argvAt * 8);
    word(2, block.address + envAt * 8);
    word(4, block.address + zerosAt * 8);
    word(5, block.address + fullMaskAt * 8);
    view.setBigUint64(fullMaskAt * 8, 0xffff_ffff_ffff_ffffn, true);
    request.argv.forEach((_, i) => {
      word(argvAt + i, addresses[1 + i]!); // one string an argument
    });
    request.env.forEach((_, i) => {
      word(envAt + i, addresses[1 + request.argv.length + i]!); // one string an entry
    });
    try {
      const result = system.ffi.call(this.#code, block.address);
      if (result < 0) throw new KernelError({ errno: -result, operation: `clone() for ${request.path}` });
      const failure = view.getBigInt64(24, true);
      if (failure !== 0n) {
        waitFor(system, result); // reaps it
        throw new KernelError({ errno: Number(-failure), operation: `execve(${request.path})` });
      }
      return result;
    } finally {
      system.ffi.munmap(block.address, block.buffer.byteLength);
    }
  }
}

function waitFor(system: System, pid: number): WaitStatus {
  return system.scratch((scratch) => {
    const out = scratch.alloc(4);
    for (;;) {
      const got = system.ffi.waitpid(pid, out.address, 0);
      if (got === pid) return decodeStatus(out.view.getInt32(0, true));
      if (got < 0 && system.ffi.errno() !== errnoValues.EINTR) system.fail(`waitpid(${pid})`);
    }
  });
}

/**
 * Node raises its soft limit of open files to the hard one at its start; a program gets back what our parent has.
 * Source: getrlimit(2), proc(5) "/proc/pid/limits".
 */
function restoreFileLimit(system: System, prlimit64: number, pid: number): void {
  const RLIMIT_NOFILE = 7;
  let limits: string;
  try {
    limits = fs.readFileSync(`/proc/${process.ppid}/limits`, 'utf8');
  } catch {
    return; // a parent of another user: it cannot be told
  }
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  if (soft === undefined) return;
  system.scratch((scratch) => {
    const limit = scratch.alloc(16); // soft u64, hard u64
    if (system.ffi.syscall(prlimit64, pid, RLIMIT_NOFILE, 0, limit.address, 0) !== 0) return;
    if (BigInt(soft) >= limit.view.getBigUint64(0, true)) return;
    limit.view.setBigUint64(0, BigInt(soft), true);
    system.ffi.syscall(prlimit64, pid, RLIMIT_NOFILE, limit.address, 0, 0);
  });
}

/** A program that this process started and, until `resume`, traces. */
export class LinuxLaunchedTask implements LaunchedTask {
  readonly pid: number;
  readonly ended: Promise<ExitStatus>;
  readonly #system: System;
  #held: boolean = true;
  #endedHeld: ExitStatus | undefined;
  #resolveEnded!: (status: ExitStatus) => void; // set by the promise's executor, which runs at once
  #rejectEnded!: (error: unknown) => void; // likewise
  #reaped: boolean = false;
  readonly #waitEnd: (pid: number) => Promise<void>;

  constructor(system: System, pid: number, waitEnd: (pid: number) => Promise<void>) {
    this.#system = system;
    this.pid = pid;
    this.#waitEnd = waitEnd;
    this.ended = new Promise((resolve, reject) => {
      this.#resolveEnded = resolve;
      this.#rejectEnded = reject;
    });
    this.ended.catch(() => {}); // whoever awaits it gets the failure; nobody has to
  }

  runToEntry(): boolean {
    const entry = this.#entryPoint();
    const original = this.#peek(PTRACE_PEEKDATA, entry);
    this.#poke(PTRACE_POKEDATA, entry, (original & ~0xffn) | BigInt(int3));
    let signal = this.continueToStop();
    while (signal !== SIGTRAP || this.peekUser(X86_64_USER_RIP_OFFSET) !== BigInt(entry + 1)) {
      if (signal === undefined) return false;
      signal = this.continueToStop(signal); // a signal of its own: delivered, and on
    }
    // The word is read again: only the trap's byte is put back.
    this.#poke(PTRACE_POKEDATA, entry, (this.#peek(PTRACE_PEEKDATA, entry) & ~0xffn) | (original & 0xffn));
    this.pokeUser(X86_64_USER_RIP_OFFSET, BigInt(entry));
    return true;
  }

  resume(): void {
    assert(this.#held, 'a task is resumed once');
    this.#held = false;
    if (this.#endedHeld !== undefined) return;
    this.#system.check(
      this.#system.ffi.ptrace(PTRACE_DETACH, this.pid, 0, 0n),
      `ptrace(PTRACE_DETACH, ${this.pid})`,
    );
    this.#reapAtEnd().then(this.#resolveEnded, this.#rejectEnded);
  }

  kill(): void {
    if (this.#reaped || this.#endedHeld !== undefined) return;
    try {
      process.kill(this.pid, SIGKILL);
    } catch {
      return; // it has ended meanwhile
    }
    if (!this.#held) return;
    this.#held = false;
    for (;;) {
      const status = waitFor(this.#system, this.pid);
      if (status.type === 'stopped') continue;
      this.#ended(status);
      return;
    }
  }

  /** Runs on until the next stop, with `signal` delivered; the signal it stopped with, `undefined` when it ended. */
  continueToStop(signal: number = 0): number | undefined {
    const { ffi } = this.#system;
    this.#system.check(
      ffi.ptrace(PTRACE_CONT, this.pid, 0, BigInt(signal)),
      `ptrace(PTRACE_CONT, ${this.pid})`,
    );
    const status = waitFor(this.#system, this.pid);
    if (status.type === 'stopped') return status.signal;
    this.#ended(status);
    return undefined;
  }

  peekUser(offset: number): bigint {
    return this.#peek(PTRACE_PEEKUSER, offset);
  }

  pokeUser(offset: number, value: bigint): void {
    this.#poke(PTRACE_POKEUSER, offset, value);
  }

  #ended(status: ExitStatus): void {
    this.#endedHeld = status;
    this.#reaped = true;
    this.#resolveEnded(status);
  }

  async #reapAtEnd(): Promise<ExitStatus> {
    await this.#waitEnd(this.pid);
    const status = waitFor(this.#system, this.pid);
    this.#reaped = true;
    assert(status.type !== 'stopped', 'a program that is not traced does not stop for us');
    return status;
  }

  /** AT_ENTRY of the auxiliary vector: the program's entry point, where it was loaded. */
  #entryPoint(): number {
    const auxv = linuxAuxv(this.pid);
    const view = new DataView(auxv.buffer, auxv.byteOffset, auxv.byteLength);
    for (let at = 0; at + 16 <= auxv.byteLength; at += 16) {
      if (view.getBigUint64(at, true) === AT_ENTRY) return Number(view.getBigUint64(at + 8, true));
    }
    throw new KernelError({ errno: errnoValues.ENOEXEC, operation: `entry point of process ${this.pid}` });
  }

  #peek(request: number, address: number): bigint {
    return (
      this.#system.ffi.ptracePeek(request, this.pid, address) ??
      this.#system.fail(`ptrace(PEEK ${address}, ${this.pid})`)
    );
  }

  #poke(request: number, address: number, value: bigint): void {
    const done = this.#system.ffi.ptrace(request, this.pid, address, BigInt.asIntN(64, value));
    this.#system.check(done, `ptrace(POKE ${address}, ${this.pid})`);
  }
}

/** Debug registers of tasks that were launched here. */
export const launchedDebugRegisters: DebugRegisterAccess = {
  peek: (task, n) => launched(task).peekUser(X86_64_USER_DEBUGREG_OFFSET + 8 * n),
  poke: (task, n, value) => launched(task).pokeUser(X86_64_USER_DEBUGREG_OFFSET + 8 * n, value),
  continueToStop: (task) => launched(task).continueToStop(),
};

function launched(task: LaunchedTask): LinuxLaunchedTask {
  assert(task instanceof LinuxLaunchedTask, 'a task launched by this surface');
  return task;
}
