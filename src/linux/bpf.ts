import { assert } from '../base/assert.ts';
import { decodeCString } from '../base/text.ts';
import type { Bpf, BpfMap, BpfMapRequest, BpfProgram, BpfProgramRequest } from '../surface/bpf.ts';
import type { PerfEvent } from '../surface/events.ts';
import {
  BPF_INSN_BYTES,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_UPDATE_ELEM,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  BPF_PROG_TYPE_PERF_EVENT,
} from '../uapi/bpf.ts';
import { syscallNumbers } from '../uapi/syscall-numbers.ts';
import { BpfRing } from './bpf-ring.ts';
import { LinuxPerfEvent } from './perf-event.ts';
import type { System } from './system.ts';

/** Bytes of union bpf_attr that are shown; what is behind is 0 to the kernel. */
const attrBytes = 128;
const logBytes = 64 * 1024;
/** Programs call helpers that are for this license alone; Trapline's own programs are under both. */
const license = 'Dual MIT/GPL';

/** bpf(2) of the machine's Linux. Source: bpf(2), linux/bpf.h `union bpf_attr`. */
export class LinuxBpf implements Bpf {
  readonly #system: System;
  readonly #number: number;
  readonly #possibleCpus: () => number;

  /** @param possibleCpus the number of possible CPUs, which the size of per-CPU values goes by. */
  constructor(system: System, machine: keyof typeof syscallNumbers, possibleCpus: () => number) {
    this.#system = system;
    this.#number = syscallNumbers[machine].bpf;
    this.#possibleCpus = possibleCpus;
  }

  createMap(request: BpfMapRequest): LinuxBpfMap {
    const operation = `bpf(BPF_MAP_CREATE type ${request.type}, ${request.maxEntries} entries)`;
    const fd = this.call(BPF_MAP_CREATE, operation, (attr) => {
      attr.setUint32(0, request.type, true);
      attr.setUint32(4, request.keyBytes, true);
      attr.setUint32(8, request.valueBytes, true);
      attr.setUint32(12, request.maxEntries, true);
    });
    const stride = (request.valueBytes + 7) & ~7;
    const valueBytes =
      request.type === BPF_MAP_TYPE_PERCPU_ARRAY ? stride * this.#possibleCpus() : request.valueBytes;
    return new LinuxBpfMap({ bpf: this, system: this.#system, fd, request, valueBytes });
  }

  load(request: BpfProgramRequest): LinuxBpfProgram {
    const bytes = request.bytes.slice();
    const view = new DataView(bytes.buffer);
    for (const [name, uses] of request.maps ?? []) {
      const map = request.mapOf?.[name];
      assert(map instanceof LinuxBpfMap, `map ${name} is one of Linux`);
      for (const at of uses) view.setInt32(at * BPF_INSN_BYTES + 4, map.fd, true);
    }
    return new LinuxBpfProgram(this.#system, this.loadBytes(request.type, bytes));
  }

  /** The fd of a program, of instructions as they are. */
  loadBytes(type: number | undefined, bytes: Uint8Array): number {
    const { ffi } = this.#system;
    const operation = `bpf(BPF_PROG_LOAD, ${bytes.length / BPF_INSN_BYTES} instructions)`;
    const load = (log: boolean): number =>
      this.#system.scratch((scratch) => {
        const attr = scratch.alloc(attrBytes);
        const room = log ? scratch.alloc(logBytes) : undefined;
        attr.view.setUint32(0, type ?? BPF_PROG_TYPE_PERF_EVENT, true);
        attr.view.setUint32(4, bytes.length / BPF_INSN_BYTES, true);
        attr.view.setBigUint64(8, BigInt(scratch.put(bytes)), true);
        attr.view.setBigUint64(16, BigInt(scratch.string(license)), true);
        if (room !== undefined) {
          attr.view.setUint32(24, 1, true); // log_level
          attr.view.setUint32(28, logBytes, true);
          attr.view.setBigUint64(32, BigInt(room.address), true);
        }
        const fd = ffi.syscall(this.#number, BPF_PROG_LOAD, attr.address, attrBytes, 0, 0);
        if (fd < 0 && log)
          this.#system.fail(operation, lastLines(decodeCString(room?.bytes ?? new Uint8Array(1))));
        return fd;
      });
    const fd = load(false);
    return fd >= 0 ? fd : load(true); // asked again for the reason alone
  }

  /** BPF_PROG_TEST_RUN of a program that takes packets: what it returns, u32. */
  testRun(program: LinuxBpfProgram, packet: Uint8Array): number {
    return this.#system.scratch((scratch) => {
      const attr = scratch.alloc(attrBytes);
      attr.view.setUint32(0, program.fd, true);
      attr.view.setUint32(8, packet.length, true);
      attr.view.setBigUint64(16, BigInt(scratch.put(packet)), true);
      const { ffi } = this.#system;
      this.#system.check(
        ffi.syscall(this.#number, BPF_PROG_TEST_RUN, attr.address, attrBytes, 0, 0),
        'bpf(BPF_PROG_TEST_RUN)',
      );
      return attr.view.getUint32(4, true);
    });
  }

