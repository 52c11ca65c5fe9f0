import type { Machine } from '../../machine/machine.ts';
import type { Task } from '../../machine/task.ts';
import {
  F_GETFL,
  F_GETOWN,
  F_GETSIG,
  F_OWNER_PID,
  F_OWNER_TID,
  F_SETFL,
  F_SETOWN,
  F_SETOWN_EX,
  F_SETSIG,
  O_ASYNC,
} from '../../uapi/fcntl.ts';
import { PERF_TYPE_BREAKPOINT } from '../../uapi/perf-event-attr.ts';
import { SI_KERNEL, SI_SIGIO, SIGIO, SIGTRAP, TRAP_PERF, TRAP_PERF_FLAG_ASYNC } from '../../uapi/signal.ts';
import { failure } from './failure.ts';
import type { OverflowHooks } from './overflow.ts';
import type { PerfEvent } from './perf-event.ts';

const signalMax = 64;
const O_RDWR = 2;
/** Signals but SIGIO whose codes mean something of their own: SIGILL, TRAP, BUS, FPE, SEGV, CHLD, SYS. */
const ownCodes: ReadonlySet<number> = new Set([4, 5, 7, 8, 11, 17, 31]);

/** Whom an event's file signals, and how. Source: fcntl(2). */
export interface FileOwner {
  readonly fd: number;
  /** O_ASYNC. */
  readonly async: boolean;
  /** The owner, alive or dead; null: none. */
  readonly task: Task | null;
  /** The signal is for the owner's process, not for the one thread. */
  readonly process: boolean;
  /** Who made it the owner: the signal is allowed by that user's rights. */
  readonly uid: number;
  /** 0: SIGIO that tells nothing. */
  readonly signal: number;
}

const nobody: Omit<FileOwner, 'fd'> = { async: false, task: null, process: true, uid: 0, signal: 0 };

/**
 * The signals of events: the SIGTRAP of `sigtrap` for the task that hit, and the one of O_ASYNC for the owner of the
 * file. docs/spec/03 sections 8 and 11.
 */
export class EventSignals {
  readonly #machine: Machine;

  /** @param hooks gets the signals' part of what an overflow does. */
  constructor(machine: Machine, hooks: OverflowHooks) {
    this.#machine = machine;
    hooks.queueSigtrap = (event) => this.#trap(event);
    hooks.isAsync = (top) => top.fileOwner?.async === true;
    hooks.notify = (top, band) => this.#notify(top, band);
  }

  /**
   * The signal is sent before the task returns to user mode, by the event that hit last first; of those that are
   * pending at a time one comes through.
   */
  #trap(event: PerfEvent): void {
    const task = this.#machine.currentCpu.current;
    if (task === null || event.pendingTrap) return;
    event.pendingTrap = true;
    this.#machine.beforeUserMode(task, () => {
      event.pendingTrap = false;
      const { attr } = event;
      this.#machine.signal(task, {
        signal: SIGTRAP,
        code: TRAP_PERF,
        address: attr.bpAddr ?? 0n,
        data: attr.sigData ?? 0n,
        type: PERF_TYPE_BREAKPOINT,
        flags: task.blocks(SIGTRAP) ? TRAP_PERF_FLAG_ASYNC : 0,
      });
    });
  }

  #notify(top: PerfEvent, band: number): void {
    const { fileOwner } = top;
    if (fileOwner === null || fileOwner.task === null || !fileOwner.async) return;
    const { task, process, uid, signal, fd } = fileOwner;
    if (uid !== 0 && uid !== task.credentials.uid) return;
    const info =
      signal === 0
        ? { signal: SIGIO, code: SI_KERNEL, address: 0n }
        : { signal, code: ownCodes.has(signal) ? SI_SIGIO : band, address: 0n, fd };
    this.#machine.signal(task, info, { process });
  }

  /**
   * fcntl(2) of an event's file. Throws `KernelError` ESRCH (no such owner), EINVAL (no such signal, type or command),
   * EFAULT.
   */
  fcntl(
    event: PerfEvent,
    call: { readonly fd: number; readonly command: number; readonly argument: number | Uint8Array | 'bad' },
    caller: Task,
  ): number {
    const { fd, command, argument } = call;
    const owner = event.fileOwner ?? { ...nobody, fd };
    const number = typeof argument === 'number' ? argument : 0;
    switch (command) {
      case F_GETFL:
        return O_RDWR | (owner.async ? O_ASYNC : 0);
      case F_SETFL:
        event.fileOwner = { ...owner, async: (number & O_ASYNC) !== 0 };
        return 0;
      case F_GETOWN:
        return owner.task?.alive === true ? owner.task.tid : 0;
      case F_SETOWN:
        return this.#own(event, owner, number, { process: true, caller });
      case F_SETOWN_EX: {
        if (typeof argument === 'number' || argument === 'bad' || argument.byteLength < 8)
          throw failure('EFAULT', 'the owner cannot be read', 'fcntl');
        const view = new DataView(argument.buffer, argument.byteOffset);
        const type = view.getInt32(0, true);
        if (type !== F_OWNER_TID && type !== F_OWNER_PID)
          throw failure('EINVAL', 'an owner is a thread or a process', 'fcntl');
        return this.#own(event, owner, view.getInt32(4, true), { process: type === F_OWNER_PID, caller });
      }
      case F_GETSIG:
        return owner.signal;
      case F_SETSIG:
        if (number < 0 || number > signalMax) throw failure('EINVAL', 'no such signal', 'fcntl');
        event.fileOwner = { ...owner, signal: number };
        return 0;
      default:
        throw failure('EINVAL', `command ${command}`, 'fcntl');
    }
  }

  #own(
    event: PerfEvent,
    owner: FileOwner,
    tid: number,
    how: { readonly process: boolean; readonly caller: Task },
  ): number {
    const task = tid === 0 ? null : this.#machine.findTask(tid);
    if (task === undefined) throw failure('ESRCH', `no task ${tid}`, 'fcntl');
    event.fileOwner = { ...owner, task, process: how.process, uid: how.caller.credentials.uid };
    return 0;
  }
}
