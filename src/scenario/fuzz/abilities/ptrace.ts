import type { Ability } from '../ability.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';
import { codeLabels, dataOffsets, type FuzzTask, type World } from '../world.ts';

/** Tasks that a scenario attached, by name; some attachments may have been refused. */
const attachments: WeakMap<World, Set<string>> = new WeakMap();

function attached(world: World): Set<string> {
  let names = attachments.get(world);
  if (names === undefined) {
    names = new Set();
    attachments.set(world, names);
  }
  return names;
}

/** An attached task that lives; now and then another, which Linux refuses. */
function tracee(world: World): FuzzTask | undefined {
  const names = attached(world);
  const { dice } = world;
  const odd = dice.chance(0.02) ? dice.pick(world.tasks) : undefined;
  return odd ?? dice.pick(world.living.filter((task) => names.has(task.name) && knowsItsSlots(world, task)));
}

/**
 * Whether it is determined how many slots a task has: not where a relative took a copy with it that may have been this
 * task's (docs/spec/03 section 8, "Exchange at a switch").
 */
function knowsItsSlots(world: World, task: FuzzTask): boolean {
  return !world.events.some(
    (event) => world.scattered(event) && world.task(event.task)?.family === task.family,
  );
}

const lengthBits: Readonly<Record<number, number>> = { 1: 0, 2: 1, 4: 3, 8: 2 };
const lengths: readonly [number, ...number[]] = [1, 2, 4, 8];

/** A place for a breakpoint, mostly where accesses come by; seldom one that no task may watch. */
function address(world: World, task: FuzzTask, length: number): string {
  const { dice } = world;
  if (dice.chance(0.04))
    return dice.pick(['0x0', '0xffffffff81000000', '0x7ffffffff000', '0x7fffffffefff', '0x8000000000000000']);
  if (dice.chance(0.2)) return `${task.name}.code${dice.pick(codeLabels)}`;
  const slack = dice.chance(0.9) ? length : 1;
  return `${task.name}.data+${(dice.pick(dataOffsets) ?? 0) + slack * dice.below(8 / slack)}`;
}

/** What DR7 says of one breakpoint: its enable bits, its type and its length. */
function entry(
  n: number,
  { enabled, type, length }: { enabled: number; type: number; length: number },
): number {
  const nibble = ((lengthBits[length] ?? 0) << 2) | type;
  return enabled * 2 ** (2 * n) + nibble * 2 ** (16 + 4 * n);
}

/** A DR7 of any shape: entries on and off, types and lengths that fit or not, now and then bits that mean nothing. */
function control(world: World): number | string {
  const { dice } = world;
  let value = 0;
  for (let n = 0; n < 4; n++) {
    if (!dice.chance(0.5)) continue;
    const type = dice.chance(0.04) ? 2 : dice.pick([0, 1, 1, 3, 3]);
    const length = type === 0 && !dice.chance(0.05) ? 1 : dice.pick(lengths);
    value += entry(n, { enabled: dice.pick([1, 2, 3, 3, 0]), type, length });
  }
  if (dice.chance(0.2)) value += dice.pick([0x100, 0x200, 0x300]);
  if (dice.chance(0.1)) value += dice.pick([0x400, 0x2000, 0xfc00, 0x8000]);
  return dice.chance(0.05) ? `0xdeadbeef${value.toString(16).padStart(8, '0')}` : value;
}

/** Values for registers that take any, or none. */
const statusValues: readonly [number | string, ...(number | string)[]] = [
  0,
  1,
  '0xffff0ff0',
  '0xffffffffffffffff',
  '0x123456789abcdef0',
];

function poke(task: FuzzTask, debugreg: number, value: number | string): FuzzStep {
  return { step: 'pokeuser', task: task.name, debugreg, value };
}

/** Goes on with whatever the task is doing, and asks why it stopped. */
function go(world: World, task: FuzzTask): FuzzStep[] {
  const steps: FuzzStep[] = [];
  for (let n = 1 + world.dice.below(3); n > 0; n--) {
    steps.push({ step: world.dice.chance(0.75) ? 'cont' : 'singlestep', task: task.name });
    if (world.dice.chance(0.5)) steps.push({ step: 'peekuser', task: task.name, debugreg: 6 });
  }
  return steps;
}

