import type { PerfEvent } from './events.ts';

/** What makes a map. */
export interface BpfMapRequest {
  /** `BPF_MAP_TYPE_…`. */
  readonly type: number;
  /** 0 for a ring. */
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** Entries at most; of a ring the bytes of its data: a power of two, at least a page. */
  readonly maxEntries: number;
}

/** A map that programs and this process share. Every call throws `KernelError` with Linux's errno. */
export interface BpfMap {
  /**
   * A copy of the value; of a per-CPU array the values of all possible CPUs, each rounded up to 8 bytes. ENOENT: no such
   * key.
   */
  lookup(key: Uint8Array): Uint8Array;
  /** `flags`: BPF_ANY, BPF_NOEXIST (EEXIST), BPF_EXIST (ENOENT). E2BIG: no such index, or the map is full. */
  update(key: Uint8Array, value: Uint8Array, flags?: number): void;
  /** Puts an event into an array of events. E2BIG: no such index; EINVAL: an event that a program cannot write to. */
  setEvent(index: number, event: PerfEvent): void;
  /** Puts a program into an array of programs, which keeps it. E2BIG: no such index. */
  setProgram(index: number, program: BpfProgram): void;
  /** ENOENT: no such key; EINVAL: of an array. */
  delete(key: Uint8Array): void;
  /** Takes the records of a ring, oldest first, as far as they are complete. Only for a ring. */
  takeRecords(): Uint8Array[];
  /** May be called twice; a closed map answers EBADF. Programs that use it keep it. */
  close(): void;
  [Symbol.dispose](): void;
}

/** A program that is not loaded yet. */
export interface BpfProgramRequest {
  /** `BPF_PROG_TYPE_…`; default that of perf events. */
  readonly type?: number;
  /** Instructions of 8 bytes. */
  readonly bytes: Uint8Array;
  /** By name: indices of the instructions that load the map, and the map. */
  readonly maps?: ReadonlyMap<string, readonly number[]>;
  readonly mapOf?: Readonly<Record<string, BpfMap>>;
}

/** A program that is loaded. */
export interface BpfProgram {
  /**
   * PERF_EVENT_IOC_SET_BPF: from now on it sees every overflow of `event`, and drops the sample by returning 0. Copies
   * that were inherited before do not get it. EEXIST: the event has one; EINVAL: a program of another type; EBADF.
   */
  attach(event: PerfEvent): void;
  /** May be called twice. Events that it is attached to keep it. */
  close(): void;
  [Symbol.dispose](): void;
}

/** bpf(2). Every call throws `KernelError` with Linux's errno. */
export interface Bpf {
  createMap(request: BpfMapRequest): BpfMap;
  /** The hint of a refusal ends with what the kernel's verifier said last. EPERM: not allowed here. */
  load(request: BpfProgramRequest): BpfProgram;
}
