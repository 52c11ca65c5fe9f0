import { SIGIO, SIGTRAP, SIGUSR1 } from '../../uapi/signal.ts';
import { Assembler } from './assembler.ts';
import {
  controlBytes,
  controlFd,
  idleSignal,
  pageBytes,
  puppetLayout,
  signalBytes,
  signalLimit,
  slot,
  slotCount,
  stackBytes,
} from './puppet-layout.ts';
import { tracerCode } from './tracer-code.ts';

/** Widths of an access, in bytes. */
export const accessWidths: readonly number[] = [1, 2, 4, 8];

/** The program of a puppet, and where its routines begin. */
export interface PuppetCode {
  readonly bytes: Uint8Array;
  /**
   * Bytes from the program's start to a routine: "start", "syscall", "clone", "clone3", "call", "icebp", "int3",
   * "store8", to the accessing instruction of one, "rmw8.again", to a handler, "handler29", or to "restorer".
   */
  offset(routine: string): number;
}

const MAP_SHARED_FIXED = 0x11;
const MAP_PRIVATE_FIXED_ANONYMOUS = 0x32;
const PROT_READ_WRITE = 3;
/** Flags of the handlers that a puppet has. */
export const SA_SIGINFO_RESTORER_RESTART = 0x1400_0004;
const numbers = { mmap: 9, rtSigaction: 13, rtSigprocmask: 14, rtSigreturn: 15, clone: 56, clone3: 435 };
const others = { exitGroup: 231, getppid: 110, gettid: 186, prctl: 157, tkill: 200, futex: 202 };
/** Signals that a puppet has a handler for, each its own. */
export const handledSignals: readonly number[] = [SIGTRAP, SIGUSR1, SIGIO];

/**
 * The program that every puppet runs, for x86-64, at any address. `rbx` is the task's slot all the time; the data page
 * is addressed by nothing but the routines of accesses, once for each that was asked for.
 * Source: execve(2), clone(2), futex(2), sigaction(2), prctl(2); numbers of asm/unistd_64.h.
 */
