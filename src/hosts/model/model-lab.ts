import { addressMask0, breakpointRegisters, dr6, dr7 } from '../../arch/x86/debug-register-bits.ts';
import { assert } from '../../base/assert.ts';
import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { highWord, joinPair, lowWord } from '../../base/pair.ts';
import type { WideBreakpoint } from '../../kernel/core/breakpoint-core.ts';
import { eras } from '../../kernel/pmu/admission.ts';
import type { Capability } from '../../machine/task.ts';
import { rootCredentials } from '../../machines/sim/sim-machine.ts';
import type { SimTask } from '../../machines/sim/sim-task.ts';
import type { ScenarioMachine } from '../../scenario/format.ts';
import type { Lab, LabMachine, LabMaker, LabSignal, LabTasks, TaskAction } from '../../scenario/lab.ts';
import { StepError } from '../../scenario/values.ts';
import { labSignals } from './lab-signals.ts';
import { ModelHost } from './model-host.ts';
import { ModelLabPtrace } from './model-lab-ptrace.ts';
import { actOperations, TracedActs } from './traced-acts.ts';

/** The uid of "nobody". */
const nobodyUid = 65534;
/** Where the n-th spawned process has its code and data: apart, so that no address means two things. */
const processBase = 0x5555_0000_0000n;
const processStride = 0x1000_0000n;
const dataOffset = 0x10_0000n;
const codeStride = 16n;
const accessOffset = 0x8000n;
const stepNs = 1000;
const kernelIp = 0xffff_ffff_8100_0000n;
const capabilities: readonly Capability[] = ['SYS_ADMIN', 'PERFMON', 'SYS_PTRACE', 'KILL'];

interface LabTask {
  readonly task: SimTask;
  readonly base: bigint;
}

class ModelLabTasks implements LabTasks {
  readonly #host: ModelHost;
  readonly #acts: TracedActs;
  readonly #tasks: Map<string, LabTask> = new Map();
  #processes = 0n;

  constructor(host: ModelHost, acts: TracedActs) {
    this.#host = host;
    this.#acts = acts;
    this.#tasks.set('self', { task: host.self, base: this.#newBase() });
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
    const found = this.#get(name);
    if (!found.task.alive) throw new KernelError({ errno: errnoValues.ESRCH, operation: `task "${name}"` });
    this.#acts.checkIdle(found.task);
    return found;
  }

