import type { Ability } from '../ability.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';
import { codeLabels, type FuzzAttr, type FuzzEvent, type FuzzTask, type World } from '../world.ts';

const names: readonly string[] = ['SIGTRAP', 'SIGIO', 'SIGUSR1'];

/**
 * Events whose hits are all of one task, which is the first of its process: whoever else hits would signal it at some
 * moment of Linux's choice, and the tid of another goes to somebody else when a thread executes a program.
 */
function ownEvents(world: World): readonly FuzzEvent[] {
  return world.events.filter((event) => {
    const task = world.task(event.task);
    if (task === undefined || !task.alive || event.attr.inherit === true) return false;
    // A SIGIO from its own handler would come back for ever.
    if (String(event.attr.bpAddr).endsWith('.handler')) return false;
    return world.tasks.find(({ process }) => process === task.process) === task;
  });
}

function mask(world: World): readonly FuzzStep[] | undefined {
  const { dice } = world;
  const task = dice.pick(world.living);
  if (task === undefined || world.tracedFamilies.has(task.family)) return undefined;
  world.maskedFamilies.add(task.family);
  const change = dice.pick(['block', 'block', 'unblock', 'unblock', 'ignore', 'handle', 'handle']);
  const signals = dice.chance(0.5) ? true : dice.some(names, 0.6);
  return [{ step: 'signalMask', task: task.name, [change]: signals }];
}

/** A task does something with the default action for SIGTRAP; whether it dies of it is for the kernels to tell. */
function risk(world: World): readonly FuzzStep[] | undefined {
  const { dice } = world;
  const task = dice.pick(world.living);
  if (task === undefined || relatives(world, task).length > 1) return undefined;
  if (world.tracedFamilies.has(task.family)) return undefined;
  world.maskedFamilies.add(task.family);
  // From here on it may be dead: what is told of its relatives to come is as if it were.
  world.leave(task);
  return [
    { step: 'signalMask', task: task.name, default: dice.chance(0.7) ? true : names },
    { step: 'store', task: task.name, at: `${task.name}.data`, len: 8, times: 3 },
    { step: 'call', task: task.name, at: `${task.name}.code${dice.pick(codeLabels)}` },
    { step: 'signalMask', task: task.name, handle: names },
  ];
}

function relatives(world: World, task: FuzzTask): readonly FuzzTask[] {
  return world.tasks.filter(({ family }) => family === task.family);
}

/** An event that signals the task that it is on, and accesses that it sees. */
function signalling(world: World): readonly FuzzStep[] | undefined {
  const { dice } = world;
  const task = dice.pick(world.living);
  if (task === undefined || world.slotsVague) return undefined;
  const name = world.newName('e');
  const first = world.tasks.find(({ process }) => process === task.process) === task;
  const place = dice.pick(['data', 'data+8', 'code0', 'code15', 'rmw', 'handler']);
  const isCode = !place.startsWith('data');
  const bpAddr = `${task.name}.${place}`;
  const attr: FuzzAttr = {
    bpType: isCode ? 'x' : 'rw',
    bpAddr,
    bpLen: 8,
    samplePeriod: dice.pick([1, 1, 1, 2]),
  };
  if (!first || dice.chance(0.6))
    Object.assign(attr, { sigtrap: true, removeOnExec: true, sigData: dice.below(9) });
  if (dice.chance(0.4)) attr.excludeKernel = true;
  if (dice.chance(0.3)) attr.pinned = true;
  world.events.push({ name, attr, task: task.name, cpu: -1, group: undefined, copied: false, told: true });
  // A SIGIO from its own handler would come back for ever.
  const signal = place === 'handler' ? 'SIGUSR1' : dice.pick(['SIGIO', 'SIGIO', 'SIGUSR1', 'SIGTRAP', 0]);
  const steps: FuzzStep[] = [{ step: 'open', as: name, attr, task: task.name }];
  if (first && (attr.sigtrap !== true || dice.chance(0.3)))
    steps.push({ step: 'async', event: name, task: task.name, thread: true, signal });
  for (let left = 1 + dice.below(4); left > 0; left--) {
    const at = isCode ? `${task.name}.data` : bpAddr;
    const times = dice.pick([1, 1, 2, 3, 70]);
    const made: readonly FuzzStep[] | undefined = dice.pick([
      [{ step: dice.pick(['store', 'load', 'rmw']), task: task.name, at, len: 8, times }],
      [{ step: 'rmw', task: task.name, at, len: 8, times }],
      [{ step: 'syscallWrite', task: task.name, at, len: 1 }],
      place.startsWith('code') ? [{ step: 'call', task: task.name, at: bpAddr, times }] : mask(world),
      mask(world),
    ]);
    steps.push(...(made ?? []));
  }
  return steps;
}

/** Tasks block, ignore and take signals, and events send them. docs/spec/03 sections 8 and 11. */
export const signals: Ability = {
  name: 'signals',
  kinds: [
    { name: 'signalMask', weight: 3, make: mask },
    { name: 'an event that signals', weight: 5, make: signalling },
    { name: 'a task that may die', weight: 1, make: risk },
    {
      name: 'async',
      weight: 4,
      make: (world) => {
        const { dice } = world;
        // Which hits of a frequency overflow is for the clock to say, and so how many signals there are.
        const event = dice.pick(ownEvents(world).filter(({ attr }) => attr.freq !== true));
        if (event === undefined) return undefined;
        event.told = true;
        const signal = dice.pick(['SIGIO', 'SIGIO', 'SIGUSR1', 'SIGTRAP', 0, null, 65, -1]);
        return [
          {
            step: 'async',
            event: event.name,
            ...(dice.chance(0.9) ? { task: event.task, thread: true } : {}),
            signal,
            ...(dice.chance(0.15) ? { on: false } : {}),
          },
        ];
      },
    },
    {
      name: 'trap',
      weight: 1,
      make: (world) => {
        const task = world.dice.pick(world.living);
        // Where SIGTRAP is blocked or ignored it dies.
        if (task === undefined || relatives(world, task).length > 1) return undefined;
        world.leave(task);
        return [{ step: 'trap', task: task.name, kind: 'int3' }];
      },
    },
  ],
  attrFields: [
    {
      name: 'sigtrap',
      chance: 0.08,
      set: (attr, world, target) => {
        // The runner takes no signals.
        if (target.task === 'self') return;
        const { dice } = world;
        attr.sigtrap = true;
        attr.removeOnExec = true;
        delete attr.enableOnExec;
        delete attr.freq;
        attr.sigData = dice.pick([0, 1, '0xffffffffffffffff', dice.below(1000)]);
        // Which relative's hit overflows is not determined with a longer period.
        attr.samplePeriod = attr.inherit === true ? 1 : dice.pick([1, 1, 1, 2, 3]);
      },
    },
  ],
};
