import type { Ability } from '../ability.ts';
import type { FuzzAttr, World } from '../world.ts';
import { target } from './opens.ts';

const softwareType = 1;
/** PERF_COUNT_SW_DUMMY: it counts nothing, so its count is the same everywhere. */
const dummy = 9;

function dummyAttr({ dice }: World): FuzzAttr {
  const attr: FuzzAttr = { type: softwareType, config: dummy };
  if (dice.chance(0.3)) attr.disabled = true;
  if (dice.chance(0.1)) attr.pinned = true;
  if (dice.chance(0.6)) attr.readFormat = dice.some(['TOTAL_TIME_ENABLED', 'GROUP', 'ID'], 0.5);
  return attr;
}

/** Events of another PMU, alone and as leaders of breakpoints. docs/spec/03 section 3.2. */
export const softwareEvents: Ability = {
  name: 'software-events',
  kinds: [
    {
      name: 'dummy event',
      weight: 2,
      make: (world) => {
        if (world.slotsVague) return undefined;
        const { task, cpu } = target(world);
        const attr = dummyAttr(world);
        const name = world.newName('e');
        world.events.push({ name, attr, task, cpu, group: undefined, copied: false });
        return [
          {
            ...{ step: 'open', as: name, attr },
            ...(task === null ? {} : { task }),
            ...(cpu === -1 ? {} : { cpu }),
          },
        ];
      },
    },
  ],
};
