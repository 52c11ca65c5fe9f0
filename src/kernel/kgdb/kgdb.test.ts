import { describe, expect, it } from 'vitest';
import { expectNoLeak, outcome, RW, reg, type TestModel, testModel, W } from '../../../test/support/model.ts';
import { dr7 } from '../../arch/x86/debug-register-bits.ts';
import type { PerfEvent } from '../perf/perf-event.ts';
import { Kgdb, type KgdbRequest, type KgdbStop } from './kgdb.ts';
import { x86KgdbRecord } from './x86-record.ts';

const harmlessAddress = 0xffff_ffff_8300_0000n;
const kernelData = 0xffff_ffff_8300_1000n;

function debugger_(model: TestModel, onStop: (stop: KgdbStop) => void = () => undefined): Kgdb {
  return new Kgdb({
    kernel: model.kernel,
    core: model.core,
    record: x86KgdbRecord,
    harmlessAddress,
    onStop,
  });
}

function started(model: TestModel, onStop?: (stop: KgdbStop) => void): Kgdb {
  const kgdb = debugger_(model, onStop);
  expect(kgdb.init()).toBe(true);
  return kgdb;
}

/** The operator's session: everybody stands while `work` is done. */
function operate<T>(kgdb: Kgdb, work: () => T): T {
  kgdb.enter();
  try {
    return work();
  } finally {
    kgdb.leave();
  }
}

const at = (n: number): KgdbRequest => ({ kind: 'write', address: kernelData + BigInt(8 * n), lenBytes: 8 });

const control = (model: TestModel, cpu: number): number =>
  (model.machine.cpus[cpu]?.registers.low(dr7) ?? 0) >>> 0;

function store(model: TestModel, cpu: number, address: bigint): void {
  const on = model.machine.cpus[cpu];
  if (on === undefined) throw new Error('there is no such CPU');
  model.machine.crossCall(on, () =>
    on.kernelAccess(Number(address & 0xffff_ffffn), Number(address >> 32n), 8, { store: true, ip: 0n }),
  );
}

