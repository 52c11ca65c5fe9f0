/** Signal numbers of x86 and arm64. Source: signal(7). */
export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGTRAP = 5;
export const SIGKILL = 9;
export const SIGUSR1 = 10;
export const SIGTERM = 15;
export const SIGCHLD = 17;
export const SIGCONT = 18;
export const SIGSTOP = 19;
export const SIGIO = 29;

/** `si_code` of a SIGTRAP. Source: asm-generic/siginfo.h. */
export const TRAP_BRKPT = 1;
export const TRAP_TRACE = 2;
export const TRAP_BRANCH = 3;
export const TRAP_HWBKPT = 4;
export const TRAP_UNK = 5;
export const TRAP_PERF = 6;

/** `si_code` of a signal about a file, and of one that is the kernel's own. Source: asm-generic/siginfo.h. */
export const POLL_IN = 1;
export const POLL_ERR = 4;
export const POLL_HUP = 6;
export const SI_KERNEL = 0x80;
/** What a signal about a file says that has codes of its own for something else (SIGTRAP). */
export const SI_SIGIO = -5;
/** The first signal that is queued as often as it is sent. Source: signal(7). */
export const SIGRTMIN = 32;
/** Bit 0 of si_perf_flags: the signal was blocked when it was sent. */
export const TRAP_PERF_FLAG_ASYNC = 1;
