import type { Ability } from '../ability.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';
import type { World } from '../world.ts';

const tasksMax = 8;

/** A new process on a CPU of its own choice: without one, Linux chooses. */
export function spawn(world: World): readonly FuzzStep[] {
  const name = world.newName('T');
  const cpu = world.cpu();
  const id = world.tasks.length;
  world.tasks.push({ name, process: id, family: id, cpu, alive: true });
  return [{ step: 'spawn', task: name, cpu }];
}

function clone(world: World, step: 'thread' | 'fork'): readonly FuzzStep[] | undefined {
  const parent = world.dice.pick(world.living);
  if (parent === undefined || world.living.length >= tasksMax || world.slotsVague) return undefined;
  world.clone(parent);
  const name = world.newName('T');
  const process = step === 'thread' ? parent.process : world.tasks.length;
  world.tasks.push({ name, process, family: parent.family, cpu: parent.cpu, alive: true });
  return [{ step, task: parent.name, as: name }];
}

/** Tasks come, move, execute programs and go. */
export const tasks: Ability = {
  name: 'tasks',
  kinds: [
    {
      name: 'spawn',
      weight: 5,
      make: (world) => (world.living.length < tasksMax ? spawn(world) : undefined),
    },
    { name: 'thread', weight: 4, make: (world) => clone(world, 'thread') },
    { name: 'fork', weight: 4, make: (world) => clone(world, 'fork') },
    {
      name: 'migrate',
      weight: 5,
      make: (world) => {
        const task = world.dice.pick(world.living);
        if (task === undefined) return undefined;
        task.cpu = world.cpu();
        return [{ step: 'migrate', task: task.name, cpu: task.cpu }];
      },
    },
    {
      name: 'reschedule',
      weight: 4,
      make: (world) => {
        const task = world.dice.pick(world.living);
        return task === undefined ? undefined : [{ step: 'reschedule', task: task.name }];
      },
    },
    {
      name: 'exit',
      weight: 4,
      make: (world) => {
        const task = world.dice.pick(world.living);
        // Somebody is left to act, mostly.
        if (task === undefined || (world.living.length === 1 && !world.dice.chance(0.2))) return undefined;
        world.end(task);
        return [{ step: 'exit', task: task.name }];
      },
    },
    {
      name: 'exec',
      weight: 2,
      make: (world) => {
        const task = world.dice.pick(world.living);
        if (task === undefined) return undefined;
        for (const other of world.tasks)
          if (other !== task && other.process === task.process) world.end(other);
        world.leave(task);
        return [{ step: 'exec', task: task.name }];
      },
    },
  ],
};
