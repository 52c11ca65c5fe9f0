import os from 'node:os';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Calls `stop` at the first SIGINT, SIGTERM or SIGHUP, and exits at the second. A program that was started gets the
 * terminal's Ctrl-C by itself; nothing is passed on.
 */
export class Interrupts {
  /** The signal that came, if one did. */
  signal: NodeJS.Signals | undefined;
  readonly #handler: (signal: NodeJS.Signals) => void;

  constructor(stop: () => void) {
    this.#handler = (signal) => {
      if (this.signal !== undefined) process.exit(128 + os.constants.signals[signal]);
      this.signal = signal;
      stop();
    };
    for (const signal of signals) process.on(signal, this.#handler);
  }

  close(): void {
    for (const signal of signals) process.off(signal, this.#handler);
  }
}
