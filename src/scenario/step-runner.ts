import { isKernelError } from '../base/kernel-error.ts';
import {
  PERF_FORMAT_GROUP,
  PERF_FORMAT_ID,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  type PerfEventAttr,
} from '../uapi/perf-event-attr.ts';
import {
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
  PERF_EVENT_IOC_PERIOD,
} from '../uapi/perf-event-ioctl.ts';
import type { ScenarioStep } from './format.ts';
import { toInteger } from './integer.ts';
import type { Awaitable, Lab, LabMachine, LabSignal, TaskAction } from './lab.ts';
import { attrBytes, attrOf, ioctlRequest, nameAddress, resolveAddress, StepError } from './values.ts';

/** What a step gave, by the field names of docs/spec/09. `errno` is 0 or a name. */
export type StepResult = Readonly<Record<string, unknown>>;

interface OpenEvent {
  readonly fd: number;
  readonly attr: PerfEventAttr | undefined;
}

const done: StepResult = { errno: 0 };
/** Room for the record of a group of any size that fits. */
const readBytesDefault = 16 * 1024;

/** The longest access in bytes: a data page. */
const lengthBytesMax = 4096;
const timesMax = 10_000_000;

/** Goes on with a value that may come later. */
function after<T, U>(value: Awaitable<T>, next: (value: T) => U): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}

function pointerTo(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
  return bytes;
}

function isSymbol(value: unknown): boolean {
  return typeof value === 'string' && value.startsWith('sym:');
}

function bpAddrOf(attr: unknown): unknown {
  return typeof attr === 'object' && attr !== null && 'bpAddr' in attr ? attr.bpAddr : undefined;
}

type Keys = Readonly<Record<string, unknown>>;
type Handler = (keys: Keys) => Awaitable<StepResult>;

/** Executes the steps of one scenario in one lab. */
export class StepRunner {
  readonly #lab: Lab;
  readonly #events: Map<string, OpenEvent> = new Map();
  readonly #tasks: string[] = [];
  readonly #handlers: Readonly<Record<string, Handler>>;

  constructor(lab: Lab) {
    this.#lab = lab;
    this.#handlers = {
      ...this.#taskHandlers(),
      ...this.#eventHandlers(),
      ...(lab.used === undefined ? {} : { used: () => ({ errno: 0, used: lab.used?.() }) }),
      ...(lab.machine === undefined ? {} : this.#machineHandlers(lab.machine)),
    };
  }

  /** Why the lab cannot do a step; `undefined`: it can. */
  lacks(step: ScenarioStep): string | undefined {
    const lacking = this.#lab.lacks?.(step);
    if (lacking !== undefined) return lacking;
    if (!Object.hasOwn(this.#handlers, step.step)) return `${this.#lab.kernel} cannot do "${step.step}"`;
    const symbol = Object.values(step.keys).some(isSymbol) || isSymbol(bpAddrOf(step.keys.attr));
    if (symbol && this.#lab.machine === undefined) return `${this.#lab.kernel} resolves no kernel symbols`;
    const inner = step.step === 'nmi' ? [step.keys.in, ...(step.keys.do as unknown[])] : [];
    for (const each of inner as ScenarioStep[]) {
      const reason = this.lacks(each); // the parser has made steps of them
      if (reason !== undefined) return reason;
    }
    return undefined;
  }

  /** Does a step. A refusal of the kernel is a result; throws {@link StepError} for a step that makes no sense. */
  execute(step: ScenarioStep): Awaitable<StepResult> {
    const refused = (error: unknown): StepResult => {
      if (isKernelError(error)) return { errno: error.code };
      throw error;
    };
    try {
      const handler = this.#handlers[step.step];
      if (handler === undefined) throw new StepError(`${this.#lab.kernel} cannot do "${step.step}"`);
      const result = handler(step.keys);
      return result instanceof Promise ? result.catch(refused) : result;
    } catch (error) {
      return refused(error);
    }
  }

  // --- values ------------------------------------------------------------------------------------------------------

  #number(keys: Keys, key: string, fallback: number): number {
    const value = toInteger(keys[key]);
    return value === undefined ? fallback : Number(value);
  }

  #length(keys: Keys): number {
    const length = this.#number(keys, 'len', 8);
    if (!(length >= 1 && length <= lengthBytesMax))
      throw new StepError(`"len" is 1 to ${lengthBytesMax}, not ${String(keys.len)}`);
    return length;
  }

  #times(keys: Keys): number {
    const times = this.#number(keys, 'times', 1);
    if (!(times >= 0 && times <= timesMax))
      throw new StepError(`"times" is 0 to ${timesMax}, not ${String(keys.times)}`);
    return times;
  }

