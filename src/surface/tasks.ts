/** How a task ended. */
export type ExitStatus =
  | { readonly type: 'exited'; readonly code: number }
  | { readonly type: 'signaled'; readonly signal: number };

/** Text for execve(2): a string, or bytes where it need not be UTF-8. Neither holds a NUL. */
export type ExecText = string | Uint8Array;

/** A program to start. */
export interface LaunchRequest {
  /** The file, as execve(2) takes it. */
  readonly path: string;
  /** Arguments, the program's name first. */
  readonly argv: readonly ExecText[];
  /** "NAME=value". */
  readonly env: readonly ExecText[];
}

/**
 * A started program that has executed its image and stands before its first instruction. Until `resume`, this
 * process holds it; if this process dies meanwhile, so does the program.
 */
export interface LaunchedTask {
  readonly pid: number;
  /**
   * Runs the dynamic loader, up to the entry point of the program itself: libraries are mapped, data is relocated.
   * False: it ended before it got there.
   */
  runToEntry(): boolean;
  /** Lets it run, on its own. */
  resume(): void;
  /** Kills it with SIGKILL if it has not ended. */
  kill(): void;
  /** Its end. Standard streams are shared with this process. */
  readonly ended: Promise<ExitStatus>;
}

/** What `/proc/PID/status` tells that is of use here. */
export interface TaskStatus {
  /** Process (thread group). */
  readonly pid: number;
  readonly uid: number;
  /** The task that traces it by ptrace, 0 if none. */
  readonly tracerPid: number;
  readonly zombie: boolean;
}

/** Processes and threads. Every call throws `KernelError` with Linux's errno: ESRCH for a task that is not there. */
export interface Tasks {
  /** Numbers of the online CPUs, ascending. */
  readonly cpus: readonly number[];
  /** This process. */
  readonly self: number;
  /** All processes that can be seen. */
  processes(): number[];
  /** Thread ids of a process. */
  threads(pid: number): number[];
  /** A thread's name (`comm`). */
  name(tid: number): string;
  status(tid: number): TaskStatus;
  /** Stops a process, all its threads (SIGSTOP). */
  stop(pid: number): void;
  /** The text of `/proc/PID/maps`. */
  maps(pid: number): string;
  /** Bytes of the auxiliary vector. */
  auxv(pid: number): Uint8Array;
  launch(request: LaunchRequest): Promise<LaunchedTask>;
  /** Resolves when the process has ended (or is not there). `close` gives up waiting. */
  waitEnd(pid: number): { readonly ended: Promise<void>; close(): void };
}
