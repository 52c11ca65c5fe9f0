import type { SignalInfo } from '../../machine/signal-info.ts';
import { SIGRTMIN } from '../../uapi/signal.ts';
import type { Operation } from './operation.ts';
import type { Disposition, SimProcess } from './sim-process.ts';
import type { SimTask } from './sim-task.ts';

/** Signals that an instruction causes: SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS. They go first. */
const synchronous: ReadonlySet<number> = new Set([4, 5, 7, 8, 11, 31]);

/** Signals whose default action is a core dump, which only the thread that takes them begins. */
const dumping: ReadonlySet<number> = new Set([3, 4, 5, 6, 7, 8, 11, 24, 25, 31]);

/** What the unit asks of its machine. */
interface SignalHost {
  tasks(): Iterable<SimTask>;
  exit(task: SimTask): void;
  perform(task: SimTask, operation: Operation): unknown;
  hold(task: SimTask, reason: SignalInfo): void;
}

/**
 * Sends and delivers signals as signal(7) has them: what is ignored is dropped unless it is blocked, one below 32 is
 * pending once, and the last frame that is set up runs first.
 */
export class SignalUnit {
  readonly #host: SignalHost;

  constructor(host: SignalHost) {
    this.#host = host;
  }

  /** Queues a signal for a living task, or for its process. */
  send(task: SimTask, info: SignalInfo, toProcess: boolean): void {
    const { process } = task;
    const { signal } = info;
    const ignored = process.dispositions.get(signal) === 'ignore';
    if (ignored && !task.blocks(signal) && !task.traced) return;
    const fatal = process.dispositions.get(signal) === 'default' && !dumping.has(signal);
    const taker = toProcess ? this.#taker(task, signal) : task.blocks(signal) ? null : task;
    if (fatal && taker !== null && !task.traced) process.doom ??= signal;
    const once = signal < SIGRTMIN;
    if (!toProcess) {
      if (!once || !task.pending.some((other) => other.signal === signal)) task.pending.push(info);
      return;
    }
    if (once && process.pending.some((other) => other.info.signal === signal)) return;
    process.pending.push({ info, target: taker });
  }

  /** A signal that an instruction causes: where it is blocked or ignored, the task dies of it. */
  force(task: SimTask, info: SignalInfo): void {
    const { signal } = info;
    const { dispositions } = task.process;
    if (task.blocks(signal) || dispositions.get(signal) === 'ignore') {
      dispositions.set(signal, 'default');
      task.blocked = new Set([...task.blocked].filter((other) => other !== signal));
    }
    this.send(task, info, false);
  }

  /** What a process does about a signal from now on; ignoring it also drops what is pending of it. */
  dispose(process: SimProcess, signal: number, disposition: Disposition): void {
    process.dispositions.set(signal, disposition);
    if (disposition !== 'ignore') return;
    drop(process.pending, ({ info }) => info.signal === signal);
    for (const task of this.#host.tasks())
      if (task.process === process) drop(task.pending, (info) => info.signal === signal);
  }

  /** The thread that takes a signal for its process: `first` if it can. */
  #taker(first: SimTask, signal: number): SimTask | null {
    if (!first.blocks(signal)) return first;
    for (const other of this.#host.tasks())
      if (other.process === first.process && !other.blocks(signal)) return other;
    return null;
  }

  /** Whether work waits, or a signal that the task does not block. */
  due(task: SimTask): boolean {
    const { work, pending, process } = task;
    if (process.doom !== undefined) return true;
    if (work.length + pending.length + process.pending.length === 0) return false;
    return (
      work.length > 0 ||
      task.pending.some(({ signal }) => !task.blocks(signal)) ||
      task.process.pending.some((shared) => takes(task, shared.target, shared.info.signal))
    );
  }

  /**
   * Does the work and delivers what is due. Every frame is set up before the first handler runs, so that the last one runs first. RF is
   * saved in the frame: a handler starts with RF clear and its end restores it. A traced task stops with the first.
   */
  deliver(task: SimTask): void {
    for (let work = task.work.pop(); work !== undefined; work = task.work.pop()) work();
    if (task.traced) {
      const info = task.stop === null ? dequeue(task) : undefined;
      if (info !== undefined) this.#host.hold(task, info);
      return;
    }
    const { doom } = task.process;
    if (doom !== undefined) {
      this.#kill(task, doom);
      return;
    }
    for (let info = dequeue(task); info !== undefined; info = dequeue(task)) {
      const disposition = task.process.dispositions.get(info.signal);
      if (disposition === 'ignore') continue;
      if (disposition === 'default') {
        this.#kill(task, info.signal);
        return;
      }
      if (disposition === undefined) {
        task.received.push(info);
        continue;
      }
      const { ipLow, ipHigh, processorFlags, blocked } = task;
      task.home.enterHandler(task);
      task.blocked = new Set([...blocked, info.signal]);
      this.deliver(task);
      if (!task.alive) return;
      const [first, ...rest] = disposition(info);
      if (first !== undefined) this.#host.perform(task, first);
      if (task.alive) task.received.push(info);
      for (const operation of rest) if (task.alive) this.#host.perform(task, operation);
      if (!task.alive) return;
      task.ipLow = ipLow;
      task.ipHigh = ipHigh;
      task.home.leaveHandler(task, processorFlags);
      task.blocked = blocked;
    }
  }

  #kill(task: SimTask, signal: number): void {
    const { process } = task;
    process.killedBy = signal;
    for (const other of [...this.#host.tasks()]) if (other.process === process) this.#host.exit(other);
  }
}

function takes(task: SimTask, target: SimTask | null, signal: number): boolean {
  return (target === task || target === null || !target.alive) && !task.blocks(signal);
}

/** Takes the next signal out of the queues: synchronous ones first, then by number, the thread's own first. */
function dequeue(task: SimTask): SignalInfo | undefined {
  const { pending, process } = task;
  const open = pending.filter(({ signal }) => !task.blocks(signal));
  const own =
    open.find(({ signal, code }) => synchronous.has(signal) && code > 0) ??
    open.reduce<SignalInfo | undefined>(
      (least, info) => (least === undefined || info.signal < least.signal ? info : least),
      undefined,
    );
  if (own !== undefined) {
    pending.splice(pending.indexOf(own), 1);
    return own;
  }
  let at = -1;
  for (const [index, { info, target }] of process.pending.entries())
    if (takes(task, target, info.signal) && (at < 0 || info.signal < process.pending[at]!.info.signal))
      at = index; // an index of the list
  return at < 0 ? undefined : process.pending.splice(at, 1)[0]?.info;
}

function drop<T>(list: T[], which: (entry: T) => boolean): void {
  list.splice(0, list.length, ...list.filter((entry) => !which(entry)));
}
