import { afterEach, describe, expect, it } from 'vitest';
import { expectNoLeak, outcome, RW, reg, type TestModel, testModel, W } from '../../../test/support/model.ts';
import type { SimTask } from '../../machines/sim/sim-task.ts';
import { openEvent } from './open.ts';
import type { PerfEvent } from './perf-event.ts';

let model: TestModel;
const opened: PerfEvent[] = [];
const keep = (event: PerfEvent): PerfEvent => {
  opened.push(event);
  return event;
};

function start(options: Parameters<typeof testModel>[0] = {}): { a: SimTask; run: (task: SimTask) => void } {
  model = testModel(options);
  const a = model.machine.spawn({ name: 'A', cpu: 0 });
  return { a, run: (task) => void model.machine.perform(task, { type: 'execute' }) };
}

/** Who is in the registers of CPU 0, by the names given. */
function layout(names: Record<string, PerfEvent>): string[] {
  const slots = model.kernel.cpuState(0).image?.slots ?? [];
  return slots.map(
    (slot) => Object.keys(names).find((name) => names[name] === slot) ?? (slot === null ? '-' : '?'),
  );
}

const count = (event: PerfEvent): number => model.kernel.control.totals(event).value;

afterEach(() => {
  for (const event of opened.splice(0)) model.kernel.control.destroy(event);
  expectNoLeak(model);
});

