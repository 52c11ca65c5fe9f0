import { errnoValues } from '../base/errno.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { Surface } from '../surface/surface.ts';
import type { Scope } from './arm.ts';
import { refusalError, requestError, type WatchError } from './errors.ts';
import type { PlannedWatch } from './plan.ts';
import { findRegisterHolders } from './register-holders.ts';

/** What was about to be armed when the kernel refused. */
export interface RefusalContext {
  readonly surface: Surface;
  readonly scope: Scope;
  readonly watches: readonly PlannedWatch[];
}

/** How many suspects a message names. */
const mostSuspects = 5;

/** A refusal of `perf_event_open` in words: what was refused, why, and what would allow it. */
export function explainRefusal(error: KernelError, context: RefusalContext): WatchError {
  const { watches, scope } = context;
  const names = watches.map((watch) => `'${watch.text}'`).join(', ');
  switch (error.errno) {
    case errnoValues.ENOSPC:
      return refusalError(`${names}: no free debug register: ${explainFull(context)}`);
    case errnoValues.EACCES:
    case errnoValues.EPERM:
      return refusalError(`not permitted to watch ${scopeText(scope)}: ${explainPermission(error, context)}`);
    case errnoValues.ESRCH:
      return requestError(`${scopeText(scope)} is not there (it has ended, or never was)`);
    case errnoValues.ENOENT:
    case errnoValues.EOPNOTSUPP:
    case errnoValues.ENOSYS:
      return refusalError(
        `this kernel offers no hardware breakpoints (${error.code}): a virtual machine or a build without CONFIG_HAVE_HW_BREAKPOINT; see trapline doctor`,
      );
    case errnoValues.EINVAL:
      return requestError(`${names}: the kernel allows no breakpoint there (EINVAL: ${error.operation})`);
    case errnoValues.EMFILE:
    case errnoValues.ENFILE:
      return refusalError(
        `too many open files: one event is needed a thread, CPU and watch; raise the limit (ulimit -n), or watch one thread (-t)`,
      );
    case errnoValues.ENODEV:
      return requestError(`${scopeText(scope)}: one of these CPUs is not online`);
    default:
      return refusalError(`${names}: ${error.message}`);
  }
}

function scopeText(scope: Scope): string {
  switch (scope.type) {
    case 'process':
      return `process ${scope.pid}`;
    case 'thread':
      return `thread ${scope.tid}`;
    case 'cpus':
      return `CPU ${scope.cpus.join(', ')}`;
  }
}

/** "all 4 are taken; …": by this request alone, or by whom it may be. */
function explainFull(context: RefusalContext): string {
  const { watches, scope, surface } = context;
  const registers = surface.kernel.machine === 'x86_64' ? 4 : undefined;
  if (registers !== undefined && watches.length > registers) {
    return `${watches.length} watches, but the CPU has ${registers} registers for code and data together`;
  }
  const target = scope.type === 'process' ? scope.pid : scope.type === 'thread' ? scope.tid : undefined;
  const suspects = findRegisterHolders(surface, target);
  const taken = registers === undefined ? 'all are taken' : `all ${registers} are taken or too few are left`;
  if (suspects.length === 0)
    return `${taken}, and no holder can be seen from here (a debugger or perf of another container or user?)`;
  const more = suspects.length - mostSuspects;
  return `${taken}; held perhaps by ${suspects.slice(0, mostSuspects).join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}

function explainPermission(error: KernelError, context: RefusalContext): string {
  const { surface, scope } = context;
  const paranoid = readNumber(surface, '/proc/sys/kernel/perf_event_paranoid');
  const level = paranoid === undefined ? '' : `kernel.perf_event_paranoid is ${paranoid}; `;
  if (scope.type === 'cpus') return `${level}whole CPUs need root, CAP_PERFMON, or level 0 or below`;
  if (context.watches.some((watch) => watch.address >= 0x8000_0000_0000_0000n)) {
    return 'a kernel address needs root (CAP_SYS_ADMIN)';
  }
  if (error.errno === errnoValues.EPERM) {
    return 'the kernel forbids the call itself (EPERM), as a seccomp profile of a container does; trapline doctor tells what would allow it';
  }
  const pid = scope.type === 'process' ? scope.pid : scope.tid;
  let owner: number | undefined;
  try {
    owner = surface.tasks?.status(pid).uid;
  } catch {
    owner = undefined;
  }
  if (paranoid !== undefined && paranoid > 2) {
    return `${level}at this level every use needs root or CAP_PERFMON; level 2 allows one's own processes in user mode`;
  }
  const whose = owner === undefined ? 'it belongs to another user' : `it belongs to user ${owner}`;
  return `${whose} or is protected; ${level}another user's process needs root, or CAP_PERFMON with CAP_SYS_PTRACE (${error.code})`;
}

/** The number in a file of /proc/sys, if it can be read. */
export function readNumber(surface: Surface, path: string): number | undefined {
  try {
    const text = surface.files?.text(path).trim();
    return text === undefined || !/^-?\d+$/.test(text) ? undefined : Number(text);
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
