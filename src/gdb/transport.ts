/** A line to the peer. Where it comes from (TCP, a unix socket, stdio) is the caller's business. */
export interface Transport {
  /** Sends bytes, in order. After the line is gone this does nothing. */
  write(bytes: Uint8Array): void;
  /** Who takes what arrives; the bytes are the taker's. Called once, before anything arrives. */
  onData(take: (bytes: Uint8Array) => void): void;
  /** Who is told, once, that the line is gone, and why if that is known. */
  onClose(told: (reason: string | undefined) => void): void;
  /** May be called twice. */
  close(): void;
}
