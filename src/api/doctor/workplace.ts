import { KernelError } from '../../base/kernel-error.ts';
import type { System } from '../../linux/system.ts';
import type { Events, EventTarget, PerfEvent } from '../../surface/events.ts';
import {
  HW_BREAKPOINT_R,
  HW_BREAKPOINT_RW,
  HW_BREAKPOINT_W,
  HW_BREAKPOINT_X,
  PERF_TYPE_BREAKPOINT,
  type PerfEventAttr,
} from '../../uapi/perf-event-attr.ts';
import type { Stage } from './explain.ts';

/** The calling thread, on any CPU. */
export const thisThread: EventTarget = { pid: 0, cpu: -1 };

/** A call that the kernel refused, with the stage it belongs to. */
export class StagedRefusal extends Error {
  readonly stage: Stage;
  readonly refusal: KernelError;

  constructor(stage: Stage, refusal: KernelError) {
    super(refusal.message);
    this.stage = stage;
    this.refusal = refusal;
  }
}

/** Runs `call`; a refusal of it is marked with `stage`. */
export function atStage<Result>(stage: Stage, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw error instanceof KernelError ? new StagedRefusal(stage, error) : error;
  }
}

const bpTypes = { r: HW_BREAKPOINT_R, w: HW_BREAKPOINT_W, rw: HW_BREAKPOINT_RW, x: HW_BREAKPOINT_X } as const;

/** What to watch, and in which mode of the CPU. */
export interface Probe {
  readonly access: 'r' | 'w' | 'rw' | 'x';
  readonly address: bigint;
  readonly lenBytes: number;
  readonly mode: 'user' | 'kernel';
}

/** The attr that counts the hits of `probe`. */
export function probeAttr(probe: Probe): PerfEventAttr {
  return {
    type: PERF_TYPE_BREAKPOINT,
    bpType: bpTypes[probe.access],
    bpAddr: probe.address,
    bpLen: BigInt(probe.lenBytes),
    excludeKernel: probe.mode === 'user',
    excludeUser: probe.mode === 'kernel',
  };
}

/** Opens an event that {@link withEvents} closes. */
export type OpenEvent = (attr: PerfEventAttr, target?: EventTarget) => PerfEvent;

/** Runs `use`; whatever it opened is closed when it has returned, thrown or settled. */
export function withEvents<Result>(events: Events, use: (open: OpenEvent) => Result): Result {
  const opened: PerfEvent[] = [];
  const closeAll = (): void => {
    for (const event of opened.splice(0)) event.close();
  };
  const open: OpenEvent = (attr, target = thisThread) => {
    const event = atStage('open', () => events.open(attr, target));
    opened.push(event);
    return event;
  };
  let result: Result;
  try {
    result = use(open);
  } catch (error) {
    closeAll();
    throw error;
  }
  if (result instanceof Promise) {
    // `finally` settles as the promise does, so the type stays the same.
    return result.finally(closeAll) as Result;
  }
  closeAll();
  return result;
}

/** Bytes of the memory that is watched: one page. */
const memoryBytes = 4096;

/** One page of this process that nothing else touches, to be watched. */
export class ProbeMemory {
  readonly words: Int32Array;
  readonly #system: System;
  #address: number;

  constructor(system: System) {
    const { address, buffer } = system.map(memoryBytes);
    this.#system = system;
    this.#address = address;
    this.words = new Int32Array(buffer);
    // Once through the code that will be counted, so that its caches are filled and every access is one instruction.
    storeWord(this.words, lastWord, 16);
    loadWord(this.words, lastWord, 16);
  }

  /** Address of word `index`. */
  addressOf(index: number): bigint {
    return BigInt(this.#address) + BigInt(4 * index);
  }

  /** Unmaps it; the words must not be touched afterwards. */
  close(): void {
    if (this.#address !== 0) this.#system.ffi.munmap(this.#address, memoryBytes);
    this.#address = 0;
  }
}

const lastWord = memoryBytes / 4 - 1;

/** Stores to one word, `times` times. */
export function storeWord(words: Int32Array, index: number, times: number): void {
  for (let i = 0; i < times; i++) words[index] = i;
}

/** Loads one word, `times` times; the sum, so that no load can be left out. */
export function loadWord(words: Int32Array, index: number, times: number): number {
  let sum = 0;
  for (let i = 0; i < times; i++) sum += words[index] ?? 0;
  return sum;
}

/** A pipe of this process, for a system call that writes to memory. */
export class ProbePipe {
  readonly #system: System;
  #readFd: number;
  #writeFd: number;

  constructor(system: System) {
    this.#system = system;
    [this.#readFd, this.#writeFd] = system.scratch((scratch) => {
      const fds = scratch.alloc(8);
      system.check(system.ffi.pipe(fds.address), 'pipe()');
      return [fds.view.getInt32(0, true), fds.view.getInt32(4, true)];
    });
  }

  /** Puts `lengthBytes` zeros into the pipe. */
  write(lengthBytes: number): void {
    this.#system.scratch((scratch) => {
      const bytes = scratch.alloc(lengthBytes);
      this.#system.check(this.#system.ffi.write(this.#writeFd, bytes.address, lengthBytes), 'write(pipe)');
    });
  }

  /** read(2) of bytes that are in the pipe, to `address`. */
  readTo(address: bigint, lengthBytes: number): void {
    this.#system.check(this.#system.ffi.read(this.#readFd, Number(address), lengthBytes), 'read(pipe)');
  }

  close(): void {
    if (this.#readFd < 0) return;
    this.#system.ffi.close(this.#readFd);
    this.#system.ffi.close(this.#writeFd);
    this.#readFd = -1;
    this.#writeFd = -1;
  }
}
