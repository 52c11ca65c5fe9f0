import fs from 'node:fs';
import { assert } from '../../base/assert.ts';
import { errnoValues } from '../../base/errno.ts';
import { isKernelError } from '../../base/kernel-error.ts';
import { namedProgram } from '../../bpf/named-programs.ts';
import { LinuxBpf } from '../../linux/bpf.ts';
import { System } from '../../linux/system.ts';
import type { ScenarioMachine, ScenarioStep } from '../../scenario/format.ts';
import type { Lab, LabBpf, LabMaker } from '../../scenario/lab.ts';
import { encodePerfEventAttr, PERF_TYPE_BREAKPOINT } from '../../uapi/perf-event-attr.ts';
import { probedFeatures, probeKernel } from './kernel-probes.ts';
import { LiveCalls } from './live-calls.ts';
import { LiveLabPtrace } from './live-lab-ptrace.ts';
import { type LiveMachine, readLiveMachine } from './live-machine.ts';
import { LiveTasks } from './live-tasks.ts';
import { LiveTracer } from './live-tracer.ts';
import { LiveTurn } from './live-turn.ts';
import { pageBytes } from './puppet-layout.ts';
import { PuppetStage } from './puppet-stage.ts';

const breakpointRegisters = 4;

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

function hasSigtrap(attr: unknown): boolean {
  return typeof attr === 'object' && attr !== null && 'sigtrap' in attr && attr.sigtrap === true;
}

/** What live labs share. */
interface LiveLabParts {
  readonly system: System;
  readonly stage: PuppetStage;
  readonly turn: LiveTurn;
}

/** The machine's Linux as a place for scenarios. */
export class LiveLab implements Lab {
  readonly kernel = 'linux';
  readonly calls: LiveCalls;
  readonly tasks: LiveTasks;
  readonly ptrace: LiveLabPtrace;
  readonly #system: System;
  readonly #stage: PuppetStage;
  readonly #live: LiveMachine;
  readonly #paranoid: number;
  readonly #turn: LiveTurn;
  readonly bpf: LabBpf;
  #fileFd = -1;

  /** `live` is the machine that there is, `machine` the one that the scenario asks for. The turn is taken until the end. */
  constructor(parts: LiveLabParts, live: LiveMachine, machine: ScenarioMachine) {
    const { system, stage, turn } = parts;
    this.#system = system;
    this.#stage = stage;
    this.#turn = turn;
    this.#live = live;
    this.#paranoid = machine.paranoid;
    const cpus = live.cpus.slice(0, machine.cpus);
    const first = cpus.length;
    // CPUs that the scenario's machine lacks must be lacking here too, however many there are.
    this.calls = new LiveCalls(system, (cpu) => (cpu < 0 ? cpu : (cpus[cpu] ?? 1_000_000 + cpu - first)));
    const tracer = new LiveTracer(stage);
    this.tasks = new LiveTasks(system, stage, tracer, cpus);
    this.ptrace = new LiveLabPtrace(tracer, this.tasks);
    const bpf = new LinuxBpf(system, 'x86_64', () => cpus.length);
    this.bpf = {
      program: (name) => {
        const found = namedProgram(name);
        return found && (() => this.calls.adopt(bpf.loadBytes(found.type, found.bytes)));
      },
    };
  }

