import type { FuzzStep } from './fuzz-scenario.ts';
import type { FuzzAttr, World } from './world.ts';

/** A kind of step that scenarios are made of. */
export interface StepKind {
  /** For messages and tests: "open", "burst of opens". */
  readonly name: string;
  /** How likely it is against the others; 10 is common. */
  readonly weight: number;
  /**
   * One step or a few that belong together; `undefined`: not possible now. Must keep `world` true, and must make nothing
   * whose result Linux does not determine (docs/spec/09 "Steps", last paragraph).
   */
  make(world: World): readonly FuzzStep[] | undefined;
}

/** Whom an event is opened for. */
export interface OpenTarget {
  readonly task: string | null;
  readonly cpu: number;
}

/** A field or a few of an attr that an `open` or `modify` may have besides its breakpoint. */
export interface AttrField {
  readonly name: string;
  /** In which share of attrs it is set, 0 to 1. */
  readonly chance: number;
  set(attr: FuzzAttr, world: World, target: OpenTarget): void;
}

/** Something that the model can, as the fuzzer tries it. One file each, listed in `abilities.ts`. */
export interface Ability {
  readonly name: string;
  readonly kinds: readonly StepKind[];
  readonly attrFields?: readonly AttrField[];
}
