import { type ErrnoName, errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';

/** A refusal of the perf layer, to be thrown. */
export function failure(errno: ErrnoName, hint: string, operation: string = 'perf_event_open'): KernelError {
  return new KernelError({ errno: errnoValues[errno], operation, hint });
}
