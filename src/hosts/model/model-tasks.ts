import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { tickNs } from '../../machines/sim/sim-machine.ts';
import type { SimTask } from '../../machines/sim/sim-task.ts';
import type { LaunchedTask, LaunchRequest, TaskStatus, Tasks } from '../../surface/tasks.ts';
import { SIGSTOP } from '../../uapi/signal.ts';
import type { ModelHost } from './model-host.ts';

/** The tasks of a model. Programs are given to the machine, not launched from files. */
export class ModelTasks implements Tasks {
  readonly #host: ModelHost;

  constructor(host: ModelHost) {
    this.#host = host;
  }

  get cpus(): readonly number[] {
    return this.#host.machine.cpus.filter((cpu) => cpu.online).map((cpu) => cpu.number);
  }

  get self(): number {
    return this.#host.self.pid;
  }

  #task(tid: number): SimTask {
    const task = this.#host.machine.findTask(tid);
    if (task === undefined) throw new KernelError({ errno: errnoValues.ESRCH, operation: `task ${tid}` });
    return task;
  }

  processes(): number[] {
    return [...new Set([...this.#host.machine.tasks()].map((task) => task.pid))].sort((a, b) => a - b);
  }

  threads(pid: number): number[] {
    const threads = [...this.#host.machine.tasks()]
      .filter((task) => task.pid === pid)
      .map((task) => task.tid);
    if (threads.length === 0) this.#task(pid);
    return threads;
  }

  name(tid: number): string {
    return this.#task(tid).name;
  }

  status(tid: number): TaskStatus {
    const task = this.#task(tid);
    return { pid: task.pid, uid: task.credentials.uid, tracerPid: 0, zombie: !task.alive };
  }

  stop(pid: number): void {
    this.#host.machine.signal(this.#task(pid), { signal: SIGSTOP, code: 0, address: 0n }, { process: true });
  }

  /** Nothing is mapped from files. */
  maps(pid: number): string {
    this.#task(pid);
    return '';
  }

  auxv(pid: number): Uint8Array {
    this.#task(pid);
    return new Uint8Array(0);
  }

  launch(request: LaunchRequest): Promise<LaunchedTask> {
    return Promise.reject(
      new KernelError({
        errno: errnoValues.ENOENT,
        operation: `execve ${request.path}`,
        hint: 'the model has no files',
      }),
    );
  }

  /** A process of the model has ended when none of its tasks is left, or none of them has anything left to do. */
  waitEnd(pid: number): { readonly ended: Promise<void>; close(): void } {
    let given = false;
    const { machine } = this.#host;
    const busy = (): boolean => [...machine.tasks()].some((task) => task.pid === pid && task.runnable);
    const ended = (async () => {
      while (!given && busy()) {
        machine.run({ untilNs: machine.nowNs() + tickNs });
        // Lets others who wait take what has come.
        await Promise.resolve();
      }
    })();
    return {
      ended,
      close: () => {
        given = true;
      },
    };
  }
}