  /** Whatever a task does takes some time. */
  #pass(): void {
    this.#host.machine.advance(stepNs);
  }

  spawn(name: string, options: { readonly cpu?: number }): void {
    if (options.cpu !== undefined) this.#checkOnline(options.cpu);
    const base = this.#newBase();
    this.#tasks.set(name, { task: this.#host.machine.spawn({ name, ip: base, ...options }), base });
  }

  thread(name: string, as: string): void {
    this.#clone(name, as, true);
  }

  fork(name: string, as: string): void {
    this.#clone(name, as, false);
  }

  #clone(name: string, as: string, thread: boolean): void {
    const { task, base } = this.#living(name);
    this.#tasks.set(as, { task: this.#host.machine.clone(task, { thread, name: as }), base });
  }

  exec(name: string): void {
    this.#host.machine.exec(this.#living(name).task);
  }

  exit(name: string): void {
    this.#host.machine.exit(this.#living(name).task);
  }

  credentials(
    name: string,
    drop: { readonly user: string; readonly caps: readonly string[] } | undefined,
  ): void {
    const { task } = this.#get(name);
    if (drop === undefined) {
      task.credentials = rootCredentials;
      return;
    }
    if (drop.user !== 'nobody') throw new StepError('"user" is "nobody"');
    const caps = drop.caps.map((cap) => {
      const known = capabilities.find((candidate) => candidate === cap);
      if (known === undefined) throw new StepError(`"caps" are of ${capabilities.join(', ')}, not ${cap}`);
      return known;
    });
    task.credentials = { uid: nobodyUid, capabilities: new Set(caps) };
  }

  reschedule(name: string): void {
    const { task } = this.#living(name);
    this.#acts.letRun(task, () => this.#host.machine.reschedule(task));
    this.#pass();
  }

  migrate(name: string, cpu: number): void {
    this.#checkOnline(cpu);
    const { task } = this.#living(name);
    this.#acts.letRun(task, () => this.#host.machine.migrate(task, cpu));
    this.#pass();
  }

  #checkOnline(cpu: number): void {
    if (this.#host.machine.cpus[cpu]?.online !== true) throw new StepError(`CPU ${cpu} is not online`);
  }

  act(name: string, action: TaskAction): readonly LabSignal[] {
    const { task } = this.#living(name);
    const { machine } = this.#host;
    const before = task.received.length;
    const ip = this.accessAddress(name);
    if (this.#acts.traces(task)) {
      this.#acts.begin(task, actOperations(action, ip));
      return [];
    }
    switch (action.type) {
      case 'store':
      case 'load':
      case 'rmw':
        for (let i = 0; i < action.times; i++) machine.perform(task, { ...action, ip });
        break;
      case 'storeTwo':
        for (let i = 0; i < action.times; i++)
          for (const at of [action.at, action.at2])
            machine.perform(task, { type: 'store', at, lenBytes: action.lenBytes, value: action.value, ip });
        break;
      case 'call':
        for (let i = 0; i < action.times; i++) machine.perform(task, { type: 'execute', ip: action.at });
        break;
      case 'trap':
        machine.perform(task, { type: action.kind, ip });
        break;
      case 'syscallWrite':
        machine.perform(task, {
          type: 'kernelStore',
          at: action.at,
          bytes: new Uint8Array(action.lenBytes).fill(1),
        });
        break;
    }
    return labSignals(task, before);
  }

  tid(name: string): number {
    return this.#get(name).task.tid;
  }

  dataAddress(name: string): bigint {
    return this.#get(name).base + dataOffset;
  }

  codeAddress(name: string, n: number): bigint {
    return this.#get(name).base + codeStride * BigInt(n);
  }

  /** Where the instructions of stores and loads stand: no breakpoint of a scenario is there. */
  accessAddress(name: string): bigint {
    return this.#get(name).base + accessOffset;
  }
}

class ModelLabMachine implements LabMachine {
  readonly #host: ModelHost;
  readonly #wides: Map<string, { wide: WideBreakpoint | null; hits: number }> = new Map();

  constructor(host: ModelHost) {
    this.#host = host;
  }

  registers(cpuNumber: number): Readonly<Record<string, bigint>> {
    const cpu = this.#host.machine.cpus[cpuNumber];
    if (cpu === undefined) throw new StepError(`there is no CPU ${cpuNumber}`);
    const { registers } = cpu;
    const value = (register: number): bigint => joinPair(registers.low(register), registers.high(register));
    const result: Record<string, bigint> = {};
    for (let n = 0; n < breakpointRegisters; n++) result[`dr${n}`] = value(n);
    result.dr6 = value(dr6);
    result.dr7 = value(dr7);
    for (let n = 0; n < breakpointRegisters; n++) result[`mask${n}`] = value(addressMask0 + n);
    return result;
  }

