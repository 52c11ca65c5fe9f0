/**
 * Machine code that starts a traced child, for x86-64.
 *
 * Between vfork and execve the child runs in this process's memory, where no JavaScript can run; so these few system
 * calls are machine code. It touches no stack after the split, and the parent sleeps until the child has executed.
 *
 *     argument: address of a block of eight u64
 *       0 path | 8 argv | 16 envp | 24 out: -errno of a failed child, 0 | 32 default sigaction (32 zero bytes)
 *       40 full signal mask | 48 out: the mask before | 56 unused
 *     result: pid of the child, or -errno of the clone
 *
 * In the child all signals get their default action (a runtime ignores SIGPIPE, and ignored stays ignored across
 * execve), the standard streams are kept open (Node marks them close-on-exec), the signal mask is put back, PTRACE_TRACEME asks to stop after execve, and execve runs.
 * Source: clone(2), sigaction(2), sigprocmask(2), ptrace(2), execve(2); numbers of asm/unistd_64.h.
 */
export function launchCode(): Uint8Array {
  const code: number[] = [];
  const emit = (...bytes: number[]): void => {
    code.push(...bytes);
  };
  const u32 = (value: number): number[] => [
    value & 0xff,
    (value >> 8) & 0xff,
    (value >> 16) & 0xff,
    (value >>> 24) & 0xff,
  ];
  const movEax = (value: number): void => emit(0xb8, ...u32(value));
  const movEdi = (value: number): void => emit(0xbf, ...u32(value));
  const movR10d = (value: number): void => emit(0x41, 0xba, ...u32(value));
  const syscall = (): void => emit(0x0f, 0x05);
  /** mov rdi|rsi|rdx, [rbx + displacement] */
  const load = (register: 'rdi' | 'rsi' | 'rdx', displacement: number): void =>
    emit(0x48, 0x8b, { rdi: 0x7b, rsi: 0x73, rdx: 0x53 }[register], displacement);
  const SIG_SETMASK = 2;

  emit(0x53); // push rbx
  emit(0x48, 0x89, 0xfb); // mov rbx, rdi
  // rt_sigprocmask(SIG_SETMASK, full, &before, 8): no handler of this process may run in the child.
  movEax(14);
  movEdi(SIG_SETMASK);
  load('rsi', 40);
  emit(0x48, 0x8d, 0x53, 48); // lea rdx, [rbx + 48]
  movR10d(8);
  syscall();
  // clone(CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0)
  movEax(56);
  movEdi(0x4111);
  emit(0x31, 0xf6); // xor esi, esi
  emit(0x31, 0xd2); // xor edx, edx
  emit(0x45, 0x31, 0xd2); // xor r10d, r10d
  emit(0x45, 0x31, 0xc0); // xor r8d, r8d
  syscall();
  emit(0x85, 0xc0); // test eax, eax
  emit(0x74, 0); // jz child
  const toChild = code.length;
  // Parent: put the mask back, keeping the result in r8 (system calls keep it).
  emit(0x49, 0x89, 0xc0); // mov r8, rax
  movEax(14);
  movEdi(SIG_SETMASK);
  emit(0x48, 0x8d, 0x73, 48); // lea rsi, [rbx + 48]
  emit(0x31, 0xd2); // xor edx, edx
  movR10d(8);
  syscall();
  emit(0x4c, 0x89, 0xc0); // mov rax, r8
  emit(0x5b); // pop rbx
  emit(0xc3); // ret
  code[toChild - 1] = code.length - toChild;
  // Child: rt_sigaction(n, default, 0, 8) for n = 1..64; those of SIGKILL and SIGSTOP fail, which is well.
  emit(0x41, 0xbc, ...u32(1)); // mov r12d, 1
  const loop = code.length;
  movEax(13);
  emit(0x44, 0x89, 0xe7); // mov edi, r12d
  load('rsi', 32);
  emit(0x31, 0xd2); // xor edx, edx
  movR10d(8);
  syscall();
  emit(0x41, 0xff, 0xc4); // inc r12d
  emit(0x41, 0x83, 0xfc, 65); // cmp r12d, 65
  emit(0x75, (loop - (code.length + 2)) & 0xff); // jne loop
  // fcntl(fd, F_SETFD, 0) for fd = 2, 1, 0
  emit(0x41, 0xbc, ...u32(2)); // mov r12d, 2
  const nextFd = code.length;
  movEax(72);
  emit(0x44, 0x89, 0xe7); // mov edi, r12d
  emit(0xbe, ...u32(2)); // mov esi, F_SETFD
  emit(0x31, 0xd2); // xor edx, edx
  syscall();
  emit(0x41, 0xff, 0xcc); // dec r12d
  emit(0x79, (nextFd - (code.length + 2)) & 0xff); // jns nextFd
  // rt_sigprocmask(SIG_SETMASK, &before, 0, 8)
  movEax(14);
  movEdi(SIG_SETMASK);
  emit(0x48, 0x8d, 0x73, 48); // lea rsi, [rbx + 48]
  emit(0x31, 0xd2); // xor edx, edx
  movR10d(8);
  syscall();
  // ptrace(PTRACE_TRACEME, 0, 0, 0)
  movEax(101);
  emit(0x31, 0xff); // xor edi, edi
  emit(0x31, 0xf6); // xor esi, esi
  emit(0x31, 0xd2); // xor edx, edx
  emit(0x45, 0x31, 0xd2); // xor r10d, r10d
  syscall();
  emit(0x48, 0x85, 0xc0); // test rax, rax
  emit(0x75, 0); // jnz failed
  const toFailed = code.length;
  // execve(path, argv, envp)
  movEax(59);
  load('rdi', 0);
  load('rsi', 8);
  load('rdx', 16);
  syscall();
  code[toFailed - 1] = code.length - toFailed;
  // failed: store rax, exit_group(127)
  emit(0x48, 0x89, 0x43, 24); // mov [rbx + 24], rax
  movEax(231);
  movEdi(127);
  syscall();
  return Uint8Array.from(code);
}
