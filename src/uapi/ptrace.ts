/** ptrace requests. Source: ptrace(2), sys/ptrace.h, asm/ptrace.h. */
export const PTRACE_TRACEME = 0;
export const PTRACE_PEEKTEXT = 1;
export const PTRACE_PEEKDATA = 2;
export const PTRACE_PEEKUSER = 3;
export const PTRACE_POKETEXT = 4;
export const PTRACE_POKEDATA = 5;
export const PTRACE_POKEUSER = 6;
export const PTRACE_CONT = 7;
export const PTRACE_KILL = 8;
export const PTRACE_SINGLESTEP = 9;
export const PTRACE_DETACH = 17;
export const PTRACE_SETOPTIONS = 0x4200;
export const PTRACE_GETSIGINFO = 0x4202;
export const PTRACE_GETREGSET = 0x4204;
export const PTRACE_SETREGSET = 0x4205;
export const PTRACE_SEIZE = 0x4206;
export const PTRACE_INTERRUPT = 0x4207;

/** The event of a stop that the tracer asked for, or of a new task's first one: bits 16 and up of a wait status. */
export const PTRACE_EVENT_FORK = 1;
export const PTRACE_EVENT_CLONE = 3;
export const PTRACE_EVENT_STOP = 128;

/** Options of PTRACE_SETOPTIONS and PTRACE_SEIZE. */
export const PTRACE_O_TRACEFORK = 0x2;
export const PTRACE_O_TRACECLONE = 0x8;
export const PTRACE_O_TRACEEXEC = 0x10;
export const PTRACE_O_EXITKILL = 0x100000;

/** Offset of `u_debugreg[0]` in the user area of an x86-64 task. Source: sys/user.h. */
export const X86_64_USER_DEBUGREG_OFFSET = 848;
/** Offset of `regs.rip` in the user area of an x86-64 task. Source: sys/user.h. */
export const X86_64_USER_RIP_OFFSET = 128;

/** Register sets of an arm64 task: hardware breakpoints and watchpoints. Source: elf.h. */
export const NT_ARM_HW_BREAK = 0x402;
export const NT_ARM_HW_WATCH = 0x403;
