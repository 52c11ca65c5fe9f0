import fs from 'node:fs';
import { assert } from '../../base/assert.ts';
import { errnoValues } from '../../base/errno.ts';
import { isKernelError, KernelError } from '../../base/kernel-error.ts';
import { System } from '../../linux/system.ts';
import type { ScenarioMachine, ScenarioStep } from '../../scenario/format.ts';
import type { Lab, LabMaker, LabSignal, LabTasks, TaskAction } from '../../scenario/lab.ts';
import { StepError } from '../../scenario/values.ts';
import { encodePerfEventAttr, PERF_TYPE_BREAKPOINT } from '../../uapi/perf-event-attr.ts';
import { LiveCalls } from './live-calls.ts';
import { type LiveMachine, readLiveMachine } from './live-machine.ts';
import { OwnCredentials } from './own-credentials.ts';
import { accessWidths } from './puppet-code.ts';
import { labelStride, pageBytes, puppetLayout } from './puppet-layout.ts';
import { type Puppet, type PuppetSignal, PuppetStage } from './puppet-stage.ts';
import { syscalls } from './syscalls.ts';

const TRAP_PERF = 6;
const SIGTRAP = 5;
const SIGIO = 29;
/** What remains of a task whose tid went to the thread that executed. */
const nobodyTid = 0x3fff_ffff;
const restNs = 100_000n;
const breakpointRegisters = 4;
const cpuMaskBytes = 1024;

/** Tasks of a live scenario: puppets, and "self", the runner. */
class LiveTasks implements LabTasks {
  readonly #system: System;
  readonly #stage: PuppetStage;
  readonly #cpus: readonly number[];
  readonly #credentials: OwnCredentials;
  readonly #tasks: Map<string, Puppet> = new Map();
  /** Ended ones whose tid may be another's, since a thread of their process executed. */
  readonly #replaced: Set<Puppet> = new Set();
  #places = 0;
  /** The mask of this thread before a scenario moved it. */
  #ownMask: Uint8Array | undefined;

  constructor(system: System, stage: PuppetStage, cpus: readonly number[]) {
    this.#system = system;
    this.#stage = stage;
    this.#cpus = cpus;
    this.#credentials = new OwnCredentials(system);
  }

