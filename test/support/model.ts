import { expect } from 'vitest';
import type { Architecture } from '../../src/arch/architecture.ts';
import { X86Architecture } from '../../src/arch/x86/x86-architecture.ts';
import { KernelError } from '../../src/base/kernel-error.ts';
import { BreakpointCore } from '../../src/kernel/core/breakpoint-core.ts';
import { openEvent } from '../../src/kernel/perf/open.ts';
import type { PerfEvent } from '../../src/kernel/perf/perf-event.ts';
import { PerfKernel, type PerfKernelOptions } from '../../src/kernel/perf/perf-kernel.ts';
import { SimMachine, type SimMachineOptions } from '../../src/machines/sim/sim-machine.ts';
import type { SimTask } from '../../src/machines/sim/sim-task.ts';
import type { PerfEventAttr } from '../../src/uapi/perf-event-attr.ts';

export const R = 1;
export const W = 2;
export const RW = 3;
export const X = 4;

export interface TestModel {
  readonly machine: SimMachine;
  readonly kernel: PerfKernel;
  readonly core: BreakpointCore;
  readonly arch: Architecture | null;
  readonly warnings: string[];
  readonly self: SimTask;
}

export interface TestModelOptions extends Partial<SimMachineOptions> {
  readonly kernel?: Partial<PerfKernelOptions>;
  readonly bpext?: boolean;
  readonly kprobes?: boolean;
  readonly arch?: Architecture | null;
}

/** A machine with our kernel, verifying. */
export function testModel(options: TestModelOptions = {}): TestModel {
  const {
    kernel: kernelOptions = {},
    bpext = false,
    kprobes = true,
    arch: givenArch,
    ...machineOptions
  } = options;
  const machine = new SimMachine({ cpus: 2, ...machineOptions });
  const warnings: string[] = [];
  const arch =
    givenArch === undefined
      ? new X86Architecture({
          cpus: machine.cpus.length,
          bpext,
          kprobes,
          warn: (message) => warnings.push(message),
        })
      : givenArch;
  const kernel = new PerfKernel({ machine, arch, verify: true, ...kernelOptions });
  return {
    machine,
    kernel,
    core: new BreakpointCore(kernel),
    arch,
    warnings,
    self: machine.spawn({ name: 'self', cpu: 0 }),
  };
}

/** "ok", or the errno's name. */
export function outcome(work: () => unknown): string {
  try {
    work();
    return 'ok';
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

/** reg(cpu, task) of docs/spec/07: RW, 1 byte, pinned. */
export function reg(
  model: TestModel,
  cpu: number,
  task: SimTask | null,
  attr: Partial<PerfEventAttr> = {},
): PerfEvent {
  return openEvent(model.kernel, {
    attr: { type: 5, bpType: RW, bpAddr: 0x10_0000n, bpLen: 1n, pinned: true, ...attr },
    caller: model.self,
    pid: task === null ? -1 : task.tid,
    cpu,
  });
}

/** Fails on what was left behind: events, slots, registers. */
export function expectNoLeak(model: TestModel): void {
  expect(model.kernel.all.size, 'events').toBe(0);
  expect(model.core.isUsed(), 'slots').toBe(false);
  for (const { image } of model.kernel.cpus) {
    expect(image?.slots.every((slot) => slot === null) ?? true, 'registers').toBe(true);
    expect(image?.active ?? false, 'DR7').toBe(false);
  }
}
