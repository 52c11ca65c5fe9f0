import { x86Decoder } from '../api/instruction-decoder.ts';
import { machineSurface } from '../api/machine-surface.ts';
import { symbolResources } from '../api/symbol-resources.ts';
import type { ModelScenario } from '../hosts/model/model-scenario.ts';
import type { Surface } from '../surface/surface.ts';
import type { JudgingOptions } from '../watch/conditions/judging.ts';
import type { HitSource } from '../watch/hit-source.ts';
import { parseWatchRequest } from '../watch/watch-request.ts';
import { type SessionOptions, WatchSession } from '../watch/watch-session.ts';
import { parseDuration } from './durations.ts';
import { UsageError } from './errors.ts';
import { Interrupts } from './interrupts.ts';
import { type Output, openOutput } from './output.ts';
import { type TargetFlags, targetOf } from './target-options.ts';

/** The options that every command with a session has, as commander gives them. */
export interface SessionFlags extends TargetFlags {
  readonly userOnly?: boolean;
  readonly for?: string;
  readonly json?: boolean;
  readonly output?: string;
  /** "model" and a scenario, joined. */
  readonly on?: string;
  /** Where a stub is. */
  readonly remote?: string;
  /** A file with the names of its target. */
  readonly symbols?: string;
}

/** A session as a command runs it: with its output, and ended by `--for`, Ctrl-C and the like. */
export interface RunningSession {
  readonly session: HitSource;
  readonly out: Output;
  /** The time that hits are told in, in nanoseconds. */
  now(): bigint;
  /** Stops listening for signals and the end of the time. */
  over(): void;
}

/** Opens what the command line names. Throws `UsageError` and `WatchError`. */
export async function openSession(
  what: readonly string[],
  flags: SessionFlags,
  command: readonly string[] | undefined,
  more: Pick<SessionOptions, 'stacks' | 'follow' | 'values' | 'countOnly' | keyof JudgingOptions>,
): Promise<RunningSession> {
  const requests = what.map(parseWatchRequest);
  if (flags.symbols !== undefined && flags.remote === undefined)
    throw new UsageError('--symbols is for --remote: names of a process come from its own files');
  if (more.follow === true && (flags.remote ?? flags.on) !== undefined)
    throw new UsageError(
      '--follow is for processes of this machine: it watches the pointers that lead to a place',
    );
  if (flags.remote !== undefined) {
    const { openRemoteSession } = await import('./remote-session.ts');
    return openRemoteSession(requests, { ...flags, remote: flags.remote }, command, more);
  }
  // Loaded only when it is asked for: a live watch is armed the sooner.
  const model = flags.on === undefined ? undefined : await import('./model-session.ts');
  let scenario: ModelScenario | undefined;
  if (model !== undefined && flags.on !== undefined) {
    refuseOnModel(flags, command, more);
    scenario = await model.startScenario(flags.on);
  }
  const target =
    scenario === undefined || model === undefined
      ? targetOf(flags, command)
      : model.scenarioTarget(flags, requests, scenario);
  const durationMs = flags.for === undefined ? undefined : parseDuration(flags.for);
  const { out, begin, abandon } = openOutput(flags.output);
  let session: WatchSession;
  let surface: Surface;
  try {
    surface = scenario?.surface ?? machineSurface();
    session = await WatchSession.open({
      surface,
      target,
      requests,
      symbols: symbolResources(),
      userOnly: flags.userOnly === true,
      ...more,
      ...(surface.kernel.live && surface.kernel.machine === 'x86_64' ? { decoder: x86Decoder() } : {}),
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
    now: () => surface.now(),
    over() {
      clearTimeout(timer);
      interrupts.close();
    },
  };
}

/** Throws `UsageError` for what the model has not got. */
function refuseOnModel(
  flags: SessionFlags & { readonly asm?: boolean },
  command: readonly string[] | undefined,
  more: Pick<SessionOptions, 'stacks'>,
): void {
  if (command !== undefined) throw new UsageError('--on model runs its scenario, not a command');
  if (flags.for !== undefined)
    throw new UsageError("--for is no end of a scenario: its time is the model's own; give --max-hits");
  if (more.stacks === true || flags.asm === true)
    throw new UsageError('-s and --asm: tasks of a scenario have no call stacks and no machine code');
}
