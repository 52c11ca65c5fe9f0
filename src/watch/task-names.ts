import { KernelError } from '../base/kernel-error.ts';
import type { RingNotice } from '../ring/hit-columns.ts';
import type { Tasks } from '../surface/tasks.ts';

/** Names of threads, followed through the notices of the rings. */
export class TaskNames {
  readonly #tasks: Tasks;
  readonly #names: Map<number, string> = new Map();
  readonly #parents: Map<number, number> = new Map();

  constructor(tasks: Tasks) {
    this.#tasks = tasks;
  }

  /** Reads the names of these threads now; later changes come as notices. */
  learn(tids: Iterable<number>): void {
    for (const tid of tids) this.#read(tid);
  }

  /** Takes note of who created whom, ahead of {@link apply}: code is named by it as soon as a batch comes. */
  noteParents(notices: readonly RingNotice[]): void {
    for (const notice of notices) {
      if (notice.type === 'fork' && notice.pid !== notice.parentPid)
        this.#parents.set(notice.pid, notice.parentPid);
    }
  }

  /** Takes note of one notice; they are to come in the order of time. */
  apply(notice: RingNotice): void {
    if (notice.type === 'comm') this.#names.set(notice.tid, notice.comm);
    else if (notice.type === 'fork') this.#names.set(notice.tid, this.name(notice.parentTid));
  }

  /** The thread's name, or its process's where it cannot be known any more; "" if neither can. */
  name(tid: number, pid: number = tid): string {
    const name = this.#names.get(tid) ?? this.#read(tid);
    return name === '' && pid !== tid ? this.name(pid) : name;
  }

  /** The process that created process `pid`, if that was seen. */
  parentOf(pid: number): number | undefined {
    return this.#parents.get(pid);
  }

  #read(tid: number): string {
    let name = '';
    try {
      name = this.#tasks.name(tid);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
    }
    this.#names.set(tid, name);
    return name;
  }
}
