import { assert } from '../../base/assert.ts';
import { spawn } from './abilities/tasks.ts';
import { abilities as allAbilities } from './abilities.ts';
import type { Ability, StepKind } from './ability.ts';
import { Dice, seedOf } from './dice.ts';
import type { FuzzScenario, FuzzStep } from './fuzz-scenario.ts';
import { World } from './world.ts';

/** What a {@link ScenarioGenerator} makes. */
export interface GeneratorOptions {
  /** u32 */
  readonly seed: number;
  /** Steps of a scenario, about: steps that belong together are not cut. */
  readonly steps: number;
  /** CPUs that scenarios may use; default 2. */
  readonly cpus?: number;
  /** What is tried; default everything. */
  readonly abilities?: readonly Ability[];
}

/** How much more or less likely something is in one scenario than in all: see {@link ScenarioGenerator}. */
const moods: readonly [number, ...number[]] = [0, 0.5, 1, 1, 1, 3];
/** This share of scenarios uses one CPU, so that something runs on every machine. */
const oneCpuShare = 0.15;
/** A scenario whose moods leave nothing that is possible, as when all tasks have ended, goes on in a plain mood. */
const moodyTries = 20;

/**
 * Random scenarios from a seed: the same seed and steps give the same scenarios.
 *
 * Each scenario has moods: every kind of step and every field of an attr is there more, less or not at all. So some
 * scenarios fill all slots, some are all groups, some all modifies, which a uniform choice would hardly ever be.
 */
export class ScenarioGenerator {
  readonly #options: GeneratorOptions;

  constructor(options: GeneratorOptions) {
    this.#options = options;
  }

  /** The `index`-th scenario, from 0. */
  scenario(index: number): FuzzScenario {
    const { seed, steps: length, cpus: cpusMax = 2, abilities = allAbilities } = this.#options;
    const dice = new Dice(seedOf(seed, index));
    const cpus = dice.chance(oneCpuShare) ? 1 : cpusMax;
    const fields = abilities.flatMap(({ attrFields = [] }) => attrFields);
    const attrFields = fields.map((field) => ({
      ...field,
      chance: Math.min(0.9, field.chance * dice.pick(moods)),
    }));
    const world = new World({ dice, cpus, attrFields });
    const weights = new Map<StepKind, number>();
    for (const { kinds } of abilities)
      for (const kind of kinds) weights.set(kind, kind.weight * dice.pick(moods));
    const steps: FuzzStep[] = [...spawn(world)];
    for (let tries = 0; steps.length < length; tries++) {
      const moody = tries < moodyTries;
      const kind = dice.weighted([...weights.keys()], (each) =>
        moody ? (weights.get(each) ?? 0) : each.weight,
      );
      const made = kind?.make(world);
      if (made === undefined) continue;
      assert(made.length > 0, 'a kind of step makes some, or nothing is possible');
      steps.push(...made);
      tries = 0;
    }
    return { name: `fuzz-${seed}-${index}`, cpus, steps };
  }
}
