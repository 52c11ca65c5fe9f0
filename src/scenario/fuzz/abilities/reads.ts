import type { Ability } from '../ability.ts';

/** Counts and states are asked for, and events are closed. */
export const reads: Ability = {
  name: 'reads',
  kinds: [
    {
      name: 'read',
      weight: 16,
      make: ({ dice, events }) => {
        const event = dice.pick(events)?.name;
        if (event === undefined) return undefined;
        return [
          { step: 'read', event, ...(dice.chance(0.05) ? { bytes: dice.pick([0, 7, 8, 16, 24, 40]) } : {}) },
        ];
      },
    },
    {
      name: 'read of all',
      weight: 2,
      make: ({ events }) =>
        events.length === 0 ? undefined : events.slice(-6).map(({ name }) => ({ step: 'read', event: name })),
    },
    {
      name: 'poll',
      weight: 3,
      make: ({ dice, events }) => {
        const event = dice.pick(events)?.name;
        return event === undefined ? undefined : [{ step: 'poll', event }];
      },
    },
    {
      name: 'close',
      weight: 6,
      make: (world) => {
        const event = world.dice.pick(world.events);
        if (event === undefined) return undefined;
        world.drop(event);
        return [{ step: 'close', event: event.name }];
      },
    },
    { name: 'used', weight: 1, make: () => [{ step: 'used' }] },
  ],
};
