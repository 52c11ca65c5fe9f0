/** A pointer argument of a system call: memory of the caller, or an address that it may not use. */
export type UserBytes = Uint8Array | 'bad';

/** Arguments of `perf_event_open(2)`. */
export interface PerfEventOpenCall {
  /** The attr; the kernel may write its `size`. */
  readonly attr: UserBytes;
  /** Thread id; 0: the caller; -1: every task. */
  readonly pid: number;
  /** -1: any. */
  readonly cpu: number;
  /** An fd, or -1. */
  readonly groupFd: number;
  /** PERF_FLAG_*. */
  readonly flags: number;
}

/** Arguments of `mmap(2)` on an event's fd: a ring of one control page and data pages, from offset 0. */
export interface RingMapCall {
  /** Pages after the control page. */
  readonly dataPages: number;
  /** PROT_READ alone: the kernel overwrites what is oldest. */
  readonly readOnly: boolean;
  /** MAP_PRIVATE. */
  readonly private: boolean;
}

/** A ring that is mapped: the kernel writes to `memory`, and reads `data_tail` there. */
export interface MappedRing {
  readonly memory: ArrayBufferLike;
  readonly pageBytes: number;
}

/** The third argument of ioctl(2): a number, or a pointer. */
export type IoctlArgument = number | UserBytes;

/**
 * The system calls of perf events as they are, with fds and bytes: for callers that must be able to ask for anything,
 * malformed requests included. {@link Events} is the same by objects. Every call throws `KernelError` with Linux's
 * errno. Source: perf_event_open(2).
 */
export interface PerfSystemCalls {
  /** The new fd. */
  perfEventOpen(call: PerfEventOpenCall): number;
  /** What the request returns; requests that write do so into the argument's bytes. */
  ioctl(fd: number, request: number, argument: IoctlArgument): number;
  /**
   * fcntl(2): who gets a signal when the event overflows (F_SETOWN, F_SETOWN_EX, F_SETSIG), and whether one does
   * (O_ASYNC by F_SETFL). Gives what the command returns.
   */
  fcntl(fd: number, command: number, argument: IoctlArgument): number;
  /** At most `lengthBytes` bytes; none at the end of the file (an event in the error state). */
  read(fd: number, lengthBytes: number): Uint8Array;
  /** A poll(2) without waiting: all events that are there, whether asked for or not. */
  poll(fd: number): number;
  /** The mapping keeps the event alive until {@link munmap}, also when its fd is closed. */
  mmap(fd: number, call: RingMapCall): MappedRing;
  munmap(ring: MappedRing): void;
  close(fd: number): void;
}
