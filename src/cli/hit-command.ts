import { spawnSync } from 'node:child_process';
import { hex } from '../base/hex.ts';
import type { Hit } from '../watch/hit-reader.ts';
import type { HitSource } from '../watch/hit-source.ts';
import { watchName } from '../watch/shown-watches.ts';
import { codeText } from './code-text.ts';
import { valueFormats } from './value-formats.ts';

/**
 * `--then`: runs a shell command for every reported hit, one after the other, and waits for each; the hit's line is
 * written before. What is lost meanwhile is told as always. The command finds the hit in its environment, and shares our
 * standard error for both its streams.
 */
export class HitCommand {
  readonly #command: string;
  readonly #session: HitSource;
  readonly #formats: ReturnType<typeof valueFormats>;
  #failures = 0;

  constructor(command: string, session: HitSource) {
    this.#command = command;
    this.#session = session;
    this.#formats = valueFormats(session, {});
  }

  /** Commands that could not be started or did not end with status 0. */
  get failures(): number {
    return this.#failures;
  }

  run(hit: Hit): void {
    const done = spawnSync('/bin/sh', ['-c', this.#command], {
      stdio: ['ignore', 2, 2],
      env: { ...process.env, ...this.#environment(hit) },
    });
    if (done.status !== 0) this.#failures++;
  }

  #environment(hit: Hit): Record<string, string> {
    const { value, code, watch } = hit;
    const format = this.#formats(hit);
    const text = (words: { readonly low: number; readonly high: number } | undefined): string =>
      words === undefined ? '' : format.text(words);
    return {
      TRAPLINE_TIME_NS: String(hit.timeNs),
      TRAPLINE_PID: String(hit.pid),
      TRAPLINE_TID: String(hit.tid),
      TRAPLINE_COMM: hit.comm,
      TRAPLINE_CPU: String(hit.cpu ?? ''),
      TRAPLINE_WATCH: watchName(watch),
      TRAPLINE_ELEMENT: hit.element?.text ?? '',
      TRAPLINE_ADDRESS: hex((hit.element ?? watch).address),
      TRAPLINE_ACCESS: code.access,
      TRAPLINE_OLD: text(value?.before),
      TRAPLINE_NEW: text(value?.after),
      TRAPLINE_EXACT: value?.exact === true ? '1' : '0',
      TRAPLINE_IP: hex(code.ip),
      TRAPLINE_CODE: codeText(code.location),
      TRAPLINE_STOPPED: this.#session.info.judging.stop === undefined ? '0' : '1',
    };
  }
}
