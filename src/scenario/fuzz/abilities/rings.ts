import type { Ability } from '../ability.ts';
import { makeAttr } from '../attr-maker.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';
import type { FuzzAttr, FuzzEvent, World } from '../world.ts';

/** What a scenario has of rings. */
interface RingState {
  /** Events whose records any other one of these can stand beside: each record tells whose it is. */
  readonly sources: Set<string>;
  /** Events that a step asked to map, closed or not. */
  readonly mapped: Set<string>;
}

const states: WeakMap<World, RingState> = new WeakMap();

function stateOf(world: World): RingState {
  let state = states.get(world);
  if (state === undefined) {
    state = { sources: new Set(), mapped: new Set() };
    states.set(world, state);
  }
  return state;
}

/** Fields of samples that follow from the kernel alone: no stacks. */
const sampleTypes: readonly string[] = [
  ...['IP', 'TID', 'TIME', 'ADDR', 'READ', 'ID', 'CPU', 'PERIOD', 'STREAM_ID', 'RAW', 'WEIGHT'],
  ...['REGS_USER', 'REGS_INTR', 'DATA_SRC', 'TRANSACTION', 'PHYS_ADDR', 'DATA_PAGE_SIZE', 'AUX'],
];

/** Flags that bring records which do not follow from the steps alone. */
const newsFlags: readonly string[] = ['mmap', 'mmap2', 'mmapData', 'inheritStat', 'freq'];

/** An attr whose records can be compared. */
function sampledAttr(world: World, target: { readonly task: string | null; readonly cpu: number }): FuzzAttr {
  const { dice } = world;
  const attr = makeAttr(world, target);
  for (const flag of newsFlags) delete attr[flag];
  // What the runner and the rest of a CPU do besides the steps is not the scenario's.
  if (target.task === null || target.task === 'self')
    for (const flag of ['task', 'comm', 'commExec']) delete attr[flag];
  else if (dice.chance(0.3)) attr[dice.pick(['task', 'comm'])] = true;
  attr.samplePeriod = attr.inherit === true ? 1 : dice.pick([1, 1, 1, 2, 3, 5, 100]);
  const chosen = dice.some(sampleTypes, 0.2).filter((name) => name !== 'READ' || attr.inherit !== true);
  attr.sampleType = ['IDENTIFIER', ...chosen];
  attr.sampleIdAll = true;
  attr.sampleRegsUser = dice.pick([1, 0xfff, 0x100]);
  attr.sampleRegsIntr = dice.pick([2, 0x500]);
  delete attr.raw;
  delete attr.useClockid;
  if (dice.chance(0.3)) attr.wakeupEvents = dice.pick([1, 2, 3, 7, 64]);
  if (dice.chance(0.1)) {
    attr.watermark = true;
    attr.wakeupEvents = dice.pick([0, 1, 100, 1000, 4096, 100_000]);
  }
  if (dice.chance(0.05)) attr.writeBackward = true;
  return attr;
}

function mapping(world: World, event: string): FuzzStep {
  const { dice } = world;
  stateOf(world).mapped.add(event);
  return {
    step: 'mmap',
    event,
    pages: dice.chance(0.1) ? dice.pick([0, 3, 5]) : dice.pick([1, 1, 1, 2, 4]),
    ...(dice.chance(0.15) ? { readOnly: true } : {}),
    ...(dice.chance(0.03) ? { private: true } : {}),
  };
}

