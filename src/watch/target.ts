import { assert } from '../base/assert.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { LaunchedTask, LaunchRequest, Tasks } from '../surface/tasks.ts';
import type { Scope } from './arm.ts';
import { requestError } from './errors.ts';

/** What is to be watched. */
export type Target =
  /** Every thread of a process, those that come, and its forked children. */
  | { readonly type: 'process'; readonly pid: number }
  /** One thread alone. */
  | { readonly type: 'thread'; readonly tid: number }
  /** A program that is started and armed before its first instruction. */
  | { readonly type: 'command'; readonly launch: LaunchRequest }
  /** Whole CPUs, whatever runs there; all that are online without a list. */
  | { readonly type: 'cpus'; readonly cpus?: readonly number[] };

/** Throws a `WatchError` of kind `request` where a process or thread is not there, or has ended. */
export function checkTarget(target: Target, tasks: Tasks): void {
  if (target.type !== 'process' && target.type !== 'thread') return;
  const tid = target.type === 'process' ? target.pid : target.tid;
  const what = target.type === 'process' ? 'process' : 'thread';
  let status: ReturnType<Tasks['status']>;
  try {
    status = tasks.status(tid);
  } catch (error) {
    if (error instanceof KernelError) throw requestError(`there is no ${what} ${tid}`);
    throw error;
  }
  // A process whose first thread has ended may have others that run.
  const hasThreads = target.type === 'process' && status.zombie && tasks.threads(tid).length > 1;
  if (status.zombie && !hasThreads) throw requestError(`${what} ${tid} has ended (it is a zombie)`);
  if (target.type === 'process' && status.pid !== tid) {
    throw requestError(
      `${tid} is a thread of process ${status.pid}: watch the process (-p ${status.pid}) or the thread alone (-t ${tid})`,
    );
  }
}

/** Starts the program of a command; a failure is a `WatchError` that says why it cannot run. */
export async function launchProgram(tasks: Tasks, request: LaunchRequest): Promise<LaunchedTask> {
  try {
    return await tasks.launch(request);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw requestError(
      `cannot run ${request.path}: ${error.code}${error.code === 'ENOEXEC' ? ' (not a program, and no #! line)' : error.code === 'EPERM' ? ' (is trapline itself being traced?)' : ''}`,
    );
  }
}

/** Whose events a target's are. `launched` is there for a command. */
export function scopeOf(target: Target, launched: LaunchedTask | undefined, tasks: Tasks): Scope {
  switch (target.type) {
    case 'process':
      return target;
    case 'thread':
      return target;
    case 'cpus':
      for (const cpu of target.cpus ?? []) {
        if (!tasks.cpus.includes(cpu))
          throw requestError(`CPU ${cpu} is not online; online are ${tasks.cpus.join(', ')}`);
      }
      return { type: 'cpus', cpus: target.cpus ?? tasks.cpus };
    case 'command':
      assert(launched !== undefined, 'a command has been launched');
      return { type: 'process', pid: launched.pid };
  }
}
