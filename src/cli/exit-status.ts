import type { ExitStatus } from '../surface/tasks.ts';

/** A program's end as a shell tells it: its exit code, or 128 + the signal. */
export function shellStatus(status: ExitStatus): number {
  return status.type === 'exited' ? status.code : 128 + status.signal;
}
