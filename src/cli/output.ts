import fs from 'node:fs';

/** Text that is written when this many characters have gathered. */
const bufferChars = 64 * 1024;

/**
 * Text to a file descriptor, written synchronously. Not through `process.stdout`: that would switch the stream to
 * non-blocking mode, which the watched program shares.
 */
export class Output {
  readonly #fd: number;
  #buffer: string = '';
  #broken: boolean = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Nobody reads any more (EPIPE). */
  get broken(): boolean {
    return this.#broken;
  }

  write(text: string): void {
    this.#buffer += text;
    if (this.#buffer.length >= bufferChars) this.flush();
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  /** Writes what has gathered. */
  flush(): void {
    const bytes = Buffer.from(this.#buffer);
    this.#buffer = '';
    let done = 0;
    while (done < bytes.length && !this.#broken) {
      try {
        done += fs.writeSync(this.#fd, bytes, done);
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (code === 'EAGAIN') Atomics.wait(pause, 0, 0, 1);
        else if (code === 'EPIPE') this.#broken = true;
        else throw error;
      }
    }
  }
}

const pause = new Int32Array(new SharedArrayBuffer(4));

/** Where a command's results go; a file is not touched before {@link PendingOutput.begin}. */
export interface PendingOutput {
  readonly out: Output;
  /** Empties the file: results are coming. */
  begin(): void;
  /** Nothing will come: leaves everything as it was. */
  abandon(): void;
}

/** Opens a file for writing, or gives standard output. Throws where the file cannot be written. */
export function openOutput(path: string | undefined): PendingOutput {
  if (path === undefined) return { out: new Output(1), begin: () => {}, abandon: () => {} };
  const existed = fs.existsSync(path);
  const fd = fs.openSync(path, fs.constants.O_WRONLY | fs.constants.O_CREAT, 0o666);
  return {
    out: new Output(fd),
    begin() {
      if (fs.fstatSync(fd).isFile()) fs.ftruncateSync(fd);
    },
    abandon() {
      fs.closeSync(fd);
      if (!existed) fs.rmSync(path, { force: true });
    },
  };
}
