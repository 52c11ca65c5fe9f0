import { Assembler } from './assembler.ts';
import { controlFd } from './puppet-layout.ts';

/**
 * Machine code that starts a puppet, for x86-64: between vfork and execve the child runs in this process's memory, where
 * no JavaScript can run.
 *
 *     argument: address of a block of eight u64
 *       0 path | 8 argv | 16 envp | 24 out: -errno of a failed child, 0 | 32 fd of the control memory
 *       40 full signal mask | 48 out: the mask before
 *     result: pid of the child, or -errno of the clone
 *
 * The child gives the control memory its fixed fd and executes; its signals stay blocked until it has its handlers.
 * Source: clone(2), dup(2), sigprocmask(2), execve(2); numbers of asm/unistd_64.h.
 */
export function startCode(): Uint8Array {
  const a = new Assembler();
  const movEax = (value: number): Assembler => a.emit(0xb8).u32(value);
  const movEdi = (value: number): Assembler => a.emit(0xbf).u32(value);
  const movR10d = (value: number): Assembler => a.emit(0x41, 0xba).u32(value);
  const syscall = (): Assembler => a.emit(0x0f, 0x05);
  a.emit(0x53); // push rbx
  a.emit(0x48, 0x89, 0xfb); // mov rbx, rdi
  // rt_sigprocmask(SIG_SETMASK, full, &before, 8): no handler of this process may run in the child.
  movEax(14);
  movEdi(2);
  a.emit(0x48, 0x8d, 0x73, 40); // lea rsi, [rbx + 40]
  a.emit(0x48, 0x8d, 0x53, 48); // lea rdx, [rbx + 48]
  movR10d(8);
  syscall();
  // clone(CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0, 0)
  movEax(56);
  movEdi(0x4111);
  a.emit(0x31, 0xf6, 0x31, 0xd2); // xor esi, esi; xor edx, edx
  a.emit(0x45, 0x31, 0xd2, 0x45, 0x31, 0xc0); // xor r10d, r10d; xor r8d, r8d
  syscall();
  a.emit(0x85, 0xc0); // test eax, eax
  a.to('child', 0x0f, 0x84); // jz child
  // Parent: put the mask back, keeping the result in r8 (system calls keep it).
  a.emit(0x49, 0x89, 0xc0); // mov r8, rax
  movEax(14);
  movEdi(2);
  a.emit(0x48, 0x8d, 0x73, 48); // lea rsi, [rbx + 48]
  a.emit(0x31, 0xd2); // xor edx, edx
  movR10d(8);
  syscall();
  a.emit(0x4c, 0x89, 0xc0); // mov rax, r8
  a.emit(0x5b, 0xc3); // pop rbx; ret
  a.label('child');
  // dup2(control, its fixed fd)
  movEax(33);
  a.emit(0x48, 0x8b, 0x7b, 32); // mov rdi, [rbx + 32]
  a.emit(0xbe).u32(controlFd); // mov esi, ...
  syscall();
  a.emit(0x85, 0xc0); // test eax, eax
  a.to('failed', 0x0f, 0x88); // js failed
  // execve(path, argv, envp)
  movEax(59);
  a.emit(0x48, 0x8b, 0x7b, 0); // mov rdi, [rbx]
  a.emit(0x48, 0x8b, 0x73, 8); // mov rsi, [rbx + 8]
  a.emit(0x48, 0x8b, 0x53, 16); // mov rdx, [rbx + 16]
  syscall();
  a.label('failed');
  a.emit(0x48, 0x98); // cdqe
  a.emit(0x48, 0x89, 0x43, 24); // mov [rbx + 24], rax
  movEax(231);
  movEdi(127);
  syscall();
  return a.finish();
}
