import fs from 'node:fs';
import { errnoValues } from '../base/errno.ts';
import { isKernelError, KernelError } from '../base/kernel-error.ts';
import type { LaunchedTask, LaunchRequest, TaskStatus, Tasks } from '../surface/tasks.ts';
import { SIGSTOP } from '../uapi/signal.ts';
import { syscallNumbers } from '../uapi/syscall-numbers.ts';
import { asKernelError } from './files.ts';
import { Launcher } from './launch.ts';
import type { System } from './system.ts';
import { waitForFds } from './wait-fds.ts';

const POLLIN = 1;

/** A file of /proc about a task; a task that is not there answers ESRCH, as system calls do. */
function procText(tid: number, name: string): string {
  return procRead(`/proc/${tid}/${name}`, tid, () => fs.readFileSync(`/proc/${tid}/${name}`, 'utf8'));
}

function procRead<Result>(operation: string, tid: number, call: () => Result): Result {
  try {
    return asKernelError(operation, call);
  } catch (error) {
    if (isKernelError(error, 'ENOENT'))
      throw new KernelError({ errno: errnoValues.ESRCH, operation: `task ${tid}` });
    throw error;
  }
}

function numbers(names: readonly string[]): number[] {
  return names.filter((name) => /^[0-9]+$/.test(name)).map(Number);
}

/** "0-3,8" as [0, 1, 2, 3, 8]. */
export function parseCpuList(text: string): number[] {
  const cpus: number[] = [];
  for (const part of text.trim().split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (match === null) continue;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    for (let cpu = first; cpu <= last; cpu++) cpus.push(cpu);
  }
  return cpus;
}

/** The auxiliary vector of a process: pairs of u64. */
export function linuxAuxv(pid: number): Uint8Array {
  return procRead(`/proc/${pid}/auxv`, pid, () => new Uint8Array(fs.readFileSync(`/proc/${pid}/auxv`)));
}

/** Processes and threads of the machine's Linux, by proc(5). */
export class LinuxTasks implements Tasks {
  readonly cpus: readonly number[];
  readonly self: number = process.pid;
  readonly #system: System;
  readonly #pidfdOpen: number;
  readonly #kill: number;
  readonly #launcher: Launcher;

  constructor(system: System, machine: keyof typeof syscallNumbers) {
    this.#system = system;
    this.#pidfdOpen = syscallNumbers[machine].pidfdOpen;
    this.#kill = syscallNumbers[machine].kill;
    this.#launcher = new Launcher(
      system,
      syscallNumbers[machine].prlimit64,
      (pid) => this.waitEnd(pid).ended,
    );
    this.cpus = parseCpuList(fs.readFileSync('/sys/devices/system/cpu/online', 'utf8'));
  }

  processes(): number[] {
    return numbers(fs.readdirSync('/proc'));
  }

  threads(pid: number): number[] {
    return numbers(procRead(`/proc/${pid}/task`, pid, () => fs.readdirSync(`/proc/${pid}/task`)));
  }

  name(tid: number): string {
    return procText(tid, 'comm').replace(/\n$/, '');
  }

  status(tid: number): TaskStatus {
    const text = procText(tid, 'status');
    const field = (name: string): string => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1] ?? '';
    return {
      pid: Number(field('Tgid')),
      uid: Number(field('Uid')),
      tracerPid: Number(field('TracerPid')),
      zombie: field('State') === 'Z' || field('State') === 'X',
    };
  }

  maps(pid: number): string {
    return procText(pid, 'maps');
  }

  auxv(pid: number): Uint8Array {
    return linuxAuxv(pid);
  }

  async launch(request: LaunchRequest): Promise<LaunchedTask> {
    return this.#launcher.launch(request);
  }

  stop(pid: number): void {
    if (this.#system.ffi.syscall(this.#kill, pid, SIGSTOP, 0, 0, 0) < 0)
      this.#system.fail(`kill(${pid}, SIGSTOP)`);
  }

  waitEnd(pid: number): { readonly ended: Promise<void>; close(): void } {
    const fd = this.#system.ffi.syscall(this.#pidfdOpen, pid, 0, 0, 0, 0);
    if (fd < 0) {
      if (this.#system.ffi.errno() === errnoValues.ESRCH)
        return { ended: Promise.resolve(), close: () => {} };
      this.#system.fail(`pidfd_open(${pid})`);
    }
    return waitForFds(this.#system, [fd], POLLIN, () => {
      this.#system.ffi.close(fd);
    });
  }
}
