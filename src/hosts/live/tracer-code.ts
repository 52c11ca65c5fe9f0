import { PTRACE_GETSIGINFO, PTRACE_PEEKUSER, X86_64_USER_RIP_OFFSET } from '../../uapi/ptrace.ts';
import type { Assembler } from './assembler.ts';
import { slot } from './puppet-layout.ts';

const numbers = { wait4: 61, ptrace: 101 };
const WALL = 0x4000_0000;
const stopped = 0x7f;
const argument = (n: number): number => slot.arguments + 8 * n;

/**
 * The routines of a puppet that traces others; `rbx` is its slot. They are one command each, because a command costs more
 * than what it does.
 *
 *     traceResume  ptrace(argument 0, tid = argument 1, argument 2, argument 3), then traceAwait; -errno of the first
 *     traceAwait   wait4(tid) into `stopStatus`; if it stopped its siginfo and instruction pointer too; wait4's result
 *     compat       system call `number` with arguments 0 to 3 as a 32-bit program makes it; then the u32 at argument 4,
 *                  if that is not 0, is copied to `scratch`
 *
 * Source: ptrace(2), wait4(2); asm/unistd_64.h, asm/unistd_32.h.
 */
export function tracerCode(a: Assembler): void {
  const movEax = (value: number): Assembler => a.emit(0xb8).u32(value);
  const ptraceOfTid = (request: number, offset: number, resultField: number): void => {
    a.emit(0xbf).u32(request); // mov edi, request
    a.emit(0x48, 0x8b, 0x73, argument(1)); // mov rsi, [rbx + ...]
    a.emit(0xba).u32(offset); // mov edx, offset
    a.emit(0x4c, 0x8d, 0x93).u32(resultField); // lea r10, [rbx + ...]
    movEax(numbers.ptrace).emit(0x0f, 0x05);
  };
  const keepResult = (): void => {
    a.emit(0x48, 0x89, 0x43, slot.result); // mov [rbx + result], rax
    a.emit(0x48, 0x85, 0xc0); // test rax, rax
    a.to('traced', 0x0f, 0x88); // js traced
  };

  a.label('traceResume');
  a.emit(0x48, 0x8b, 0x7b, argument(0)); // mov rdi, [rbx + ...]
  a.emit(0x48, 0x8b, 0x73, argument(1)); // mov rsi, [rbx + ...]
  a.emit(0x48, 0x8b, 0x53, argument(2)); // mov rdx, [rbx + ...]
  a.emit(0x4c, 0x8b, 0x53, argument(3)); // mov r10, [rbx + ...]
  movEax(numbers.ptrace).emit(0x0f, 0x05);
  keepResult();
  a.label('traceAwait');
  a.emit(0x48, 0x8b, 0x7b, argument(1)); // mov rdi, [rbx + ...]
  a.emit(0x48, 0x8d, 0xb3).u32(slot.stopStatus); // lea rsi, [rbx + stopStatus]
  a.emit(0xba).u32(WALL); // mov edx, __WALL
  a.emit(0x45, 0x31, 0xd2); // xor r10d, r10d
  movEax(numbers.wait4).emit(0x0f, 0x05);
  keepResult();
  a.emit(0x80, 0xbb).u32(slot.stopStatus).emit(stopped); // cmp byte [rbx + stopStatus], 0x7f
  a.to('traced', 0x0f, 0x85); // jne traced
  ptraceOfTid(PTRACE_GETSIGINFO, 0, slot.stopInfo);
  ptraceOfTid(PTRACE_PEEKUSER, X86_64_USER_RIP_OFFSET, slot.stopIp);
  a.label('traced').emit(0xc3);

  a.label('compat');
  a.emit(0x53, 0x41, 0x54); // push rbx, r12
  a.emit(0x49, 0x89, 0xdc); // mov r12, rbx
  a.emit(0x41, 0x8b, 0x5c, 0x24, argument(0)); // mov ebx, [r12 + ...]
  a.emit(0x41, 0x8b, 0x4c, 0x24, argument(1)); // mov ecx, [r12 + ...]
  a.emit(0x41, 0x8b, 0x54, 0x24, argument(2)); // mov edx, [r12 + ...]
  a.emit(0x41, 0x8b, 0x74, 0x24, argument(3)); // mov esi, [r12 + ...]
  a.emit(0x41, 0x8b, 0x44, 0x24, slot.number); // mov eax, [r12 + number]
  a.emit(0xcd, 0x80); // int 0x80
  a.emit(0x48, 0x98); // cdqe
  a.emit(0x49, 0x89, 0x44, 0x24, slot.result); // mov [r12 + result], rax
  a.emit(0x41, 0x8b, 0x44, 0x24, argument(4)); // mov eax, [r12 + ...]
  a.emit(0x85, 0xc0); // test eax, eax
  a.to('compat.done', 0x0f, 0x84); // jz done
  a.emit(0x8b, 0x00); // mov eax, [rax]
  a.emit(0x41, 0x89, 0x44, 0x24, slot.scratch); // mov [r12 + scratch], eax
  a.label('compat.done').emit(0x41, 0x5c, 0x5b, 0xc3); // pop r12, rbx; ret
}