  #get(name: string): Puppet {
    const found = this.#tasks.get(name);
    if (found === undefined)
      throw new StepError(
        name === 'self'
          ? 'the runner cannot do that live'
          : `there is no task "${name}": the step that makes it was refused`,
      );
    return found;
  }

  spawn(name: string, options: { readonly cpu?: number }): void {
    const puppet = this.#stage.spawn(this.#places++);
    this.#tasks.set(name, puppet);
    this.#setAffinity(puppet.tid, options.cpu === undefined ? this.#cpus : [this.#cpu(options.cpu)]);
    if (options.cpu !== undefined) this.#stage.perform(puppet, 'nothing', []);
  }

  thread(name: string, as: string): void {
    this.#tasks.set(as, this.#stage.clone(this.#get(name), { thread: true }));
  }

  fork(name: string, as: string): void {
    this.#tasks.set(as, this.#stage.clone(this.#get(name), { thread: false }));
  }

  exec(name: string): void {
    const puppet = this.#get(name);
    this.#stage.exec(puppet);
    for (const other of this.#tasks.values())
      if (other !== puppet && other.process === puppet.process) this.#replaced.add(other);
  }

  exit(name: string): void {
    this.#stage.exit(this.#get(name));
  }

  credentials(
    name: string,
    drop: { readonly user: string; readonly caps: readonly string[] } | undefined,
  ): void {
    if (name !== 'self') throw new StepError('the live runner changes no credentials but its own yet');
    if (drop === undefined) this.#credentials.restore();
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

  act(name: string, action: TaskAction): readonly LabSignal[] {
    const puppet = name === 'self' ? undefined : this.#get(name);
    if (action.type === 'syscallWrite') {
      if (action.lenBytes > 0) this.#stage.kernelWrite(this.#get(name), action.at, action.lenBytes);
      return [];
    }
    if (action.type === 'trap') return this.#stage.perform(this.#get(name), action.kind, []).map(labSignal);
    if (action.times === 0) return [];
    const times = BigInt(action.times);
    if (action.type === 'call')
      return this.#stage.perform(puppet, 'call', [action.at, 0n, times]).map(labSignal);
    if (!accessWidths.includes(action.lenBytes))
      throw new StepError(
        `"len" of an access is one of ${accessWidths.join(', ')} live, not ${action.lenBytes}`,
      );
    const at2 = action.type === 'storeTwo' ? action.at2 : 0n;
    return this.#stage
      .perform(puppet, `${action.type}${action.lenBytes}`, [action.at, at2, times, action.value])
      .map(labSignal);
  }

  tid(name: string): number {
    if (name === 'self') return process.pid;
    const puppet = this.#get(name);
    return this.#replaced.has(puppet) ? nobodyTid : puppet.tid;
  }

  #base(name: string): bigint {
    return name === 'self' ? this.#stage.selfBase : this.#get(name).process.base;
  }

  dataAddress(name: string): bigint {
    return this.#base(name) + BigInt(puppetLayout.data);
  }

  codeAddress(name: string, n: number): bigint {
    return this.#base(name) + BigInt(puppetLayout.labels + labelStride * n);
  }

  close(): void {
    this.#credentials.restore();
    if (this.#ownMask !== undefined) {
      const mask = this.#ownMask;
      this.#system.scratch((scratch) =>
        this.#system.ffi.syscall(syscalls.schedSetaffinity, 0, mask.length, scratch.put(mask), 0, 0),
      );
    }
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

function labSignal({ signal, code, words }: PuppetSignal): LabSignal {
  const [first, second, third] = words;
  if (signal === SIGIO) return { signal, code, addr: 0n, fd: Number(BigInt.asIntN(32, second)) };
  if (signal === SIGTRAP && code === TRAP_PERF)
    return { signal, code, addr: first, data: second, flags: Number(third >> 32n) };
  return { signal, code, addr: first };
}

/** Whether there is a breakpoint anywhere: then some CPU does not take as many events as it has registers. */
function breakpointsExist(system: System, cpus: readonly number[]): boolean {
  const calls = new LiveCalls(system, (cpu) => cpu);
  const fields = { type: PERF_TYPE_BREAKPOINT, bpType: 2, bpAddr: BigInt(pageBytes), bpLen: 1n };
  const attr = encodePerfEventAttr({ ...fields, disabled: true });
  try {
    for (const cpu of cpus)
      for (let n = 0; n < breakpointRegisters; n++)
        calls.perfEventOpen({ attr: attr.slice(), pid: -1, cpu, groupFd: -1, flags: 0 });
    return false;
  } catch (error) {
    if (isKernelError(error, 'ENOSPC')) return true;
    if (isKernelError(error)) return false; // nobody may ask here
    throw error;
  } finally {
    calls.closeAll();
  }
}

/** The machine's Linux as a place for scenarios. */
export class LiveLab implements Lab {
  readonly kernel = 'linux';
  readonly calls: LiveCalls;
  readonly tasks: LiveTasks;
  readonly #system: System;
  readonly #stage: PuppetStage;
  readonly #live: LiveMachine;
  readonly #paranoid: number;
  #fileFd = -1;

  /** `live` is the machine that there is, `machine` the one that the scenario asks for. */
  constructor(system: System, stage: PuppetStage, live: LiveMachine, machine: ScenarioMachine) {
    this.#system = system;
    this.#stage = stage;
    this.#live = live;
    this.#paranoid = machine.paranoid;
    const cpus = live.cpus.slice(0, machine.cpus);
    const first = cpus.length;
    // CPUs that the scenario's machine lacks must be lacking here too, however many there are.
    this.calls = new LiveCalls(system, (cpu) => (cpu < 0 ? cpu : (cpus[cpu] ?? 1_000_000 + cpu - first)));
    this.tasks = new LiveTasks(system, stage, cpus);
  }

  lacks(step: ScenarioStep): string | undefined {
    if (step.step === 'credentials') {
      if (step.keys.task !== 'self') return 'the live runner changes no credentials but its own yet';
      if (!this.#live.root) return 'credentials are changed by root';
      const { paranoid } = this.#live;
      return paranoid === this.#paranoid
        ? undefined
        : `kernel.perf_event_paranoid is ${paranoid} here, not ${this.#paranoid}`;
    }
    const { attr, task } = step.keys;
    if (step.step === 'open' && task === 'self' && typeof attr === 'object' && attr !== null)
      if ('inherit' in attr && attr.inherit === true)
        return 'an event of the runner that is inherited would go to the puppets that it starts';
    if (step.step !== 'trap') return undefined;
    const routine = step.keys.kind === 'icebp' ? 'icebp' : 'int3';
    return this.#stage.endures(routine) ? undefined : `an ${routine} never ends on this machine`;
  }

  used(): boolean {
    return breakpointsExist(this.#system, this.#live.cpus);
  }

  fileFd(): number {
    if (this.#fileFd < 0) this.#fileFd = fs.openSync('/dev/null', 'r');
    return this.#fileFd;
  }

  closedFd(): number {
    return 1_000_000;
  }

  close(): void {
    this.calls.closeAll();
    if (this.#fileFd >= 0) fs.closeSync(this.#fileFd);
    this.#fileFd = -1;
    this.tasks.close();
  }
}

/** Makes live labs, one at a time. Holds the images of puppets between them: close it. */
export class LiveLabMaker implements LabMaker {
  readonly machine: LiveMachine;
  #system: System | undefined;
  #stage: PuppetStage | undefined;
  #unable: string | undefined | null = null;

  constructor() {
    this.machine = readLiveMachine();
  }

  /** Why no scenario at all can run here; `undefined`: some can. */
  unable(): string | undefined {
    if (this.#unable === null) this.#unable = this.#probe();
    return this.#unable;
  }

  refuses(machine: ScenarioMachine, needs: readonly string[]): string | undefined {
    const unable = this.unable();
    if (unable !== undefined) return unable;
    const live = this.machine;
    if (machine.arch !== live.arch) return `the machine is ${live.arch}, not ${machine.arch}`;
    if (machine.era !== 'modern') return `the running kernel is not of era "${machine.era}"`;
    if (machine.cpus > live.cpus.length)
      return `it needs ${machine.cpus} CPUs, and this process may run on ${live.cpus.length}`;
    if (machine.offline.length > 0) return 'CPUs are not taken offline live';
    const feature = machine.features.find((name) => !live.features.includes(name));
    if (feature !== undefined) return `the machine has no feature "${feature}"`;
    if (Object.keys(machine.kallsyms).length > 0) return 'its kernel symbols are made up';
    for (const need of needs) {
      if (need === 'root' && !live.root) return 'it needs root';
      if (need === 'two-cpus' && live.cpus.length < 2) return 'it needs two CPUs';
      if (['ptrace', 'bpf', 'kvm', 'unprivileged-user'].includes(need))
        return `the live runner has no ${need} yet`;
    }
    return undefined;
  }

  adopt(machine: ScenarioMachine): ScenarioMachine {
    const { features, paranoid, root } = this.machine;
    // Root is not asked; who drops to less asks for a level that this machine must have.
    return { ...machine, features, paranoid: root ? machine.paranoid : paranoid };
  }

  disturbance(): string | undefined {
    this.#system ??= new System();
    return breakpointsExist(this.#system, this.machine.cpus)
      ? 'somebody else on this machine has breakpoints'
      : undefined;
  }

  make(machine: ScenarioMachine): LiveLab {
    assert(this.refuses(machine, []) === undefined, 'a lab is made for scenarios that it does not refuse');
    this.#system ??= new System();
    this.#stage ??= new PuppetStage(this.#system);
    return new LiveLab(this.#system, this.#stage, this.machine, machine);
  }

  close(): void {
    this.#stage?.close();
    this.#stage = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #probe(): string | undefined {
    if (process.platform !== 'linux' || process.arch !== 'x64')
      return `puppets are for Linux on x86-64, not ${process.platform} on ${process.arch}`;
    this.#system ??= new System();
    const calls = new LiveCalls(this.#system, (cpu) => cpu);
    try {
      const attr = encodePerfEventAttr({
        type: PERF_TYPE_BREAKPOINT,
        bpType: 2,
        bpAddr: BigInt(pageBytes),
        bpLen: 1n,
        excludeKernel: true,
      });
      calls.close(calls.perfEventOpen({ attr, pid: 0, cpu: -1, groupFd: -1, flags: 0 }));
      return undefined;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      const why =
        error.errno === errnoValues.EACCES ? `kernel.perf_event_paranoid is ${this.machine.paranoid}` : '';
      return `the machine refuses breakpoints: ${error.code}${why === '' ? '' : `, ${why}`}`;
    }
  }
}
