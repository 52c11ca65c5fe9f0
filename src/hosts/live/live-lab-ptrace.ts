import type { LabPtrace, LabStop, LabUserWord, TaskOutcome } from '../../scenario/lab.ts';
import type { LiveTasks } from './live-tasks.ts';
import type { LiveTracer } from './live-tracer.ts';

/** ptrace(2) of puppets, by a process of its own. */
export class LiveLabPtrace implements LabPtrace {
  readonly #tracer: LiveTracer;
  readonly #tasks: LiveTasks;

  constructor(tracer: LiveTracer, tasks: LiveTasks) {
    this.#tracer = tracer;
    this.#tasks = tasks;
  }

  attach(name: string, options: { readonly followFork: boolean }): void {
    this.#tracer.attach(this.#tasks.puppet(name), options);
  }

  detach(name: string): TaskOutcome {
    this.#tracer.detach(this.#tasks.puppet(name));
    return this.#tasks.outcome(name);
  }

  resume(name: string, options: { readonly step: boolean }): TaskOutcome {
    this.#tracer.resume(this.#tasks.puppet(name), options);
    return this.#tasks.outcome(name);
  }

  peek(name: string, word: LabUserWord): bigint {
    return this.#tracer.peek(this.#tasks.puppet(name), word);
  }

  poke(name: string, word: LabUserWord, value: bigint): void {
    this.#tracer.poke(this.#tasks.puppet(name), word, value);
  }

  stopped(name: string): LabStop | null | undefined {
    return name === 'self' ? undefined : this.#tracer.stopped(this.#tasks.puppet(name));
  }
}
