import type { SimTask } from '../../machines/sim/sim-task.ts';
import type { LabTasks, SignalChange, TaskAction, TaskOutcome, TaskPlace } from '../../scenario/lab.ts';
import type { ModelHost } from './model-host.ts';
import type { ModelLabTasks } from './model-lab-tasks.ts';

/** How long a task runs to take an order and say that it is done, at least, in nanoseconds. */
const orderNs = 1000;

/**
 * Tasks that are off their CPUs while they wait for orders, as live ones are ("tasks-sleep", docs/spec/09 "Header"): no time
 * of theirs passes while others act, and whatever they are told, they run for it where they are.
 */
export class SleepingTasks implements LabTasks {
  readonly #host: ModelHost;
  readonly #tasks: ModelLabTasks;

  constructor(host: ModelHost, tasks: ModelLabTasks) {
    this.#host = host;
    this.#tasks = tasks;
  }

  spawn(name: string, options: { readonly cpu?: number }): void {
    this.#awake(() => this.#tasks.spawn(name, options), name);
  }

  thread(name: string, as: string): void {
    this.#awake(() => this.#tasks.thread(name, as), name, as);
  }

  fork(name: string, as: string, options?: { readonly clearHandlers: boolean }): void {
    this.#awake(() => this.#tasks.fork(name, as, options), name, as);
  }

  exec(name: string): void {
    this.#awake(() => this.#tasks.exec(name), name);
  }

  exit(name: string): void {
    this.#awake(() => this.#tasks.exit(name));
  }

  credentials(...[name, drop]: Parameters<LabTasks['credentials']>): void {
    this.#awake(() => this.#tasks.credentials(name, drop));
  }

  reschedule(name: string): void {
    this.#awake(() => this.#tasks.reschedule(name), name);
  }

  migrate(name: string, cpu: number): void {
    this.#awake(() => this.#tasks.migrate(name, cpu), name);
  }

  act(name: string, action: TaskAction): TaskOutcome {
    return this.#awake(() => this.#tasks.act(name, action));
  }

  handleSignals(name: string, change: SignalChange): TaskOutcome {
    return this.#awake(() => this.#tasks.handleSignals(name, change));
  }

  tid(name: string): number {
    return this.#tasks.tid(name);
  }

  dataAddress(name: string): bigint {
    return this.#tasks.dataAddress(name);
  }

  codeAddress(name: string, n: number): bigint {
    return this.#tasks.codeAddress(name, n);
  }

  placeAddress(name: string, place: TaskPlace): bigint {
    return this.#tasks.placeAddress(name, place);
  }

  /** Does `work`, lets those who were told run for a moment, and then all sleep. */
  #awake<Result>(work: () => Result, ...told: readonly string[]): Result {
    this.#sleep(); // a debugger may have let some run
    try {
      const result = work();
      for (const name of told) this.#run(this.#tasks.task(name));
      return result;
    } finally {
      this.#sleep();
    }
  }

  /** The task is on its CPU for a moment. */
  runs(task: SimTask): void {
    this.#run(task);
    this.#sleep();
  }

  #run(task: SimTask): void {
    const { machine, self } = this.#host;
    if (task === self || !task.alive) return;
    machine.switchTo(task.home, task);
    machine.advance(orderNs);
  }

  #sleep(): void {
    const { machine, self } = this.#host;
    for (const cpu of machine.cpus)
      if (cpu.current !== null && cpu.current !== self) machine.switchTo(cpu, null);
  }
}
