import type { TargetDescription } from './target-description.ts';

/** A value, now or later. */
export type Awaitable<T> = T | Promise<T>;

/** A thread that the debugger sees; a CPU, where the target is a machine. Ids are 1 and more. */
export interface TargetThread {
  readonly process: number;
  readonly thread: number;
  /** What "info threads" prints beside it. */
  readonly name: string;
}

/** How a watchpoint was hit: by a store, by a load, by either. */
export type WatchStop = 'watch' | 'rwatch' | 'awatch';

/** Why the target stands. */
export type Stop =
  | {
      readonly type: 'signal';
      /** A signal by GDB's numbers, which are Linux's up to 15: 5 is SIGTRAP, 2 SIGINT. */
      readonly signal: number;
      readonly thread: TargetThread;
      /** A watchpoint was hit; `address` is the watched byte that the stub reports. */
      readonly watch?: { readonly kind: WatchStop; readonly address: bigint };
      /** An instruction breakpoint was hit. */
      readonly breakpoint?: 'hardware' | 'software';
      /** A process came to be; it is attached too. */
      readonly event?: 'fork' | 'exec';
    }
  | { readonly type: 'exited'; readonly process: number; readonly status: number }
  | { readonly type: 'terminated'; readonly process: number; readonly signal: number };

/** Kinds of breakpoints, by the digit of their packets: Z0 to Z4. */
export type BreakpointKind = 'software' | 'hardware' | 'write' | 'read' | 'access';

/** Breakpoints of one kind. `lenBytes` is the watched length; of an instruction, the packet's kind. */
export interface BreakpointAbility {
  /** Throws `PeerError`: EINVAL for one that cannot be, ENOSPC where no register is free. */
  insert(address: bigint, lenBytes: number): Awaitable<void>;
  /** Throws `PeerError` if there is none. */
  remove(address: bigint, lenBytes: number): Awaitable<void>;
}

/** What each thread is to do when the target goes on. The first that names a thread decides; who is not named stands. */
export interface ResumeAction {
  readonly type: 'continue' | 'step';
  /** A signal to deliver, or 0. */
  readonly signal: number;
  /** `undefined`: all threads. */
  readonly thread: TargetThread | undefined;
}

/** Lets the target run. */
export interface ResumeAbility {
  /** Runs until something stops it. One call at a time. */
  run(actions: readonly ResumeAction[]): Awaitable<Stop>;
  /** Stops what runs; `run` then gives SIGINT, or what came first. */
  interrupt(): void;
  /** Whether single steps are possible. */
  readonly steps: boolean;
}

/** Registers of a thread, by their number in the description; bytes in the target's order. */
export interface RegisterAbility {
  /** `undefined`: not available. */
  read(thread: TargetThread, register: number): Awaitable<Uint8Array | undefined>;
  /** Throws `PeerError`. */
  write(thread: TargetThread, register: number, bytes: Uint8Array): Awaitable<void>;
}

/** Memory as the current thread sees it. */
export interface MemoryAbility {
  /** Up to `lenBytes` bytes; fewer if what follows cannot be read. Throws `PeerError` EFAULT if not even one can. */
  read(thread: TargetThread, address: bigint, lenBytes: number): Awaitable<Uint8Array>;
  /** Throws `PeerError` EFAULT. */
  write?(thread: TargetThread, address: bigint, bytes: Uint8Array): Awaitable<void>;
}

/** Commands of "monitor", by name; each gives the text that is printed. */
export type MonitorCommands = Readonly<
  Record<string, { readonly help: string; run(args: readonly string[]): Awaitable<string> }>
>;

/**
 * Something that a debugger can look into. An ability that it has not got is an absent object: then the packet is not
 * known either, and "qSupported" does not name it.
 */
export interface GdbTarget {
  readonly description: TargetDescription;
  /** Threads now, at least one while the target lives. */
  threads(): readonly TargetThread[];
  /** Why it stands when a client comes. */
  lastStop(): Stop;
  readonly registers: RegisterAbility;
  readonly memory?: MemoryAbility;
  readonly breakpoints?: Readonly<Partial<Record<BreakpointKind, BreakpointAbility>>>;
  /** How many watchpoints there can be, where that is known. */
  readonly watchpointSlots?: number;
  readonly resume?: ResumeAbility;
  readonly monitor?: MonitorCommands;
  /** The debugger lets it go, or is gone. The target runs on. */
  detach?(): Awaitable<void>;
  /** The debugger ends it. */
  kill?(): Awaitable<void>;
}