  registerWide(...[as, attr, cpus]: Parameters<LabMachine['registerWide']>): void {
    const entry: { wide: WideBreakpoint | null; hits: number } = { wide: null, hits: 0 };
    entry.wide = this.#host.core.registerWide({
      attr: { samplePeriod: 1n, ...attr },
      handler: () => {
        entry.hits++;
      },
      ...(cpus === undefined ? {} : { cpus }),
    });
    this.#wides.set(as, entry);
  }

  unregisterWide(name: string): void {
    this.#host.core.unregisterWide(this.#wides.get(name)?.wide ?? null);
  }

  wideHits(name: string): number {
    return this.#wides.get(name)?.hits ?? 0;
  }

  cpuOffline(cpu: number): void {
    const { cpus } = this.#host.machine;
    if (cpus[cpu]?.online !== true) throw new StepError(`CPU ${cpu} is not online`);
    if (cpus.every((other) => other.number === cpu || !other.online))
      throw new StepError('the last CPU cannot go offline');
    this.#host.machine.offline(cpu);
  }

  cpuOnline(cpu: number): void {
    if (this.#host.machine.cpus[cpu] === undefined) throw new StepError(`there is no CPU ${cpu}`);
    this.#host.machine.online(cpu);
  }

  kernelAccess(
    cpuNumber: number,
    access: { readonly at: bigint; readonly lenBytes: number; readonly store: boolean },
  ): void {
    const { machine } = this.#host;
    const cpu = machine.cpus[cpuNumber];
    if (cpu?.online !== true) throw new StepError(`CPU ${cpuNumber} is not online`);
    machine.crossCall(cpu, () =>
      cpu.kernelAccess(lowWord(access.at), highWord(access.at), access.lenBytes, {
        store: access.store,
        ip: kernelIp,
      }),
    );
  }

  symbol(name: string): bigint | undefined {
    return this.#host.machine.symbol(name);
  }

  withNmi(at: number, handler: () => void, work: () => void): boolean {
    let taken = false;
    this.#host.machine.withNmi(
      at,
      () => {
        taken = true;
        handler();
      },
      work,
    );
    return taken;
  }

  /** Removes what the scenario registered and left. */
  close(): void {
    for (const { wide } of this.#wides.values()) this.#host.core.unregisterWide(wide);
  }
}

/** A model as a place for scenarios. */
export class ModelLab implements Lab {
  readonly kernel = 'model';
  readonly host: ModelHost;
  readonly tasks: ModelLabTasks;
  readonly machine: ModelLabMachine;
  readonly ptrace: ModelLabPtrace;
  #fileFd = -1;

  constructor(host: ModelHost) {
    this.host = host;
    const acts = new TracedActs(host);
    this.tasks = new ModelLabTasks(host, acts);
    this.ptrace = new ModelLabPtrace(host, acts, (name) => this.tasks.task(name));
    this.machine = new ModelLabMachine(host);
  }

  get calls(): Lab['calls'] {
    return this.host.calls;
  }

  used(): boolean {
    return this.host.core.isUsed();
  }

  fileFd(): number {
    if (this.#fileFd < 0) this.#fileFd = this.host.calls.files.addOther();
    return this.#fileFd;
  }

  closedFd(): number {
    return 1_000_000;
  }

  close(): void {
    this.machine.close();
    this.host.close();
  }
}

/** What the model cannot be yet. */
const knownFeatures = ['bpext', 'kprobes', 'sticky-stop', 'pmu-resched'];

/** Makes a model for each scenario. */
export class ModelLabMaker implements LabMaker {
  readonly #verify: boolean;

  constructor(options: { readonly verify?: boolean } = {}) {
    this.#verify = options.verify ?? false;
  }

  refuses(machine: ScenarioMachine, needs: readonly string[]): string | undefined {
    if (machine.arch !== 'x86') return `the model has no ${machine.arch} yet`;
    if (!eras.some((era) => era === machine.era)) return `the model has no era "${machine.era}" yet`;
    const feature = machine.features.find((name) => !knownFeatures.includes(name));
    if (feature !== undefined) return `the model has no feature "${feature}"`;
    if (needs.includes('two-cpus') && machine.cpus < 2) return 'it needs two CPUs';
    const missing = needs.find((need) => need === 'bpf' || need === 'kvm');
    return missing === undefined ? undefined : `the model has no ${missing} yet`;
  }

  make(machine: ScenarioMachine): ModelLab {
    assert(this.refuses(machine, []) === undefined, 'a lab is made for scenarios that it does not refuse');
    const era = eras.find((name) => name === machine.era);
    const symbols = Object.fromEntries(
      Object.entries(machine.kallsyms).map(([name, address]) => [name, BigInt(address)]),
    );
    return new ModelLab(
      new ModelHost({
        cpus: machine.cpus,
        offline: machine.offline,
        ...(era === undefined ? {} : { era }),
        features: machine.features,
        paranoid: machine.paranoid,
        symbols,
        verify: this.#verify,
      }),
    );
  }
}