describe('the kernel debugger', () => {
  it('has entries without slots, and needs one free slot a CPU to make them', () => {
    const model = testModel();
    const kgdb = started(model);
    const events = [0, 1, 2, 3].map(() => reg(model, 0, null));
    expect(outcome(() => reg(model, 0, null))).toBe('ENOSPC');
    for (const event of events) model.core.unregister(event);
    kgdb.close();
    expectNoLeak(model);
  });

  it('is no debugger where a CPU is full', () => {
    const model = testModel();
    const events = [0, 1, 2, 3].map(() => reg(model, 1, null));
    const kgdb = debugger_(model);
    expect(kgdb.init()).toBe(false);
    expect(kgdb.ready).toBe(false);
    for (const event of events) model.core.unregister(event);
    expectNoLeak(model);
  });

  it('holds a slot on every CPU for what is set, and arms it when the machine goes on', () => {
    const model = testModel();
    const kgdb = started(model);
    operate(kgdb, () => {
      expect(kgdb.set(at(0))).toBe(0);
      expect([control(model, 0), control(model, 1)]).toEqual([0x400, 0x400]);
    });
    expect([control(model, 0), control(model, 1)]).toEqual([0x90602, 0x90602]);
    const events = [0, 1, 2].map(() => reg(model, 1, null));
    expect(outcome(() => reg(model, 1, null))).toBe('ENOSPC');
    operate(kgdb, () => expect(kgdb.remove(at(0).address)).toBe(0));
    events.push(reg(model, 1, null));
    for (const event of events) model.core.unregister(event);
    kgdb.close();
    expectNoLeak(model);
  });

  it('reserves on all CPUs or on none', () => {
    const model = testModel({ cpus: 4 });
    const kgdb = started(model);
    const events = [0, 1, 2, 3].map(() => reg(model, 2, null));
    operate(kgdb, () => expect(kgdb.set(at(0))).toBe(-1));
    expect(kgdb.requests()).toEqual([]);
    for (let cpu = 0; cpu < 4; cpu++)
      if (cpu !== 2) for (let n = 0; n < 4; n++) events.push(reg(model, cpu, null));
    for (const event of events) model.core.unregister(event);
    kgdb.close();
    expectNoLeak(model);
  });

  it('keeps the hardware off while it stands, and gives everybody the own back', () => {
    const model = testModel();
    const perf = reg(model, 0, null, { bpAddr: kernelData + 0x100n, bpType: W });
    const kgdb = started(model);
    const before = control(model, 0);
    operate(kgdb, () => {
      kgdb.set(at(0));
      expect(control(model, 0)).toBe(0x400);
      store(model, 0, kernelData + 0x100n);
      expect(perf.count).toBe(0);
    });
    expect(control(model, 0) & before).toBe(before);
    store(model, 0, kernelData + 0x100n);
    expect(perf.count).toBe(1);
    // Entered again: its own goes, and comes back into the first free register.
    operate(kgdb, () => {
      expect(control(model, 0)).toBe(0x400);
      expect(model.kernel.cpuState(0).image?.slots.filter((slot) => slot !== null)).toEqual([perf]);
    });
    model.core.unregister(perf);
    kgdb.close();
    expectNoLeak(model);
  });

  it('takes control after a hit in kernel mode on any CPU, told as all entries that are enabled', () => {
    const model = testModel();
    const stops: KgdbStop[] = [];
    const kgdb = started(model, (stop) => stops.push(stop));
    operate(kgdb, () => {
      kgdb.set(at(0));
      kgdb.set(at(1));
    });
    store(model, 1, at(1).address);
    expect(stops.map(({ cpu, request }) => [cpu.number, request.address])).toEqual([[1, at(1).address]]);
    const user = model.machine.spawn({ name: 'user', cpu: 0 });
    operate(kgdb, () => kgdb.set({ kind: 'access', address: 0x5000n, lenBytes: 4 }));
    model.machine.perform(user, { type: 'store', at: 0x5000n, lenBytes: 4 });
    expect(stops.length, 'a hit in user mode is not its business').toBe(1);
    kgdb.close();
    model.machine.exit(user);
    expectNoLeak(model);
  });

  it('does not fire again for a watchpoint that is removed in the trap that it caused', () => {
    const model = testModel();
    let stops = 0;
    const kgdb: Kgdb = started(model, ({ request }) => {
      stops++;
      operate(kgdb, () => expect(kgdb.remove(request.address)).toBe(0));
    });
    operate(kgdb, () => kgdb.set(at(0)));
    store(model, 0, at(0).address);
    store(model, 0, at(0).address);
    store(model, 1, at(0).address);
    expect(stops).toBe(1);
    kgdb.close();
    expectNoLeak(model);
  });

  it('refuses what x86 has not got, a fifth, and what is not there', () => {
    const model = testModel();
    const kgdb = started(model);
    operate(kgdb, () => {
      expect(kgdb.set({ kind: 'read', address: kernelData, lenBytes: 4 })).toBe(-1);
      expect(kgdb.set({ kind: 'write', address: kernelData, lenBytes: 3 })).toBe(-1);
      expect(kgdb.set({ kind: 'hardware', address: kernelData, lenBytes: 8 })).toBe(0);
      for (let n = 1; n < 4; n++) expect(kgdb.set(at(n))).toBe(0);
      expect(kgdb.set(at(9))).toBe(-1);
      expect(kgdb.remove(at(9).address)).toBe(-1);
      expect(kgdb.remove(kernelData)).toBe(0);
    });
    expect(kgdb.requests().length).toBe(3);
    kgdb.close();
    expectNoLeak(model);
  });

  it('leaves nothing on a CPU that was offline when it was removed', () => {
    const model = testModel();
    const kgdb = started(model);
    operate(kgdb, () => kgdb.set(at(0)));
    model.machine.offline(1);
    operate(kgdb, () => expect(kgdb.remove(at(0).address)).toBe(0));
    model.machine.online(1);
    expect(control(model, 1) & 0xff).toBe(0);
    kgdb.close();
    expectNoLeak(model);
  });
});

/** What somebody is in the middle of when the debugger comes. */
type Interrupted = (model: TestModel, state: { readonly events: PerfEvent[] }) => void;