/** One breakpoint that is possible, armed, and hit; then the task goes on. */
function breakpoint(world: World): readonly FuzzStep[] | undefined {
  const { dice } = world;
  const task = tracee(world);
  if (task === undefined) return undefined;
  const n = dice.below(4);
  const code = dice.chance(0.25);
  const length = code ? 1 : dice.pick(lengths);
  const label = `${task.name}.code${dice.pick(codeLabels)}`;
  const offset = dice.pick(dataOffsets) ?? 0;
  const place = code ? label : `${task.name}.data+${offset}`;
  const type = code ? 0 : dice.pick([1, 3]);
  const times = dice.chance(0.4) ? { times: dice.pick([2, 3, 7]) } : {};
  const other = `${task.name}.data+${dice.pick(dataOffsets) ?? 0}`;
  const act: FuzzStep = code
    ? { step: 'call', task: task.name, at: label, ...times }
    : dice.chance(0.3)
      ? { step: 'storeTwo', task: task.name, at: place, at2: other, len: dice.pick(lengths), ...times }
      : {
          step: dice.pick(['store', 'load', 'rmw']),
          task: task.name,
          at: place,
          len: dice.pick(lengths),
          ...times,
        };
  return [
    poke(task, n, place),
    poke(task, 7, entry(n, { enabled: dice.pick([1, 2, 3]), type, length })),
    act,
    { step: 'peekuser', task: task.name, debugreg: 6 },
    ...go(world, task),
  ];
}

/** Debug registers through ptrace, beside events on the same tasks. docs/spec/04 section 7, docs/spec/09 "Tracing". */
export const ptrace: Ability = {
  name: 'ptrace',
  kinds: [
    {
      name: 'attach',
      weight: 5,
      make: (world) => {
        const { dice } = world;
        const names = attached(world);
        const free = world.living.filter(({ name }) => !names.has(name));
        const task = dice.chance(0.05) ? dice.pick(world.tasks) : dice.pick(free);
        if (task === undefined || world.maskedFamilies.has(task.family)) return undefined;
        names.add(task.name);
        world.tracedFamilies.add(task.family);
        return [{ step: 'attach', task: task.name, ...(dice.chance(0.2) ? { followFork: true } : {}) }];
      },
    },
    {
      name: 'detach',
      weight: 2,
      make: (world) => {
        const task = tracee(world);
        if (task === undefined) return undefined;
        attached(world).delete(task.name);
        return [{ step: 'detach', task: task.name }];
      },
    },
    { name: 'breakpoint of a tracer', weight: 8, make: breakpoint },
    {
      name: 'cont',
      weight: 8,
      make: (world) => {
        const task = tracee(world);
        return task === undefined ? undefined : go(world, task);
      },
    },
    {
      name: 'poke of an address',
      weight: 5,
      make: (world) => {
        const task = tracee(world);
        const { dice } = world;
        if (task === undefined) return undefined;
        return [poke(task, dice.below(4), address(world, task, dice.pick(lengths)))];
      },
    },
    {
      name: 'poke of the control',
      weight: 6,
      make: (world) => {
        const task = tracee(world);
        if (task === undefined) return undefined;
        return [poke(task, 7, control(world)), { step: 'peekuser', task: task.name, debugreg: 7 }];
      },
    },
    {
      name: 'peek',
      weight: 4,
      make: (world) => {
        const task = tracee(world);
        const { dice } = world;
        if (task === undefined) return undefined;
        // Half of an address is told as a number, which differs from kernel to kernel.
        if (dice.chance(0.1))
          return [{ step: 'peekuser', task: task.name, debugreg: dice.pick([4, 6, 7]), compat: true }];
        return [{ step: 'peekuser', task: task.name, debugreg: dice.pick([0, 1, 2, 3, 4, 6, 6, 7]) }];
      },
    },
    {
      name: 'odd poke',
      weight: 2,
      make: (world) => {
        const task = tracee(world);
        const { dice } = world;
        if (task === undefined) return undefined;
        if (dice.chance(0.4)) return [poke(task, dice.pick([4, 5, 6, 6, 6]), dice.pick(statusValues))];
        const compat = dice.chance(0.4);
        const step = dice.pick(['peekuser', 'pokeuser']);
        const low = step === 'pokeuser' ? 240 : 268; // not the addresses, as above
        const offset = compat
          ? low + dice.below(300 - low)
          : dice.pick([840, 847, 849, 852, 880, 904, 912, 920, 928, 936, -8, '0xffffffffffffff50']);
        const value = step === 'pokeuser' ? { value: dice.pick([0, 1, 0x10001, 0x1000]) } : {};
        return [{ step, task: task.name, offset, ...value, ...(compat ? { compat } : {}) }];
      },
    },
    {
      name: 'int3 under a tracer',
      weight: 1,
      make: (world) => {
        const task = tracee(world);
        if (task === undefined) return undefined;
        return [{ step: 'trap', task: task.name, kind: 'int3' }, ...go(world, task)];
      },
    },
  ],
};
