import type { Ability } from '../ability.ts';
import type { World } from '../world.ts';
import { spawn } from './tasks.ts';

const tasksMax = 8;

/**
 * Families whose contexts Linux does not exchange: the first task holds an event that is not inherited, as long as the
 * scenario lasts, so what becomes of groups, resets and changes of copies is determined. docs/spec/03 section 8.
 */
export const families: Ability = {
  name: 'families',
  kinds: [
    {
      name: 'spawn with an anchor',
      weight: 4,
      make: (world: World) => {
        if (world.living.length >= tasksMax) return undefined;
        const steps = spawn(world);
        const task = world.tasks.at(-1);
        if (task === undefined) return undefined;
        task.anchored = true;
        const anchor = { type: 1, config: 9 };
        return [...steps, { step: 'open', as: world.newName('d'), attr: anchor, task: task.name }];
      },
    },
    {
      name: 'fork with cleared handlers',
      weight: 1,
      make: (world) => {
        const parent = world.dice.pick(world.living);
        if (parent === undefined || world.living.length >= tasksMax || world.slotsVague) return undefined;
        world.clone(parent);
        const name = world.newName('T');
        const { family, cpu } = parent;
        world.tasks.push({ name, process: world.tasks.length, family, cpu, alive: true });
        return [
          { step: 'fork', task: parent.name, as: name, clearHandlers: true },
          { step: 'signalMask', task: name, handle: ['SIGTRAP', 'SIGIO', 'SIGUSR1'] },
        ];
      },
    },
  ],
};
