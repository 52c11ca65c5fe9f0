import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { highWord, lowWord } from '../../base/pair.ts';
import type { Capability } from '../../machine/task.ts';
import type { Operation } from '../../machines/sim/operation.ts';
import { rootCredentials } from '../../machines/sim/sim-machine.ts';
import type { SignalHandler } from '../../machines/sim/sim-process.ts';
import type { SimTask } from '../../machines/sim/sim-task.ts';
import {
  type LabSignal,
  type LabTasks,
  type SignalChange,
  type TaskAction,
  type TaskOutcome,
  type TaskPlace,
  toldSignalsMax,
} from '../../scenario/lab.ts';
import { StepError } from '../../scenario/values.ts';
import { SIGIO, SIGTRAP, SIGUSR1 } from '../../uapi/signal.ts';
import type { ModelHost } from './model-host.ts';
import { actOperations, type TracedActs } from './traced-acts.ts';

/** What remains of a task whose tid went to the thread that executed. */
const nobodyTid = 0x3fff_ffff;
/** The uid of "nobody". */
const nobodyUid = 65534;
/** Where the n-th spawned process has its code and data: apart, so that no address means two things. */
const processBase = 0x5555_0000_0000n;
const processStride = 0x1000_0000n;
const dataOffset = 0x10_0000n;
const codeStride = 16n;
const accessOffset = 0x8000n;
const rmwOffset = 0x8800n;
const handlerOffset = 0x9000n;
/** The width that the instruction at `rmw` has. */
const rmwBytes = 8;
/** Signals that tasks have handlers for, each its own. */
const handledSignals: readonly number[] = [SIGTRAP, SIGUSR1, SIGIO];
const capabilities: readonly Capability[] = ['SYS_ADMIN', 'PERFMON', 'SYS_PTRACE', 'KILL', 'IPC_LOCK', 'BPF'];

interface LabTask {
  readonly task: SimTask;
  readonly base: bigint;
  /** Signals of it that were told. */
  told: number;
  /** It executed a program as somebody else than root, which takes all capabilities away. */
  lost: boolean;
}

/** A handler whose instructions stand at its own place. */
function handlerOf(signal: number, base: bigint): SignalHandler {
  const execute: Operation = { type: 'execute', ip: base + handlerOffset + BigInt(signal) * codeStride };
  return () => [execute];
}

/** Tasks of a model's scenario. */
export class ModelLabTasks implements LabTasks {
  readonly #host: ModelHost;
  readonly #acts: TracedActs;
  readonly #tasks: Map<string, LabTask> = new Map();
  /** Ended ones whose tid may be another's, since a thread of their process executed. */
  readonly #replaced: Set<SimTask> = new Set();
  #processes = 0n;

  constructor(host: ModelHost, acts: TracedActs) {
    this.#host = host;
    this.#acts = acts;
    this.#tasks.set('self', { task: host.self, base: this.#newBase(), told: 0, lost: false });
  }

