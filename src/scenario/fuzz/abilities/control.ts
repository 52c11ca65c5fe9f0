import type { Ability } from '../ability.ts';
import { breakpointFields, makeAttr } from '../attr-maker.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';
import type { FuzzAttr, FuzzEvent, World } from '../world.ts';

/** Fields of the breakpoint, and whether it runs: all that a modify may change. */
const modifiable: readonly string[] = ['bpType', 'bpAddr', 'bpLen', 'disabled'];

/** The event's attr with another breakpoint; or another attr altogether. */
function changedAttr(world: World, event: FuzzEvent): FuzzAttr {
  const { dice } = world;
  if (dice.chance(0.2)) return makeAttr(world, event);
  const attr: FuzzAttr = { ...event.attr };
  for (const key of modifiable) delete attr[key];
  Object.assign(attr, breakpointFields(world, event));
  if (dice.chance(0.5) ? event.attr.disabled === true : dice.chance(0.5)) attr.disabled = true;
  return attr;
}

function ioctl(world: World): readonly FuzzStep[] | undefined {
  const { dice } = world;
  const event = dice.pick(world.events);
  if (event === undefined) return undefined;
  const request = dice.pick(['ENABLE', 'ENABLE', 'DISABLE', 'DISABLE', 'RESET']);
  const wholeGroup = dice.chance(0.3);
  if (request === 'RESET' && world.events.some((other) => world.scattered(other))) return undefined;
  const step = { step: 'ioctl', event: event.name, request, arg: wholeGroup ? 1 : 0 };
  return [step];
}

/** Events are switched on and off, reset, given periods and new breakpoints. docs/spec/02 section 7, 03 section 7. */
export const control: Ability = {
  name: 'control',
  kinds: [
    { name: 'ioctl', weight: 10, make: ioctl },
    {
      name: 'period',
      weight: 2,
      make: (world) => {
        const { dice } = world;
        // A task that has just acted may or may not be off its CPU, which decides when the next overflow is.
        const event = dice.pick(
          world.events.filter((each) => !world.scattered(each) && !each.told && each.attr.sigtrap !== true),
        );
        if (event === undefined) return undefined;
        // When the runner, or whoever runs on a CPU, is switched out next is nobody's choice (docs/spec/03 section 5).
        const steady = event.task !== null && event.task !== 'self';
        const arg = dice.pick(
          steady
            ? [1, 1, 2, 3, 7, 0, 100_001, '0x8000000000000000', 'bad']
            : [0, '0x8000000000000000', 'bad'],
        );
        if (typeof arg === 'number' && arg > 0 && 'samplePeriod' in event.attr)
          event.attr = { ...event.attr, samplePeriod: arg };
        return [{ step: 'ioctl', event: event.name, request: 'PERIOD', arg }];
      },
    },
    {
      name: 'odd ioctl',
      weight: 1,
      make: (world) => {
        const { dice } = world;
        const event = dice.pick(world.events)?.name;
        if (event === undefined) return undefined;
        return dice.pick([
          [{ step: 'ioctl', event, request: 'ID' }],
          [{ step: 'ioctl', event, request: 'ID', arg: 'bad' }],
          [{ step: 'ioctl', event, request: 'SET_FILTER', arg: 'bad' }],
          [{ step: 'ioctl', event, request: 'MODIFY_ATTRIBUTES', arg: 'bad' }],
          [{ step: 'ioctl', event, request: dice.pick([0, 0x2409, 0x5401, 0x7fffffff]) }],
        ]);
      },
    },
    {
      name: 'modify',
      weight: 6,
      make: (world) => {
        const event = world.dice.pick(world.events.filter((each) => !world.scattered(each)));
        if (event === undefined) return undefined;
        const attr = changedAttr(world, event);
        // A copy on a relative is changed too, and which of them is where is not determined.
        if (world.dice.chance(0.7)) event.attr = { ...event.attr, ...pickKeys(attr, modifiable) };
        return [{ step: 'modify', event: event.name, attr }];
      },
    },
  ],
};

function pickKeys(attr: FuzzAttr, keys: readonly string[]): FuzzAttr {
  return Object.fromEntries(Object.entries(attr).filter(([key]) => keys.includes(key)));
}
