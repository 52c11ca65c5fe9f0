import type { AttrField } from './ability.ts';
import type { Dice } from './dice.ts';

/** A task of a scenario under way, as far as it can be told without asking a kernel. */
export interface FuzzTask {
  readonly name: string;
  /** Tasks of one process have the same. */
  process: number;
  /** Tasks that descend from one `spawn` have the same: they know the same addresses. */
  readonly family: number;
  cpu: number;
  alive: boolean;
  /** It has an event that is not inherited, for good: its context is never exchanged with a relative's. */
  anchored?: boolean;
}

/** An event that a scenario asked for; it may have been refused. */
export interface FuzzEvent {
  readonly name: string;
  /** As last asked for. */
  attr: FuzzAttr;
  /** Its target as `open` spells it. */
  readonly task: string | null;
  readonly cpu: number;
  readonly group: string | undefined;
  /** Relatives of its task hold copies of it, or did: it may serve another task now (docs/spec/03 section 8). */
  copied: boolean;
  /** Its overflows are told, by signals of O_ASYNC. */
  told?: boolean;
}

/** An attr as a step spells it. */
export type FuzzAttr = Record<string, unknown>;

/** Places that scenarios use, few enough that accesses meet breakpoints. */
export const dataOffsets: readonly number[] = [0, 0, 8, 16, 4088];
export const codeLabels: readonly number[] = [0, 1, 15];

/** What a scenario has made so far. Abilities read it, and keep it true for what their steps do. */
export class World {
  readonly dice: Dice;
  /** CPUs of the machine; every task is bound to one of them. */
  readonly cpus: number;
  /** What attrs of this scenario may have besides their breakpoint. */
  readonly attrFields: readonly AttrField[];
  readonly tasks: FuzzTask[] = [];
  readonly events: FuzzEvent[] = [];
  /** Families of which a task has ended or executed a program. */
  readonly brokenFamilies: Set<number> = new Set();
  /** A relative that held copies is gone: whose slots were given back is not determined (docs/spec/03 section 8). */
  slotsVague: boolean = false;
  /**
   * Families of which a task blocks or ignores signals, or takes the default action, and those of which one is traced. A
   * trap that such a task cannot take ends its process, and of a traced one the live lab is not told that it ended.
   */
  readonly maskedFamilies: Set<number> = new Set();
  readonly tracedFamilies: Set<number> = new Set();
  #names = 0;

  constructor(parts: Pick<World, 'dice' | 'cpus' | 'attrFields'>) {
    this.dice = parts.dice;
    this.cpus = parts.cpus;
    this.attrFields = parts.attrFields;
  }

  /** A name that nothing has yet: "T1", "e2". */
  newName(letter: string): string {
    return `${letter}${this.#names++}`;
  }

  get living(): readonly FuzzTask[] {
    return this.tasks.filter((task) => task.alive);
  }

  task(name: string | null): FuzzTask | undefined {
    return this.tasks.find((task) => task.name === name);
  }

  event(name: string | undefined): FuzzEvent | undefined {
    return this.events.find((event) => event.name === name);
  }

  cpu(): number {
    return this.dice.below(this.cpus);
  }

  /** A task ends. */
  end(task: FuzzTask): void {
    task.alive = false;
    this.leave(task);
  }

  /** A task loses its events, by its end or by executing a program. */
  leave(task: FuzzTask): void {
    this.brokenFamilies.add(task.family);
    if (this.events.some((event) => this.scattered(event))) this.slotsVague = true;
  }

  /** A task makes a thread or a child: what is inherited is copied. */
  clone(parent: FuzzTask): void {
    if (parent.anchored === true) return;
    for (const event of this.events)
      if (event.attr.inherit === true && this.task(event.task)?.family === parent.family) event.copied = true;
  }

  /**
   * Whether an event is spread over relatives of which one is gone: which of them it went with, and so what a reset or a
   * change does to it, is not determined on Linux (docs/spec/03 section 8, "Exchange at a switch").
   */
  scattered(event: FuzzEvent): boolean {
    const task = this.task(event.task);
    return event.copied && task !== undefined && this.brokenFamilies.has(task.family);
  }

  /** Removes an event that is closed. */
  drop(event: FuzzEvent): void {
    this.events.splice(this.events.indexOf(event), 1);
  }
}
