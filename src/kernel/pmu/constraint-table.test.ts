import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NaiveBreakpoint, NaiveSlots } from '../../../test/support/naive-slots.ts';
import { ConstraintTable, lockHeld, type SlotRequest } from './constraint-table.ts';
import { TaskSlots } from './task-slots.ts';

interface Real {
  readonly table: ConstraintTable;
  readonly tasks: Record<string, TaskSlots>;
  readonly held: { request: SlotRequest; naive: NaiveBreakpoint }[];
}

const taskNames = ['A', 'B', 'C'];

function real(slots: number[], cpus: number, point: () => void = () => undefined): Real {
  const table = new ConstraintTable({ slots, possibleCpus: cpus, point });
  return {
    table,
    tasks: Object.fromEntries(taskNames.map((name) => [name, new TaskSlots(slots.length)])),
    held: [],
  };
}

function requestOf({ tasks }: Real, { pool, cpu, task }: NaiveBreakpoint): SlotRequest {
  return { slotPool: pool, cpu, taskSlots: task === null ? null : (tasks[task] ?? null) };
}

class Reserve implements fc.Command<NaiveSlots, Real> {
  readonly #breakpoint: NaiveBreakpoint;
  readonly #dbg: boolean;
  constructor(breakpoint: NaiveBreakpoint, dbg: boolean) {
    this.#breakpoint = breakpoint;
    this.#dbg = dbg;
  }
  check(): boolean {
    return true;
  }
  run(model: NaiveSlots, system: Real): void {
    const naive = { ...this.#breakpoint };
    const request = requestOf(system, naive);
    const before = system.table.snapshot();
    const admitted = model.admits(naive);
    expect(this.#dbg ? system.table.dbgReserve(request) : system.table.reserve(request)).toBe(
      admitted ? 0 : 28,
    );
    if (admitted) {
      model.add(naive);
      system.held.push({ request, naive });
    } else expect(system.table.snapshot()).toBe(before);
    expect(system.table.isUsed()).toBe(model.existing.length > 0);
  }
  toString(): string {
    return `reserve(${JSON.stringify(this.#breakpoint)}${this.#dbg ? ', dbg' : ''})`;
  }
}

class Release implements fc.Command<NaiveSlots, Real> {
  readonly #which: number;
  readonly #dbg: boolean;
  constructor(which: number, dbg: boolean) {
    this.#which = which;
    this.#dbg = dbg;
  }
  check(model: NaiveSlots): boolean {
    return model.existing.length > 0;
  }
  run(model: NaiveSlots, system: Real): void {
    const [entry] = system.held.splice(this.#which % system.held.length, 1);
    if (entry === undefined) throw new Error('nothing is held');
    if (this.#dbg) expect(system.table.dbgRelease(entry.request)).toBe(0);
    else system.table.release(entry.request);
    model.remove(entry.naive);
    expect(system.table.isUsed()).toBe(model.existing.length > 0);
  }
  toString(): string {
    return `release(${this.#which})`;
  }
}

class Move implements fc.Command<NaiveSlots, Real> {
  readonly #which: number;
  constructor(which: number) {
    this.#which = which;
  }
  check(model: NaiveSlots): boolean {
    return model.existing.length > 0;
  }
  run(model: NaiveSlots, system: Real): void {
    const index = this.#which % system.held.length;
    const entry = system.held[index]!; // index < length
    const naive = { ...entry.naive, pool: 1 - entry.naive.pool };
    const request = requestOf(system, naive);
    const before = system.table.snapshot();
    const admitted = model.admits(naive);
    expect(system.table.move(entry.request, request)).toBe(admitted ? 0 : 28);
    if (!admitted) {
      expect(system.table.snapshot()).toBe(before);
      return;
    }
    model.remove(entry.naive);
    model.add(naive);
    system.held[index] = { request, naive };
  }
  toString(): string {
    return `move(${this.#which})`;
  }
}

function breakpoints(cpus: number): fc.Arbitrary<NaiveBreakpoint> {
  const target = fc.oneof(
    fc.record({ cpu: fc.nat(cpus - 1), task: fc.constant(null) }),
    fc.record({ cpu: fc.integer({ min: -1, max: cpus - 1 }), task: fc.constantFrom(...taskNames) }),
  );
  return fc.tuple(fc.nat(1), target).map(([pool, where]) => ({ pool, ...where }));
}

describe('the constraint table', () => {
  for (const [slots, cpus] of [
    [[4, 4], 2],
    [[1, 2], 3],
    [[6, 4], 2],
    [[4, 1], 1],
  ] as const)
    it(`agrees with the naive table: ${slots} slots, ${cpus} CPUs`, () => {
      const commands = [
        fc.tuple(breakpoints(cpus), fc.boolean()).map(([b, dbg]) => new Reserve(b, dbg)),
        fc.tuple(breakpoints(cpus), fc.boolean()).map(([b, dbg]) => new Reserve(b, dbg)),
        fc.tuple(fc.nat(50), fc.boolean()).map(([which, dbg]) => new Release(which, dbg)),
        fc.nat(50).map((which) => new Move(which)),
      ];
      fc.assert(
        fc.property(fc.commands(commands, { maxCommands: 80 }), (sequence) => {
          const system = real([...slots], cpus);
          fc.modelRun(() => ({ model: new NaiveSlots(slots, cpus), real: system }), sequence);
          for (const { request } of system.held) system.table.release(request);
          expect(system.table.isUsed()).toBe(false);
        }),
        { numRuns: 200 },
      );
    });

  it('65: an object at 0 is only counted in, and at its last removal only out', () => {
    const { table } = real([4], 2);
    const request = { slotPool: 0, cpu: 1, taskSlots: null };
    table.reserve(request);
    expect(table.snapshot()).toBe('0 1 | 1 0 0 0 | 0 0 0 0 | 0 0 0 0 0 0 0 0');
    table.release(request);
    expect(table.isUsed()).toBe(false);
  });

  it('69, 82: an NMI at any step gets a refusal without effect while a lock is held, and a slot otherwise', () => {
    const requests = (tasks: Record<string, TaskSlots>): SlotRequest[] => [
      { slotPool: 0, cpu: 0, taskSlots: null },
      { slotPool: 0, cpu: -1, taskSlots: tasks.A! },
      { slotPool: 0, cpu: 1, taskSlots: tasks.A! },
      { slotPool: 0, cpu: -1, taskSlots: tasks.A! },
    ];
    let refused = 0;
    let answered = 0;
    for (let stop = 1; ; stop++) {
      let points = 0;
      let taken = false;
      const debuggerRequest = { slotPool: 0, cpu: 0, taskSlots: null };
      const system = real([4], 2, () => {
        if (++points !== stop) return;
        const before = system.table.snapshot();
        const result = system.table.dbgReserve(debuggerRequest);
        if (result === lockHeld) {
          refused++;
          expect(system.table.snapshot()).toBe(before);
          expect(system.table.dbgRelease(debuggerRequest)).toBe(lockHeld);
        } else {
          answered++;
          expect(result).toBe(0);
          taken = true;
        }
      });
      const list = requests(system.tasks);
      const held = list.filter((request) => system.table.reserve(request) === 0);
      for (const request of held) system.table.release(request);
      const last = points;
      if (taken) expect(system.table.dbgRelease(debuggerRequest)).toBe(0);
      expect(system.table.isUsed()).toBe(false);
      if (stop >= last) break;
    }
    expect(refused).toBeGreaterThan(20);
    // Between two calls no lock is held: after each unlock there is a point.
    expect(answered).toBe(8);
  });

  it("a task's lock does not keep a debugger from another task's slots", () => {
    let inner: number[] = [];
    let first = true;
    const system = real([4], 1, () => {
      if (!first) return;
      first = false;
      inner = ['A', 'B'].map((name) =>
        system.table.dbgReserve({ slotPool: 0, cpu: -1, taskSlots: system.tasks[name]! }),
      );
    });
    system.table.reserve({ slotPool: 0, cpu: -1, taskSlots: system.tasks.A! });
    expect(inner).toEqual([lockHeld, 0]);
  });
});
