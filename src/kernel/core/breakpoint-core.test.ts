import { afterEach, describe, expect, it } from 'vitest';
import {
  expectNoLeak,
  outcome,
  reg,
  type TestModel,
  type TestModelOptions,
  testModel,
  W,
  X,
} from '../../../test/support/model.ts';
import { SplitArchitecture } from '../../../test/support/split-architecture.ts';
import { openEvent } from '../perf/open.ts';
import type { PerfEvent } from '../perf/perf-event.ts';
import { kernelBreakpointAttr, ptraceBreakpointAttr, type WideBreakpoint } from './breakpoint-core.ts';
import { SampleClient } from './sample-client.ts';

let model: TestModel;
const opened: PerfEvent[] = [];
const wides: (WideBreakpoint | null)[] = [];
const start = (options: TestModelOptions = {}): TestModel => {
  model = testModel(options);
  return model;
};
const keep = (event: PerfEvent): PerfEvent => {
  opened.push(event);
  return event;
};
const handler = (): void => undefined;
const watch = kernelBreakpointAttr({ bpAddr: 0xffff_8880_0000_1000n, bpLen: 4n, bpType: W });
const wide = (cpus?: number[], attr = watch): WideBreakpoint | null => {
  const made = model.core.registerWide({ attr, handler, ...(cpus === undefined ? {} : { cpus }) });
  wides.push(made);
  return made;
};

afterEach(() => {
  for (const made of wides.splice(0)) model.core.unregisterWide(made);
  for (const event of opened.splice(0)) model.core.unregister(event);
  expectNoLeak(model);
});

describe('wide breakpoints', () => {
  it('83, 88: one event for each online CPU, each costing a slot on its CPU only', () => {
    start({ cpus: 3 });
    const made = wide();
    expect(made?.events.map((event) => event?.cpu)).toEqual([0, 1, 2]);
    for (const cpu of [0, 1, 2])
      expect([1, 2, 3, 4].map(() => outcome(() => keep(reg(model, cpu, null))))).toEqual([
        'ok',
        'ok',
        'ok',
        'ENOSPC',
      ]);
  });

  it('84: one full CPU refuses all, and no register was written', () => {
    start({ cpus: 3 });
    for (let i = 0; i < 4; i++) keep(reg(model, 1, null));
    const writes = model.machine.cpus.map((cpu) => cpu.registers.writes);
    const before = model.kernel.breakpoints?.table.snapshot();
    expect(outcome(() => wide())).toBe('ENOSPC');
    expect(model.machine.cpus.map((cpu) => cpu.registers.writes)).toEqual(writes);
    expect(model.kernel.breakpoints?.table.snapshot()).toBe(before);
  });

  it('85: an invalid length is refused and leaves nothing', () => {
    start({ cpus: 3 });
    expect(outcome(() => wide(undefined, { ...watch, bpLen: 3n }))).toBe('EINVAL');
    expect(model.core.isUsed()).toBe(false);
  });

  it('86: an offline CPU gets none, and coming online later gives it none', () => {
    start({ cpus: 3, offline: [2] });
    const made = wide();
    expect(made?.events.map((event) => event !== null)).toEqual([true, true, false]);
    model.machine.online(2);
    expect(model.kernel.cpuState(2).image?.active).toBe(false);
    // One that went offline with its event is still unregistered cleanly.
    model.machine.offline(1);
  });

  it('87, 138: with a mask only its CPUs trap', () => {
    const hits: number[] = [];
    start();
    wides.push(
      model.core.registerWide({ attr: watch, handler: (event) => void hits.push(event.cpu), cpus: [1] }),
    );
    for (const cpu of model.machine.cpus)
      cpu.kernelAccess(0x1000, 0xffff_8880, 4, { store: true, ip: 0xffff_ffff_8100_0000n });
    expect(hits).toEqual([1]);
  });

  it('89, 93: a task with a mask, an empty mask, an impossible CPU and an unknown symbol are EINVAL', () => {
    start();
    expect(
      outcome(() => model.core.registerWide({ attr: watch, handler, task: model.self, cpus: [0] })),
    ).toBe('EINVAL');
    expect(outcome(() => wide([]))).toBe('EINVAL');
    expect(outcome(() => wide([7]))).toBe('EINVAL');
    expect(outcome(() => model.core.registerWide({ attr: watch, handler, symbol: 'nosuch' }))).toBe('EINVAL');
  });

  it('90: each CPU of the mask counts for itself', () => {
    start();
    for (let i = 0; i < 4; i++) wide([0]);
    for (let i = 0; i < 3; i++) wide([1]);
    expect(outcome(() => wide([0]))).toBe('ENOSPC');
    const before = model.kernel.breakpoints?.table.snapshot();
    expect(outcome(() => wide([0, 1]))).toBe('ENOSPC');
    expect(model.kernel.breakpoints?.table.snapshot()).toBe(before);
    expect(outcome(() => wide([1]))).toBe('ok');
  });

  it('94, 266: unregistering nothing, or twice, changes no counter', () => {
    start();
    const made = wide();
    model.core.unregisterWide(made);
    const before = model.kernel.breakpoints?.table.snapshot();
    model.core.unregisterWide(made);
    model.core.unregister(null);
    expect(model.kernel.breakpoints?.table.snapshot()).toBe(before);
  });
});

