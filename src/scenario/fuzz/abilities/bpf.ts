import type { Ability } from '../ability.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';

/**
 * bpf programs on events. Not on an event that was copied: contexts of relatives may have been exchanged, and which of
 * them has the program is then not determined (docs/spec/03 section 8).
 */
export const bpf: Ability = {
  name: 'bpf',
  kinds: [
    {
      name: 'attach a program',
      weight: 3,
      make: (world) => {
        const { dice } = world;
        const event = dice.pick(world.events.filter(({ copied }) => !copied));
        if (event === undefined) return undefined;
        const attach = (arg: unknown): FuzzStep => ({
          step: 'ioctl',
          event: event.name,
          request: 'SET_BPF',
          arg,
        });
        if (dice.chance(0.1)) return [attach(dice.pick(['file', 'none', event.name, -1]))];
        const as = world.newName('p');
        const program = dice.pick(['drop', 'drop', 'keep', 'user', 'leader', 'other', 'refused']);
        const load: FuzzStep = { step: 'bpf', as, program };
        return dice.chance(0.2) ? [load, attach(as), attach(as)] : [load, attach(as)];
      },
    },
  ],
};
