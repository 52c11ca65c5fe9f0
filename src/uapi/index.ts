// The public entry `trapline/uapi`: constants and codecs of the kernel's public headers.
export * from './bpf.ts';
export * from './perf-event-attr.ts';
export * from './perf-event-ioctl.ts';
export * from './perf-event-ring.ts';
export * from './ptrace.ts';
export * from './signal.ts';
export * from './syscall-numbers.ts';
