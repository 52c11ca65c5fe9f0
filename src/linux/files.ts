import fs from 'node:fs';
import { errnoValues } from '../base/errno.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { Files, OpenFile } from '../surface/files.ts';

/** Runs a call of node:fs, and turns its failure into a {@link KernelError}. */
export function asKernelError<Result>(operation: string, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') {
      throw new KernelError({ errno: -error.errno, operation });
    }
    throw error;
  }
}

function open(path: string): OpenFile {
  const operation = `open(${path})`;
  const fd = asKernelError(operation, () => fs.openSync(path, 'r'));
  const stat = asKernelError(operation, () => fs.fstatSync(fd, { bigint: true }));
  if (!stat.isFile()) {
    fs.closeSync(fd);
    throw new KernelError({ errno: errnoValues.EINVAL, operation, hint: 'not a regular file' });
  }
  let isOpen = true;
  return {
    sizeBytes: Number(stat.size),
    inode: stat.ino,
    read(offset, lengthBytes) {
      if (!isOpen) throw new KernelError({ errno: errnoValues.EBADF, operation: `read(${path})` });
      const wanted = Math.max(0, Math.min(lengthBytes, Number(stat.size) - offset));
      const bytes = new Uint8Array(wanted);
      let done = 0;
      while (done < wanted) {
        const got = asKernelError(`read(${path})`, () =>
          fs.readSync(fd, bytes, done, wanted - done, offset + done),
        );
        if (got === 0) break; // the file was cut meanwhile
        done += got;
      }
      return done === wanted ? bytes : bytes.subarray(0, done);
    },
    close() {
      if (isOpen) fs.closeSync(fd);
      isOpen = false;
    },
  };
}

/** The machine's file system, to read. */
export const linuxFiles: Files = {
  open,
  text: (path) => asKernelError(`read(${path})`, () => fs.readFileSync(path, 'utf8')),
  list: (path) => asKernelError(`readdir(${path})`, () => fs.readdirSync(path)),
  readlink: (path) => asKernelError(`readlink(${path})`, () => fs.readlinkSync(path)),
};