describe('breakpoints on a task', () => {
  it('95: modifying in place never gives the slot away', () => {
    const { machine, kernel, core } = start();
    const task = machine.spawn({ name: 'A' });
    const made = [0n, 1n, 2n, 3n].map((n) =>
      keep(
        core.registerUser({
          attr: ptraceBreakpointAttr({ bpAddr: 0x1000n + n, bpLen: 1n, bpType: W }),
          task,
          handler,
        })!,
      ),
    );
    machine.perform(task, { type: 'execute' });
    // An NMI at every point of the change: nobody else gets in.
    for (let at = 1; ; at++) {
      const seen: number[] = [];
      const change = (): void =>
        core.modifyUser(
          made[0]!,
          ptraceBreakpointAttr({ bpAddr: 0x2000n + BigInt(at), bpLen: 1n, bpType: W }),
        );
      const passed = machine.withNmi(
        at,
        () => seen.push(kernel.breakpoints!.table.dbgReserve({ slotPool: 0, cpu: 0, taskSlots: null })),
        change,
      );
      if (passed < at) break;
      expect(seen).toHaveLength(1);
      expect(seen[0]).not.toBe(0);
      expect(outcome(() => reg(model, -1, task))).toBe('ENOSPC');
    }
    expect(made[0]?.attr.bpAddr).toBeGreaterThan(0x2000n);
  });

  it('96, 97: a refused change leaves the old breakpoint live, one to disabled switches it off', () => {
    const { machine, core } = start();
    const task = machine.spawn({ name: 'A' });
    const hits: number[] = [];
    const attr = ptraceBreakpointAttr({ bpAddr: 0x1000n, bpLen: 4n, bpType: W });
    const event = keep(core.registerUser({ attr, task, handler: () => void hits.push(1) })!); // x86
    const store = (): void => void machine.perform(task, { type: 'store', at: 0x1000n, lenBytes: 4 });
    store();
    expect(outcome(() => core.modifyUser(event, { ...attr, bpAddr: 0x1002n }))).toBe('EINVAL');
    store();
    core.modifyUser(event, { ...attr, disabled: true });
    store();
    expect(hits).toHaveLength(2);
    expect(core.isUsed()).toBe(true);
  });

  it('104: a change of pool that finds it full leaves the old one live with its slot', () => {
    const { machine, core, kernel } = start({ arch: new SplitArchitecture({ inst: 1, data: 2 }) });
    const task = machine.spawn({ name: 'A' });
    const code = kernelBreakpointAttr({ bpAddr: 0x1000n, bpLen: 4n, bpType: X });
    const data = kernelBreakpointAttr({ bpAddr: 0x2000n, bpLen: 4n, bpType: W });
    const first = keep(core.registerUser({ attr: code, task, handler })!); // not switched off
    const second = keep(core.registerUser({ attr: data, task, handler })!); // likewise
    machine.perform(task, { type: 'execute' });
    const before = kernel.breakpoints?.table.snapshot();
    expect(outcome(() => core.modifyUser(second, code))).toBe('ENOSPC');
    expect(kernel.breakpoints?.table.snapshot()).toBe(before);
    expect([second.state, second.attr.bpType]).toEqual([1, W]);
    core.unregister(first);
    expect(outcome(() => core.modifyUser(second, code))).toBe('ok');
    expect([second.state, second.slotPool]).toEqual([1, 0]);
  });
});

describe('the debugger', () => {
  it('71: announces slots without a lock, and others see them as used', () => {
    const { core, kernel } = start();
    const event = reg(model, 0, null);
    expect(core.dbgRelease(event)).toBe(0);
    for (let i = 0; i < 4; i++) keep(reg(model, 1, null));
    const before = kernel.breakpoints?.table.snapshot();
    expect(core.dbgReserve(event)).toBe(0);
    expect([1, 2, 3, 4].map(() => outcome(() => keep(reg(model, 0, null))))).toEqual([
      'ok',
      'ok',
      'ok',
      'ENOSPC',
    ]);
    expect(kernel.breakpoints?.table.snapshot()).not.toBe(before);
    core.unregister(event);
  });
});

