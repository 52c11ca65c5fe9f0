import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isKernelError } from '../src/base/kernel-error.ts';
import type { PerfEvent } from '../src/kernel/perf/perf-event.ts';
import type { SimTask } from '../src/machines/sim/sim-task.ts';
import { expectNoLeak, RW, reg, type TestModel, testModel, W, X } from './support/model.ts';
import { type NaiveBreakpoint, NaiveSlots } from './support/naive-slots.ts';

/** What a naive reader of the specification expects of one event, or of one inherited copy of it. */
interface NaiveMember {
  readonly task: SimTask | null;
  readonly slot: NaiveBreakpoint;
  enabled: boolean;
  count: number;
  gone: boolean;
}

interface NaiveEvent {
  readonly event: PerfEvent;
  readonly cpu: number;
  readonly type: number;
  readonly address: bigint;
  readonly len: bigint;
  readonly inherit: boolean;
  readonly members: NaiveMember[];
  /** Hits of copies that are gone. */
  past: number;
}

interface World {
  readonly model: TestModel;
  readonly tasks: SimTask[];
  readonly slots: NaiveSlots;
  readonly events: NaiveEvent[];
}

const cpus = 2;
const base = 0x1000n;

/** One random step, as numbers: what it does is decided by `kind`, on what by the others, modulo what there is. */
interface Step {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly flag: boolean;
}

const pick = <T>(list: readonly T[], index: number): T | undefined =>
  list.length === 0 ? undefined : list[index % list.length];

function open(world: World, step: Step): void {
  const { model, slots } = world;
  const onCpu = step.c % 4 === 0;
  const task = onCpu ? undefined : pick(world.tasks, step.a);
  if (!onCpu && task === undefined) return;
  const cpu = onCpu ? step.b % cpus : (step.b % (cpus + 1)) - 1;
  const type = [W, RW, X][step.c % 3] ?? W;
  const len = type === X ? 8n : ([1n, 2n, 4n, 8n][step.a % 4] ?? 1n);
  const address = base + BigInt(step.b % 4) * 8n + (type === X ? 0x100n : 0n);
  const inherit = step.flag && task !== undefined;
  const slot: NaiveBreakpoint = { pool: 0, cpu, task: task === undefined ? null : String(task.tid) };
  const admitted = slots.admits(slot);
  const online = model.machine.cpus[cpu]?.online ?? true;
  let event: PerfEvent | undefined;
  try {
    const attr = {
      bpType: type,
      bpAddr: address,
      bpLen: len,
      pinned: step.b % 2 === 0,
      inherit,
      disabled: step.a % 5 === 0,
    };
    event = reg(model, cpu, task ?? null, attr);
  } catch (error) {
    if (!isKernelError(error)) throw error;
    expect(error.code).toBe(admitted ? 'ENODEV' : 'ENOSPC');
  }
  expect(event !== undefined).toBe(admitted && (task !== undefined || online));
  if (event === undefined) return;
  slots.add(slot);
  const member = { task: task ?? null, slot, enabled: step.a % 5 !== 0, count: 0, gone: false };
  world.events.push({ event, cpu, type, address, len, inherit, members: [member], past: 0 });
}

/** The hits that one instruction of `task` on `cpu` makes: an access to memory, or an execution. */
function expectHits(world: World, task: SimTask, touches: (naive: NaiveEvent) => boolean): void {
  for (const naive of world.events)
    for (const member of naive.members) {
      const there =
        member.task === null
          ? naive.cpu === task.home.number
          : member.task === task && (naive.cpu === -1 || naive.cpu === task.home.number);
      if (there && member.enabled && !member.gone && touches(naive)) member.count++;
    }
}

function act(world: World, step: Step): void {
  const task = pick(world.tasks, step.a);
  if (task === undefined) return;
  if (step.c % 3 === 0) {
    const ip = base + 0x100n + BigInt(step.b % 32);
    expectHits(world, task, (naive) => naive.type === X && naive.address === ip);
    world.model.machine.perform(task, { type: 'execute', ip });
    return;
  }
  const at = base + BigInt(step.b % 40) - 4n;
  const lenBytes = [1, 2, 4, 8, 16][step.c % 5] ?? 1;
  const store = step.flag;
  expectHits(world, task, (naive) => {
    if (naive.type === X || (naive.type === W && !store)) return false;
    for (let i = 0n; i < BigInt(lenBytes); i++)
      if (at + i >= naive.address && at + i < naive.address + naive.len) return true;
    return false;
  });
  // An instruction pointer far from every breakpoint.
  world.model.machine.perform(task, { type: store ? 'store' : 'load', at, lenBytes, ip: 0x90_0000n });
}

