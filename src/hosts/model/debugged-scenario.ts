import { assert } from '../../base/assert.ts';
import type { ResumeAction, Stop } from '../../gdb/target.ts';
import type { Scenario, ScenarioStep } from '../../scenario/format.ts';
import { setUpLength } from '../../scenario/set-up.ts';
import { StepRunner } from '../../scenario/step-runner.ts';
import { kernelAccessOf } from '../../scenario/steps/machine-steps.ts';
import { StepContext } from '../../scenario/steps/step-context.ts';
import { StepError } from '../../scenario/values.ts';
import { ModelGdbTarget } from './model-gdb-target.ts';
import { type ModelLab, ModelLabMaker } from './model-lab.ts';
import { monitorCommands } from './model-monitor.ts';

const sigint = 2;
const sigtrap = 5;
/** Operations between two looks for Ctrl-C. */
const operationsPerTurn = 64;

/** How to debug a scenario. */
export interface DebuggedScenarioOptions {
  /** Awaited now and then while the scenario runs, so that the host's sockets get their turn. */
  readonly turn: () => Promise<void>;
}

/** One thing that a scenario does: everything is cut into these, so that the debugger can stop between any two. */
type ScenarioOperation = () => Promise<void>;

/**
 * A scenario on a simulated machine under the kernel debugger: its tasks are made, then the machine stands; continuing
 * executes the steps, one access at a time, until a breakpoint is hit in kernel mode, the client interrupts, or the steps
 * are done, which switches the machine off. Steps are executed, not judged, as when a scenario is watched.
 */
export class DebuggedScenario {
  readonly target: ModelGdbTarget;
  readonly #lab: ModelLab;
  readonly #runner: StepRunner;
  readonly #context: StepContext;
  readonly #scenario: Scenario;
  readonly #turn: () => Promise<void>;
  readonly #operations: Iterator<ScenarioOperation, undefined>;
  #interrupted = false;
  #ended = false;

  private constructor(scenario: Scenario, lab: ModelLab, options: DebuggedScenarioOptions) {
    this.#scenario = scenario;
    this.#lab = lab;
    this.#runner = new StepRunner(lab);
    this.#context = new StepContext(lab);
    this.#turn = options.turn;
    this.#operations = this.#cut(scenario.steps.slice(setUpLength(scenario.steps)));
    this.target = new ModelGdbTarget(lab.host, {
      monitor: monitorCommands(lab.host),
      resume: {
        steps: true,
        run: (actions) => this.#run(actions),
        interrupt: () => {
          this.#interrupted = true;
        },
      },
    });
  }

  /** Makes the machine and its tasks, and enters the debugger. Throws {@link StepError} for what the model cannot run. */
  static async start(scenario: Scenario, options: DebuggedScenarioOptions): Promise<DebuggedScenario> {
    const maker = new ModelLabMaker();
    const refusal = maker.refuses(scenario.machine, scenario.needs);
    if (refusal !== undefined) throw new StepError(`${scenario.source}: ${refusal}`);
    const debugged = new DebuggedScenario(scenario, maker.make(scenario.machine), options);
    for (const step of scenario.steps) {
      const lack = debugged.#runner.lacks(step);
      if (lack !== undefined) throw new StepError(`${scenario.source}:${step.line}: ${lack}`);
    }
    const ready = debugged.target.kgdb.init();
    assert(ready, 'a machine that was just switched on has free registers');
    for (const step of scenario.steps.slice(0, setUpLength(scenario.steps))) await debugged.#execute(step);
    debugged.target.enter();
    return debugged;
  }

  /** The steps are done. */
  get ended(): boolean {
    return this.#ended;
  }

  async #run(actions: readonly ResumeAction[]): Promise<Stop> {
    const single = actions.some(({ type }) => type === 'step');
    this.#interrupted = false;
    if (this.target.kgdb.inside) this.target.kgdb.leave();
    const stopped = this.target.nextStop();
    for (let operations = 1; ; operations++) {
      const { done, value: operation } = this.#operations.next();
      if (done === true) {
        this.#ended = true;
        this.target.enter();
        return { type: 'exited', process: 1, status: 0 };
      }
      await operation();
      if (this.target.kgdb.inside) return stopped();
      if (operations % operationsPerTurn === 0) await this.#turn();
      if (!single && !this.#interrupted) continue;
      this.target.enter();
      return this.target.stopBy(single ? sigtrap : sigint);
    }
  }

  /** Cuts steps into operations: an access made many times is as many, an instruction of the kernel is two. */
  *#cut(steps: readonly ScenarioStep[]): Generator<ScenarioOperation, undefined> {
    for (const step of steps) {
      const { times } = step.keys;
      const count = times === undefined ? 1 : Number(times);
      if (step.step === 'kernelAccess') {
        for (let n = 0; n < count; n++) yield* this.#kernelAccess(step);
        continue;
      }
      const once = times === undefined ? step : { ...step, keys: { ...step.keys, times: 1 } };
      for (let n = 0; n < count; n++) yield () => this.#execute(once);
    }
    return undefined;
  }

  *#kernelAccess(step: ScenarioStep): Generator<ScenarioOperation> {
    const { machine } = this.#lab;
    const { ip } = step.keys;
    if (ip !== undefined)
      yield async () => {
        const { cpu, access } = kernelAccessOf(this.#context, step.keys);
        machine.kernelExecute(cpu, access.ip ?? 0n);
      };
    yield async () => {
      const { cpu, access } = kernelAccessOf(this.#context, step.keys);
      machine.kernelAccess(cpu, access);
    };
  }

  async #execute(step: ScenarioStep): Promise<void> {
    try {
      await this.#runner.execute(step);
    } catch (error) {
      if (!(error instanceof StepError)) throw error;
      throw new StepError(`${this.#scenario.source}:${step.line}: ${error.message}`);
    }
  }

  close(): void {
    this.target.close();
    this.#lab.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
