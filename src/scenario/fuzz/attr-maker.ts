import type { OpenTarget } from './ability.ts';
import { codeLabels, dataOffsets, type FuzzAttr, type World } from './world.ts';

const lengths: readonly [number, ...number[]] = [1, 2, 4, 8, 8];

/**
 * Addresses that matter to the rules and that nobody reaches: the ends of user space, of the kernel's, the CPU entry
 * area, and null. docs/spec/04 section 6.
 */
const strangeAddresses: readonly string[] = [
  ...['0x0', '0x1000', '0x7ffffffff000', '0x7fffffffefff', '0x7fffffffeff8', '0x7fffffffeffc'],
  ...['0xfffffe0000000000', '0xfffffdfffffffff8', '0xfffffffffffff000', '0xfffffffffffffff8'],
];

/** A breakpoint on a place that tasks reach; wrong in small ways now and then. */
export function breakpointFields(world: World, target: OpenTarget): FuzzAttr {
  const { dice } = world;
  const place = world.task(target.task)?.name ?? dice.pick(world.living)?.name ?? 'self';
  const attr: FuzzAttr = {};
  if (dice.chance(0.22)) {
    Object.assign(attr, { bpType: 'x', bpAddr: `${place}.code${dice.pick(codeLabels)}`, bpLen: 8 });
  } else {
    const length = dice.pick(lengths);
    const offset = dice.pick(dataOffsets) ?? 0;
    const shift = length < 8 ? length * dice.below(8 / length) : 0;
    Object.assign(attr, {
      bpType: dice.pick(['w', 'rw']),
      bpAddr: `${place}.data+${offset + shift}`,
      bpLen: length,
    });
  }
  if (dice.chance(0.03)) attr.bpType = dice.pick([0, 'r', 5, 6, 7, 8, '0xffffffff']);
  if (dice.chance(0.03)) attr.bpLen = dice.pick([0, 3, 5, 16, 24, 64, 512, 4096, '0x8000000000000000']);
  if (dice.chance(0.03)) attr.bpAddr = `${place}.data+${dice.below(16)}`;
  if (dice.chance(0.02)) attr.bpAddr = dice.pick(strangeAddresses);
  return attr;
}

/** An attr for a target: a breakpoint, and each of the world's fields as likely as it says. */
export function makeAttr(world: World, target: OpenTarget): FuzzAttr {
  const attr = breakpointFields(world, target);
  for (const field of world.attrFields) if (world.dice.chance(field.chance)) field.set(attr, world, target);
  // The runner's copies would go to the puppets that it starts: the live lab refuses that.
  if (target.task === 'self') delete attr.inherit;
  return attr;
}
