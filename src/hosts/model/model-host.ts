import type { Architecture } from '../../arch/architecture.ts';
import { assert } from '../../base/assert.ts';
import { BreakpointCore } from '../../kernel/core/breakpoint-core.ts';
import { ModelPerfCalls } from '../../kernel/perf/perf-calls.ts';
import { PerfKernel } from '../../kernel/perf/perf-kernel.ts';
import type { Era } from '../../kernel/pmu/admission.ts';
import type { TableMaker } from '../../kernel/pmu/breakpoint-pmu.ts';
import { Ptrace } from '../../kernel/ptrace/ptrace.ts';
import { SimMachine } from '../../machines/sim/sim-machine.ts';
import type { SimTask } from '../../machines/sim/sim-task.ts';
import { ModelKgdb } from './model-kgdb.ts';
import { type Arm64Counts, arm64Processors, x86Processors } from './model-processors.ts';

/** What a model is made of. */
export interface ModelHostOptions {
  /** Possible CPUs; default 2. */
  readonly cpus?: number;
  readonly offline?: readonly number[];
  /** arm64 processors with so many registers; default x86. */
  readonly arm64?: Arm64Counts;
  /** "bpext", "kprobes", "sticky-stop", "pmu-resched", "vhe", "no-breakpoints", "no-table": docs/spec/09 "Header". */
  readonly features?: readonly string[];
  /** Dated rules; default today's. docs/spec/09 "Header". */
  readonly era?: Era;
  /** perf_event_paranoid; default 2. */
  readonly paranoid?: number;
  readonly seed?: number;
  readonly symbols?: Readonly<Record<string, bigint>>;
  /** Check every invariant after every call; default no. */
  readonly verify?: boolean;
  /** Makes the constraint table; default the kernel's. A test puts a broken one here. */
  readonly table?: TableMaker;
  readonly log?: (line: string) => void;
}

/**
 * Our kernel on a simulated machine, ready to use: the machine, the kernel, the core API, and a task "self" whose
 * system calls are {@link calls}.
 */
export class ModelHost {
  readonly machine: SimMachine;
  readonly arch: Architecture;
  readonly kernel: PerfKernel;
  readonly core: BreakpointCore;
  /** ptrace(2); "self" traces. */
  readonly ptrace: Ptrace;
  /** The task that makes the system calls: root, on the first CPU that is online. */
  readonly self: SimTask;
  readonly calls: ModelPerfCalls;
  /** The kernel debugger, from its first packet on. */
  #kgdb: ModelKgdb | undefined;
  /** One-time warnings of the kernel. */
  readonly warnings: string[] = [];

  constructor(options: ModelHostOptions = {}) {
    const { features = [], log, symbols, offline, seed } = options;
    const cpus = options.cpus ?? 2;
    const processorOptions = {
      ...({ cpus, features, era: options.era ?? 'modern' } as const),
      warn: (message: string): void => {
        this.warnings.push(message);
      },
    };
    const processors =
      options.arm64 === undefined
        ? x86Processors(processorOptions)
        : arm64Processors(options.arm64, processorOptions);
    const { arm64 } = processors;
    this.arch = processors.arch;
    this.machine = new SimMachine({
      cpus,
      ...(arm64 === undefined ? {} : { arm64 }),
      ...(offline === undefined ? {} : { offline }),
      ...(seed === undefined ? {} : { seed }),
      ...(symbols === undefined ? {} : { symbols }),
      ...(log === undefined ? {} : { log }),
    });
    for (const [name, address] of Object.entries(processors.symbols))
      if (!this.machine.symbols.has(name)) this.machine.symbols.set(name, address);
    this.kernel = new PerfKernel({
      machine: this.machine,
      arch: features.includes('no-breakpoints') ? null : this.arch,
      tableFailed: features.includes('no-table'),
      paranoid: options.paranoid ?? 2,
      features,
      era: options.era ?? 'modern',
      verify: options.verify ?? false,
      ...(options.table === undefined ? {} : { table: options.table }),
    });
    this.core = new BreakpointCore(this.kernel);
    this.ptrace = new Ptrace(this.kernel, this.core);
    const firstCpu = this.machine.currentCpu.number;
    this.self = this.machine.spawn({ name: 'self', cpu: firstCpu });
    this.calls = new ModelPerfCalls(this.kernel, { caller: () => this.self });
  }

  /** The kernel debugger, made now if it is not there: it takes a slot of each CPU for a moment. */
  kgdb(): ModelKgdb {
    this.#kgdb ??= new ModelKgdb(this);
    return this.#kgdb;
  }

  get hasKgdb(): boolean {
    return this.#kgdb !== undefined;
  }

  /** Whether the kernel debugger holds the whole machine. */
  get stands(): boolean {
    return this.#kgdb?.inside ?? false;
  }

  /**
   * Closes the fds of "self", ends every task, and checks that nothing is left: no event, no slot, no register.
   * Breakpoints of clients in the kernel must be gone before.
   */
  close(): void {
    this.#kgdb?.close();
    this.#kgdb = undefined;
    this.calls.closeAll();
    for (const task of [...this.machine.tasks()]) this.machine.exit(task);
    assert(this.kernel.all.size === 0, `${this.kernel.all.size} events are left`);
    assert(!this.core.isUsed(), 'slots are left');
    for (const { cpu, image } of this.kernel.cpus)
      assert(
        image === null || (!image.active && image.slots.every((slot) => slot === null)),
        `registers of CPU ${cpu.number} are left`,
      );
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
