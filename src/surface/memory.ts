/** Memory of other processes. */
export interface Memory {
  /**
   * `lengthBytes` bytes at `address` of a process; fewer if what follows is not mapped.
   * Throws `KernelError`: EFAULT if not even the first byte can be read, EPERM, ESRCH.
   */
  read(pid: number, address: bigint, lengthBytes: number): Uint8Array;
}
