import type { SimTask } from '../../machines/sim/sim-task.ts';
import type { LabPtrace, LabSignal, LabStop, LabUserWord } from '../../scenario/lab.ts';
import { labSignals } from './lab-signals.ts';
import type { ModelHost } from './model-host.ts';
import type { TracedActs } from './traced-acts.ts';

/** ptrace(2) on the model, by the task "self". */
export class ModelLabPtrace implements LabPtrace {
  readonly #host: ModelHost;
  readonly #acts: TracedActs;
  readonly #task: (name: string) => SimTask;

  constructor(host: ModelHost, acts: TracedActs, task: (name: string) => SimTask) {
    this.#host = host;
    this.#acts = acts;
    this.#task = task;
  }

  attach(name: string, options: { readonly followFork: boolean }): void {
    this.#host.ptrace.attach(this.#host.self, this.#task(name), options);
  }

  detach(name: string): readonly LabSignal[] {
    const task = this.#task(name);
    const before = task.received.length;
    this.#acts.detach(task);
    return labSignals(task, before);
  }

  resume(name: string, options: { readonly step: boolean }): void {
    this.#acts.resume(this.#task(name), options);
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
}
