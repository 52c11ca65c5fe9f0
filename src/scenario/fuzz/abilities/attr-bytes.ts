import type { Ability } from '../ability.ts';
import type { FuzzStep } from '../fuzz-scenario.ts';
import type { World } from '../world.ts';

/** Bytes of the structure that kernels know today. */
const knownBytes = 136;
const pageBytes = 4096;
const flagsOffset = 40;
/** Bits of the flags that would make the event send signals, or be inherited by what the scenario starts. */
const livelyBits: ReadonlySet<number> = new Set([1, 37]);
/** Of the type: with another one the event would be one of a PMU that machines have or lack. */
const typeBytes = 4;
/** The size, which is chosen by itself. */
const sizeBytes = 8;

/** A size of the structure: any, or one near those that mean something. */
function size(world: World): number {
  const { dice } = world;
  if (dice.chance(0.4)) return dice.below(160);
  if (dice.chance(0.3)) return pageBytes - 2 + dice.below(5);
  return dice.pick([0, 63, 64, 65, 72, 80, 96, 104, 112, 116, 120, 124, 127, 128, 129, 136, 137, 144]);
}

/** A patch of one byte with one bit set, or with any value. */
function patch(world: World): readonly [number, number] | undefined {
  const { dice } = world;
  const offset = dice.chance(0.5) ? flagsOffset + dice.below(8) : sizeBytes + dice.below(knownBytes + 16);
  if (offset < typeBytes) return undefined;
  const bit = dice.below(8);
  const flag = (offset - flagsOffset) * 8 + bit;
  const isFlag = offset >= flagsOffset && offset < flagsOffset + 8;
  if (isFlag) return livelyBits.has(flag) ? undefined : [offset, 1 << bit];
  return [offset, dice.chance(0.6) ? 1 << bit : dice.below(256)];
}

/** Opens an event with an attr of any bytes, and closes it: what it would be is not known. */
function malformed(world: World): readonly FuzzStep[] | undefined {
  const { dice } = world;
  const task = dice.pick(world.living)?.name;
  if (world.slotsVague || task === undefined) return undefined;
  const name = world.newName('e');
  const raw: Record<string, number> = {};
  for (let left = dice.below(3); left >= 0; left--) {
    const made = patch(world);
    if (made !== undefined) raw[String(made[0])] = made[1];
  }
  const attr = {
    ...{ bpType: 'w', bpAddr: `${task}.data+64`, bpLen: 8 },
    ...(dice.chance(0.4) ? { size: size(world) } : {}),
    raw,
  };
  return [
    { step: 'open', as: name, attr, ...(dice.chance(0.8) ? { task } : { cpu: world.cpu() }) },
    { step: 'read', event: name },
    { step: 'close', event: name },
  ];
}

/** The structure's bytes, its size and every reserved bit. docs/spec/03 sections 1 and 9. */
export const attrBytes: Ability = {
  name: 'attr-bytes',
  kinds: [{ name: 'open with any bytes', weight: 3, make: malformed }],
};
