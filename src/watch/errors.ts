/**
 * Why a session cannot be opened. `request`: what was asked cannot be (a name that is not there, a length that no
 * register holds). `refusal`: it could be, but the kernel or the machine says no. The message is one line.
 */
export class WatchError extends Error {
  readonly kind: 'request' | 'refusal';

  /** Lines to show under the message: an expression, and a caret under the place that is wrong. */
  readonly details: readonly string[];

  constructor(kind: 'request' | 'refusal', message: string, details: readonly string[] = []) {
    super(message);
    this.details = details;
    this.name = 'WatchError';
    this.kind = kind;
  }
}

/** A request that cannot be fulfilled as it stands. */
export function requestError(message: string, details: readonly string[] = []): WatchError {
  return new WatchError('request', message, details);
}

/** A request that the kernel or the machine refused. */
export function refusalError(message: string): WatchError {
  return new WatchError('refusal', message);
}
