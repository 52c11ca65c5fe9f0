import type { SlotHolder } from '../../arch/architecture.ts';
import { Arm64Architecture } from '../../arch/arm64/arm64-architecture.ts';
import { addressMask0, breakpointRegisters, dr6, dr7 } from '../../arch/x86/debug-register-bits.ts';
import { assert } from '../../base/assert.ts';
import { highWord, joinPair, lowWord } from '../../base/pair.ts';
import { namedProgram } from '../../bpf/named-programs.ts';
import type { WideBreakpoint } from '../../kernel/core/breakpoint-core.ts';
import { SampleClient } from '../../kernel/core/sample-client.ts';
import { eras } from '../../kernel/pmu/admission.ts';
import type { SimCpu } from '../../machines/sim/sim-cpu.ts';
import type { SimTask } from '../../machines/sim/sim-task.ts';
import type { ScenarioMachine } from '../../scenario/format.ts';
import type { KernelAccess, Lab, LabBpf, LabMachine, LabMaker, LabTasks } from '../../scenario/lab.ts';
import { StepError } from '../../scenario/values.ts';
import { HW_BREAKPOINT_W } from '../../uapi/perf-event-attr.ts';
import { arm64Registers } from './arm64-registers.ts';
import { LabCalls } from './lab-calls.ts';
import { memoryAt } from './memory-at.ts';
import { ModelHost, type ModelHostOptions } from './model-host.ts';
import { ModelKsym } from './model-ksym.ts';
import { ModelLabPtrace } from './model-lab-ptrace.ts';
import { ModelLabTasks } from './model-lab-tasks.ts';
import { SleepingTasks } from './sleeping-tasks.ts';
import { TracedActs } from './traced-acts.ts';

/** Length of an instruction of the simulated kernel. */
const instructionBytes = 4n;

class ModelLabMachine implements LabMachine {
  readonly #host: ModelHost;
  readonly #wides: Map<string, { wide: WideBreakpoint | null; hits: number }> = new Map();
  #ksym: ModelKsym | undefined;
  /** Registers that were taken away, by CPU number. */
  readonly #taken: Map<number, SlotHolder[]> = new Map();
  #sample: SampleClient | undefined;
  readonly #sampleLog: string[] = [];

  constructor(host: ModelHost) {
    this.#host = host;
  }

  registers(cpuNumber: number): Readonly<Record<string, bigint>> {
    const cpu = this.#host.machine.cpus[cpuNumber];
    if (cpu === undefined) throw new StepError(`there is no CPU ${cpuNumber}`);
    const { registers } = cpu;
    const value = (register: number): bigint => joinPair(registers.low(register), registers.high(register));
    if (this.#host.arch instanceof Arm64Architecture) return arm64Registers(value, this.#host.arch.features);
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

  takeRegisters(cpuNumber: number, count: number): void {
    const cpu = this.#onlineCpu(cpuNumber);
    const { kernel, arch } = this.#host;
    const { image } = kernel.cpuState(cpuNumber);
    if (image === null) throw new StepError('the kernel is built without hardware breakpoints');
    this.#giveRegistersBack(cpuNumber);
    const taken: SlotHolder[] = [];
    this.#taken.set(cpuNumber, taken);
    this.#host.machine.crossCall(cpu, () => {
      while (taken.length < count) {
        if (!image.slots.includes(null))
          throw new StepError(`CPU ${cpuNumber} has no ${count} free registers`);
        const record = arch.parse({ bpType: HW_BREAKPOINT_W, bpAddr: 0n, bpLen: 1n, target: 'cpu' });
        const holder = { record, handledByClient: true };
        if (!arch.install(image, holder))
          throw new StepError(`CPU ${cpuNumber} has no ${count} free registers for data`);
        kernel.outsiders.add(holder);
        taken.push(holder);
      }
    });
  }

