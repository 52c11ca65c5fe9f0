import { isKernelError } from '../base/kernel-error.ts';
import type { ScenarioStep } from './format.ts';
import type { Awaitable, Lab, LabMachine } from './lab.ts';
import { bpfSteps } from './steps/bpf-steps.ts';
import { eventSteps } from './steps/event-steps.ts';
import { machineSteps } from './steps/machine-steps.ts';
import { ptraceSteps } from './steps/ptrace-steps.ts';
import { ringSteps } from './steps/ring-steps.ts';
import { signalSteps } from './steps/signal-steps.ts';
import {
  done,
  StepContext,
  type StepHandlers,
  type StepKeys,
  type StepResult,
} from './steps/step-context.ts';
import { taskSteps } from './steps/task-steps.ts';
import { StepError } from './values.ts';

function isSymbol(value: unknown): boolean {
  return typeof value === 'string' && value.startsWith('sym:');
}

function bpAddrOf(attr: unknown): unknown {
  return typeof attr === 'object' && attr !== null && 'bpAddr' in attr ? attr.bpAddr : undefined;
}

/** Executes the steps of one scenario in one lab. */
export class StepRunner {
  readonly #lab: Lab;
  readonly #context: StepContext;
  readonly #handlers: StepHandlers;

  constructor(lab: Lab) {
    this.#lab = lab;
    const context = new StepContext(lab);
    this.#context = context;
    this.#handlers = {
      ...taskSteps(context),
      ...eventSteps(context),
      ...(lab.bpf === undefined ? {} : bpfSteps(context, lab.bpf)),
      ...(lab.ptrace === undefined ? {} : ptraceSteps(context, lab.ptrace)),
      ...signalSteps(context),
      ...ringSteps(context),
      ...(lab.used === undefined ? {} : { used: () => ({ errno: 0, used: lab.used?.() }) }),
      ...(lab.machine === undefined ? {} : this.#machineHandlers(context, lab.machine)),
    };
  }

  /** Why the lab cannot do a step; `undefined`: it can. */
  lacks(step: ScenarioStep): string | undefined {
    const lacking = this.#lab.lacks?.(step);
    if (lacking !== undefined) return lacking;
    if (!Object.hasOwn(this.#handlers, step.step)) return `${this.#lab.kernel} cannot do "${step.step}"`;
    const symbol = Object.values(step.keys).some(isSymbol) || isSymbol(bpAddrOf(step.keys.attr));
    if (symbol && this.#lab.machine === undefined) return `${this.#lab.kernel} resolves no kernel symbols`;
    const inner = step.step === 'nmi' ? [step.keys.in, ...(step.keys.do as unknown[])] : [];
    for (const each of inner as ScenarioStep[]) {
      const reason = this.lacks(each); // the parser has made steps of them
      if (reason !== undefined) return reason;
    }
    return undefined;
  }

  /** Does a step. A refusal of the kernel is a result; throws {@link StepError} for a step that makes no sense. */
  execute(step: ScenarioStep): Awaitable<StepResult> {
    const refused = (error: unknown): StepResult => {
      if (isKernelError(error)) return { errno: error.code };
      throw error;
    };
    try {
      const handler = this.#handlers[step.step];
      if (handler === undefined) throw new StepError(`${this.#lab.kernel} cannot do "${step.step}"`);
      const result = handler(step.keys);
      return result instanceof Promise ? result.catch(refused) : result;
    } catch (error) {
      return refused(error);
    }
  }

  #machineHandlers(context: StepContext, machine: LabMachine): StepHandlers {
    return { ...machineSteps(context, machine), nmi: (keys) => this.#nmi(machine, keys) };
  }

  #nmi(machine: LabMachine, keys: StepKeys): StepResult {
    const inside: StepResult[] = [];
    let interrupted: StepResult = done;
    const now = (step: ScenarioStep): StepResult => {
      const result = this.execute(step);
      if (result instanceof Promise) throw new StepError(`"${step.step}" takes time, and an NMI has none`);
      return result;
    };
    const taken = machine.withNmi(
      this.#context.number(keys, 'at', 1),
      () => {
        for (const step of keys.do as readonly ScenarioStep[]) inside.push(now(step)); // made by the parser
      },
      () => {
        interrupted = now(keys.in as ScenarioStep); // made by the parser
      },
    );
    return { errno: 0, taken, in: interrupted, do: inside };
  }
}
