import type { Ability } from '../ability.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';
import { codeLabels, dataOffsets, type FuzzTask, type World } from '../world.ts';

const lengths: readonly [number, ...number[]] = [1, 2, 4, 8];
const pageBytes = 4096;

/** Somewhere at or near a hot place of the task's data page. */
function dataAddress(world: World, task: FuzzTask, length: number): string {
  const { dice } = world;
  const offset = (dice.pick(dataOffsets) ?? 0) + (dice.chance(0.4) ? dice.below(12) : 0);
  return `${task.name}.data+${Math.min(offset, pageBytes - length)}`;
}

function access(world: World): readonly FuzzStep[] | undefined {
  const { dice } = world;
  const task = dice.pick(world.living);
  if (task === undefined) return undefined;
  const step = dice.pick(['store', 'store', 'load', 'rmw', 'storeTwo']);
  const len = dice.pick(lengths);
  return [
    {
      step,
      task: task.name,
      at: dataAddress(world, task, len),
      len,
      ...(step === 'storeTwo' ? { at2: dataAddress(world, task, len) } : {}),
      ...(dice.chance(0.4) ? { times: dice.pick([0, 2, 3, 7, 50]) } : {}),
    },
  ];
}

/** Tasks store, load and execute, and the kernel writes for them. */
export const accesses: Ability = {
  name: 'accesses',
  kinds: [
    { name: 'access', weight: 24, make: access },
    {
      name: 'call',
      weight: 8,
      make: (world) => {
        const { dice } = world;
        const task = dice.pick(world.living);
        if (task === undefined) return undefined;
        const at = `${task.name}.code${dice.pick(codeLabels)}`;
        return [
          { step: 'call', task: task.name, at, ...(dice.chance(0.4) ? { times: dice.pick([0, 2, 5]) } : {}) },
        ];
      },
    },
    {
      name: 'syscallWrite',
      weight: 3,
      make: (world) => {
        const { dice } = world;
        const task = dice.pick(world.living);
        if (task === undefined) return undefined;
        // More than a byte is a number of hits that depends on the processor.
        const len = dice.chance(0.9) ? 1 : dice.pick(lengths);
        return [{ step: 'syscallWrite', task: task.name, at: dataAddress(world, task, len), len }];
      },
    },
  ],
};