  #newBase(): bigint {
    return processBase + processStride * this.#processes++;
  }

  #get(name: string): LabTask {
    const found = this.#tasks.get(name);
    if (found === undefined)
      throw new StepError(`there is no task "${name}": the step that makes it was refused`);
    return found;
  }

  /** The kernel's task of a name. */
  task(name: string): SimTask {
    return this.#get(name).task;
  }

  /** A task that can act. A task that ended is as good as none. */
  #living(name: string): LabTask {
    if (this.#host.stands) throw new StepError('the machine stands in the kernel debugger');
    const found = this.#get(name);
    if (!found.task.alive) throw new KernelError({ errno: errnoValues.ESRCH, operation: `task "${name}"` });
    this.#acts.checkIdle(found.task);
    return found;
  }

  spawn(name: string, options: { readonly cpu?: number }): void {
    if (options.cpu !== undefined) this.#checkOnline(options.cpu);
    const base = this.#newBase();
    const task = this.#host.machine.spawn({
      name,
      ip: base,
      parentPid: this.#host.self.pid,
      ...options,
    });
    this.#tasks.set(name, { task, base, told: 0, lost: false });
    this.#setUp(task, base);
  }

  thread(name: string, as: string): void {
    this.#clone(name, as, true);
  }

  fork(name: string, as: string, options?: { readonly clearHandlers: boolean }): void {
    this.#clone(name, as, false, options);
  }

  #clone(name: string, as: string, thread: boolean, options?: { readonly clearHandlers: boolean }): void {
    const { task, base, lost } = this.#living(name);
    this.#acts.letRun(task, () => {
      const child = this.#host.machine.clone(task, { thread, keepParent: true, ...options });
      this.#tasks.set(as, { task: child, base, told: 0, lost });
    });
  }

  /** The fresh image sets itself up as the first one did. */
  exec(name: string): void {
    const entry = this.#living(name);
    const { task, base } = entry;
    this.#acts.letGo(task, () => {
      // It is the task that executes: it is on its CPU.
      this.#acts.letRun(task, () => {
        this.#host.machine.switchTo(task.home, task);
        this.#host.machine.exec(task);
        // What came meanwhile finds the fresh image, before that has handlers.
        this.#host.machine.deliverSignals(task);
      });
      if (!task.alive) return;
      for (const other of this.#tasks.values())
        if (other.task !== task && other.task.pid === task.pid) this.#replaced.add(other.task);
      if (task.credentials.uid !== 0) {
        task.credentials = { ...task.credentials, capabilities: new Set() };
        entry.lost = true;
      }
      this.#setUp(task, base);
    });
  }

  /** Handlers for every signal of a scenario, and no mask: what a task's program begins with. */
  #setUp(task: SimTask, base: bigint): void {
    for (const signal of handledSignals) this.#host.machine.onSignal(task, signal, handlerOf(signal, base));
    task.blocked = new Set();
    this.#host.machine.wake(task);
  }

  exit(name: string): void {
    this.#host.machine.exit(this.#living(name).task);
  }

  credentials(
    name: string,
    drop: { readonly user: string; readonly caps: readonly string[] } | undefined,
  ): void {
    const entry = name === 'self' ? this.#get(name) : this.#living(name);
    const { task } = entry;
    if (drop === undefined) {
      // Whoever executed as somebody else has no way back.
      if (task.credentials.uid !== 0 && entry.lost)
        throw new KernelError({ errno: errnoValues.EPERM, operation: 'back to root' });
      task.credentials = rootCredentials;
      return;
    }
    if (drop.user !== 'nobody') throw new StepError('"user" is "nobody"');
    const caps = drop.caps.map((cap) => {
      const known = capabilities.find((candidate) => candidate === cap);
      if (known === undefined) throw new StepError(`"caps" are of ${capabilities.join(', ')}, not ${cap}`);
      return known;
    });
    if (entry.lost && caps.length > 0)
      throw new KernelError({ errno: errnoValues.EPERM, operation: 'capabilities of nobody' });
    task.credentials = { uid: nobodyUid, capabilities: new Set(caps) };
  }

  reschedule(name: string): void {
    const { task } = this.#living(name);
    this.#acts.letRun(task, () => this.#host.machine.reschedule(task));
  }

  migrate(name: string, cpu: number): void {
    this.#checkOnline(cpu);
    const { task } = this.#living(name);
    this.#acts.letRun(task, () => this.#host.machine.migrate(task, cpu));
  }

  #checkOnline(cpu: number): void {
    if (this.#host.machine.cpus[cpu]?.online !== true) throw new StepError(`CPU ${cpu} is not online`);
  }

  act(name: string, action: TaskAction): TaskOutcome {
    const entry = this.#living(name);
    const { task } = entry;
    const { machine } = this.#host;
    if (action.type === 'trap' && this.#host.arch.name !== 'x86')
      throw new StepError(`${this.#host.arch.name} has no instruction ${action.kind}`);
    const { lenBytes } = { lenBytes: 0, ...action };
    const ip =
      action.type === 'rmw' && lenBytes === rmwBytes
        ? this.placeAddress(name, 'rmw')
        : this.accessAddress(name);
    if (this.#acts.traces(task)) {
      // What the kernel does is nothing that a tracer steps through.
      if (action.type === 'syscallWrite') this.#acts.letRun(task, () => this.#kernelStore(task, action, ip));
      else this.#acts.begin(task, actOperations(action, ip));
      return this.#outcome(entry);
    }
    // A task sleeps between two orders, which it can only switched out. "self" gives the orders: it never sleeps.
    if (name !== 'self' && task.cpu !== null) machine.reschedule(task);
    switch (action.type) {
      case 'store':
      case 'load':
      case 'rmw':
        for (let i = 0; i < action.times && task.alive; i++) machine.perform(task, { ...action, ip });
        break;
      case 'storeTwo':
        for (let i = 0; i < action.times; i++)
          for (const at of [action.at, action.at2])
            if (task.alive)
              machine.perform(task, {
                type: 'store',
                at,
                lenBytes: action.lenBytes,
                value: action.value,
                ip,
              });
        break;
      case 'call':
        for (let i = 0; i < action.times && task.alive; i++)
          machine.perform(task, { type: 'execute', ip: action.at });
        break;
      case 'trap':
        machine.perform(task, { type: action.kind, ip });
        break;
      case 'syscallWrite':
        this.#kernelStore(task, action, ip);
        break;
    }
    return this.#outcome(entry);
  }

  #kernelStore(task: SimTask, write: { readonly at: bigint; readonly lenBytes: number }, ip: bigint): void {
    // The system call is made by the task's program, at no label.
    task.ipLow = lowWord(ip);
    task.ipHigh = highWord(ip);
    const bytes = new Uint8Array(write.lenBytes).fill(1);
    this.#host.machine.perform(task, { type: 'kernelStore', at: write.at, bytes });
  }

  handleSignals(name: string, change: SignalChange): TaskOutcome {
    const entry = this.#living(name);
    const { task, base } = entry;
    const { machine } = this.#host;
    const { type, signals } = change;
    if (type === 'block') task.blocked = new Set([...task.blocked, ...signals]);
    else if (type === 'unblock')
      task.blocked = new Set([...task.blocked].filter((s) => !signals.includes(s)));
    else
      for (const signal of signals)
        machine.onSignal(task, signal, type === 'handle' ? handlerOf(signal, base) : type);
    this.#acts.letRun(task, () => {
      machine.switchTo(task.home, task);
      machine.deliverSignals(task);
    });
    return this.#outcome(entry);
  }

  /** {@link TaskOutcome} of what it did last. */
  outcome(name: string): TaskOutcome {
    return this.#outcome(this.#get(name));
  }

  /** What a task got since it was last asked; other tasks that got signals wake up for them. */
  #outcome(entry: LabTask): TaskOutcome {
    for (const { task } of this.#tasks.values()) this.#host.machine.wake(task);
    const { task, told } = entry;
    const fresh = task.received.slice(told);
    entry.told = task.received.length;
    const { killedBy } = task.process;
    return {
      signals: fresh
        .slice(-toldSignalsMax)
        .map(({ address, ...rest }): LabSignal => ({ ...rest, addr: address })),
      total: fresh.length,
      ...(killedBy === undefined ? {} : { died: killedBy }),
    };
  }

  tid(name: string): number {
    const { task } = this.#get(name);
    return this.#replaced.has(task) ? nobodyTid : task.tid;
  }

  dataAddress(name: string): bigint {
    return this.#get(name).base + dataOffset;
  }

  codeAddress(name: string, n: number): bigint {
    return this.#get(name).base + codeStride * BigInt(n);
  }

  placeAddress(name: string, place: TaskPlace): bigint {
    const offset = place === 'rmw' ? rmwOffset : handlerOffset + BigInt(SIGIO) * codeStride;
    return this.#get(name).base + offset;
  }

  /** Where the instructions of stores and loads stand: no breakpoint of a scenario is there. */
  accessAddress(name: string): bigint {
    return this.#get(name).base + accessOffset;
  }
}