describe('what the machine has', () => {
  it('29: no watch registers refuse data and take code', () => {
    const { machine } = start({ arch: new SplitArchitecture({ inst: 2, data: 0 }) });
    const task = machine.spawn({ name: 'A' });
    expect(outcome(() => reg(model, -1, task, { bpType: W }))).toBe('EOPNOTSUPP');
    expect(outcome(() => keep(reg(model, -1, task, { bpType: X })))).toBe('ok');
  });

  it('30: built without breakpoints', () => {
    const { machine, core, kernel } = start({ arch: null });
    const task = machine.spawn({ name: 'A' });
    expect(outcome(() => reg(model, -1, task))).toBe('ENOENT');
    expect(core.registerUser({ attr: watch, task, handler })).toBeNull();
    expect(core.registerWide({ attr: watch, handler })).toBeNull();
    expect(core.isUsed()).toBe(false);
    const software = keep(
      openEvent(kernel, { attr: { type: 1, config: 9n }, caller: model.self, pid: 0, cpu: -1 }),
    );
    expect(outcome(() => core.modifyUser(software, watch))).toBe('ENOSYS');
    machine.perform(task, { type: 'store', at: 0x1000n, lenBytes: 1 });
  });

  it('31: a table that could not be set up answers ENOMEM', () => {
    const { machine } = start({ kernel: { tableFailed: true } });
    const task = machine.spawn({ name: 'A' });
    expect(outcome(() => reg(model, -1, task))).toBe('ENOMEM');
    expect(outcome(() => reg(model, 0, null, { bpType: 0 }))).toBe('ENOMEM');
  });

  it('61, 66, 67: pools that are not shared count for themselves', () => {
    const { machine, core } = start({ arch: new SplitArchitecture({ inst: 6, data: 4 }) });
    const task = machine.spawn({ name: 'A' });
    const open = (bpType: number): string => outcome(() => keep(reg(model, -1, task, { bpType })));
    expect(Array.from({ length: 7 }, () => open(X))).toEqual([
      ...Array.from({ length: 6 }, () => 'ok'),
      'ENOSPC',
    ]);
    expect([1, 2, 3, 2, 1].map(open)).toEqual(['ok', 'ok', 'ok', 'ok', 'ENOSPC']);
    core.unregister(opened[0]!); // an X: its place is free for a W that changes over
    core.modifyUser(opened[6]!, kernelBreakpointAttr({ bpAddr: 0n, bpLen: 4n, bpType: X }));
    expect([open(X), open(W), open(W)]).toEqual(['ENOSPC', 'ok', 'ENOSPC']);
  });
});

describe('the sample client', () => {
  it('logs writes to a kernel variable with where they came from, on every CPU, until it is unloaded', () => {
    const { machine, core } = start({ symbols: { jiffies: 0xffff_ffff_8300_0000n } });
    const log: string[] = [];
    const client = new SampleClient(core, machine, { log: (line) => log.push(line) });
    for (const cpu of machine.cpus)
      cpu.kernelAccess(0x8300_0000, 0xffff_ffff, 8, { store: true, ip: 0xffff_ffff_8101_0004n });
    machine.cpus[0]?.kernelAccess(0x8300_0000, 0xffff_ffff, 8, { store: false, ip: 0xffff_ffff_8101_0004n });
    client.close();
    client.close();
    machine.cpus[0]?.kernelAccess(0x8300_0000, 0xffff_ffff, 8, { store: true, ip: 0n });
    expect(log).toEqual([
      'HW Breakpoint for jiffies write installed',
      'jiffies value is changed',
      'Dump stack from the sample handler: 0xffffffff81010004',
      'jiffies value is changed',
      'Dump stack from the sample handler: 0xffffffff81010004',
      'HW Breakpoint uninstalled',
    ]);
  });

  it('does not load without the symbol, or without a slot', () => {
    const { machine, core } = start({ symbols: { jiffies: 0xffff_ffff_8300_0000n } });
    const log = (): void => undefined;
    expect(outcome(() => new SampleClient(core, machine, { symbol: 'nosuch', log }))).toBe('ENXIO');
    for (let i = 0; i < 4; i++) keep(reg(model, 1, null));
    expect(outcome(() => new SampleClient(core, machine, { log }))).toBe('ENOSPC');
  });
});
