import { errnoValues } from '../base/errno.ts';

/** Errnos that an answer may carry. */
export type PeerErrno = 'EPERM' | 'ENOENT' | 'ESRCH' | 'EIO' | 'EBADF' | 'EFAULT' | 'EINVAL' | 'ENOSPC';

/** An error that is answered to the peer ("E" and two digits); the session goes on. */
export class PeerError extends Error {
  readonly code: PeerErrno;

  constructor(code: PeerErrno, message: string) {
    super(message);
    this.name = 'PeerError';
    this.code = code;
  }

  /** What the packet says: "E22" for EINVAL. The digits are decimal, as kgdb's; to clients they are opaque. */
  get reply(): string {
    return `E${errnoValues[this.code].toString().padStart(2, '0')}`;
  }
}

/** An error that ends the session: the line is gone, or what came over it is not the protocol. */
export class SessionError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SessionError';
  }
}
