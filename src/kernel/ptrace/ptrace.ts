import { Arm64Architecture } from '../../arch/arm64/arm64-architecture.ts';
import { assert } from '../../base/assert.ts';
import { type ErrnoName, errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import type { CloneKind } from '../../machine/kernel-entry.ts';
import type { Machine } from '../../machine/machine.ts';
import type { Task } from '../../machine/task.ts';
import { NT_ARM_HW_BREAK, NT_ARM_HW_WATCH, PTRACE_EVENT_STOP } from '../../uapi/ptrace.ts';
import { SIGTRAP } from '../../uapi/signal.ts';
import type { BreakpointCore } from '../core/breakpoint-core.ts';
import type { PerfKernel } from '../perf/perf-kernel.ts';
import { Arm64ThreadBreakpoints, type HwdebugClass } from './arm64-thread-breakpoints.ts';
import { ThreadDebugRegisters } from './thread-debug-registers.ts';
import { compatUserAreaPlace, type UserAreaPlace, userAreaPlace } from './user-area.ts';

/** A word of the user area. */
export interface UserAreaWord {
  /** In bytes, u64. */
  readonly offset: bigint;
  /** The caller is a 32-bit program: offsets and values have 32 bits. */
  readonly compat?: boolean;
}

interface Tracing {
  readonly tracer: Task;
  /** Threads and children that the task makes are traced from their birth. */
  readonly followFork: boolean;
}

function refuse(errno: ErrnoName, operation: string, hint: string): never {
  throw new KernelError({ errno: errnoValues[errno], operation, hint });
}

/**
 * ptrace(2), as far as debug registers need it: one task holds another, looks at it while it is stopped, and lets it run.
 * A traced task stops with every signal. The registers belong to the thread: they stay when the tracer goes.
 * docs/spec/04 section 7; of arm64 docs/spec/05 section 7.
 */
export class Ptrace {
  readonly #core: BreakpointCore;
  readonly #machine: Machine;
  readonly #tracings: WeakMap<Task, Tracing> = new WeakMap();
  readonly #registers: WeakMap<Task, ThreadDebugRegisters | Arm64ThreadBreakpoints> = new WeakMap();
  /** Absent: x86. */
  readonly #arm64: Arm64Architecture | undefined;

  constructor(kernel: PerfKernel, core: BreakpointCore) {
    this.#core = core;
    this.#machine = kernel.machine;
    const arch = kernel.breakpoints?.arch;
    this.#arm64 = arch instanceof Arm64Architecture ? arch : undefined;
    kernel.observers.push({
      cloned: (parent, child, kind) => this.#cloned(parent, child, kind),
      executed: (task) => this.#registers.get(task)?.flush(),
      exited: (task) => this.#exited(task),
    });
  }

  /**
   * PTRACE_SEIZE, then PTRACE_INTERRUPT: `task` is traced from now on, and stopped. Throws `KernelError` EPERM (its own
   * process, or traced already), ESRCH (it has ended).
   */
  attach(tracer: Task, task: Task, options: { readonly followFork?: boolean } = {}): void {
    const operation = `ptrace attach of task ${task.tid}`;
    if (!task.alive) refuse('ESRCH', operation, 'it has ended');
    if (task.pid === tracer.pid) refuse('EPERM', operation, 'a process cannot trace itself');
    if (this.#tracings.has(task)) refuse('EPERM', operation, 'it is traced already');
    this.#trace(task, { tracer, followFork: options.followFork ?? false });
  }

  /** Whether `task` is traced by `tracer`. */
  traces(tracer: Task, task: Task): boolean {
    return this.#tracings.get(task)?.tracer === tracer;
  }

  /** Whether what a traced task creates is traced from its birth. */
  followsFork(task: Task): boolean {
    return this.#tracings.get(task)?.followFork === true;
  }

  /** PTRACE_INTERRUPT of a task that runs; one that is stopped stays so. */
  interrupt(tracer: Task, task: Task): void {
    if (!this.traces(tracer, task)) refuse('ESRCH', 'ptrace interrupt', `task ${task.tid} is not traced`);
    if (task.stop === null) this.#stop(task);
  }

  /** Lets the task go; its debug registers stay armed. Throws `KernelError` ESRCH. */
  detach(tracer: Task, task: Task): void {
    this.#check(tracer, task, 'detach');
    this.#tracings.delete(task);
    task.traced = false;
    task.singleStep = false;
    this.#machine.release(task);
  }

  /** PTRACE_CONT or PTRACE_SINGLESTEP; the signal that it stopped with is dropped. Throws `KernelError` ESRCH. */
  resume(tracer: Task, task: Task, options: { readonly step: boolean }): void {
    this.#check(tracer, task, options.step ? 'singlestep' : 'cont');
    task.singleStep = options.step;
    this.#machine.release(task);
  }

  /** PTRACE_PEEKUSER. Throws `KernelError` ESRCH (not traced by the caller, or not stopped), EIO. */
  peekUser(tracer: Task, task: Task, word: UserAreaWord): bigint {
    const place = this.#place(tracer, task, word, 'peekuser');
    if (place.type !== 'debugRegister') return 0n;
    const value = this.#userArea(task).peek(place.n);
    return word.compat === true ? value & 0xffff_ffffn : value;
  }

  /** PTRACE_POKEUSER. Throws `KernelError` ESRCH, EIO, and what the register says: EINVAL, ENOSPC. */
  pokeUser(tracer: Task, task: Task, word: UserAreaWord, value: bigint): void {
    const place = this.#place(tracer, task, word, 'pokeuser');
    if (place.type === 'debugRegister')
      this.#userArea(task).poke(place.n, word.compat === true ? value & 0xffff_ffffn : value);
    else if (word.compat !== true) refuse('EIO', 'ptrace pokeuser', `nothing is at offset ${word.offset}`);
  }

  #place(tracer: Task, task: Task, word: UserAreaWord, request: string): UserAreaPlace {
    this.#check(tracer, task, request);
    const { offset } = word;
    if (this.#arm64 !== undefined) refuse('EIO', `ptrace ${request}`, 'an arm64 task has no user area');
    const place = word.compat === true ? compatUserAreaPlace(offset & 0xffff_ffffn) : userAreaPlace(offset);
    if (place.type === 'outside')
      refuse('EIO', `ptrace ${request}`, `offset ${offset} is misaligned or beyond the user area`);
    return place;
  }

  #check(tracer: Task, task: Task, request: string): void {
    if (!this.traces(tracer, task) || task.stop === null)
      refuse('ESRCH', `ptrace ${request}`, `task ${task.tid} is not stopped by this tracer`);
  }

  /**
   * PTRACE_GETREGSET of NT_ARM_HW_BREAK or NT_ARM_HW_WATCH: at most `lengthBytes`. Throws `KernelError` ESRCH, EINVAL (no
   * such set, a length that is no multiple of 4).
   */
  getRegset(
    tracer: Task,
    task: Task,
    set: { readonly type: number; readonly lengthBytes: number },
  ): Uint8Array {
    this.#check(tracer, task, 'getregset');
    return this.#hwdebug(task, 'getregset', set.type, (state, which) => state.read(which, set.lengthBytes));
  }

  /** PTRACE_SETREGSET of the same. Throws `KernelError` ESRCH, EINVAL, ENOSPC; what was written before stays. */
  setRegset(tracer: Task, task: Task, set: { readonly type: number; readonly bytes: Uint8Array }): void {
    this.#check(tracer, task, 'setregset');
    this.#hwdebug(task, 'setregset', set.type, (state, which) => state.write(which, set.bytes));
  }

  #hwdebug<T>(
    task: Task,
    request: string,
    type: number,
    work: (state: Arm64ThreadBreakpoints, set: HwdebugClass) => T,
  ): T {
    const which = type === NT_ARM_HW_BREAK ? 'break' : type === NT_ARM_HW_WATCH ? 'watch' : undefined;
    const registers = this.#registersOf(task);
    if (which === undefined || !(registers instanceof Arm64ThreadBreakpoints))
      refuse('EINVAL', `ptrace ${request}`, `there is no register set 0x${type.toString(16)}`);
    return work(registers, which);
  }

  #registersOf(task: Task): ThreadDebugRegisters | Arm64ThreadBreakpoints {
    let registers = this.#registers.get(task);
    if (registers === undefined) {
      registers =
        this.#arm64 === undefined
          ? new ThreadDebugRegisters(this.#core, task)
          : new Arm64ThreadBreakpoints({ core: this.#core, machine: this.#machine, arch: this.#arm64, task });
      this.#registers.set(task, registers);
    }
    return registers;
  }

  #userArea(task: Task): ThreadDebugRegisters {
    const registers = this.#registersOf(task);
    assert(registers instanceof ThreadDebugRegisters, 'only x86 has a user area');
    return registers;
  }

  #trace(task: Task, tracing: Tracing): void {
    this.#tracings.set(task, tracing);
    task.traced = true;
    this.#stop(task);
  }

  #stop(task: Task): void {
    this.#machine.hold(task, { signal: SIGTRAP, code: SIGTRAP | (PTRACE_EVENT_STOP << 8), address: 0n });
  }

  #cloned(parent: Task, child: Task, _kind: CloneKind): void {
    const registers = this.#registers.get(parent);
    // An arm64 child starts without.
    if (this.#arm64 === undefined && (registers !== undefined || parent.debugStatus !== 0))
      this.#userArea(child).inheritFrom(
        parent,
        registers instanceof ThreadDebugRegisters ? registers : undefined,
      );
    const tracing = this.#tracings.get(parent);
    if (tracing !== undefined && this.followsFork(parent)) this.#trace(child, tracing);
  }

  #exited(task: Task): void {
    this.#registers.get(task)?.flush();
    this.#tracings.delete(task);
  }
}
