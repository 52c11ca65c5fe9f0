import koffi from 'koffi';

/**
 * The calls that leave JavaScript, one small interface, so that another FFI can take koffi's place. Numbers are what
 * C would have in registers: file descriptors, lengths, and addresses (which fit a double on every 64-bit Linux).
 * A result below 0 is a failure; {@link Ffi.errno} then says which, if asked before any other call.
 */
export interface Ffi {
  errno(): number;
  syscall(number: number, a: number, b: number, c: number, d: number, e: number): number;
  ioctl(fd: number, request: number, argument: number): number;
  mmap(lengthBytes: number, protection: number, flags: number, fd: number, offset?: number): number;
  munmap(address: number, lengthBytes: number): number;
  read(fd: number, address: number, lengthBytes: number): number;
  write(fd: number, address: number, lengthBytes: number): number;
  close(fd: number): number;
  /** `fds`: address of an array of struct pollfd. */
  poll(fds: number, count: number, timeoutMs: number): number;
  /** The same on another thread. */
  pollAsync(fds: number, count: number, timeoutMs: number): Promise<number>;
  ptrace(request: number, pid: number, address: number, data: bigint): number;
  /** A PEEK request, whose result is the word itself; `undefined` is a failure. */
  ptracePeek(request: number, pid: number, address: number): bigint | undefined;
  waitpid(pid: number, status: number, options: number): number;
  processVmReadv(pid: number, local: number, localCount: number, remote: number, remoteCount: number): number;
  /** Writes two ints: the ends of a pipe. */
  pipe(fds: number): number;
  eventfd(initial: number, flags: number): number;
  /** `out`: address of a struct timespec. */
  clockGettime(clock: number, out: number): number;
  /** Calls machine code at `address` with one argument. */
  call(address: number, argument: number): number;
  /** A function of the C library, for its address; 0 if there is none of that name. */
  functionAddress(name: string): bigint;
  /** The bytes at an address, without a copy. They are not kept alive by the result. */
  view(address: number, lengthBytes: number): ArrayBuffer;
  /** Address of the first byte of an array. The array's memory must be off the JavaScript heap. */
  addressOf(array: ArrayBufferView): bigint;
}

/** Loads the C library of this process through koffi. Functions are declared without "..." and with fixed types. */
export function loadFfi(): Ffi {
  const libc = koffi.load(null);
  const address = 'intptr_t';
  const syscall = libc.func('syscall', 'long', ['long', address, address, address, address, address]);
  const ioctl = libc.func('ioctl', 'int', ['int', 'ulong', address]);
  const mmap = libc.func('mmap', address, [address, 'size_t', 'int', 'int', 'int', 'long']);
  const munmap = libc.func('munmap', 'int', [address, 'size_t']);
  const read = libc.func('read', 'long', ['int', address, 'size_t']);
  const write = libc.func('write', 'long', ['int', address, 'size_t']);
  const close = libc.func('close', 'int', ['int']);
  const poll = libc.func('poll', 'int', [address, 'ulong', 'int']);
  const ptrace = libc.func('ptrace', 'long', ['int', 'int', address, address]);
  const waitpid = libc.func('waitpid', 'int', ['int', address, 'int']);
  const processVmReadv = libc.func('process_vm_readv', 'long', [
    'int',
    address,
    'ulong',
    address,
    'ulong',
    'ulong',
  ]);
  const pipe = libc.func('pipe', 'int', [address]);
  const eventfd = libc.func('eventfd', 'int', ['uint', 'int']);
  const clockGettime = libc.func('clock_gettime', 'int', ['int', address]);
  const codeType = koffi.proto('long', [address]);
  return {
    errno: () => koffi.errno(),
    syscall: (number, a, b, c, d, e) => Number(syscall(number, a, b, c, d, e)),
    ioctl: (fd, request, argument) => ioctl(fd, request, argument),
    mmap: (lengthBytes, protection, flags, fd, offset = 0) =>
      Number(mmap(0, lengthBytes, protection, flags, fd, offset)),
    munmap: (at, lengthBytes) => munmap(at, lengthBytes),
    read: (fd, at, lengthBytes) => Number(read(fd, at, lengthBytes)),
    write: (fd, at, lengthBytes) => Number(write(fd, at, lengthBytes)),
    close: (fd) => close(fd),
    poll: (fds, count, timeoutMs) => poll(fds, count, timeoutMs),
    pollAsync: (fds, count, timeoutMs) =>
      new Promise((resolve, reject) => {
        poll.async(fds, count, timeoutMs, (error: Error | null, result: number) =>
          error === null ? resolve(result) : reject(error),
        );
      }),
    ptrace: (request, pid, at, data) => Number(ptrace(request, pid, at, data)),
    ptracePeek: (request, pid, at) => {
      koffi.errno(0);
      const word = BigInt(ptrace(request, pid, at, 0));
      return word === -1n && koffi.errno() !== 0 ? undefined : BigInt.asUintN(64, word);
    },
    waitpid: (pid, status, options) => waitpid(pid, status, options),
    processVmReadv: (pid, local, localCount, remote, remoteCount) =>
      Number(processVmReadv(pid, local, localCount, remote, remoteCount, 0)),
    pipe: (fds) => pipe(fds),
    eventfd: (initial, flags) => eventfd(initial, flags),
    clockGettime: (clock, out) => clockGettime(clock, out),
    call: (at, argument) => Number(koffi.call(at, codeType, argument)),
    functionAddress: (name) => {
      try {
        return koffi.address(libc.symbol(name));
      } catch {
        return 0n;
      }
    },
    view: (at, lengthBytes) => koffi.view(at, lengthBytes),
    addressOf: (array) => koffi.address(array),
  };
}
