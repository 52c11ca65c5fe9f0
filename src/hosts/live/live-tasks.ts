import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import type { System } from '../../linux/system.ts';
import type {
  LabSignal,
  LabTasks,
  SignalChange,
  TaskAction,
  TaskOutcome,
  TaskPlace,
} from '../../scenario/lab.ts';
import { StepError } from '../../scenario/values.ts';
import { POLL_ERR, POLL_HUP, POLL_IN, SI_SIGIO, SIGTRAP, TRAP_PERF } from '../../uapi/signal.ts';
import type { LiveTracer } from './live-tracer.ts';
import { OwnCredentials } from './own-credentials.ts';
import { accessWidths, SA_SIGINFO_RESTORER_RESTART } from './puppet-code.ts';
import type { Puppet, PuppetOutcome, PuppetSignal } from './puppet-control.ts';
import { PuppetCredentials } from './puppet-credentials.ts';
import { labelStride, puppetLayout } from './puppet-layout.ts';
import type { PuppetStage } from './puppet-stage.ts';
import { syscalls } from './syscalls.ts';

/** What remains of a task whose tid went to the thread that executed. */
const nobodyTid = 0x3fff_ffff;
const restNs = 100_000n;
const cpuMaskBytes = 1024;
const SIG_DFL = 0n;
const SIG_IGN = 1n;
const SIG_BLOCK = 0;
const SIG_UNBLOCK = 1;
const sigsetBytes = 8;
const fileCodes: readonly number[] = [POLL_IN, POLL_ERR, POLL_HUP];

/** Tasks of a live scenario: puppets, and "self", the runner. */
export class LiveTasks implements LabTasks {
  readonly #system: System;
  readonly #stage: PuppetStage;
  readonly #tracer: LiveTracer;
  readonly #cpus: readonly number[];
  readonly #credentials: OwnCredentials;
  readonly #puppetCredentials: PuppetCredentials;
  readonly #tasks: Map<string, Puppet> = new Map();
  /** Ended ones whose tid may be another's, since a thread of their process executed. */
  readonly #replaced: Set<Puppet> = new Set();
  #places = 0;
  /** The mask of this thread before a scenario moved it. */
  #ownMask: Uint8Array | undefined;

  constructor(system: System, stage: PuppetStage, tracer: LiveTracer, cpus: readonly number[]) {
    this.#system = system;
    this.#stage = stage;
    this.#tracer = tracer;
    this.#cpus = cpus;
    this.#credentials = new OwnCredentials(system);
    this.#puppetCredentials = new PuppetCredentials(stage);
  }

  /** The puppet of a name. Throws `StepError` for the runner and for a task that was never made. */
  puppet(name: string): Puppet {
    const found = this.#tasks.get(name);
    if (found === undefined)
      throw new StepError(
        name === 'self'
          ? 'the runner cannot do that live'
          : `there is no task "${name}": the step that makes it was refused`,
      );
    return found;
  }