  #fd(name: unknown): number {
    const event = this.#events.get(String(name));
    // Its open was refused: the same as an fd that was never there.
    return event === undefined ? this.#lab.closedFd() : event.fd;
  }

  #signals(signals: readonly LabSignal[]): StepResult {
    return {
      errno: 0,
      signals: signals.map((signal) => ({
        ...signal,
        addr: nameAddress(this.#lab, this.#tasks, signal.addr),
      })),
    };
  }

  // --- steps -------------------------------------------------------------------------------------------------------

  #taskHandlers(): Record<string, Handler> {
    const lab = this.#lab;
    const { tasks } = lab;
    const finished = (value: Awaitable<void>): Awaitable<StepResult> => after(value, () => done);
    const named = (name: string, value: Awaitable<void>): Awaitable<StepResult> =>
      after(value, () => {
        this.#tasks.push(name);
        return done;
      });
    const act = (keys: Keys, action: TaskAction): Awaitable<StepResult> =>
      after(tasks.act(String(keys.task), action), (signals) => this.#signals(signals));
    const access = (type: 'store' | 'load' | 'rmw') => (keys: Keys) =>
      act(keys, {
        type,
        at: resolveAddress(lab, String(keys.at)),
        lenBytes: this.#length(keys),
        times: this.#times(keys),
        value: toInteger(keys.value) ?? 1n,
      });
    return {
      spawn: (keys) =>
        named(
          String(keys.task),
          tasks.spawn(String(keys.task), keys.cpu === undefined ? {} : { cpu: this.#number(keys, 'cpu', 0) }),
        ),
      thread: (keys) => named(String(keys.as), tasks.thread(String(keys.task), String(keys.as))),
      fork: (keys) => named(String(keys.as), tasks.fork(String(keys.task), String(keys.as))),
      exec: (keys) => finished(tasks.exec(String(keys.task))),
      exit: (keys) => finished(tasks.exit(String(keys.task))),
      credentials: (keys) => {
        const caps = Array.isArray(keys.caps) ? keys.caps.map(String) : [];
        const drop = keys.restore === true ? undefined : { user: String(keys.user ?? 'nobody'), caps };
        return finished(tasks.credentials(String(keys.task), drop));
      },
      reschedule: (keys) => finished(tasks.reschedule(String(keys.task))),
      migrate: (keys) => finished(tasks.migrate(String(keys.task), this.#number(keys, 'cpu', 0))),
      store: access('store'),
      load: access('load'),
      rmw: access('rmw'),
      storeTwo: (keys) =>
        act(keys, {
          type: 'storeTwo',
          at: resolveAddress(lab, String(keys.at)),
          at2: resolveAddress(lab, String(keys.at2)),
          lenBytes: this.#length(keys),
          times: this.#times(keys),
          value: toInteger(keys.value) ?? 1n,
        }),
      call: (keys) =>
        act(keys, {
          type: 'call',
          at: resolveAddress(lab, String(keys.at)),
          times: this.#times(keys),
        }),
      trap: (keys) => {
        if (keys.kind !== 'icebp' && keys.kind !== 'int3') throw new StepError('"kind" is "icebp" or "int3"');
        return act(keys, { type: 'trap', kind: keys.kind });
      },
      syscallWrite: (keys) =>
        act(keys, {
          type: 'syscallWrite',
          at: resolveAddress(lab, String(keys.at)),
          lenBytes: this.#length(keys),
        }),
    };
  }

  #eventHandlers(): Record<string, Handler> {
    const lab = this.#lab;
    const { calls } = lab;
    return {
      open: (keys) => this.#open(keys),
      modify: (keys) => {
        calls.ioctl(this.#fd(keys.event), PERF_EVENT_IOC_MODIFY_ATTRIBUTES, attrBytes(lab, keys.attr));
        return done;
      },
      ioctl: (keys) => this.#ioctl(keys),
      read: (keys) => this.#read(keys),
      poll: (keys) => ({ errno: 0, revents: calls.poll(this.#fd(keys.event)) }),
      close: (keys) => {
        const name = String(keys.event);
        const fd = this.#fd(name);
        this.#events.delete(name);
        calls.close(fd);
        return done;
      },
    };
  }

  #open(keys: Keys): StepResult {
    const lab = this.#lab;
    const { task } = keys;
    const pid = task === null || task === undefined ? -1 : task === 'self' ? 0 : this.#tid(String(task));
    const { group } = keys;
    const groupFd =
      group === undefined
        ? -1
        : group === 'file'
          ? lab.fileFd()
          : group === 'none'
            ? lab.closedFd()
            : this.#fd(group);
    const bytes = attrBytes(lab, keys.attr);
    try {
      const fd = lab.calls.perfEventOpen({
        attr: bytes,
        pid,
        cpu: this.#number(keys, 'cpu', -1),
        groupFd,
        flags: this.#number(keys, 'flags', 0),
      });
      const fields =
        typeof keys.attr === 'object' && keys.attr !== null ? attrOf(lab, keys.attr as Keys) : undefined; // checked by the parser
      this.#events.set(String(keys.as), { fd, attr: fields });
      return done;
    } catch (error) {
      if (!isKernelError(error, 'E2BIG') || bytes === 'bad') throw error;
      // The kernel tells the size that it knows.
      return { errno: error.code, size: new DataView(bytes.buffer).getUint32(4, true) };
    }
  }

  #tid(name: string): number {
    // A tid of nobody, for a task that was never made.
    return name === 'nobody' ? 0x3fff_ffff : this.#lab.tasks.tid(name);
  }

  #ioctl(keys: Keys): StepResult {
    const { calls } = this.#lab;
    const request = ioctlRequest(keys.request);
    const fd = this.#fd(keys.event);
    const { arg } = keys;
    if (arg === 'bad') calls.ioctl(fd, request, 'bad');
    else if (request === PERF_EVENT_IOC_PERIOD) calls.ioctl(fd, request, pointerTo(toInteger(arg) ?? 0n));
    else if (request === PERF_EVENT_IOC_ID) {
      const bytes = pointerTo(0n);
      calls.ioctl(fd, request, bytes);
      return { errno: 0, id: this.#idName(new DataView(bytes.buffer).getBigUint64(0, true)) };
    } else if (typeof arg === 'string' && this.#events.has(arg)) calls.ioctl(fd, request, this.#fd(arg));
    else calls.ioctl(fd, request, Number(toInteger(arg) ?? 0n));
    return done;
  }

  /** Ids differ from kernel to kernel: they are told as the name of the event. */
  #idName(id: bigint): string {
    for (const [name, { fd }] of this.#events) {
      const bytes = pointerTo(0n);
      try {
        this.#lab.calls.ioctl(fd, PERF_EVENT_IOC_ID, bytes);
      } catch (error) {
        if (isKernelError(error)) continue;
        throw error;
      }
      if (new DataView(bytes.buffer).getBigUint64(0, true) === id) return name;
    }
    return 'unknown';
  }

  #read(keys: Keys): StepResult {
    const event = this.#events.get(String(keys.event));
    const bytes = this.#lab.calls.read(this.#fd(keys.event), this.#number(keys, 'bytes', readBytesDefault));
    const format = event?.attr?.readFormat ?? 0;
    if (bytes.length === 0) return { errno: 0, bytes: 0 };
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    const next = (): bigint => {
      const word = view.getBigUint64(at, true);
      at += 8;
      return word;
    };
    const has = (bit: number): boolean => (format & bit) !== 0;
    const result: Record<string, unknown> = { errno: 0, bytes: bytes.length };
    const times = (): void => {
      if (has(PERF_FORMAT_TOTAL_TIME_ENABLED)) result.timeEnabled = next();
      if (has(PERF_FORMAT_TOTAL_TIME_RUNNING)) result.timeRunning = next();
    };
    if (has(PERF_FORMAT_GROUP)) {
      const members = Number(next());
      times();
      result.nr = members;
      result.members = Array.from({ length: members }, () => ({
        value: next(),
        ...(has(PERF_FORMAT_ID) ? { id: this.#idName(next()) } : {}),
        ...(has(PERF_FORMAT_LOST) ? { lost: next() } : {}),
      }));
      return result;
    }
    result.value = next();
    times();
    if (has(PERF_FORMAT_ID)) result.id = this.#idName(next());
    if (has(PERF_FORMAT_LOST)) result.lost = next();
    return result;
  }

  #machineHandlers(machine: LabMachine): Record<string, Handler> {
    const lab = this.#lab;
    const wide: Set<string> = new Set();
    return {
      registers: (keys) => ({ errno: 0, ...machine.registers(this.#number(keys, 'cpu', 0)) }),
      registerWide: (keys) => {
        const name = String(keys.as);
        const cpus = keys.cpus as readonly number[] | undefined; // checked by the parser
        machine.registerWide(name, attrOf(lab, keys.attr as Keys), cpus); // likewise
        wide.add(name);
        return done;
      },
      unregisterWide: (keys) => {
        const name = String(keys.event);
        if (!wide.has(name)) return { errno: 0, hits: 0 };
        const hits = machine.wideHits(name);
        machine.unregisterWide(name);
        return { errno: 0, hits };
      },
      cpuOffline: (keys) => {
        machine.cpuOffline(this.#number(keys, 'cpu', 0));
        return done;
      },
      cpuOnline: (keys) => {
        machine.cpuOnline(this.#number(keys, 'cpu', 0));
        return done;
      },
      kernelAccess: (keys) => {
        const at = resolveAddress(lab, String(keys.at));
        const times = this.#times(keys);
        for (let i = 0; i < times; i++)
          machine.kernelAccess(this.#number(keys, 'cpu', 0), {
            at,
            lenBytes: this.#length(keys),
            store: keys.store !== false,
          });
        return done;
      },
      nmi: (keys) => this.#nmi(machine, keys),
    };
  }

  #nmi(machine: LabMachine, keys: Keys): StepResult {
    const inside: StepResult[] = [];
    let interrupted: StepResult = done;
    const now = (step: ScenarioStep): StepResult => {
      const result = this.execute(step);
      if (result instanceof Promise) throw new StepError(`"${step.step}" takes time, and an NMI has none`);
      return result;
    };
    const taken = machine.withNmi(
      this.#number(keys, 'at', 1),
      () => {
        for (const step of keys.do as readonly ScenarioStep[]) inside.push(now(step)); // made by the parser
      },
      () => {
        interrupted = now(keys.in as ScenarioStep); // made by the parser
      },
    );
    return { errno: 0, taken, in: interrupted, do: inside };
  }
}
