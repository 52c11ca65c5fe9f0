import { type ErrnoName, errnoName, errnoValues } from './errno.ts';

/** What a {@link KernelError} is made of. */
export interface KernelErrorFields {
  /** The positive errno. */
  readonly errno: number;
  /** What was asked, with its arguments: "perf_event_open(cpu 0, pid 12)". */
  readonly operation: string;
  /** What would make it work, where the layer that throws knows. */
  readonly hint?: string;
}

/**
 * A refusal that Linux gives, or that our kernel gives as Linux would: a system call that returned -errno.
 * It states facts; front ends add advice.
 */
export class KernelError extends Error {
  /** The positive errno. */
  readonly errno: number;
  /** Its name: "ENOSPC". */
  readonly code: string;
  /** What was asked. */
  readonly operation: string;
  /** What would make it work, if known. */
  readonly hint: string | undefined;

  constructor(fields: KernelErrorFields) {
    const code = errnoName(fields.errno);
    super(`${fields.operation}: ${code}${fields.hint === undefined ? '' : ` (${fields.hint})`}`);
    this.name = 'KernelError';
    this.errno = fields.errno;
    this.code = code;
    this.operation = fields.operation;
    this.hint = fields.hint;
  }
}

/** Whether `error` is a {@link KernelError} with one of the named errnos. */
export function isKernelError(error: unknown, ...codes: ErrnoName[]): error is KernelError {
  return (
    error instanceof KernelError &&
    (codes.length === 0 || codes.some((code) => errnoValues[code] === error.errno))
  );
}
