import type { Ability } from '../ability.ts';
import { makeAttr } from '../attr-maker.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';
import type { World } from '../world.ts';

const capabilities: readonly string[] = ['PERFMON', 'SYS_ADMIN', 'SYS_PTRACE', 'KILL'];

function drop(world: World, task: string): FuzzStep {
  return { step: 'credentials', task, user: 'nobody', caps: world.dice.some(capabilities, 0.3) };
}

/** The runner opens and changes events as somebody else, and is root again. */
function asNobody(world: World): readonly FuzzStep[] | undefined {
  if (world.slotsVague) return undefined;
  const { dice } = world;
  const steps: FuzzStep[] = [drop(world, 'self')];
  for (let left = 1 + dice.below(3); left > 0; left--) {
    const task = dice.pick(world.living)?.name ?? 'self';
    const target = dice.chance(0.8) ? { task, cpu: -1 } : { task: null, cpu: world.cpu() };
    const attr = makeAttr(world, target);
    if (dice.chance(0.7)) attr.excludeKernel = true;
    const name = world.newName('e');
    world.events.push({ name, attr, group: undefined, copied: false, ...target });
    steps.push({
      step: 'open',
      as: name,
      attr,
      ...(target.task === null ? { cpu: target.cpu } : { task: target.task }),
    });
  }
  const event = dice.pick(world.events.filter((each) => !world.scattered(each)));
  if (event !== undefined && dice.chance(0.3)) {
    const bpAddr = '0xfffffffffffff000'; // of the kernel, and nothing is there
    steps.push({ step: 'modify', event: event.name, attr: { ...event.attr, bpAddr } });
  }
  return [...steps, { step: 'credentials', task: 'self', restore: true }];
}

/** Who may open what: paranoid levels, capabilities, tasks of other users. docs/spec/03 section 9. */
export const rights: Ability = {
  name: 'rights',
  kinds: [
    { name: 'opens as nobody', weight: 2, make: asNobody },
    {
      name: 'credentials of a task',
      weight: 2,
      make: (world) => {
        const task = world.dice.pick(world.living);
        if (task === undefined) return undefined;
        return world.dice.chance(0.6)
          ? [drop(world, task.name)]
          : [{ step: 'credentials', task: task.name, restore: true }];
      },
    },
  ],
};
