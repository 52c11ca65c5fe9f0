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
