import type { SimTask } from '../../machines/sim/sim-task.ts';
import type { LabPtrace, LabStop, LabUserWord, TaskOutcome } from '../../scenario/lab.ts';
import type { ModelHost } from './model-host.ts';
import type { ModelLabTasks } from './model-lab-tasks.ts';
import type { TracedActs } from './traced-acts.ts';

/** ptrace(2) on the model, by the task "self". */
export class ModelLabPtrace implements LabPtrace {
  readonly #host: ModelHost;
  readonly #acts: TracedActs;
  readonly #tasks: ModelLabTasks;

  readonly #run: ((task: SimTask) => void) | undefined;

  /** `run`: where tasks sleep while they wait, lets one run for a moment; it does on its way to a stop. */
  constructor(
    host: ModelHost,
    parts: {
      readonly acts: TracedActs;
      readonly tasks: ModelLabTasks;
      readonly run: ((task: SimTask) => void) | undefined;
    },
  ) {
    this.#host = host;
    this.#acts = parts.acts;
    this.#tasks = parts.tasks;
    this.#run = parts.run;
  }

  attach(name: string, options: { readonly followFork: boolean }): void {
    const task = this.#task(name);
    this.#host.ptrace.attach(this.#host.self, task, options);
    this.#run?.(task);
  }

  detach(name: string): TaskOutcome {
    this.#acts.detach(this.#task(name));
    return this.#tasks.outcome(name);
  }

  resume(name: string, options: { readonly step: boolean }): TaskOutcome {
    this.#acts.resume(this.#task(name), options);
    return this.#tasks.outcome(name);
  }

  readRegset(name: string, type: number, lengthBytes: number): Uint8Array {
    return this.#host.ptrace.getRegset(this.#host.self, this.#task(name), { type, lengthBytes });
  }

  writeRegset(name: string, type: number, bytes: Uint8Array): void {
    this.#host.ptrace.setRegset(this.#host.self, this.#task(name), { type, bytes });
  }

  peek(name: string, word: LabUserWord): bigint {
    return this.#host.ptrace.peekUser(this.#host.self, this.#task(name), word);
  }

  poke(name: string, word: LabUserWord, value: bigint): void {
    this.#host.ptrace.pokeUser(this.#host.self, this.#task(name), word, value);
  }

  stopped(name: string): LabStop | null | undefined {
    return this.#acts.stopped(this.#task(name));
  }

  #task(name: string): SimTask {
    return this.#tasks.task(name);
  }
}
