/**
 * Bytes to read, wherever they come from: a file, a process, an array. Code that may not open files gets one of these.
 */
export interface ByteSource {
  /** Length in bytes. */
  readonly sizeBytes: number;
  /**
   * The bytes [offset, offset + lengthBytes), cut where the source ends (so the result may be shorter, or empty).
   * The result may share memory with the source and must not be written.
   */
  read(offset: number, lengthBytes: number): Uint8Array;
}

/** Bytes to write, one after the other. */
export interface ByteSink {
  /** Appends `bytes`; the sink does not keep the array. */
  write(bytes: Uint8Array): void;
}

/** A source over an array that is already there. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    sizeBytes: bytes.byteLength,
    read(offset, lengthBytes) {
      if (!(offset >= 0) || !(lengthBytes > 0) || offset >= bytes.byteLength) return new Uint8Array(0);
      return bytes.subarray(offset, Math.min(bytes.byteLength, offset + lengthBytes));
    },
  };
}