describe('who gets which register', () => {
  it('127: a CPU watch comes before a task watch; the next run starts at the lowest register', () => {
    const { a, run } = start();
    const p = keep(reg(model, 0, null));
    const b = keep(reg(model, -1, a));
    run(a);
    expect(layout({ p, b })).toEqual(['p', 'b', '-', '-']);
    model.machine.switchTo(a.home, null);
    expect(layout({ p, b })).toEqual(['p', '-', '-', '-']);
    model.kernel.control.destroy(p);
    run(a);
    expect(layout({ b })).toEqual(['b', '-', '-', '-']);
  });

  it('128: a hole is filled by a flexible newcomer, and a pinned one lays out its class anew', () => {
    const { a, run } = start();
    const p = reg(model, 0, null);
    const b = keep(reg(model, -1, a));
    run(a);
    model.kernel.control.destroy(p);
    expect(layout({ b })).toEqual(['-', 'b', '-', '-']);
    const f = keep(reg(model, -1, a, { pinned: false }));
    expect(layout({ b, f })).toEqual(['f', 'b', '-', '-']);
    model.machine.reschedule(a);
    expect(layout({ b, f })).toEqual(['b', 'f', '-', '-']);
    const c = keep(reg(model, -1, a));
    expect(layout({ b, f, c })).toEqual(['b', 'c', 'f', '-']);
  });

  it('130, 131: flexible CPU events make room for pinned task events only', () => {
    const { a, run } = start();
    const f = keep(reg(model, 0, null, { pinned: false }));
    const g = keep(reg(model, -1, a, { pinned: false }));
    run(a);
    expect(layout({ f, g })).toEqual(['f', 'g', '-', '-']);
    model.machine.switchTo(a.home, null);
    const b = keep(reg(model, -1, a));
    run(a);
    expect(layout({ f, g, b })).toEqual(['b', 'f', 'g', '-']);
  });

  it('129, 135: an event counts only where and while its task runs', () => {
    const { a, run } = start();
    const here = keep(reg(model, -1, a, { bpAddr: 0x1000n }));
    const there = keep(reg(model, 1, a, { bpAddr: 0x1000n }));
    const store = (): void => void model.machine.perform(a, { type: 'store', at: 0x1000n, lenBytes: 1 });
    run(a);
    store();
    expect([count(here), count(there)]).toEqual([1, 0]);
    model.machine.switchTo(a.home, null);
    const idle = model.kernel.control.totals(here);
    model.machine.perform(model.self, { type: 'store', at: 0x1000n, lenBytes: 1 });
    expect(model.kernel.control.totals(here)).toEqual(idle);
    const waiting = model.kernel.control.totals(there);
    expect([waiting.runningNs, waiting.enabledNs > 0]).toEqual([0, true]);
    model.machine.migrate(a, 1);
    store();
    expect([count(here), count(there)]).toEqual([2, 1]);
  });

  it('134: a pinned event that finds no register goes to ERROR and comes back by ENABLE; a flexible one waits', () => {
    // Somebody took the registers behind the scheduler's back: the invariants do not hold meanwhile.
    const { a, run } = start({ kernel: { verify: false } });
    const { arch, kernel, machine, warnings } = model;
    const image = kernel.cpuState(0).image!; // x86 has one
    const thieves = Array.from({ length: 4 }, () => ({
      record: arch!.parse({ bpType: W, bpAddr: 0n, bpLen: 1n, target: 'cpu' }),
      handledByClient: false,
    })); // x86
    for (const thief of thieves) arch?.install(image, thief);
    const pinned = keep(reg(model, -1, a));
    const flexible = keep(reg(model, -1, a, { pinned: false }));
    run(a);
    expect([pinned.state, flexible.state, pinned.pendingError]).toEqual([-2, 0, true]);
    for (const thief of thieves) arch?.uninstall(image, thief);
    expect(warnings).toHaveLength(1);
    machine.advance(4_000_000);
    expect([pinned.state, flexible.state]).toEqual([-2, 1]);
    kernel.control.enable(pinned);
    expect([pinned.state, flexible.state]).toEqual([1, 1]);
  });

  it('132: exclusive breakpoints do not exclude each other', () => {
    const { a, run } = start();
    const two = [keep(reg(model, -1, a, { exclusive: true })), keep(reg(model, -1, a, { exclusive: true }))];
    run(a);
    expect(two.map((event) => event.state)).toEqual([1, 1]);
  });

  it('136: the sibling of a leader that is off does not run, and its enabled time stands still', () => {
    const { a, run } = start();
    const open = (leader: PerfEvent | null): PerfEvent =>
      keep(
        openEvent(model.kernel, {
          attr: { type: 5, bpType: RW, bpAddr: 0x1000n, bpLen: 1n },
          caller: model.self,
          pid: a.tid,
          cpu: -1,
          group: () => leader,
        }),
      );
    const leader = open(null);
    const sibling = open(leader);
    run(a);
    expect([leader.state, sibling.state]).toEqual([1, 1]);
    model.kernel.control.disable(leader);
    expect([leader.state, sibling.state]).toEqual([-1, 0]);
    const before = model.kernel.control.totals(sibling);
    run(a);
    expect(model.kernel.control.totals(sibling)).toEqual(before);
    model.kernel.control.enable(leader);
    expect([leader.state, sibling.state]).toEqual([1, 1]);
    // A leader that goes leaves its siblings as events of their own, where they are.
    model.kernel.control.destroy(leader);
    expect([sibling.state, sibling.leader === sibling]).toEqual([1, true]);
  });

  it('137: with "pmu-resched" the sibling of a running software leader waits for the next switch', () => {
    for (const features of [[], ['pmu-resched']]) {
      const { a, run } = start({ kernel: { features } });
      run(a);
      const leader = openEvent(model.kernel, {
        attr: { type: 1, config: 9n },
        caller: model.self,
        pid: a.tid,
        cpu: -1,
      });
      const sibling = openEvent(model.kernel, {
        attr: { type: 5, bpType: RW, bpAddr: 0x1000n, bpLen: 1n },
        caller: model.self,
        pid: a.tid,
        cpu: -1,
        group: () => leader,
      });
      expect(sibling.state).toBe(features.length === 0 ? 1 : 0);
      model.machine.reschedule(a);
      expect(sibling.state).toBe(1);
      model.kernel.control.destroy(sibling);
      model.kernel.control.destroy(leader);
    }
  });

  it('265: closing an event that is active on another CPU takes it off before it returns', () => {
    const { a } = start();
    const event = reg(model, -1, a, { bpAddr: 0x1000n });
    model.machine.migrate(a, 1);
    model.machine.perform(a, { type: 'store', at: 0x1000n, lenBytes: 1 });
    expect(model.kernel.cpuState(1).image?.active).toBe(true);
    model.kernel.control.destroy(event);
    expect(model.kernel.cpuState(1).image?.active).toBe(false);
    model.kernel.control.destroy(event);
  });

  it('267: a CPU event leaves when its CPU goes offline; reading and closing work', () => {
    start();
    const event = keep(reg(model, 1, null, { bpAddr: 0x1000n }));
    const b = model.machine.spawn({ name: 'B', cpu: 1 });
    model.machine.perform(b, { type: 'store', at: 0x1000n, lenBytes: 1 });
    model.machine.offline(1);
    expect([event.state, count(event), b.home.number]).toEqual([-3, 1, 0]);
    expect(outcome(() => reg(model, 1, null))).toBe('ENODEV');
    model.machine.online(1);
    expect(event.state).toBe(-3);
    model.kernel.control.enable(event);
    expect(model.kernel.cpuState(1).image?.active).toBe(false);
  });
});