/** A new event that samples, with a ring of its own or another's. */
function source(world: World): readonly FuzzStep[] | undefined {
  const { dice } = world;
  if (world.slotsVague) return undefined;
  const chosen = dice.chance(0.85) ? dice.pick(world.living) : undefined;
  const task = chosen?.name ?? (dice.chance(0.6) ? null : 'self');
  // The runner is on any CPU.
  const cpu = task === null ? world.cpu() : dice.chance(0.3) ? (chosen?.cpu ?? -1) : -1;
  const attr = sampledAttr(world, { task, cpu });
  const as = world.newName('r');
  const { sources } = stateOf(world);
  const other = dice.chance(0.3) ? dice.pick([...sources]) : undefined;
  sources.add(as);
  const event: FuzzEvent = { name: as, attr, task, cpu, group: undefined, copied: false };
  world.events.push(event);
  const open: FuzzStep = { step: 'open', as, attr, task, cpu };
  return [open, other === undefined ? mapping(world, as) : redirect(as, other)];
}

function redirect(event: string, to: unknown): FuzzStep {
  return { step: 'ioctl', event, request: 'SET_OUTPUT', arg: to };
}

/** A source that is still open, mostly. */
function pickSource(world: World): string | undefined {
  const { sources } = stateOf(world);
  return world.dice.pick(world.events.filter(({ name }) => sources.has(name)))?.name;
}

/** Some ring that was mapped, of an event that may have been closed. */
function pickRing(world: World): string | undefined {
  return world.dice.pick([...stateOf(world).mapped]);
}

/** Rings: samples and other records, room and loss, wakeups, limits of samples. docs/spec/03 sections 5, 6, 12, 13. */
export const rings: Ability = {
  name: 'rings and sampling',
  kinds: [
    { name: 'source', weight: 8, make: source },
    {
      name: 'mmap',
      weight: 2,
      make: (world) => {
        const event = pickSource(world);
        return event === undefined ? undefined : [mapping(world, event)];
      },
    },
    {
      name: 'set output',
      weight: 3,
      make: (world) => {
        const { dice } = world;
        const event = pickSource(world);
        if (event === undefined) return undefined;
        return [redirect(event, dice.chance(0.7) ? (pickSource(world) ?? -1) : dice.pick([-1, 0, 999_999]))];
      },
    },
    {
      name: 'records',
      weight: 12,
      make: (world) => {
        const event = pickRing(world);
        if (event === undefined) return undefined;
        return [{ step: 'records', event, ...(world.dice.chance(0.1) ? { keep: true } : {}) }];
      },
    },
    {
      name: 'set tail',
      weight: 2,
      make: (world) => {
        const event = pickRing(world);
        if (event === undefined) return undefined;
        const value = world.dice.pick([0, 8, 40, 4095, 4096, 5000, '0x100000000', '0xffffffffffffffff']);
        return [{ step: 'setTail', event, value }];
      },
    },
    {
      name: 'munmap',
      weight: 2,
      make: (world) => {
        const event = pickRing(world);
        return event === undefined ? undefined : [{ step: 'munmap', event }];
      },
    },
    {
      name: 'poll of a ring',
      weight: 5,
      make: (world) => {
        const event = pickSource(world);
        return event === undefined ? undefined : [{ step: 'poll', event }];
      },
    },
    {
      name: 'pause',
      weight: 3,
      make: (world) => {
        const event = pickSource(world);
        if (event === undefined) return undefined;
        return [{ step: 'ioctl', event, request: 'PAUSE_OUTPUT', arg: world.dice.pick([0, 0, 1, 1, 2]) }];
      },
    },
    {
      name: 'refresh',
      weight: 4,
      make: (world) => {
        const { dice } = world;
        const event = dice.pick(world.events);
        if (event === undefined || world.scattered(event)) return undefined;
        const arg = dice.pick([0, 1, 1, 2, 5, -1]);
        return [{ step: 'ioctl', event: event.name, request: 'REFRESH', arg }];
      },
    },
    {
      name: 'many hits',
      weight: 4,
      make: (world) => {
        const { dice } = world;
        const task = dice.pick(world.living);
        if (task === undefined) return undefined;
        const at = `${task.name}.data+${dice.pick([0, 8, 16])}`;
        return [{ step: 'store', task: task.name, at, len: 8, times: dice.pick([20, 60, 130, 300]) }];
      },
    },
  ],
};
