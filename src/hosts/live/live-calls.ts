import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import type { System } from '../../linux/system.ts';
import type {
  IoctlArgument,
  MappedRing,
  PerfEventOpenCall,
  PerfSystemCalls,
  RingMapCall,
  UserBytes,
} from '../../surface/perf-calls.ts';
import { syscalls } from './syscalls.ts';

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const pageBytes = 4096;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** An address that no process has mapped. */
const badAddress = 8;
const allPollEvents = 0x7fff;

/** The system calls of perf events on the machine's own kernel, with CPUs numbered as a scenario does. */
export class LiveCalls implements PerfSystemCalls {
  readonly #system: System;
  readonly #cpuOf: (cpu: number) => number;
  readonly #open: Set<number> = new Set();
  readonly #mapped: Map<MappedRing, { readonly address: number; readonly lengthBytes: number }> = new Map();

  /** `cpuOf` gives the machine's number of a scenario's CPU. */
  constructor(system: System, cpuOf: (cpu: number) => number) {
    this.#system = system;
    this.#cpuOf = cpuOf;
  }

  perfEventOpen(call: PerfEventOpenCall): number {
    const { ffi } = this.#system;
    const cpu = this.#cpuOf(call.cpu);
    const fd = this.#withBytes(call.attr, (address) =>
      ffi.syscall(syscalls.perfEventOpen, address, call.pid, cpu, call.groupFd, call.flags),
    );
    if (fd < 0) this.#system.fail(`perf_event_open(pid ${call.pid}, cpu ${cpu})`);
    // A puppet that is started later must not hold the event.
    ffi.syscall(syscalls.fcntl, fd, F_SETFD, FD_CLOEXEC, 0, 0);
    this.#open.add(fd);
    return fd;
  }

  ioctl(fd: number, request: number, argument: IoctlArgument): number {
    const { ffi } = this.#system;
    const result =
      typeof argument === 'number'
        ? ffi.ioctl(fd, request, argument)
        : this.#withBytes(argument, (address) => ffi.ioctl(fd, request, address));
    return this.#system.check(result, `ioctl(${fd}, 0x${request.toString(16)})`);
  }

  fcntl(fd: number, command: number, argument: IoctlArgument): number {
    const { ffi } = this.#system;
    const result =
      typeof argument === 'number'
        ? ffi.syscall(syscalls.fcntl, fd, command, argument, 0, 0)
        : this.#withBytes(argument, (address) => ffi.syscall(syscalls.fcntl, fd, command, address, 0, 0));
    return this.#system.check(result, `fcntl(${fd}, ${command})`);
  }

  read(fd: number, lengthBytes: number): Uint8Array {
    return this.#system.scratch((scratch) => {
      const { address, bytes } = scratch.alloc(lengthBytes);
      const got = this.#system.check(this.#system.ffi.read(fd, address, lengthBytes), `read(${fd})`);
      return bytes.slice(0, got);
    });
  }

  poll(fd: number): number {
    return this.#system.scratch((scratch) => {
      const { address, view } = scratch.alloc(8);
      view.setInt32(0, fd, true);
      view.setInt16(4, allPollEvents, true);
      this.#system.check(this.#system.ffi.poll(address, 1, 0), `poll(${fd})`);
      const events = view.getUint16(6, true);
      const POLLNVAL = 0x20;
      if ((events & POLLNVAL) !== 0)
        throw new KernelError({ errno: errnoValues.EBADF, operation: `poll(${fd})` });
      return events;
    });
  }

  mmap(fd: number, call: RingMapCall): MappedRing {
    const { ffi } = this.#system;
    const lengthBytes = (1 + call.dataPages) * pageBytes;
    const protection = call.readOnly ? PROT_READ : PROT_READ_WRITE;
    const address = ffi.mmap(lengthBytes, protection, call.private ? MAP_PRIVATE : MAP_SHARED, fd);
    if (address === -1) this.#system.fail(`mmap(${fd}, ${call.dataPages} data pages)`);
    const ring: MappedRing = { memory: ffi.view(address, lengthBytes), pageBytes };
    this.#mapped.set(ring, { address, lengthBytes });
    return ring;
  }

  munmap(ring: MappedRing): void {
    const mapped = this.#mapped.get(ring);
    if (mapped === undefined) throw new KernelError({ errno: errnoValues.EINVAL, operation: 'munmap' });
    this.#mapped.delete(ring);
    this.#system.check(this.#system.ffi.munmap(mapped.address, mapped.lengthBytes), 'munmap');
  }

  close(fd: number): void {
    this.#open.delete(fd);
    this.#system.check(this.#system.ffi.close(fd), `close(${fd})`);
  }

  /** An fd of something that was opened elsewhere, and is closed with the others. */
  adopt(fd: number): number {
    this.#open.add(fd);
    return fd;
  }

  /** Closes what is open. */
  closeAll(): void {
    for (const ring of [...this.#mapped.keys()]) this.munmap(ring);
    for (const fd of this.#open) this.#system.ffi.close(fd);
    this.#open.clear();
  }

  #withBytes(argument: UserBytes, call: (address: number) => number): number {
    if (argument === 'bad') return call(badAddress);
    return this.#system.scratch((scratch) => {
      const { address, bytes } = scratch.alloc(argument.length);
      bytes.set(argument);
      const result = call(address);
      argument.set(bytes);
      return result;
    });
  }
}