function clone(world: World, step: Step): void {
  const parent = pick(world.tasks, step.a);
  if (parent === undefined || world.tasks.length >= 5) return;
  let child: SimTask | undefined;
  try {
    child = world.model.machine.clone(parent, { thread: step.flag });
  } catch (error) {
    if (!isKernelError(error, 'ENOSPC')) throw error;
  }
  // The copies are made pinned ones first; each needs its own slot, and one without makes the clone fail.
  const added: { naive: NaiveEvent; member: NaiveMember }[] = [];
  let admitted = true;
  for (const naive of world.events) {
    const source = naive.inherit
      ? naive.members.find((member) => member.task === parent && !member.gone)
      : undefined;
    if (source === undefined) continue;
    const slot = { pool: 0, cpu: naive.cpu, task: child === undefined ? 'nobody' : String(child.tid) };
    if (!world.slots.admits(slot)) admitted = false;
    world.slots.add(slot);
    added.push({
      naive,
      member: { task: child ?? null, slot, enabled: source.enabled, count: 0, gone: false },
    });
  }
  expect(child !== undefined).toBe(admitted);
  if (child === undefined) {
    for (const { member } of added) world.slots.remove(member.slot);
    return;
  }
  for (const { naive, member } of added) naive.members.push(member);
  world.tasks.push(child);
}

function exit(world: World, step: Step): void {
  if (world.tasks.length < 2) return;
  const index = step.a % world.tasks.length;
  const [task] = world.tasks.splice(index, 1);
  if (task === undefined) return;
  world.model.machine.exit(task);
  for (const naive of world.events)
    naive.members.forEach((member, i) => {
      if (member.task !== task || member.gone) return;
      member.gone = true;
      if (i === 0) return;
      naive.past += member.count;
      member.count = 0;
      world.slots.remove(member.slot);
    });
}

function close(world: World, naive: NaiveEvent): void {
  world.events.splice(world.events.indexOf(naive), 1);
  naive.members.forEach((member, i) => {
    if (i === 0 || !member.gone) world.slots.remove(member.slot);
  });
  world.model.kernel.control.destroy(naive.event);
}

function control(world: World, step: Step): void {
  const naive = pick(world.events, step.a);
  if (naive === undefined) return;
  const { control: events } = world.model.kernel;
  switch (step.b % 5) {
    case 0:
      events.enable(naive.event);
      for (const member of naive.members) member.enabled = true;
      break;
    case 1:
      events.disable(naive.event);
      for (const member of naive.members) member.enabled = false;
      break;
    case 2:
      events.reset(naive.event);
      for (const member of naive.members) member.count = 0;
      break;
    default:
      close(world, naive);
  }
}

function machineStep(world: World, step: Step): void {
  const { machine } = world.model;
  const task = pick(world.tasks, step.a);
  if (task === undefined) return;
  switch (step.b % 5) {
    case 0:
      if (machine.cpus[step.c % cpus]?.online) machine.migrate(task, step.c % cpus);
      break;
    case 1:
      machine.reschedule(task);
      break;
    case 2:
      machine.switchTo(task.home, null);
      break;
    case 3:
      if (machine.cpus[1]?.online) {
        machine.offline(1);
        // Events of a CPU that went offline never come back.
        for (const naive of world.events)
          for (const member of naive.members) if (member.task === null && naive.cpu === 1) member.gone = true;
      } else machine.online(1);
      break;
    default:
      machine.advance(1_000_000 * (step.c % 10));
  }
}

const steps: fc.Arbitrary<Step> = fc.record({
  kind: fc.nat(11),
  a: fc.nat(99),
  b: fc.nat(99),
  c: fc.nat(99),
  flag: fc.boolean(),
});

function play(sequence: readonly Step[], log?: (line: string) => void): void {
  const model = testModel({ cpus, seed: 7, ...(log === undefined ? {} : { log }) });
  const world: World = {
    model,
    tasks: ['A', 'B'].map((name) => model.machine.spawn({ name })),
    slots: new NaiveSlots([4], cpus),
    events: [],
  };
  for (const step of sequence) {
    if (step.kind < 3) open(world, step);
    else if (step.kind < 7) act(world, step);
    else if (step.kind < 9) control(world, step);
    else if (step.kind === 9) clone(world, step);
    else if (step.kind === 10) machineStep(world, step);
    else if (step.a % 3 === 0) exit(world, step);
    for (const naive of world.events) {
      const expected = naive.members.reduce((sum, member) => sum + member.count, naive.past);
      expect(model.kernel.control.totals(naive.event).value).toBe(expected);
    }
  }
  for (const naive of [...world.events]) close(world, naive);
  for (const task of world.tasks) model.machine.exit(task);
  expectNoLeak(model);
}

describe('the whole layer under random steps', () => {
  it('admits what the naive table admits, counts what the naive matcher counts, and keeps its invariants', () => {
    fc.assert(
      fc.property(fc.array(steps, { minLength: 20, maxLength: 120 }), (sequence) => play(sequence)),
      { numRuns: 400 },
    );
  });

  it('does the same twice, line by line', () => {
    let lines = 0;
    fc.assert(
      fc.property(fc.array(steps, { minLength: 20, maxLength: 80 }), (sequence) => {
        const logs: string[][] = [[], []];
        for (const log of logs) play(sequence, (line) => log.push(line));
        expect(logs[1]).toEqual(logs[0]);
        lines += logs[0]?.length ?? 0;
      }),
      { numRuns: 20 },
    );
    expect(lines).toBeGreaterThan(100);
  });
});
