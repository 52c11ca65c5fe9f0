import path from 'node:path';
import { x86Decoder } from '../api/instruction-decoder.ts';
import { machineSurface } from '../api/machine-surface.ts';
import { symbolResources } from '../api/symbol-resources.ts';
import type { ByteSource } from '../base/byte-source.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { JudgingOptions } from '../watch/conditions/judging.ts';
import { requestError } from '../watch/errors.ts';
import { RemoteSession } from '../watch/remote/remote-session.ts';
import type { SymbolFile } from '../watch/remote/remote-symbols.ts';
import type { WatchRequest } from '../watch/watch-request.ts';
import type { SessionOptions } from '../watch/watch-session.ts';
import { parseDuration } from './durations.ts';
import { UsageError } from './errors.ts';
import { connectRemote } from './gdb-transports.ts';
import { Interrupts } from './interrupts.ts';
import { openOutput } from './output.ts';
import { printable } from './printable.ts';
import type { RunningSession, SessionFlags } from './run-session.ts';

type More = Pick<SessionOptions, 'stacks' | 'follow' | 'countOnly' | keyof JudgingOptions>;

/** Opens `--remote`. Throws `UsageError` and `WatchError`; the target then runs as if nothing had been. */
export async function openRemoteSession(
  requests: readonly WatchRequest[],
  flags: SessionFlags & { readonly remote: string },
  command: readonly string[] | undefined,
  more: More,
): Promise<RunningSession> {
  refuse(flags, command, more);
  const durationMs = flags.for === undefined ? undefined : parseDuration(flags.for);
  const symbolFile = flags.symbols === undefined ? undefined : openSymbolFile(flags.symbols);
  const { out, begin, abandon } = openOutput(flags.output);
  let session: RemoteSession | undefined;
  // From the first byte on: a stub that is left in the middle leaves its target standing.
  const interrupts = new Interrupts(() => session?.stop('stopped'));
  try {
    session = await RemoteSession.open({
      transport: await connectRemote(flags.remote),
      place: printable(flags.remote),
      requests,
      symbolFile,
      resources: symbolResources(),
      decoder: x86Decoder(),
      timer: (milliseconds, told) => {
        const timer = setTimeout(told, milliseconds);
        return () => clearTimeout(timer);
      },
      now,
      countOnly: more.countOnly === true,
      ...(more.maxHits === undefined ? {} : { maxHits: more.maxHits }),
    });
  } catch (error) {
    interrupts.close();
    abandon();
    throw error;
  }
  begin();
  const opened = session;
  if (interrupts.signal !== undefined) opened.stop('stopped');
  const timer = durationMs === undefined ? undefined : setTimeout(() => opened.stop('time'), durationMs);
  return {
    session: opened,
    out,
    now,
    over() {
      clearTimeout(timer);
      interrupts.close();
    },
  };
}

/** CLOCK_MONOTONIC: what Node's clock is on Linux. */
function now(): bigint {
  return process.hrtime.bigint();
}

/** Throws `UsageError` for what a stub has not got. */
function refuse(flags: SessionFlags, command: readonly string[] | undefined, more: More): void {
  const whom = [flags.pid, flags.tid, flags.allCpus, flags.cpus, flags.on, command];
  if (whom.some((each) => each !== undefined))
    throw new UsageError(
      '--remote watches all that the stub serves: -p, -t, -a, -C, --on and -- COMMAND do not go with it',
    );
  if (flags.userOnly === true || more.stacks === true)
    throw new UsageError('--user-only and -s: a stub does not tell modes apart and has no call stacks');
  if (more.follow === true)
    throw new UsageError('--follow is not for --remote: pointers are followed when arming');
  if (more.when !== undefined || more.rate !== undefined || more.stop === true)
    throw new UsageError(
      '--when, --rate and --stop are not for --remote: every hit is told, and the target resumed',
    );
}

function openSymbolFile(file: string): SymbolFile {
  const { files } = machineSurface();
  const openPath = (one: string): ByteSource | undefined => {
    try {
      return files.open(one);
    } catch (error) {
      if (error instanceof KernelError) return undefined;
      throw error;
    }
  };
  const absolute = path.resolve(file);
  try {
    return { path: absolute, source: files.open(absolute), openPath };
  } catch (error) {
    if (error instanceof KernelError) throw requestError(`--symbols ${file}: ${error.code}`);
    throw error;
  }
}