  lacks(step: ScenarioStep): string | undefined {
    if (step.step === 'credentials') {
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
    if (task === 'self' && (step.step === 'async' || step.step === 'signalMask'))
      return 'the runner itself takes no signals';
    if (step.step === 'open' && task === 'self' && hasSigtrap(attr))
      return 'the runner itself takes no signals';
    if (step.keys.compat === true && !this.#stage.endures('compat'))
      return 'this kernel takes no 32-bit system calls';
    if (step.step !== 'trap') return undefined;
    const routine = step.keys.kind === 'icebp' ? 'icebp' : 'int3';
    return this.#stage.endures(routine) ? undefined : `an ${routine} never ends on this machine`;
  }

  cpuName(cpu: number): number {
    return this.#live.cpus.indexOf(cpu);
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
    this.#turn.release();
  }
}

/** Makes live labs, one at a time. Holds the images of puppets between them: close it. */
export class LiveLabMaker implements LabMaker {
  #machine: LiveMachine = readLiveMachine();
  #parts: LiveLabParts | undefined;
  #unable: string | undefined | null = null;

  /** What this machine is; what its kernel does is found out by {@link unable}. */
  get machine(): LiveMachine {
    return this.#machine;
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
    if (machine.arch !== live.arch)
      return `the machine is ${live.arch}, not ${machine.arch}: the model has it, and a remote stub may`;
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
      if (need === 'ptrace' && !live.mayTrace)
        return 'ptrace of any task needs root and a kernel.yama.ptrace_scope below 3';
      if (['kvm', 'unprivileged-user'].includes(need)) return `the live runner has no ${need} yet`;
      if (need === 'bpf' && !this.#hasBpf()) return 'bpf programs may not be loaded here';
    }
    return undefined;
  }

  #hasBpf(): boolean {
    const { system } = this.#made();
    const keep = namedProgram('keep');
    try {
      const bpf = new LinuxBpf(system, 'x86_64', () => 1);
      bpf.load({ bytes: keep?.bytes ?? new Uint8Array() }).close();
      return true;
    } catch (error) {
      if (isKernelError(error)) return false;
      throw error;
    }
  }

  adopt(machine: ScenarioMachine): ScenarioMachine {
    const { features, paranoid, root } = this.machine;
    // Root is not asked; who drops to less asks for a level that this machine must have.
    return { ...machine, features, paranoid: root ? machine.paranoid : paranoid };
  }

  disturbance(): string | undefined {
    const { system } = this.#made();
    return this.#inTurn(() => breakpointsExist(system, this.machine.cpus))
      ? 'somebody else on this machine has breakpoints'
      : undefined;
  }

  make(machine: ScenarioMachine): LiveLab {
    assert(this.refuses(machine, []) === undefined, 'a lab is made for scenarios that it does not refuse');
    const parts = this.#made();
    parts.turn.take();
    return new LiveLab(parts, this.machine, machine);
  }

  close(): void {
    this.#parts?.stage.close();
    this.#parts?.turn.release();
    this.#parts = undefined;
  }

  #made(): LiveLabParts {
    if (this.#parts === undefined) {
      const system = new System();
      this.#parts = { system, stage: new PuppetStage(system), turn: new LiveTurn(system) };
    }
    return this.#parts;
  }

  #inTurn<Result>(work: () => Result): Result {
    const { turn } = this.#made();
    turn.take();
    try {
      return work();
    } finally {
      turn.release();
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #probe(): string | undefined {
    if (process.platform !== 'linux' || process.arch !== 'x64')
      return `puppets are for Linux on x86-64, not ${process.platform} on ${process.arch}`;
    return this.#inTurn(() => this.#probeInTurn());
  }

  #probeInTurn(): string | undefined {
    const { system, stage } = this.#made();
    const calls = new LiveCalls(system, (cpu) => cpu);
    try {
      const attr = encodePerfEventAttr({
        type: PERF_TYPE_BREAKPOINT,
        bpType: 2,
        bpAddr: BigInt(pageBytes),
        bpLen: 1n,
        excludeKernel: true,
      });
      calls.close(calls.perfEventOpen({ attr, pid: 0, cpu: -1, groupFd: -1, flags: 0 }));
      const probed = probeKernel(system, stage);
      if (probed !== undefined) {
        const others = this.#machine.features.filter((name) => !probedFeatures.includes(name));
        this.#machine = { ...this.#machine, features: [...others, ...probed] };
      }
      return undefined;
    } catch (error) {
      if (!isKernelError(error)) throw error;
      if (error.errno === errnoValues.ENOSPC) return undefined; // somebody has them all, at this moment
      const why =
        error.errno === errnoValues.EACCES ? `kernel.perf_event_paranoid is ${this.machine.paranoid}` : '';
      return `the machine refuses breakpoints: ${error.code}${why === '' ? '' : `, ${why}`}`;
    }
  }
}
