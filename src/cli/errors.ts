import { KernelError } from '../base/kernel-error.ts';
import { WatchError } from '../watch/errors.ts';

/** A wrong command line: exit status 2. */
export class UsageError extends Error {}

/** Exit status for an error: 2 for a wrong request, 1 for a refusal. */
export function exitStatusOf(error: unknown): 1 | 2 {
  if (error instanceof UsageError) return 2;
  return error instanceof WatchError && error.kind === 'request' ? 2 : 1;
}

/** One line for an error that a user may meet; `undefined` for one that is our own bug. */
export function messageOf(error: unknown): string | undefined {
  if (error instanceof WatchError || error instanceof UsageError || error instanceof KernelError)
    return error.message;
  if (error instanceof Error && error.name === 'RecordingError') return error.message; // a file that is no recording
  if (error instanceof Error && error.name === 'StepError') return error.message; // a step that makes no sense
  if (error instanceof Error && 'syscall' in error) return error.message; // of node:fs: a file that cannot be written
  if (error instanceof Error && error.message.startsWith('Trapline needs')) return error.message;
  return undefined;
}

/** Lines to show under the message of an error. */
export function detailsOf(error: unknown): readonly string[] {
  return error instanceof WatchError ? error.details : [];
}
