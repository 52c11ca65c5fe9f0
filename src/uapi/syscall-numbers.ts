/** System call numbers. Source: asm/unistd_64.h of x86-64; asm-generic/unistd.h for arm64. */
export interface SyscallNumbers {
  readonly perfEventOpen: number;
  readonly pidfdOpen: number;
  readonly prlimit64: number;
  readonly bpf: number;
  readonly kill: number;
}

/** By the machine name of uname(2). */
export const syscallNumbers: Readonly<Record<'x86_64' | 'aarch64', SyscallNumbers>> = {
  x86_64: { perfEventOpen: 298, pidfdOpen: 434, prlimit64: 302, bpf: 321, kill: 62 },
  aarch64: { perfEventOpen: 241, pidfdOpen: 434, prlimit64: 261, bpf: 280, kill: 129 },
};