  #giveRegistersBack(cpuNumber: number): void {
    const { kernel, arch } = this.#host;
    const { image } = kernel.cpuState(cpuNumber);
    for (const holder of this.#taken.get(cpuNumber) ?? []) {
      if (image !== null) kernel.onCpu(kernel.cpuState(cpuNumber), () => arch.uninstall(image, holder));
      kernel.outsiders.delete(holder);
    }
    this.#taken.delete(cpuNumber);
  }

  loadSample(symbol: string): void {
    if (this.#sample !== undefined) throw new StepError('the sample module is loaded');
    const { core, machine } = this.#host;
    this.#sample = new SampleClient(core, machine, { symbol, log: (line) => this.#sampleLog.push(line) });
  }

  unloadSample(): void {
    if (this.#sample === undefined) throw new StepError('the sample module is not loaded');
    this.#sample.close();
    this.#sample = undefined;
  }

  sampleLog(): readonly string[] {
    return this.#sampleLog.splice(0);
  }

  rename(tid: number, name: string): void {
    const { machine } = this.#host;
    const task = machine.findTask(tid);
    if (task?.alive !== true) throw new StepError(`there is no task ${tid}`);
    machine.rename(task, name);
  }

  suspend(): void {
    this.#host.machine.suspend();
  }

  kexec(): void {
    this.#host.machine.kexec();
  }

  advance(ns: number): void {
    this.#host.machine.advance(ns);
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

  #onlineCpu(cpuNumber: number): SimCpu {
    const cpu = this.#host.machine.cpus[cpuNumber];
    if (cpu?.online !== true) throw new StepError(`CPU ${cpuNumber} is not online`);
    return cpu;
  }

  kernelExecute(cpuNumber: number, ip: bigint): void {
    const cpu = this.#onlineCpu(cpuNumber);
    this.#host.machine.crossCall(cpu, () => cpu.kernelExecute(ip));
  }

  kernelAccess(cpuNumber: number, access: KernelAccess): void {
    const cpu = this.#onlineCpu(cpuNumber);
    const { at, lenBytes, store, value } = access;
    // As a processor reports it: behind the instruction.
    const place = access.ip ?? this.#host.machine.symbol('kernel_text') ?? 0n;
    const ip = access.ip === undefined && this.#host.arch.name === 'x86' ? place : place + instructionBytes;
    if (store) memoryAt(this.#host.machine, cpu, at)?.writeNumber(at, lenBytes, value);
    this.#host.machine.crossCall(cpu, () =>
      cpu.kernelAccess(lowWord(at), highWord(at), lenBytes, { store, ip }),
    );
  }

  get ksym(): ModelKsym {
    this.#ksym ??= new ModelKsym(this.#host);
    return this.#ksym;
  }

  kgdb(packet: string): string | null {
    if (this.#host.arch.name !== 'x86')
      throw new StepError('the kernel debugger of the model knows x86 only');
    // Being made it registers breakpoints, as no code in an NMI may.
    if (this.#host.machine.currentCpu.inNmi && !this.#host.hasKgdb)
      throw new StepError('the debugger is made by its first packet, which no NMI can bring');
    return this.#host.kgdb().packet(packet);
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
        // An NMI that is over has let the debugger go.
        if (this.#host.stands) this.#host.kgdb().leave();
      },
      work,
    );
    return taken;
  }

  /** Removes what the scenario registered and left. */
  close(): void {
    this.#ksym?.close();
    this.#sample?.close();
    for (const cpu of this.#taken.keys()) this.#giveRegistersBack(cpu);
    for (const { wide } of this.#wides.values()) this.#host.core.unregisterWide(wide);
  }
}

/** A model as a place for scenarios. */
export class ModelLab implements Lab {
  readonly kernel = 'model';
  readonly host: ModelHost;
  readonly tasks: LabTasks;
  /** The same tasks, as only the model has them. */
  readonly modelTasks: ModelLabTasks;
  readonly machine: ModelLabMachine;
  readonly ptrace: ModelLabPtrace;
  readonly calls: LabCalls;
  readonly bpf: LabBpf;
  #fileFd = -1;

  /** `tasksSleep`: tasks that wait for orders are off their CPUs. */
  constructor(host: ModelHost, options: { readonly tasksSleep?: boolean } = {}) {
    this.host = host;
    const acts = new TracedActs(host);
    const tasks = new ModelLabTasks(host, acts);
    this.modelTasks = tasks;
    const sleeping = options.tasksSleep === true ? new SleepingTasks(host, tasks) : undefined;
    this.tasks = sleeping ?? tasks;
    const run = sleeping && ((task: SimTask) => sleeping.runs(task));
    this.ptrace = new ModelLabPtrace(host, { acts, tasks, run });
    this.machine = new ModelLabMachine(host);
    this.calls = new LabCalls(host);
    this.bpf = {
      program: (name) => {
        const found = namedProgram(name);
        return found && (() => host.calls.bpf.loadProgram(found.type, found.bytes));
      },
    };
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

/** A feature of the place, not of the kernel. */
const tasksSleep = 'tasks-sleep';
/** What the model can be. */
const knownFeatures = [
  ...['bpext', 'kprobes', 'sticky-stop', 'pmu-resched', 'no-breakpoints', 'no-table'],
  ...['vhe', 'nodebugmon', 'watched-far', 'debug-v8.4'],
  tasksSleep,
];

/** Makes a model for each scenario. */
export class ModelLabMaker implements LabMaker {
  readonly #options: Pick<ModelHostOptions, 'verify' | 'table'>;

  /** `verify`: check every invariant after every call. `table`: another constraint table. */
  constructor(options: Pick<ModelHostOptions, 'verify' | 'table'> = {}) {
    this.#options = options;
  }

  refuses(machine: ScenarioMachine, needs: readonly string[]): string | undefined {
    if (machine.arch === 'arm64' && needs.includes('bpf')) return 'the model has no bpf on arm64';
    if (machine.arch === 'arm64' && machine.era !== 'modern') return 'the model has arm64 of today only';
    if (!eras.some((era) => era === machine.era)) return `the model has no era "${machine.era}" yet`;
    const feature = machine.features.find((name) => !knownFeatures.includes(name));
    if (feature !== undefined) return `the model has no feature "${feature}"`;
    if (needs.includes('two-cpus') && machine.cpus < 2) return 'it needs two CPUs';
    const missing = needs.find((need) => need === 'kvm');
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
        ...(machine.arch === 'arm64' ? { arm64: { brps: machine.brps, wrps: machine.wrps } } : {}),
        ...(era === undefined ? {} : { era }),
        features: machine.features,
        paranoid: machine.paranoid,
        symbols,
        ...this.#options,
      }),
      { tasksSleep: machine.features.includes(tasksSleep) },
    );
  }
}
