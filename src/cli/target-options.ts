import { commandTarget } from '../api/watch.ts';
import type { Target } from '../watch/watch-session.ts';
import { parseCount, parseCpus } from './durations.ts';
import { UsageError } from './errors.ts';

/** The options that say what is watched, as commander gives them. */
export interface TargetFlags {
  readonly pid?: string;
  readonly tid?: string;
  readonly allCpus?: boolean;
  readonly cpus?: string;
}

/** The one target that flags and command name. Throws {@link UsageError} or a `WatchError` of kind `request`. */
export function targetOf(flags: TargetFlags, command: readonly string[] | undefined): Target {
  const given = [flags.pid, flags.tid, flags.allCpus, flags.cpus, command].filter(
    (each) => each !== undefined,
  );
  if (given.length === 0)
    throw new UsageError('whom to watch? give -p PID, -t TID, -a, -C LIST, or -- COMMAND ARGS...');
  if (given.length > 1) throw new UsageError('-p, -t, -a, -C and -- COMMAND exclude each other');
  if (flags.pid !== undefined) return { type: 'process', pid: parseCount(flags.pid, 'process id') };
  if (flags.tid !== undefined) return { type: 'thread', tid: parseCount(flags.tid, 'thread id') };
  if (flags.cpus !== undefined) return { type: 'cpus', cpus: parseCpus(flags.cpus) };
  if (flags.allCpus !== undefined) return { type: 'cpus' };
  if (command?.[0] === undefined) throw new UsageError('-- wants a command behind it');
  return commandTarget(command, process.env);
}
