import fs from 'node:fs';
import os from 'node:os';
import type { ByteSink } from '../base/byte-source.ts';
import { type RecordingPlace, SessionRecorder } from '../formats/session-recorder.ts';
import type { HitBatch } from '../ring/hit-columns.ts';
import type { HitSource } from '../watch/hit-source.ts';
import { parseDuration } from './durations.ts';
import { UsageError } from './errors.ts';
import { oneLine } from './printable.ts';
import { RecordingFile } from './recording-file.ts';
import { toolName } from './tool-name.ts';
import { type BatchTap, type WatchFlags, watchCommand } from './watch-command.ts';

/** The options of `trapline record`, as commander gives them. */
export interface RecordFlags extends WatchFlags {
  readonly flush?: string;
}

const defaultFlushMs = 500;

/** `trapline record`: what `watch --quiet` does, with the hits in a file. @returns the exit status. */
export async function recordCommand(
  what: readonly string[],
  flags: RecordFlags,
  command: readonly string[] | undefined,
): Promise<number> {
  if (flags.output === undefined) throw new UsageError('record wants -o FILE: where the recording goes');
  const flushMs = flags.flush === undefined ? defaultFlushMs : parseDuration(flags.flush);
  const file = new RecordingFile(flags.output);
  const { output: _file, ...rest } = flags;
  const tap = new RecordingTap(file, { flushMs, stacks: flags.stacks === true });
  let status: number;
  try {
    status = await watchCommand(what, { ...rest, quiet: true }, command, tap);
  } catch (error) {
    tap.close();
    if (!tap.began) file.abandon();
    throw error;
  }
  if (file.problem === undefined) return status;
  fs.writeSync(
    2,
    `trapline: the recording stopped: ${oneLine(file.problem)}; what was written before (${file.sizeBytes} bytes) can be read\n`,
  );
  return 1;
}

function machineOf(): RecordingPlace['machine'] {
  const cpus = os.cpus();
  const [first] = cpus;
  return {
    hostname: os.hostname(),
    release: os.release(),
    arch: os.machine(),
    ...(first === undefined ? {} : { cpu: first.model }),
    cpus: cpus.length,
  };
}

/** Records what a session gives. */
class RecordingTap implements BatchTap {
  readonly #file: RecordingFile;
  readonly #options: { readonly flushMs: number; readonly stacks: boolean };
  #session: HitSource | undefined;
  #recorder: SessionRecorder | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(file: RecordingFile, options: { readonly flushMs: number; readonly stacks: boolean }) {
    this.#file = file;
    this.#options = options;
  }

  /** Whether something was recorded. */
  get began(): boolean {
    return this.#recorder !== undefined;
  }

  begin(session: HitSource): void {
    this.#session = session;
    this.#file.begin();
    this.#recorder = new SessionRecorder(session, this.#file satisfies ByteSink, {
      machine: machineOf(),
      tool: toolName(),
      command: process.argv.slice(2),
      wallClockNs: BigInt(Date.now()) * 1_000_000n - (process.hrtime.bigint() - session.info.sinceNs),
      stacks: this.#options.stacks,
    });
    this.#flush();
    this.#timer = setInterval(() => this.#flush(), this.#options.flushMs);
  }

  batch(batch: HitBatch): void {
    this.#recorder?.add(batch);
    this.#stopOnProblem();
  }

  lost(timeNs: bigint, lost: number): void {
    this.#recorder?.lost(timeNs, lost);
  }

  end(timeNs: bigint, reason: string, lost: number): string[] {
    clearInterval(this.#timer);
    this.#recorder?.finish(timeNs, reason, lost);
    this.close();
    const { problem, path, sizeBytes } = this.#file;
    if (problem !== undefined) return [];
    return [`recorded: ${this.#recorder?.hits ?? 0} hits, ${sizeBytes} bytes in ${path}`];
  }

  close(): void {
    clearInterval(this.#timer);
    this.#file.close();
  }

  #flush(): void {
    this.#recorder?.flush();
    this.#stopOnProblem();
  }

  #stopOnProblem(): void {
    if (this.#file.problem !== undefined) this.#session?.stop('stopped');
  }
}
