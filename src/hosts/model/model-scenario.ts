import type { Scenario, ScenarioStep } from '../../scenario/format.ts';
import { setUpLength } from '../../scenario/set-up.ts';
import { StepRunner } from '../../scenario/step-runner.ts';
import { resolveAddress, StepError } from '../../scenario/values.ts';
import type { NamedPlace, Names } from '../../surface/names.ts';
import { type ModelLab, ModelLabMaker } from './model-lab.ts';
import { ModelSurface } from './model-surface.ts';

/** A task of a scenario. */
export interface ScenarioTask {
  readonly name: string;
  readonly tid: number;
  readonly pid: number;
}

/** How to run a {@link ModelScenario}. */
export interface ModelScenarioOptions {
  /** Check every invariant after every call; default no. */
  readonly verify?: boolean;
  /** Awaited before each step behind the set-up, so that a host's signals and timers get their turn; default nothing. */
  readonly pause?: () => Promise<void>;
}

/** The module of places in tasks; there are no files. */
const moduleName = 'model';
const dataBytes = 4096n;
const codeLabels = 16;
const codeLabelBytes = 16n;
/** A kernel address that is farther behind a symbol has no name. */
const symbolReach = 0x100_0000n;

/**
 * A scenario that is watched: its tasks are made, and whoever waits for hits lets the next step run. Steps are executed,
 * not judged: what they would expect is not known to hold with the watch's own breakpoints beside theirs.
 * docs/spec/09 "Watching".
 */
export class ModelScenario implements Names {
  readonly surface: ModelSurface;
  readonly #lab: ModelLab;
  readonly #runner: StepRunner;
  readonly #source: string;
  readonly #steps: readonly ScenarioStep[];
  readonly #tasks: ScenarioTask[] = [];
  #done = 0;

  private constructor(scenario: Scenario, lab: ModelLab, pause: () => Promise<void>) {
    this.#lab = lab;
    this.#runner = new StepRunner(lab);
    this.#source = scenario.source;
    this.#steps = scenario.steps;
    this.surface = new ModelSurface(lab.host, { names: this, step: () => pause().then(() => this.#next()) });
  }

  /** Runs the set-up. Throws {@link StepError} for a scenario that the model cannot run. */
  static async start(scenario: Scenario, options: ModelScenarioOptions = {}): Promise<ModelScenario> {
    const maker = new ModelLabMaker(options);
    const refusal = maker.refuses(scenario.machine, scenario.needs);
    if (refusal !== undefined) throw new StepError(`${scenario.source}: ${refusal}`);
    const started = new ModelScenario(
      scenario,
      maker.make(scenario.machine),
      options.pause ?? (() => Promise.resolve()),
    );
    for (const step of scenario.steps) {
      const lack = started.#runner.lacks(step);
      if (lack !== undefined) throw new StepError(`${scenario.source}:${step.line}: ${lack}`);
    }
    const setUp = setUpLength(scenario.steps);
    while (started.#done < setUp) await started.#next();
    return started;
  }

  /** Tasks that were made so far, those that have ended too; not "self". */
  get tasks(): readonly ScenarioTask[] {
    return this.#tasks;
  }

  /** Executes the next step; false if there is none. */
  async #next(): Promise<boolean> {
    const step = this.#steps[this.#done];
    if (step === undefined) return false;
    this.#done++;
    try {
      const { errno } = await this.#runner.execute(step);
      if (errno === 0) this.#noteTask(step);
    } catch (error) {
      if (!(error instanceof StepError)) throw error;
      throw new StepError(`${this.#source}:${step.line}: ${error.message}`);
    }
    return true;
  }

  #noteTask({ step, keys }: ScenarioStep): void {
    if (step !== 'spawn' && step !== 'thread' && step !== 'fork') return;
    const name = String(step === 'spawn' ? keys.task : keys.as);
    const { machine } = this.#lab.host;
    const tid = this.#lab.tasks.tid(name);
    const task = machine.findTask(tid);
    // Whoever watches knows it by the scenario's name.
    if (task !== undefined && task.name !== name) machine.rename(task, name);
    this.#tasks.push({ name, tid, pid: task?.pid ?? tid });
  }

  // --- Names -------------------------------------------------------------------------------------------------------

  get hint(): string {
    const names = this.#tasks.map(({ name }) => name).join(', ');
    return `a place is TASK.data, TASK.code0 to TASK.code15 or sym:NAME, and the tasks are ${names === '' ? 'none yet' : names}`;
  }

  find(name: string): NamedPlace | undefined {
    const place = /^(?:sym:\w+|(\w+)\.(?:data|code(?:[0-9]|1[0-5])))$/.exec(name);
    if (place === null) return undefined;
    const [, taskName] = place;
    const task = this.#tasks.findLast((each) => each.name === taskName);
    if (taskName !== undefined && task === undefined) return undefined;
    try {
      return {
        address: resolveAddress(this.#lab, name),
        pid: task?.pid ?? 0,
        isCode: task !== undefined && name.includes('.code'),
        module: task === undefined ? 'kernel' : moduleName,
      };
    } catch (error) {
      if (error instanceof StepError) return undefined; // no such symbol
      throw error;
    }
  }

  at(
    pid: number,
    address: bigint,
  ): { readonly name: string; readonly offset: bigint; readonly module: string } | undefined {
    if (pid === 0) return this.#kernelName(address);
    const { tasks, modelTasks } = this.#lab;
    for (const { name } of this.#tasks.filter((task) => task.pid === pid)) {
      const places: [string, bigint, bigint][] = [
        [`${name}.data`, tasks.dataAddress(name), dataBytes],
        [`${name}.access`, modelTasks.accessAddress(name), codeLabelBytes],
        [`${name}.rmw`, tasks.placeAddress(name, 'rmw'), codeLabelBytes],
      ];
      for (let n = 0; n < codeLabels; n++)
        places.push([`${name}.code${n}`, tasks.codeAddress(name, n), codeLabelBytes]);
      const found = places.find(([, start, length]) => address >= start && address < start + length);
      if (found !== undefined) return { name: found[0], offset: address - found[1], module: moduleName };
    }
    return undefined;
  }

  #kernelName(address: bigint): { name: string; offset: bigint; module: string } | undefined {
    let best: { name: string; offset: bigint; module: string } | undefined;
    for (const [name, start] of this.#lab.host.machine.symbols) {
      const offset = address - start;
      if (offset >= 0n && offset < (best?.offset ?? symbolReach)) best = { name, offset, module: 'kernel' };
    }
    return best;
  }

  /** Gives everything back; what the scenario's kernel still holds is a leak and throws. */
  close(): void {
    this.#lab.close();
  }
}