  /** One command; `fill` writes its part of the attr. */
  call(command: number, operation: string, fill: (attr: DataView) => void): number {
    return this.#system.scratch((scratch) => {
      const attr = scratch.alloc(attrBytes);
      fill(attr.view);
      const { ffi } = this.#system;
      return this.#system.check(ffi.syscall(this.#number, command, attr.address, attrBytes, 0, 0), operation);
    });
  }
}

/** What a verifier said at the end, before its statistics. */
function lastLines(log: string): string {
  const lines = log
    .trim()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('processed '));
  return lines.length === 0 ? 'the verifier said nothing' : lines.slice(-3).join('; ');
}

/** A map's fd. */
export class LinuxBpfMap implements BpfMap {
  readonly #bpf: LinuxBpf;
  readonly #system: System;
  readonly #request: BpfMapRequest;
  /** Of a lookup. */
  readonly #valueBytes: number;
  #fd: number;
  #ring: BpfRing | undefined;

  constructor(parts: {
    readonly bpf: LinuxBpf;
    readonly system: System;
    readonly fd: number;
    readonly request: BpfMapRequest;
    readonly valueBytes: number;
  }) {
    this.#bpf = parts.bpf;
    this.#system = parts.system;
    this.#fd = parts.fd;
    this.#request = parts.request;
    this.#valueBytes = parts.valueBytes;
  }

  /** The file descriptor; -1 when closed. */
  get fd(): number {
    return this.#fd;
  }

  lookup(key: Uint8Array): Uint8Array {
    return this.#system.scratch((scratch) => {
      const value = scratch.alloc(this.#valueBytes);
      this.#element(BPF_MAP_LOOKUP_ELEM, 'BPF_MAP_LOOKUP_ELEM', scratch.put(key), value.address);
      return value.bytes.slice();
    });
  }

  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    assert(value.length === this.#valueBytes, `a value of ${this.#valueBytes} bytes`);
    this.#system.scratch((scratch) =>
      this.#element(BPF_MAP_UPDATE_ELEM, 'BPF_MAP_UPDATE_ELEM', scratch.put(key), scratch.put(value), flags),
    );
  }

  setProgram(index: number, program: BpfProgram): void {
    assert(program instanceof LinuxBpfProgram, 'programs of two kernels do not mix');
    this.update(words(index), words(program.fd));
  }

  setEvent(index: number, event: PerfEvent): void {
    assert(event instanceof LinuxPerfEvent, 'events of two kernels do not mix');
    this.update(words(index), words(event.fd));
  }

  delete(key: Uint8Array): void {
    this.#system.scratch((scratch) =>
      this.#element(BPF_MAP_DELETE_ELEM, 'BPF_MAP_DELETE_ELEM', scratch.put(key), 0),
    );
  }

  #element(command: number, name: string, key: number, value: number, flags = 0): void {
    this.#bpf.call(command, `bpf(${name})`, (attr) => {
      attr.setInt32(0, this.#fd, true);
      attr.setBigUint64(8, BigInt(key), true);
      attr.setBigUint64(16, BigInt(value), true);
      attr.setBigUint64(24, BigInt(flags), true);
    });
  }

  takeRecords(): Uint8Array[] {
    assert(this.#request.type === BPF_MAP_TYPE_RINGBUF, 'a ring has records');
    this.#ring ??= new BpfRing(this.#system, this.#fd, this.#request.maxEntries);
    return this.#ring.take();
  }

  close(): void {
    this.#ring?.close();
    this.#ring = undefined;
    if (this.#fd >= 0) this.#system.ffi.close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** One u32 as the kernel reads it. */
function words(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

/** A program's fd. */
export class LinuxBpfProgram implements BpfProgram {
  readonly #system: System;
  #fd: number;

  constructor(system: System, fd: number) {
    this.#system = system;
    this.#fd = fd;
  }

  /** The file descriptor; -1 when closed. */
  get fd(): number {
    return this.#fd;
  }

  attach(event: PerfEvent): void {
    assert(event instanceof LinuxPerfEvent, 'events of two kernels do not mix');
    event.setBpf(this.#fd);
  }

  close(): void {
    if (this.#fd >= 0) this.#system.ffi.close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
