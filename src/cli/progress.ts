import fs from 'node:fs';
import tty from 'node:tty';

const everyMs = 500;

/** One line on standard error that is rewritten: rate, hits, lost. Only on a terminal that shows nothing else of ours. */
export class Progress {
  readonly #read: () => { readonly hits: number; readonly lost: number };
  readonly #timer: NodeJS.Timeout | undefined;
  #shown: boolean = false;
  #lastHits: number = 0;
  #lastTime: number = performance.now();

  constructor(read: () => { readonly hits: number; readonly lost: number }, enabled: boolean) {
    this.#read = read;
    if (enabled && tty.isatty(2)) {
      this.#timer = setInterval(() => this.#show(), everyMs);
      this.#timer.unref();
    }
  }

  /** Takes the line away. */
  close(): void {
    clearInterval(this.#timer);
    if (this.#shown) fs.writeSync(2, '\r\x1b[K');
    this.#shown = false;
  }

  #show(): void {
    const { hits, lost } = this.#read();
    const now = performance.now();
    const rate = Math.round(((hits - this.#lastHits) * 1000) / (now - this.#lastTime));
    this.#lastHits = hits;
    this.#lastTime = now;
    this.#shown = true;
    try {
      fs.writeSync(2, `\r${hits} hits, ${rate}/s, ${lost} lost\x1b[K`);
    } catch {
      // A terminal that does not take it now gets the next one.
    }
  }
}

/** One line on standard error that is rewritten while a command works; only on a terminal. */
export class StatusLine {
  readonly #enabled: boolean;
  #shown: boolean = false;
  #nextMs: number = 0;

  constructor(enabled: boolean) {
    this.#enabled = enabled && tty.isatty(2);
  }

  /** Shows a text, made only when it is time for a new one. */
  show(text: () => string): void {
    if (!this.#enabled || performance.now() < this.#nextMs) return;
    this.#nextMs = performance.now() + everyMs;
    this.#shown = true;
    write(`\r${text()}\x1b[K`);
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#shown) write('\r\x1b[K');
    this.#shown = false;
  }
}

function write(text: string): void {
  try {
    fs.writeSync(2, text);
  } catch {
    // A terminal that does not take it now gets the next one.
  }
}
