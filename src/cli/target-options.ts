import fs from 'node:fs';
import { commandTarget } from '../api/watch.ts';
import type { LaunchRequest } from '../surface/tasks.ts';
import type { Target } from '../watch/target.ts';
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
    throw new UsageError(
      'whom to watch? give -p PID, -t TID, -a, -C LIST, --on model SCENARIO, --remote STUB, or -- COMMAND ARGS...',
    );
  if (given.length > 1) throw new UsageError('-p, -t, -a, -C and -- COMMAND exclude each other');
  if (flags.pid !== undefined) return { type: 'process', pid: parseCount(flags.pid, 'process id') };
  if (flags.tid !== undefined) return { type: 'thread', tid: parseCount(flags.tid, 'thread id') };
  if (flags.cpus !== undefined) return { type: 'cpus', cpus: parseCpus(flags.cpus) };
  if (flags.allCpus !== undefined) return { type: 'cpus' };
  if (command?.[0] === undefined) throw new UsageError('-- wants a command behind it');
  const target = commandTarget(command, process.env);
  if (target.type !== 'command') return target;
  return { type: 'command', launch: { ...target.launch, ...rawTexts(command.length, target.launch) } };
}

/**
 * The last `count` arguments of this process and its environment as the bytes that they are: Node reads them as UTF-8,
 * which they need not be. Source: proc(5), "/proc/pid/cmdline", "/proc/pid/environ".
 */
function rawTexts(count: number, known: LaunchRequest): Pick<LaunchRequest, 'argv' | 'env'> {
  const argv = splitAtNuls('/proc/self/cmdline').slice(-count);
  const env = splitAtNuls('/proc/self/environ');
  return {
    argv: argv.length === count ? argv : known.argv,
    env: env.length > 0 ? env : known.env,
  };
}

function splitAtNuls(file: string): Buffer[] {
  let bytes: Buffer;
  try {
    bytes = fs.readFileSync(file);
  } catch {
    return []; // without /proc, what Node read has to do
  }
  const texts: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(0, start);
    texts.push(bytes.subarray(start, end < 0 ? bytes.length : end));
    start = end < 0 ? bytes.length : end + 1;
  }
  return texts;
}
