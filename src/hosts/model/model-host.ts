import type { X86KernelLayout } from '../../arch/x86/kernel-layout.ts';
import { X86Architecture } from '../../arch/x86/x86-architecture.ts';
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

/** What a model is made of. */
export interface ModelHostOptions {
  /** Possible CPUs; default 2. */
  readonly cpus?: number;
  readonly offline?: readonly number[];
  /** "bpext", "kprobes", "sticky-stop", "pmu-resched", "no-breakpoints", "no-table": docs/spec/09 "Header". */
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
 * Our kernel on a simulated x86 machine, ready to use: the machine, the kernel, the core API, and a task "self" whose
 * system calls are {@link calls}.
 */
export class ModelHost {
  readonly machine: SimMachine;
  readonly arch: X86Architecture;
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
    this.machine = new SimMachine({
      cpus,
      ...(offline === undefined ? {} : { offline }),
      ...(seed === undefined ? {} : { seed }),
      ...(symbols === undefined ? {} : { symbols }),
      ...(log === undefined ? {} : { log }),
    });
    this.arch = new X86Architecture({
      cpus,
      era: options.era ?? 'modern',
      bpext: features.includes('bpext'),
      kprobes: features.includes('kprobes'),
      warn: (message) => this.warnings.push(message),
    });
    for (const [name, address] of Object.entries(layoutSymbols(this.arch.layout)))
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

/** Names for the places that no breakpoint may touch, and for some kernel text. */
function layoutSymbols(layout: X86KernelLayout): Record<string, bigint> {
  const symbols: Record<string, bigint> = {
    cpu_entry_area: layout.entryArea.start,
    per_cpu_offset: layout.perCpuOffsets.start,
    kernel_text: 0xffff_ffff_8100_0000n,
    kernel_data: 0xffff_ffff_8300_0000n,
    noprobe_text: layout.noProbeText[0]?.start ?? 0n,
  };
  for (const [cpu, areas] of layout.perCpu.entries()) {
    symbols[`cpu${cpu}_gdt`] = areas.gdt.start;
    symbols[`cpu${cpu}_tss`] = areas.tss.start;
    symbols[`cpu${cpu}_tlbstate`] = areas.tlbState.start;
    symbols[`cpu${cpu}_dr7`] = areas.cpuDr7.start;
  }
  return symbols;
}