export function puppetCode(): PuppetCode {
  const a = new Assembler();
  const movEax = (value: number): Assembler => a.emit(0xb8).u32(value);
  const movEdi = (value: number): Assembler => a.emit(0xbf).u32(value);
  const movEsi = (value: number): Assembler => a.emit(0xbe).u32(value);
  const movEdx = (value: number): Assembler => a.emit(0xba).u32(value);
  const movR10d = (value: number): Assembler => a.emit(0x41, 0xba).u32(value);
  const syscall = (number: number): Assembler => movEax(number).emit(0x0f, 0x05);
  /** mov register, [rbx + field] */
  const modrm = { rax: 0x43, rcx: 0x4b, rdx: 0x53, rsi: 0x73, rdi: 0x7b } as const;
  const load = (register: keyof typeof modrm, field: number): Assembler =>
    a.emit(0x48, 0x8b, modrm[register], field);
  const argument = (n: number): number => slot.arguments + 8 * n;

  const map = (offset: number, lengthBytes: number, flags: number, fd: number): void => {
    a.emit(0x49, 0x8d, 0xbc, 0x24).u32(offset); // lea rdi, [r12 + offset]
    movEsi(lengthBytes);
    movEdx(PROT_READ_WRITE);
    movR10d(flags);
    a.emit(0x49, 0xc7, 0xc0).u32(fd); // mov r8, fd
    a.emit(0x45, 0x31, 0xc9); // xor r9d, r9d
    syscall(numbers.mmap);
  };

  a.label('start');
  a.emit(0x48, 0x8b, 0x44, 0x24, 8); // mov rax, [rsp + 8]: argv[0], one character: the slot's number + 1
  a.emit(0x44, 0x0f, 0xb6, 0x28); // movzx r13d, byte [rax]
  a.emit(0x41, 0xff, 0xcd); // dec r13d
  a.to('start', 0x4c, 0x8d, 0x25); // lea r12, [rip -> start]
  a.emit(0x49, 0x81, 0xec).u32(puppetLayout.program); // sub r12, program: the base
  map(puppetLayout.data, pageBytes, MAP_PRIVATE_FIXED_ANONYMOUS, -1);
  map(puppetLayout.stacks, slotCount * stackBytes, MAP_PRIVATE_FIXED_ANONYMOUS, -1);
  map(puppetLayout.control, controlBytes, MAP_SHARED_FIXED, controlFd);
  a.emit(0x44, 0x89, 0xeb); // mov ebx, r13d
  a.emit(0xc1, 0xe3, 12); // shl ebx, 12
  a.emit(0x49, 0x8d, 0x9c, 0x1c).u32(puppetLayout.control); // lea rbx, [r12 + rbx + control]
  a.emit(0x41, 0xff, 0xc5); // inc r13d
  a.emit(0x41, 0xc1, 0xe5, 14); // shl r13d, 14
  a.emit(0x4b, 0x8d, 0xa4, 0x2c).u32(puppetLayout.stacks); // lea rsp, [r12 + r13 + stacks]
  for (const signal of handledSignals) {
    a.emit(0x6a, 0); // push 0: the mask
    a.to('restorer', 0x48, 0x8d, 0x05).emit(0x50); // lea rax, [restorer]; push rax
    movEax(SA_SIGINFO_RESTORER_RESTART).emit(0x50); // push rax
    a.to(`handler${signal}`, 0x48, 0x8d, 0x05).emit(0x50); // lea rax, [handler]; push rax
    movEdi(signal);
    a.emit(0x48, 0x89, 0xe6); // mov rsi, rsp
    movEdx(0);
    movR10d(8);
    syscall(numbers.rtSigaction);
    a.emit(0x48, 0x83, 0xc4, 32); // add rsp, 32
  }
  a.emit(0x6a, 0); // push 0
  movEdi(2); // SIG_SETMASK
  a.emit(0x48, 0x89, 0xe6); // mov rsi, rsp
  movEdx(0);
  movR10d(8);
  syscall(numbers.rtSigprocmask);
  a.emit(0x58); // pop rax
  a.emit(0x48, 0xc7, 0x43, slot.result).u32(0); // mov qword [rbx + result], 0

  // Every process ends with the runner's thread; if that ended before it was asked, at once.
  a.label('born');
  movEdi(1); // PR_SET_PDEATHSIG
  movEsi(9); // SIGKILL
  syscall(others.prctl);
  syscall(others.getppid);
  a.emit(0x3b, 0x43, slot.runnerPid); // cmp eax, [rbx + runnerPid]
  a.to('finish', 0x0f, 0x84); // je finish
  movEdi(1);
  syscall(others.exitGroup);

  a.label('finish');
  a.emit(0xc7, 0x43, slot.done).u32(1); // mov dword [rbx + done], 1
  a.emit(0x48, 0x8d, 0x7b, slot.done); // lea rdi, [rbx + done]
  movEsi(1); // FUTEX_WAKE
  movEdx(1);
  syscall(others.futex);
  a.emit(0x83, 0xbb).u32(slot.traced).emit(0); // cmp dword [rbx + traced], 0
  a.to('wait', 0x0f, 0x84); // je wait
  syscall(others.gettid);
  a.emit(0x89, 0xc7); // mov edi, eax
  movEsi(idleSignal);
  syscall(others.tkill);
  a.label('wait');
  a.emit(0x8b, 0x43, slot.go); // mov eax, [rbx + go]
  a.emit(0x85, 0xc0); // test eax, eax
  a.to('run', 0x0f, 0x85); // jnz run
  a.emit(0x48, 0x8d, 0x7b, slot.go); // lea rdi, [rbx + go]
  movEsi(0); // FUTEX_WAIT
  movEdx(0);
  movR10d(0);
  syscall(others.futex);
  a.to('wait', 0xe9); // jmp wait
  a.label('run');
  a.emit(0xc7, 0x43, slot.go).u32(0); // mov dword [rbx + go], 0
  a.emit(0xff, 0x53, slot.routine); // call [rbx + routine]
  a.label('returned');
  a.to('finish', 0xe9); // jmp finish

  // Called by the runner itself, as a C function of the slot: the same routines, for the task "self".
  a.label('self');
  a.emit(0x53, 0x41, 0x55, 0x41, 0x56); // push rbx, r13, r14
  a.emit(0x48, 0x89, 0xfb); // mov rbx, rdi
  a.emit(0xff, 0x53, slot.routine); // call [rbx + routine]
  a.emit(0x41, 0x5e, 0x41, 0x5d, 0x5b); // pop r14, r13, rbx
  a.emit(0x31, 0xc0, 0xc3); // xor eax, eax; ret

  a.label('nothing').emit(0xc3);

  a.label('syscall');
  load('rdi', argument(0));
  load('rsi', argument(1));
  load('rdx', argument(2));
  a.emit(0x4c, 0x8b, 0x53, argument(3)); // mov r10, [rbx + ...]
  a.emit(0x4c, 0x8b, 0x43, argument(4)); // mov r8, [rbx + ...]
  a.emit(0x4c, 0x8b, 0x4b, argument(5)); // mov r9, [rbx + ...]
  load('rax', slot.number);
  a.emit(0x0f, 0x05); // syscall
  a.emit(0x48, 0x89, 0x43, slot.result).emit(0xc3); // mov [rbx + result], rax; ret

  a.label('clone');
  load('rdi', argument(0));
  load('rsi', slot.childStack);
  movEdx(0);
  movR10d(0);
  a.emit(0x45, 0x31, 0xc0); // xor r8d, r8d
  a.emit(0x4c, 0x8b, 0x73, slot.childSlot); // mov r14, [rbx + childSlot]
  syscall(numbers.clone);
  a.emit(0x48, 0x85, 0xc0); // test rax, rax
  a.to('child', 0x0f, 0x84); // jz child
  a.emit(0x48, 0x89, 0x43, slot.result).emit(0xc3); // mov [rbx + result], rax; ret
  a.label('child');
  a.emit(0x4c, 0x89, 0xf3); // mov rbx, r14
  a.to('born', 0xe9); // jmp born

  a.label('clone3');
  load('rdi', argument(0));
  load('rsi', argument(1));
  a.emit(0x4c, 0x8b, 0x73, slot.childSlot); // mov r14, [rbx + childSlot]
  syscall(numbers.clone3);
  a.emit(0x48, 0x85, 0xc0); // test rax, rax
  a.to('child', 0x0f, 0x84); // jz child
  a.emit(0x48, 0x89, 0x43, slot.result).emit(0xc3); // mov [rbx + result], rax; ret

  const access = (name: string, instructions: () => void): void => {
    a.label(name);
    load('rdi', argument(0)); // at
    load('rsi', argument(1)); // at2
    load('rcx', argument(2)); // times
    load('rax', argument(3)); // value
    a.label(`${name}.again`);
    instructions();
    a.emit(0x48, 0xff, 0xc9); // dec rcx
    a.to(`${name}.again`, 0x0f, 0x85); // jnz again
    a.emit(0xc3);
  };
  /** An instruction on al, ax, eax or rax, and [rdi] (`modrm` 7) or [rsi] (6). */
  const sized = (opcode: number, width: number, operand: number): void => {
    if (width === 2) a.emit(0x66);
    if (width === 8) a.emit(0x48);
    a.emit(width === 1 ? opcode : opcode + 1, operand);
  };
  for (const width of accessWidths) {
    access(`store${width}`, () => sized(0x88, width, 7));
    access(`load${width}`, () => sized(0x8a, width, 7));
    access(`rmw${width}`, () => sized(0x00, width, 7)); // add [rdi], rax
    access(`storeTwo${width}`, () => {
      sized(0x88, width, 7);
      sized(0x88, width, 6);
    });
  }

  a.label('call');
  a.emit(0x4c, 0x8b, 0x6b, argument(2)); // mov r13, [rbx + times]
  a.label('call.again');
  a.emit(0xff, 0x53, argument(0)); // call [rbx + at]
  a.emit(0x49, 0xff, 0xcd); // dec r13
  a.to('call.again', 0x0f, 0x85); // jnz again
  a.emit(0xc3);

  a.label('icebp').emit(0xf1, 0xc3);
  a.label('int3').emit(0xcc, 0xc3);

  tracerCode(a);

  // handler(signal, info, context): rbx is the interrupted code's, and so the slot. Handlers may nest.
  for (const signal of handledSignals) {
    a.label(`handler${signal}`);
    a.to('note', 0xe9); // jmp note
  }
  a.label('note');
  a.emit(0xb9).u32(1); // mov ecx, 1
  a.emit(0x0f, 0xc1, 0x8b).u32(slot.signals); // xadd [rbx + signals], ecx
  a.emit(0x83, 0xe1, signalLimit - 1); // and ecx, limit - 1
  a.emit(0x6b, 0xc9, signalBytes); // imul ecx, ecx, bytes
  a.emit(0x48, 0x8d, 0xbc, 0x0b).u32(slot.signalRecords); // lea rdi, [rbx + rcx + records]
  for (let at = 0; at < signalBytes; at += 8) {
    a.emit(0x48, 0x8b, 0x46, at); // mov rax, [rsi + at]
    a.emit(0x48, 0x89, 0x47, at); // mov [rdi + at], rax
  }
  a.emit(0xc3); // ret
  a.label('restorer');
  syscall(numbers.rtSigreturn);

  return { bytes: a.finish(), offset: (routine) => a.offset(routine) };
}