  /** A puppet that can be told to do something. */
  #get(name: string): Puppet {
    const found = this.puppet(name);
    this.#tracer.checkIdle(found);
    return found;
  }

  spawn(name: string, options: { readonly cpu?: number }): void {
    const puppet = this.#stage.spawn(this.#places++);
    this.#tasks.set(name, puppet);
    this.#setAffinity(puppet.tid, options.cpu === undefined ? this.#cpus : [this.#cpu(options.cpu)]);
    if (options.cpu !== undefined) this.#stage.perform(puppet, 'nothing', []);
  }

  thread(name: string, as: string): void {
    this.#clone(name, as, { thread: true });
  }

  fork(name: string, as: string, options?: { readonly clearHandlers: boolean }): void {
    this.#clone(name, as, { thread: false, ...options });
  }

  #clone(
    name: string,
    as: string,
    options: { readonly thread: boolean; readonly clearHandlers?: boolean },
  ): void {
    const parent = this.#get(name);
    const adopt = this.#tracer.adopting(parent);
    this.#tasks.set(as, this.#stage.clone(parent, { ...options, adopt }));
  }

  exec(name: string): void {
    const puppet = this.#get(name);
    this.#tracer.exec(puppet);
    for (const other of this.#tasks.values())
      if (other !== puppet && other.process === puppet.process) this.#replaced.add(other);
  }

  exit(name: string): void {
    const puppet = this.#get(name);
    // Its breakpoints stay until its end, whoever traces it.
    if (this.#tracer.holds(puppet)) this.#tracer.detach(puppet);
    this.#stage.exit(puppet);
  }

  credentials(
    name: string,
    drop: { readonly user: string; readonly caps: readonly string[] } | undefined,
  ): void {
    if (name !== 'self') {
      const puppet = this.#get(name);
      if (drop === undefined) this.#puppetCredentials.restore(puppet);
      else this.#puppetCredentials.drop(puppet, drop.user, drop.caps);
    } else if (drop === undefined) this.#credentials.restore();
    else this.#credentials.drop(drop.user, drop.caps);
  }

  /** It sleeps for a moment, which it can only by being switched out. */
  reschedule(name: string): void {
    this.#stage.rest(this.#get(name), restNs);
  }

  migrate(name: string, cpu: number): void {
    const target = [this.#cpu(cpu)];
    if (name === 'self') {
      this.#ownMask ??= this.#ownAffinity();
      this.#setAffinity(0, target);
      return;
    }
    const puppet = this.#get(name);
    if (puppet.ended) throw new KernelError({ errno: errnoValues.ESRCH, operation: `task "${name}"` });
    this.#setAffinity(puppet.tid, target);
    this.#stage.perform(puppet, 'nothing', []); // it has run there when the step ends
  }

  act(name: string, action: TaskAction): TaskOutcome {
    const puppet = name === 'self' ? undefined : this.#get(name);
    const perform = (routine: string, args: readonly bigint[]): TaskOutcome => {
      if (puppet === undefined || !this.#tracer.holds(puppet))
        return this.#outcome(puppet, this.#stage.perform(puppet, routine, args));
      this.#tracer.act(puppet, routine, args);
      return this.#outcome(puppet, { result: 0 });
    };
    if (action.type === 'syscallWrite') {
      const own = this.#get(name);
      if (action.lenBytes > 0)
        return this.#outcome(own, this.#stage.kernelWrite(own, action.at, action.lenBytes));
      return perform('nothing', []);
    }
    if (action.type === 'trap') {
      this.#get(name); // not the runner
      return perform(action.kind, []);
    }
    if (action.times === 0) return perform('nothing', []);
    const times = BigInt(action.times);
    if (action.type === 'call') return perform('call', [action.at, 0n, times]);
    if (!accessWidths.includes(action.lenBytes))
      throw new StepError(
        `"len" of an access is one of ${accessWidths.join(', ')} live, not ${action.lenBytes}`,
      );
    const at2 = action.type === 'storeTwo' ? action.at2 : 0n;
    return perform(`${action.type}${action.lenBytes}`, [action.at, at2, times, action.value]);
  }

  /** Source: sigaction(2), sigprocmask(2). */
  handleSignals(name: string, change: SignalChange): TaskOutcome {
    const puppet = this.#get(name);
    if (change.type === 'block' || change.type === 'unblock') {
      const set = change.signals.reduce((bits, signal) => bits | (1n << BigInt(signal - 1)), 0n);
      const how = change.type === 'block' ? SIG_BLOCK : SIG_UNBLOCK;
      const place = (address: bigint): readonly (number | bigint)[] => [how, address, 0, sigsetBytes];
      return this.#outcome(
        puppet,
        this.#stage.syscallShowing(puppet, syscalls.rtSigprocmask, words(set), place),
      );
    }
    // Also of no signal at all: a task that has died is not there.
    let last: PuppetOutcome = this.#stage.perform(puppet, 'nothing', []);
    for (const signal of change.signals) {
      const handler =
        change.type === 'handle'
          ? this.#stage.programAddress(puppet, `handler${signal}`)
          : change.type === 'ignore'
            ? SIG_IGN
            : SIG_DFL;
      const restorer = this.#stage.programAddress(puppet, 'restorer');
      const action = words(handler, BigInt(SA_SIGINFO_RESTORER_RESTART), restorer, 0n);
      const place = (address: bigint): readonly (number | bigint)[] => [signal, address, 0, sigsetBytes];
      last = this.#stage.syscallShowing(puppet, syscalls.rtSigaction, action, place);
    }
    return this.#outcome(puppet, last);
  }

  /** What a task got since it was last asked. */
  outcome(name: string): TaskOutcome {
    return this.#outcome(this.puppet(name), { result: 0 });
  }

  #outcome(puppet: Puppet | undefined, { died }: PuppetOutcome): TaskOutcome {
    const { signals, total } = this.#stage.takeSignals(puppet);
    return { signals: signals.map(labSignal), total, ...(died === undefined ? {} : { died }) };
  }

  tid(name: string): number {
    if (name === 'self') return process.pid;
    const puppet = this.puppet(name);
    return this.#replaced.has(puppet) ? nobodyTid : puppet.tid;
  }

  #base(name: string): bigint {
    return name === 'self' ? this.#stage.selfBase : this.puppet(name).process.base;
  }

  dataAddress(name: string): bigint {
    return this.#base(name) + BigInt(puppetLayout.data);
  }

  codeAddress(name: string, n: number): bigint {
    return this.#base(name) + BigInt(puppetLayout.labels + labelStride * n);
  }

  placeAddress(name: string, place: TaskPlace): bigint {
    return this.#stage.placeAddress(this.#base(name), place);
  }

  close(): void {
    this.#credentials.restore();
    if (this.#ownMask !== undefined) {
      const mask = this.#ownMask;
      this.#system.scratch((scratch) =>
        this.#system.ffi.syscall(syscalls.schedSetaffinity, 0, mask.length, scratch.put(mask), 0, 0),
      );
    }
    this.#tracer.close();
    this.#stage.clear();
    this.#tasks.clear();
  }

  #cpu(cpu: number): number {
    const number = this.#cpus[cpu];
    if (number === undefined) throw new StepError(`CPU ${cpu} is not online`);
    return number;
  }

  #setAffinity(tid: number, cpus: readonly number[]): void {
    this.#system.scratch((scratch) => {
      const mask = scratch.alloc(cpuMaskBytes);
      for (const cpu of cpus) mask.bytes[cpu >> 3] = (mask.bytes[cpu >> 3] ?? 0) | (1 << (cpu & 7));
      const result = this.#system.ffi.syscall(
        syscalls.schedSetaffinity,
        tid,
        cpuMaskBytes,
        mask.address,
        0,
        0,
      );
      this.#system.check(result, `sched_setaffinity(${tid})`);
    });
  }

  #ownAffinity(): Uint8Array {
    return this.#system.scratch((scratch) => {
      const mask = scratch.alloc(cpuMaskBytes);
      const got = this.#system.check(
        this.#system.ffi.syscall(syscalls.schedGetaffinity, 0, cpuMaskBytes, mask.address, 0, 0),
        'sched_getaffinity',
      );
      return mask.bytes.slice(0, got);
    });
  }
}

/** Numbers of 64 bits as memory. */
function words(...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(values).buffer);
}

function labSignal({ signal, code, words }: PuppetSignal): LabSignal {
  const [first, second, third] = words;
  // Of a file: si_band and si_fd, if it says what happened.
  const aboutFile = signal === SIGTRAP ? code === SI_SIGIO : fileCodes.includes(code);
  if (aboutFile) return { signal, code, addr: 0n, fd: Number(BigInt.asIntN(32, second)) };
  if (signal !== SIGTRAP) return { signal, code, addr: 0n };
  if (code !== TRAP_PERF) return { signal, code, addr: first };
  const type = Number(third & 0xffff_ffffn);
  return { signal, code, addr: first, data: second, type, flags: Number(third >> 32n) };
}
