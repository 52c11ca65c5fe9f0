import type { System } from '../../linux/system.ts';
import { LabFailure } from '../../scenario/lab.ts';
import { syscalls } from './syscalls.ts';

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0x8_0001;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const EADDRINUSE = 98;
/** `sockaddr_un`: the family (u16), then a name; one that begins with NUL is in no file system. unix(7). */
const familyBytes = 2;
const addressBytes = 110;
const pollMs = 1;

/** Who waits for how long, and in whose name. */
export interface TurnOptions {
  /** The turn's name on this machine. */
  readonly name?: string;
  readonly patienceMs?: number;
}

/**
 * The right to run one scenario live: scenarios of two runners at a time would take each other's registers. It is the
 * listening socket of an abstract name (unix(7)), which the kernel gives to one process at a time, without a file, and
 * takes back whatever that process dies of. Runners take turns scenario by scenario.
 */
export class LiveTurn {
  readonly #system: System;
  readonly #name: string;
  readonly #patienceMs: number;
  #fd = -1;

  constructor(system: System, options: TurnOptions = {}) {
    this.#system = system;
    this.#name = options.name ?? 'trapline-live-scenario';
    this.#patienceMs = options.patienceMs ?? 30_000;
  }

  /** Waits for the turn. Throws `LabFailure` when another runner does not let go of it for too long. */
  take(): void {
    if (this.#fd >= 0) return;
    const end = performance.now() + this.#patienceMs;
    while (!this.#tries()) {
      if (performance.now() >= end)
        throw new LabFailure(
          `another live run (${this.#holder()}) has had the machine's breakpoints for ${this.#patienceMs / 1000} s`,
        );
      this.#system.ffi.poll(0, 0, pollMs);
    }
  }

  /** Gives the turn to whoever waits. */
  release(): void {
    if (this.#fd >= 0) this.#system.ffi.close(this.#fd);
    this.#fd = -1;
  }

  #tries(): boolean {
    const { ffi } = this.#system;
    const fd = this.#socket();
    const bound = this.#withAddress((at, length) => ffi.syscall(syscalls.bind, fd, at, length, 0, 0));
    if (bound === 0 && ffi.syscall(syscalls.listen, fd, 1, 0, 0, 0) === 0) {
      this.#fd = fd;
      return true;
    }
    const errno = ffi.errno();
    ffi.close(fd);
    if (errno !== EADDRINUSE) throw new LabFailure(`the lock of live runs: errno ${errno}`);
    return false;
  }

  /** "pid 123", as the kernel tells who listens. */
  #holder(): string {
    const { ffi } = this.#system;
    const fd = this.#socket();
    try {
      if (this.#withAddress((at, length) => ffi.syscall(syscalls.connect, fd, at, length, 0, 0)) < 0)
        return 'just gone';
      return this.#system.scratch((scratch) => {
        const credentials = scratch.alloc(12);
        const length = scratch.alloc(4);
        length.view.setUint32(0, 12, true);
        const got = ffi.syscall(
          syscalls.getsockopt,
          fd,
          SOL_SOCKET,
          SO_PEERCRED,
          credentials.address,
          length.address,
        );
        return got < 0 ? 'unknown' : `pid ${credentials.view.getInt32(0, true)}`;
      });
    } finally {
      ffi.close(fd);
    }
  }

  #socket(): number {
    const { ffi } = this.#system;
    const fd = ffi.syscall(syscalls.socket, AF_UNIX, SOCK_STREAM_CLOEXEC, 0, 0, 0);
    return this.#system.check(fd, 'socket(AF_UNIX)');
  }

  #withAddress(call: (address: number, lengthBytes: number) => number): number {
    return this.#system.scratch((scratch) => {
      const { address, bytes, view } = scratch.alloc(addressBytes);
      view.setUint16(0, AF_UNIX, true);
      const start = familyBytes + 1; // behind a NUL
      for (let n = 0; n < this.#name.length; n++) bytes[start + n] = this.#name.charCodeAt(n);
      return call(address, start + this.#name.length);
    });
  }
}