const interruptions: Readonly<Record<string, { prepare?: Interrupted; work: Interrupted }>> = {
  'reserve and install on a CPU': {
    work: (model, { events }) => events.push(reg(model, 0, null, { bpAddr: kernelData })),
  },
  'reserve and install on a task': {
    work: (model, { events }) => events.push(reg(model, -1, model.self)),
  },
  'reserve on a task, bound to a CPU': {
    work: (model, { events }) => events.push(reg(model, 0, model.self)),
  },
  'uninstall and release of a CPU': {
    prepare: (model, { events }) => events.push(reg(model, 0, null), reg(model, 0, null)),
    work: (model, { events }) => model.core.unregister(events.shift() ?? null),
  },
  'uninstall and release of a task': {
    prepare: (model, { events }) => events.push(reg(model, 0, model.self), reg(model, -1, model.self)),
    work: (model, { events }) => model.core.unregister(events.shift() ?? null),
  },
  'a refusal': {
    prepare: (model, { events }) => {
      for (let n = 0; n < 4; n++) events.push(reg(model, 0, null));
    },
    work: (model) => void outcome(() => reg(model, -1, model.self)),
  },
  'a wide registration': {
    work: (model, { events }) => {
      const wide = model.core.registerWide({
        attr: { type: 5, bpType: RW, bpAddr: kernelData, bpLen: 8n, samplePeriod: 1n },
        handler: () => undefined,
      });
      for (const event of wide?.events ?? []) if (event !== null) events.push(event);
    },
  },
  'a change of address': {
    prepare: (model, { events }) => events.push(reg(model, 0, null, { bpAddr: kernelData })),
    work: (model, { events }) => {
      const [event] = events;
      if (event !== undefined)
        model.core.modifyUser(event, { ...event.attr, bpAddr: kernelData + 0x200n, bpType: W, bpLen: 2n });
    },
  },
  'the end of a bound breakpoint': {
    prepare: (model, { events }) => events.push(reg(model, -1, model.self), reg(model, 0, model.self)),
    work: (model, { events }) => model.core.unregister(events.pop() ?? null),
  },
  'a switch of tasks': {
    prepare: (model, { events }) => events.push(reg(model, -1, model.self)),
    work: (model) => model.machine.reschedule(model.self),
  },
};

/** What the operator does in the NMI; after it, whether or not it worked, a retry must. */
const operations: Readonly<
  Record<string, { before: number; run(kgdb: Kgdb): void; after(kgdb: Kgdb): void }>
> = {
  set: {
    before: 0,
    run: (kgdb) => void kgdb.set(at(0)),
    after: (kgdb) => {
      if (kgdb.requests().length === 0) kgdb.set(at(0));
    },
  },
  'set another': {
    before: 1,
    run: (kgdb) => void kgdb.set(at(1)),
    after: (kgdb) => {
      if (kgdb.requests().length === 1) kgdb.set(at(1));
    },
  },
  remove: {
    before: 2,
    run: (kgdb) => void kgdb.remove(at(0).address),
    after: (kgdb) => {
      if (kgdb.requests().length === 2) expect(kgdb.remove(at(0).address)).toBe(0);
    },
  },
  'look around': { before: 2, run: () => undefined, after: () => undefined },
};

describe('an operator who comes at any interruption', () => {
  const explored: Record<string, number> = {};
  for (const cpus of [1, 2, 4])
    for (const [name, { prepare, work }] of Object.entries(interruptions))
      for (const [operation, { before, run, after }] of Object.entries(operations))
        it(`${operation} during ${name}, ${cpus} CPUs`, () => {
          for (let position = 1; ; position++) {
            const model = testModel({ cpus });
            model.machine.switchTo(model.self.home, model.self);
            const kgdb = started(model);
            operate(kgdb, () => {
              for (let n = 0; n < before; n++) expect(kgdb.set(at(n))).toBe(0);
            });
            const state = { events: [] as PerfEvent[] };
            outcome(() => prepare?.(model, state)); // what the operator has set may leave no room for all of it
            let taken = false;
            model.machine.withNmi(
              position,
              () => {
                taken = true;
                operate(kgdb, () => run(kgdb));
              },
              () => outcome(() => work(model, state)),
            );
            if (!taken) {
              expect(position, 'the work has interruption points').toBeGreaterThan(2);
              explored[cpus] = (explored[cpus] ?? 0) + position - 1;
              kgdb.close();
              for (const event of state.events) model.core.unregister(event);
              expectNoLeak(model);
              return;
            }
            // Whatever came of it, every register is what its image says (the model verifies it after each call).
            model.machine.reschedule(model.self);
            for (const { image } of model.kernel.cpus) expect(image?.difference()).toBe(undefined);
            if (name !== 'a refusal' || operation === 'remove') operate(kgdb, () => after(kgdb));
            // A store fires exactly what is set, on each CPU.
            const wanted = kgdb.requests().map(({ address }) => address);
            for (let cpu = 0; cpu < cpus; cpu++) {
              const { image } = model.kernel.cpuState(cpu);
              const armed = image?.slots.filter(
                (slot) => slot !== null && (slot as PerfEvent).placedDirectly,
              ).length;
              expect(armed, `CPU ${cpu}`).toBe(wanted.length);
            }
            kgdb.close();
            for (const event of state.events) model.core.unregister(event);
            expectNoLeak(model);
          }
        });

  it('was tried at every position', () => {
    const total = Object.values(explored).reduce((sum, count) => sum + count, 0);
    console.log(
      `kgdb: ${total} interruption points explored (${Object.entries(explored)
        .map(([cpus, count]) => `${cpus} CPUs: ${count}`)
        .join(', ')})`,
    );
    expect(total).toBeGreaterThan(1000);
  });
});
