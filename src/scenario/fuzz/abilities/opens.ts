import type { Ability, OpenTarget } from '../ability.ts';
import { makeAttr } from '../attr-maker.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';
import type { FuzzAttr, World } from '../world.ts';

/** A task, a CPU, or both; now and then what is not there. */
export function target(world: World): OpenTarget {
  const { dice } = world;
  const task = dice.pick(world.living)?.name ?? 'self';
  if (dice.chance(0.02)) return { task: 'nobody', cpu: -1 };
  if (dice.chance(0.05)) return { task: dice.pick(world.tasks)?.name ?? null, cpu: -1 };
  if (dice.chance(0.02)) return { task: 'self', cpu: -1 };
  if (dice.chance(0.02)) return { task: dice.pick([null, task]), cpu: dice.pick([-1, world.cpus, 9999, -2]) };
  const shape = dice.below(10);
  if (shape < 6) return { task, cpu: -1 };
  return { task: shape < 8 ? null : task, cpu: world.cpu() };
}

function open(world: World, target: OpenTarget, attr: FuzzAttr, more: object = {}): FuzzStep {
  const name = world.newName('e');
  const group = 'group' in more ? String(more.group) : undefined;
  world.events.push({ name, attr, group, copied: false, ...target });
  const { task, cpu } = target;
  return {
    step: 'open',
    as: name,
    attr,
    ...(task === null ? {} : { task }),
    ...(cpu === -1 ? {} : { cpu }),
    ...more,
  };
}

/** Opens events: on tasks and CPUs, in groups, until no slot is left. */
export const opens: Ability = {
  name: 'opens',
  kinds: [
    {
      name: 'open',
      weight: 18,
      make: (world) => {
        if (world.slotsVague) return undefined;
        const where = target(world);
        return [open(world, where, makeAttr(world, where))];
      },
    },
    {
      name: 'several opens on one target',
      weight: 4,
      make: (world) => {
        if (world.slotsVague) return undefined;
        const where = target(world);
        return Array.from({ length: 2 + world.dice.below(4) }, () =>
          open(world, where, makeAttr(world, where)),
        );
      },
    },
    {
      name: 'sibling',
      weight: 7,
      make: (world) => {
        if (world.slotsVague) return undefined;
        const { dice } = world;
        // A leader that was copied may be in another task's context than its own (docs/spec/03 section 8).
        const leader = dice.pick(world.events.filter(({ copied }) => !copied));
        if (leader === undefined || world.event(leader.group)?.copied === true) return undefined;
        const { task, cpu } = dice.chance(0.9) ? leader : target(world);
        const attr = makeAttr(world, { task, cpu });
        if (dice.chance(0.9)) {
          delete attr.pinned;
          delete attr.exclusive;
          if (leader.attr.inherit === true && task !== 'self') attr.inherit = true;
          else delete attr.inherit;
        }
        const group = dice.chance(0.9) ? (leader.group ?? leader.name) : leader.name;
        return [open(world, { task, cpu }, attr, { group })];
      },
    },
    {
      name: 'open that is malformed',
      weight: 1,
      make: (world) => {
        if (world.slotsVague) return undefined;
        const { dice } = world;
        const where = target(world);
        const attr = makeAttr(world, where);
        if (dice.chance(0.2)) {
          const name = world.newName('e');
          return [{ step: 'open', as: name, attr: 'bad', task: where.task ?? null, cpu: where.cpu }];
        }
        if (dice.chance(0.4)) return [open(world, where, attr, { group: dice.pick(['file', 'none']) })];
        return [open(world, where, attr, { flags: dice.pick([1, 4, 8, 16, 12]) })];
      },
    },
  ],
};
