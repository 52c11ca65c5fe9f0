import { isKernelError } from '../../base/kernel-error.ts';
import type { PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { PERF_EVENT_IOC_ID } from '../../uapi/perf-event-ioctl.ts';
import { toInteger } from '../integer.ts';
import type { Awaitable, Lab, LabStop, TaskOutcome } from '../lab.ts';
import { nameAddress, StepError } from '../values.ts';

/** What a step gave, by the field names of docs/spec/09. `errno` is 0 or a name. */
export type StepResult = Readonly<Record<string, unknown>>;

/** Keys of a step, checked against the format. */
export type StepKeys = Readonly<Record<string, unknown>>;

/** Does a step of one kind. A refusal of the kernel is thrown as `KernelError`, one that makes no sense as `StepError`. */
export type StepHandler = (keys: StepKeys) => Awaitable<StepResult>;

/** The handlers of some steps, by the name of the step. */
export type StepHandlers = Readonly<Record<string, StepHandler>>;

/** An event that a scenario opened. */
export interface OpenEvent {
  readonly fd: number;
  readonly attr: PerfEventAttr | undefined;
}

/** The result of a step that has nothing to tell. */
export const done: StepResult = { errno: 0 };

/** The longest access in bytes: a data page. */
const lengthBytesMax = 4096;
const timesMax = 10_000_000;

/** Goes on with a value that may come later. */
export function after<T, U>(value: Awaitable<T>, next: (value: T) => U): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** The task of a step on a tracee. */
export function traceable(keys: StepKeys): string {
  if (keys.task === 'self') throw new StepError('the runner does not trace itself');
  return String(keys.task);
}

/** Eight bytes that hold `value`, as an argument that is passed by pointer. */
export function pointerTo(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
  return bytes;
}

/** What the steps of one scenario share: its lab, and the names that they gave. */
export class StepContext {
  readonly lab: Lab;
  readonly events: Map<string, OpenEvent> = new Map();
  /** fds of bpf programs, by the names that the scenario gave them. */
  readonly programs: Map<string, number> = new Map();
  /** Names of the tasks, in the order they were made. */
  readonly tasks: string[] = [];

  constructor(lab: Lab) {
    this.lab = lab;
  }

  number(keys: StepKeys, key: string, fallback: number): number {
    const value = toInteger(keys[key]);
    return value === undefined ? fallback : Number(value);
  }

  /** Bytes of an access, 1 to 4096. */
  length(keys: StepKeys): number {
    const length = this.number(keys, 'len', 8);
    if (!(length >= 1 && length <= lengthBytesMax))
      throw new StepError(`"len" is 1 to ${lengthBytesMax}, not ${String(keys.len)}`);
    return length;
  }

  /** How often an access is made, 0 to 10,000,000. */
  times(keys: StepKeys): number {
    const times = this.number(keys, 'times', 1);
    if (!(times >= 0 && times <= timesMax))
      throw new StepError(`"times" is 0 to ${timesMax}, not ${String(keys.times)}`);
    return times;
  }

  /** The fd of an event; one that was refused has the number of an fd that was never there. */
  fd(name: unknown): number {
    return this.events.get(String(name))?.fd ?? this.lab.closedFd();
  }

  tid(name: string): number {
    // A tid of nobody, for a task that was never made.
    return name === 'nobody' ? 0x3fff_ffff : this.lab.tasks.tid(name);
  }

  /** Numbers of tasks differ from kernel to kernel: they are told as the name of the task; 0 as 0. */
  tidName(tid: number): string | 0 {
    if (tid === 0) return 0;
    for (const name of [...this.tasks, 'self']) if (this.lab.tasks.tid(name) === tid) return name;
    return 'other';
  }

  /** What came of something that a task did: its signals, what it died of, how it stopped if its tracer holds it. */
  acted(task: string, { signals, total, died }: TaskOutcome): StepResult {
    const stop = this.lab.ptrace?.stopped(task);
    return {
      errno: 0,
      ...(stop === undefined ? {} : { stop: stop === null ? null : this.#stopFields(stop) }),
      signals: signals.map(({ fd, ...signal }) => ({
        ...signal,
        addr: nameAddress(this.lab, this.tasks, signal.addr),
        ...(fd === undefined ? {} : { fd: this.fdName(fd) }),
      })),
      ...(total > signals.length ? { signalCount: total } : {}),
      ...(died === undefined ? {} : { died }),
    };
  }

  #stopFields({ signal, code, at, ip }: LabStop): StepResult {
    const name = (address: bigint): string => nameAddress(this.lab, this.tasks, address);
    return { signal, code, at: name(at), ip: name(ip) };
  }

  /** Numbers of fds differ from kernel to kernel: they are told as the name of the event. */
  fdName(fd: number): string {
    for (const [name, event] of this.events) if (event.fd === fd) return name;
    return 'unknown';
  }

  /** Ids differ from kernel to kernel: they are told as the name of the event. */
  idName(id: bigint): string {
    for (const [name, { fd }] of this.events) {
      const bytes = pointerTo(0n);
      try {
        this.lab.calls.ioctl(fd, PERF_EVENT_IOC_ID, bytes);
      } catch (error) {
        if (isKernelError(error)) continue;
        throw error;
      }
      if (new DataView(bytes.buffer).getBigUint64(0, true) === id) return name;
    }
    return 'unknown';
  }
}
