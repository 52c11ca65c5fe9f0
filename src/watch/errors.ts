/**
 * Why a session cannot be opened. `request`: what was asked cannot be (a name that is not there, a length that no
 * register holds). `refusal`: it could be, but the kernel or the machine says no. The message is one line.
 */
export class WatchError extends Error {
  readonly kind: 'request' | 'refusal';

  constructor(kind: 'request' | 'refusal', message: string) {
    super(message);
    this.name = 'WatchError';
    this.kind = kind;
  }
}

/** A request that cannot be fulfilled as it stands. */
export function requestError(message: string): WatchError {
  return new WatchError('request', message);
}

/** A request that the kernel or the machine refused. */
export function refusalError(message: string): WatchError {
  return new WatchError('refusal', message);
}
