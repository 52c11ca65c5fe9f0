import type { Bpf } from './bpf.ts';
import type { DebugRegisterAccess } from './debug-registers.ts';
import type { Events } from './events.ts';
import type { Files } from './files.ts';
import type { Memory } from './memory.ts';
import type { Names } from './names.ts';
import type { Tasks } from './tasks.ts';

/** Which kernel answers. */
export interface KernelIdentity {
  /** "Linux 6.1.0 x86_64". */
  readonly description: string;
  readonly machine: 'x86_64' | 'aarch64';
  /** A machine's own kernel, not a model. */
  readonly live: boolean;
}

/**
 * The system calls, by capability. Everything above is written against this; our own kernel and Linux answer it.
 * An ability that is absent is an absent object.
 */
export interface Surface {
  readonly kernel: KernelIdentity;
  /** Nanoseconds of CLOCK_MONOTONIC. */
  now(): bigint;
  readonly events?: Events;
  readonly tasks?: Tasks;
  readonly memory?: Memory;
  readonly files?: Files;
  readonly debugRegisters?: DebugRegisterAccess;
  readonly bpf?: Bpf;
  readonly names?: Names;
  close(): void;
}
