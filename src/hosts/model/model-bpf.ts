import { assert } from '../../base/assert.ts';
import { failure } from '../../kernel/perf/failure.ts';
import type { ModelPerfCalls } from '../../kernel/perf/perf-calls.ts';
import type { Bpf, BpfMap, BpfMapRequest, BpfProgram, BpfProgramRequest } from '../../surface/bpf.ts';
import type { PerfEvent } from '../../surface/events.ts';
import { BPF_INSN_BYTES, BPF_PROG_TYPE_PERF_EVENT } from '../../uapi/bpf.ts';
import { PERF_EVENT_IOC_SET_BPF } from '../../uapi/perf-event-ioctl.ts';

/** bpf(2) of a model, by objects. */
export class ModelBpf implements Bpf {
  readonly #calls: ModelPerfCalls;
  readonly #fdOf: (event: PerfEvent) => number;

  /** @param fdOf the fd of an event of this surface. */
  constructor(calls: ModelPerfCalls, fdOf: (event: PerfEvent) => number) {
    this.#calls = calls;
    this.#fdOf = fdOf;
  }

  createMap(request: BpfMapRequest): BpfMap {
    return new ModelBpfMap(this.#calls, this.#calls.bpf.createMap(request));
  }

  load(request: BpfProgramRequest): BpfProgram {
    const bytes = request.bytes.slice();
    const view = new DataView(bytes.buffer);
    for (const [name, uses] of request.maps ?? []) {
      const map = request.mapOf?.[name];
      assert(map instanceof ModelBpfMap, `map ${name} is one of this model`);
      for (const at of uses) view.setInt32(at * BPF_INSN_BYTES + 4, map.fd, true);
    }
    const fd = this.#calls.bpf.loadProgram(request.type ?? BPF_PROG_TYPE_PERF_EVENT, bytes);
    return new ModelBpfProgram(this.#calls, fd, this.#fdOf);
  }
}

/** An fd of a model's bpf. */
class ModelBpfFile {
  readonly calls: ModelPerfCalls;
  #fd: number;

  constructor(calls: ModelPerfCalls, fd: number) {
    this.calls = calls;
    this.#fd = fd;
  }

  /** -1 when closed, so that every call on it answers EBADF. */
  get fd(): number {
    return this.#fd;
  }

  close(): void {
    if (this.#fd >= 0) this.calls.close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class ModelBpfMap extends ModelBpfFile implements BpfMap {
  lookup(key: Uint8Array): Uint8Array {
    return this.calls.bpf.map(this.fd).lookup(key);
  }

  update(key: Uint8Array, value: Uint8Array, flags = 0): void {
    this.calls.bpf.map(this.fd).update(key, value, flags);
  }

  delete(key: Uint8Array): void {
    this.calls.bpf.map(this.fd).delete(key);
  }

  /** The model has no arrays of programs: creating one is EINVAL. */
  setProgram(): never {
    throw failure('EINVAL', 'no array of programs', 'bpf');
  }

  /** The model has no arrays of events: creating one is EINVAL. */
  setEvent(): never {
    throw failure('EINVAL', 'no array of events', 'bpf');
  }

  takeRecords(): Uint8Array[] {
    return this.calls.bpf.map(this.fd).takeRecords();
  }
}

class ModelBpfProgram extends ModelBpfFile implements BpfProgram {
  readonly #fdOf: (event: PerfEvent) => number;

  constructor(calls: ModelPerfCalls, fd: number, fdOf: (event: PerfEvent) => number) {
    super(calls, fd);
    this.#fdOf = fdOf;
  }

  attach(event: PerfEvent): void {
    this.calls.ioctl(this.#fdOf(event), PERF_EVENT_IOC_SET_BPF, this.fd);
  }
}
