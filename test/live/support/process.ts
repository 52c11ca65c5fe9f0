import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';

/** The repository. */
export const root: string = fileURLToPath(new URL('../../..', import.meta.url));
/** The built command line. */
export const cli: string = `${root}dist/cli/main.js`;

/** How a process ended, and what it wrote. */
export interface RunResult {
  /** The exit status, as a shell tells it: 128 + n for signal n. */
  readonly status: number;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const signalNumbers: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGTRAP: 5,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGPIPE: 13,
  SIGALRM: 14,
  SIGTERM: 15,
};

const hardTimeoutMs = 20_000;
const running = new Set<Running>();

afterEach(async () => {
  for (const one of [...running]) await one.destroy();
});

/** A process of a test: its output by lines, and its end. Killed when it takes too long, and after the test. */
export class Running {
  readonly pid: number;
  readonly ended: Promise<RunResult>;
  stdout: string = '';
  stderr: string = '';
  readonly #child: ChildProcess;
  readonly #command: string;
  readonly #listeners: Set<() => void> = new Set();
  #over: boolean = false;
  #read: number = 0;
  #timedOut: boolean = false;

  constructor(file: string, args: readonly string[], options: SpawnOptions = {}) {
    this.#command = [file, ...args].join(' ');
    const child = spawn(file, args, { stdio: 'pipe', ...options });
    this.#child = child;
    this.pid = child.pid ?? 0;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#wake();
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#wake();
    });
    child.stdin?.on('error', () => {}); // the process may end without reading
    running.add(this);
    const timer = setTimeout(() => {
      this.#timedOut = true;
      this.kill();
    }, hardTimeoutMs);
    this.ended = new Promise((resolve, reject) => {
      let late: NodeJS.Timeout | undefined;
      // A process that outlives it may hold its output open: that is waited for, but not for ever.
      child.on('exit', () => {
        late = setTimeout(() => {
          child.stdout?.destroy();
          child.stderr?.destroy();
        }, 5000);
      });
      child.on('error', reject);
      child.on('close', (code, signal) => {
        clearTimeout(timer);
        clearTimeout(late);
        running.delete(this);
        this.#over = true;
        this.#wake();
        if (this.#timedOut) {
          reject(
            new Error(
              `killed after ${hardTimeoutMs} ms: ${this.#command}\nstdout: ${this.stdout.slice(-2000)}\nstderr: ${this.stderr.slice(-2000)}`,
            ),
          );
          return;
        }
        resolve({
          status: code ?? 128 + (signalNumbers[signal ?? ''] ?? 0),
          signal,
          stdout: this.stdout,
          stderr: this.stderr,
        });
      });
    });
    this.ended.catch(() => {});
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  endInput(): void {
    this.#child.stdin?.end();
  }

  /** Closes our end of its standard output, as `head` does. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Kills it and waits for its end. */
  async destroy(): Promise<void> {
    this.kill();
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
    await this.ended.catch(() => {});
  }

  /** The next line of standard output that matches; lines before it are passed over. */
  async line(pattern: RegExp): Promise<string> {
    const deadline = Date.now() + 10_000;
    for (;;) {
      for (;;) {
        const end = this.stdout.indexOf('\n', this.#read);
        if (end < 0) break;
        const line = this.stdout.slice(this.#read, end);
        this.#read = end + 1;
        if (pattern.test(line)) return line;
      }
      const left = deadline - Date.now();
      if (this.#over || left <= 0) {
        throw new Error(
          `${this.#over ? 'ended' : '10 s passed'} without a line ${pattern}: ${this.#command}\nstdout: ${this.stdout.slice(-2000)}\nstderr: ${this.stderr.slice(-2000)}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, left);
        const listeners = this.#listeners;
        function done(): void {
          clearTimeout(timer);
          listeners.delete(done);
          resolve();
        }
        listeners.add(done);
      });
    }
  }

  #wake(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** Runs to the end. */
export async function run(
  file: string,
  args: readonly string[],
  options: SpawnOptions & { readonly input?: string } = {},
): Promise<RunResult> {
  const { input, ...rest } = options;
  const one = new Running(file, args, rest);
  if (input !== undefined) one.write(input);
  one.endInput();
  return one.ended;
}

/** Starts the built command line. */
export function start(args: readonly string[], options: SpawnOptions = {}): Running {
  return new Running(process.execPath, [cli, ...args], options);
}

/** Runs the built command line to the end. */
export function trapline(
  args: readonly string[],
  options: SpawnOptions & { readonly input?: string } = {},
): Promise<RunResult> {
  return run(process.execPath, [cli, ...args], options);
}

/** A field of /proc/PID/status, `undefined` if the process is gone. */
export function statusField(pid: number, name: string): string | undefined {
  try {
    return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

/** Whether the process is there, runs or sleeps, and is traced by nobody. */
export function runsFreely(pid: number): boolean {
  return /^[RSD]/.test(statusField(pid, 'State') ?? '') && statusField(pid, 'TracerPid') === '0';
}

/** Asks again and again until it holds; false if it does not within `ms`. */
export async function eventually(holds: () => boolean, ms: number = 5000): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return true;
}

/** Processes whose command line begins with or holds this argument; zombies have none and are left out. */
export function processesOf(argument: string): number[] {
  const found: number[] = [];
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const command = fs.readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      if (command.includes(argument)) found.push(Number(name));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

/** How many perf events a process holds. */
export function perfEventsOf(pid: number | string): number {
  let events = 0;
  try {
    for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
      try {
        if (fs.readlinkSync(`/proc/${pid}/fd/${fd}`).includes('perf_event')) events++;
      } catch {
        // It was closed meanwhile.
      }
    }
  } catch {
    // It has ended meanwhile, or is not ours to look at.
  }
  return events;
}

/** `stat` says nothing when it is armed: its perf events tell, when there come no more. */
export async function armedOn(counting: Running): Promise<void> {
  const deadline = Date.now() + 10_000;
  let stable = 0;
  let last = -1;
  while (Date.now() < deadline && stable < 8) {
    const events = perfEventsOf(counting.pid);
    stable = events > 0 && events === last ? stable + 1 : 0;
    last = events;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
