import type { Arm64Architecture } from '../../arch/arm64/arm64-architecture.ts';
import { arm64Record } from '../../arch/arm64/arm64-breakpoint.ts';
import { accessExecute, exceptionClass, exceptionClassShift } from '../../arch/arm64/arm64-register-bits.ts';
import { decodeControl, encodeControl, genericControl } from '../../arch/arm64/control.ts';
import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { joinPair } from '../../base/pair.ts';
import type { Machine } from '../../machine/machine.ts';
import type { Task } from '../../machine/task.ts';
import { HW_BREAKPOINT_RW, HW_BREAKPOINT_X, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { SIGTRAP, TRAP_HWBKPT } from '../../uapi/signal.ts';
import {
  encodeHwdebugState,
  HWDEBUG_ENTRIES,
  HWDEBUG_ENTRY_BYTES,
  HWDEBUG_STATE_BYTES,
  HWDEBUG_STATE_HEADER_BYTES,
} from '../../uapi/user-hwdebug-state.ts';
import { type BreakpointCore, ptraceBreakpointAttr } from '../core/breakpoint-core.ts';
import type { OverflowHandler, PerfEvent } from '../perf/perf-event.ts';

/** The two register sets. */
export type HwdebugClass = 'break' | 'watch';

const addressBytes = 8;
const freshLenBytes = 4n;
/** The unit of a register set's length. */
const wordBytes = 4;

function refuse(operation: string, hint: string): never {
  throw new KernelError({ errno: errnoValues.EINVAL, operation, hint });
}

/**
 * The breakpoints and watchpoints of one arm64 thread as its tracer sees them, in two register sets. Each entry that was
 * written is an event of the core API; a hit stops the thread before the instruction, and the tracer gets it past.
 * docs/spec/05 section 7.
 */
export class Arm64ThreadBreakpoints {
  readonly #core: BreakpointCore;
  readonly #machine: Machine;
  readonly #arch: Arm64Architecture;
  readonly #task: Task;
  readonly #events: Record<HwdebugClass, (PerfEvent | null)[]> = { break: [], watch: [] };

  constructor(parts: {
    readonly core: BreakpointCore;
    readonly machine: Machine;
    readonly arch: Arm64Architecture;
    readonly task: Task;
  }) {
    this.#core = parts.core;
    this.#machine = parts.machine;
    this.#arch = parts.arch;
    this.#task = parts.task;
  }

  /** The set, at most `lengthBytes` of it. Throws `KernelError` EINVAL: no multiple of 4. */
  read(set: HwdebugClass, lengthBytes: number): Uint8Array {
    checkLength(lengthBytes);
    const { version, breakpoints, watchpoints } = this.#arch.features;
    const entries = Array.from({ length: HWDEBUG_ENTRIES }, (_, n) => {
      const event = this.#events[set][n] ?? null;
      if (event === null) return { addr: 0n, ctrl: 0 };
      const record = arm64Record(event);
      const enabled = event.attr.disabled !== true;
      const { bytes, type, privilege } = record;
      return {
        addr: joinPair(record.addressLow, record.addressHigh),
        ctrl: encodeControl({ bytes, type, privilege, enabled }),
      };
    });
    const info = (version << 8) | (set === 'break' ? breakpoints : watchpoints);
    return encodeHwdebugState({ info, entries }).subarray(0, lengthBytes);
  }

  /**
   * Writes entry by entry, the address and then the control; the first that is refused ends it, what came before stays.
   * Throws `KernelError` EINVAL (a length, a kernel address, no run of bytes, a type of the other set), ENOSPC.
   */
  write(set: HwdebugClass, bytes: Uint8Array): void {
    checkLength(bytes.length);
    const given = bytes.subarray(0, HWDEBUG_STATE_BYTES);
    const view = new DataView(given.buffer, given.byteOffset, given.byteLength);
    for (let n = 0; n < HWDEBUG_ENTRIES; n++) {
      const at = HWDEBUG_STATE_HEADER_BYTES + n * HWDEBUG_ENTRY_BYTES;
      if (at >= given.length) return;
      if (at + addressBytes > given.length) refuse('setregset', `the address of entry ${n} is cut off`);
      this.#writeAddress(set, n, view.getBigUint64(at, true));
      if (at + addressBytes >= given.length) return;
      this.#writeControl(set, n, view.getUint32(at + addressBytes, true));
    }
  }

  #writeAddress(set: HwdebugClass, n: number, bpAddr: bigint): void {
    const event = this.#entry(set, n);
    if (event !== null) this.#core.modifyUser(event, { ...event.attr, bpAddr });
  }

  #writeControl(set: HwdebugClass, n: number, value: number): void {
    const event = this.#entry(set, n);
    if (event === null) return;
    const control = decodeControl(value);
    const attr: PerfEventAttr = event.attr;
    if (!control.enabled) {
      this.#core.modifyUser(event, { ...attr, disabled: true });
      return;
    }
    const { bpType, bpLen, offset } = genericControl(control);
    if ((control.type === accessExecute) !== (set === 'break'))
      refuse('setregset', `type ${control.type} is none of the set "${set}"`);
    const bpAddr = (attr.bpAddr ?? 0n) + BigInt(offset);
    this.#core.modifyUser(event, { ...attr, bpType, bpLen, bpAddr, disabled: false });
  }

  /** The event of an entry; an untouched one is made, off. */
  #entry(set: HwdebugClass, n: number): PerfEvent | null {
    const events = this.#events[set];
    const found = events[n] ?? null;
    if (found !== null) return found;
    const bpType = set === 'break' ? HW_BREAKPOINT_X : HW_BREAKPOINT_RW;
    const event = this.#core.registerUser({
      attr: ptraceBreakpointAttr({ bpType, bpLen: freshLenBytes, bpAddr: 0n, disabled: true }),
      task: this.#task,
      handler: this.#hit,
    });
    events[n] = event;
    return event;
  }

  /** The thread stops before the instruction, with the address that was reported. */
  readonly #hit: OverflowHandler = (_event, frame) => {
    const cause = frame.syndrome >>> exceptionClassShift;
    const data = (cause & ~1) === exceptionClass.watchpoint;
    const address = data ? joinPair(frame.faultLow, frame.faultHigh) : joinPair(frame.ipLow, frame.ipHigh);
    this.#machine.signal(this.#task, { signal: SIGTRAP, code: TRAP_HWBKPT, address }, { forced: true });
  };

  /** The thread ended or executed a program: its breakpoints are gone, with their slots. */
  flush(): void {
    for (const events of Object.values(this.#events))
      for (const event of events.splice(0)) this.#core.unregister(event ?? null);
  }
}

function checkLength(lengthBytes: number): void {
  if (lengthBytes % wordBytes !== 0) refuse('regset', `${lengthBytes} bytes are no multiple of 4`);
}
