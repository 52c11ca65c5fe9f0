import type { ByteSource } from '../base/byte-source.ts';

/** A file that is open; reading it after `close` throws `KernelError` EBADF. */
export interface OpenFile extends ByteSource {
  readonly inode: bigint;
  close(): void;
}

/** The file system, to read. Every call throws `KernelError` with Linux's errno. */
export interface Files {
  open(path: string): OpenFile;
  /** A whole text file, such as one of /proc. */
  text(path: string): string;
  list(path: string): string[];
  readlink(path: string): string;
}
