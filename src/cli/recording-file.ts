import fs from 'node:fs';
import type { ByteSink, ByteSource } from '../base/byte-source.ts';

/**
 * A recording being written. When a write fails (a full disk), the file is cut back to what was whole, later writes
 * do nothing, and {@link RecordingFile.problem} says what happened.
 */
export class RecordingFile implements ByteSink {
  readonly path: string;
  readonly #fd: number;
  readonly #existed: boolean;
  #written: number = 0;
  #problem: string | undefined;

  /** Opens `path` for writing, and leaves what is there alone until {@link begin}. Throws where it cannot be written. */
  constructor(path: string) {
    this.path = path;
    this.#existed = fs.existsSync(path);
    this.#fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_CREAT, 0o666);
  }

  /** Empties the file. */
  begin(): void {
    if (fs.fstatSync(this.#fd).isFile()) fs.ftruncateSync(this.#fd);
  }

  /** Bytes written. */
  get sizeBytes(): number {
    return this.#written;
  }

  /** Why the recording could not go on; `undefined` while it can. */
  get problem(): string | undefined {
    return this.#problem;
  }

  write(bytes: Uint8Array): void {
    if (this.#problem !== undefined) return;
    let done = 0;
    try {
      while (done < bytes.length) done += fs.writeSync(this.#fd, bytes, done);
      this.#written += done;
    } catch (error) {
      this.#problem = `${this.path}: ${error instanceof Error ? error.message : String(error)}`;
      try {
        fs.ftruncateSync(this.#fd, this.#written); // a part of a batch is of no use to anybody
      } catch {
        // a pipe or a device: it has what it has
      }
    }
  }

  /** Nothing was recorded: leaves everything as it was. */
  abandon(): void {
    this.close();
    if (!this.#existed) fs.rmSync(this.path, { force: true });
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

/** A file to read; throws where it cannot be opened. */
export function openFileSource(path: string): ByteSource & { close(): void } {
  const fd = fs.openSync(path, 'r');
  const { size } = fs.fstatSync(fd);
  return {
    sizeBytes: size,
    read(offset, lengthBytes) {
      const bytes = new Uint8Array(Math.max(0, Math.min(lengthBytes, size - offset)));
      let done = 0;
      while (done < bytes.length) {
        const more = fs.readSync(fd, bytes, done, bytes.length - done, offset + done);
        if (more === 0) break;
        done += more;
      }
      return bytes.subarray(0, done);
    },
    close: () => fs.closeSync(fd),
  };
}
