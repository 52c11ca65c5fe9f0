import { x86Decoder } from '../api/instruction-decoder.ts';
import { machineSurface } from '../api/machine-surface.ts';
import { parseWatchRequest } from '../watch/watch-request.ts';
import { type SessionOptions, WatchSession } from '../watch/watch-session.ts';
import { parseDuration } from './durations.ts';
import { Interrupts } from './interrupts.ts';
import { type Output, openOutput } from './output.ts';
import { type TargetFlags, targetOf } from './target-options.ts';

/** The options that every command with a session has, as commander gives them. */
export interface SessionFlags extends TargetFlags {
  readonly userOnly?: boolean;
  readonly for?: string;
  readonly json?: boolean;
  readonly output?: string;
}

/** A session as a command runs it: with its output, and ended by `--for`, Ctrl-C and the like. */
export interface RunningSession {
  readonly session: WatchSession;
  readonly out: Output;
  /** Stops listening for signals and the end of the time. */
  over(): void;
}

/** Opens what the command line names. Throws `UsageError` and `WatchError`. */
export async function openSession(
  what: readonly string[],
  flags: SessionFlags,
  command: readonly string[] | undefined,
  more: Pick<SessionOptions, 'stacks' | 'countOnly' | 'maxHits'>,
): Promise<RunningSession> {
  const requests = what.map(parseWatchRequest);
  const target = targetOf(flags, command);
  const durationMs = flags.for === undefined ? undefined : parseDuration(flags.for);
  const { out, begin, abandon } = openOutput(flags.output);
  let session: WatchSession;
  try {
    const surface = machineSurface();
    session = await WatchSession.open({
      surface,
      target,
      requests,
      userOnly: flags.userOnly === true,
      ...more,
      ...(surface.kernel.machine === 'x86_64' ? { decoder: x86Decoder() } : {}),
    });
  } catch (error) {
    abandon();
    throw error;
  }
  begin();
  const interrupts = new Interrupts(() => session.stop('stopped'));
  const timer = durationMs === undefined ? undefined : setTimeout(() => session.stop('time'), durationMs);
  return {
    session,
    out,
    over() {
      clearTimeout(timer);
      interrupts.close();
    },
  };
}
