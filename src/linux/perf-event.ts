import { assert } from '../base/assert.ts';
import type { EventCounts, PerfEvent, Ring } from '../surface/events.ts';
import {
  encodePerfEventAttr,
  PERF_FORMAT_GROUP,
  PERF_FORMAT_ID,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  type PerfEventAttr,
} from '../uapi/perf-event-attr.ts';
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
  PERF_EVENT_IOC_SET_BPF,
  PERF_EVENT_IOC_SET_OUTPUT,
} from '../uapi/perf-event-ioctl.ts';
import type { System } from './system.ts';

/** Bytes of a page. x86-64 has no other; arm64 kernels may, and get their own constant with their port. */
export const pageBytes = 4096;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;

/** A perf event's fd. Source: perf_event_open(2). */
export class LinuxPerfEvent implements PerfEvent {
  readonly #system: System;
  readonly #description: string;
  readonly #readFormat: number;
  #fd: number;
  #mapping: { address: number; lengthBytes: number } | undefined;

  constructor(system: System, fd: number, description: string, readFormat: number) {
    this.#system = system;
    this.#fd = fd;
    this.#description = description;
    this.#readFormat = readFormat;
  }

  /** The file descriptor; -1 when closed, so that every call on it answers EBADF. */
  get fd(): number {
    return this.#fd;
  }

  id(): bigint {
    return this.#system.scratch((scratch) => {
      const out = scratch.alloc(8);
      this.#ioctl('ID', PERF_EVENT_IOC_ID, out.address);
      return out.view.getBigUint64(0, true);
    });
  }

  enable(): void {
    this.#ioctl('ENABLE', PERF_EVENT_IOC_ENABLE, 0);
  }

  disable(): void {
    this.#ioctl('DISABLE', PERF_EVENT_IOC_DISABLE, 0);
  }

  modify(attr: PerfEventAttr): void {
    this.#system.scratch((scratch) =>
      this.#ioctl(
        'MODIFY_ATTRIBUTES',
        PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
        scratch.put(encodePerfEventAttr(attr)),
      ),
    );
  }

  setOutput(event: PerfEvent): void {
    assert(event instanceof LinuxPerfEvent, 'events of two kernels do not mix');
    this.#ioctl('SET_OUTPUT', PERF_EVENT_IOC_SET_OUTPUT, event.fd);
  }

  /** Attaches the program of an fd. Throws `KernelError` EBADF, EINVAL, EEXIST. */
  setBpf(program: number): void {
    this.#ioctl('SET_BPF', PERF_EVENT_IOC_SET_BPF, program);
  }

  read(): EventCounts {
    const format = this.#readFormat;
    assert((format & PERF_FORMAT_GROUP) === 0, 'read() is for events without PERF_FORMAT_GROUP');
    return this.#system.scratch((scratch) => {
      const out = scratch.alloc(40);
      const got = this.#system.check(
        this.#system.ffi.read(this.#fd, out.address, 40),
        `read(${this.#description})`,
      );
      let offset = 0;
      const next = (): bigint => {
        offset += 8;
        return offset <= got ? out.view.getBigUint64(offset - 8, true) : 0n;
      };
      return {
        value: next(),
        ...(format & PERF_FORMAT_TOTAL_TIME_ENABLED ? { timeEnabledNs: next() } : {}),
        ...(format & PERF_FORMAT_TOTAL_TIME_RUNNING ? { timeRunningNs: next() } : {}),
        ...(format & PERF_FORMAT_ID ? { id: next() } : {}),
        ...(format & PERF_FORMAT_LOST ? { lost: next() } : {}),
      };
    });
  }

  mapRing(dataPages: number): Ring {
    assert(this.#mapping === undefined, 'an event has one ring');
    const lengthBytes = (dataPages + 1) * pageBytes;
    const address = this.#system.ffi.mmap(lengthBytes, PROT_READ_WRITE, MAP_SHARED, this.#fd);
    if (address === -1) this.#system.fail(`mmap(${dataPages} data pages of ${this.#description})`);
    this.#mapping = { address, lengthBytes };
    return {
      dataBytes: dataPages * pageBytes,
      memory: this.#system.ffi.view(address, lengthBytes),
      pageBytes,
    };
  }

  /** Where the ring is mapped. */
  get mapping(): { readonly address: number; readonly lengthBytes: number } | undefined {
    return this.#mapping;
  }

  close(): void {
    if (this.#mapping !== undefined)
      this.#system.ffi.munmap(this.#mapping.address, this.#mapping.lengthBytes);
    this.#mapping = undefined;
    if (this.#fd >= 0) this.#system.ffi.close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #ioctl(name: string, request: number, argument: number): void {
    if (this.#system.ffi.ioctl(this.#fd, request, argument) < 0) {
      this.#system.fail(`PERF_EVENT_IOC_${name}(${this.#description})`);
    }
  }
}
