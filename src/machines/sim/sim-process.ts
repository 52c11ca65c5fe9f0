import type { SignalInfo } from '../../machine/signal-info.ts';
import type { Operation } from './operation.ts';
import type { SimTask } from './sim-task.ts';

/** The operations of a signal handler; the first is its first instruction, and then it has noted the signal. */
export type SignalHandler = (info: SignalInfo) => readonly Operation[];

/** What a process does when a signal comes; "default" ends it. */
export type Disposition = SignalHandler | 'ignore' | 'default';

/** A signal for a process, and the thread that is to take it; null: all blocked it when it came. */
export interface SharedSignal {
  readonly info: SignalInfo;
  target: SimTask | null;
}

/** What the threads of a process share, as far as signals go. */
export class SimProcess {
  /** By signal number. A signal that is not in here is noted by the task that gets it, and nothing else. */
  readonly dispositions: Map<number, Disposition> = new Map();
  /** Signals for any thread. */
  readonly pending: SharedSignal[] = [];
  /** A signal that ends it as soon as one of its threads goes on: sent, not blocked, and without a core dump. */
  doom: number | undefined = undefined;
  /** The signal that ended it. */
  killedBy: number | undefined = undefined;

  /** The process of a child; with `clearHandlers` what was handled has the default action there. */
  fork(options: { readonly clearHandlers?: boolean }): SimProcess {
    const child = new SimProcess();
    for (const [signal, disposition] of this.dispositions) {
      const handled = typeof disposition === 'function';
      child.dispositions.set(signal, handled && options.clearHandlers === true ? 'default' : disposition);
    }
    return child;
  }

  /** A fresh image has no handlers: what was handled has the default action. */
  exec(): void {
    for (const [signal, disposition] of this.dispositions)
      if (typeof disposition === 'function') this.dispositions.set(signal, 'default');
  }
}
