import type { TrapFrame } from '../../arch/trap-frame.ts';
import { joinPair } from '../../base/pair.ts';
import type { BpfWorld } from '../../bpf/helper.ts';
import type { InterpretedProgram } from '../../bpf/program.ts';
import { runProgram } from '../../bpf/run-program.ts';
import type { Machine } from '../../machine/machine.ts';
import type { Task } from '../../machine/task.ts';
import { BPF_PROG_TYPE_PERF_EVENT, x86PerfEventContext } from '../../uapi/bpf.ts';
import { SI_KERNEL } from '../../uapi/signal.ts';
import { failure } from './failure.ts';
import type { OverflowHooks } from './overflow.ts';
import type { PerfEvent } from './perf-event.ts';

/** Code segments of user and kernel mode. Source: asm/segment.h. */
const userCodeSegment = 0x33n;
const kernelCodeSegment = 0x10n;

/** A program that was loaded, as an fd has it. */
export class LoadedProgram {
  /** `BPF_PROG_TYPE_…`. */
  readonly type: number;
  readonly program: InterpretedProgram;

  constructor(type: number, program: InterpretedProgram) {
    this.type = type;
    this.program = program;
  }
}

/**
 * PERF_EVENT_IOC_SET_BPF: `event` alone gets the program; copies that were inherited before do not. Throws `KernelError`
 * EINVAL (a program of another type), EEXIST. docs/spec/03 section 7.
 */
export function attachProgram(event: PerfEvent, loaded: LoadedProgram): void {
  if (event.program !== null) throw failure('EEXIST', 'the event has a program', 'PERF_EVENT_IOC_SET_BPF');
  if (loaded.type !== BPF_PROG_TYPE_PERF_EVENT)
    throw failure('EINVAL', `a program of type ${loaded.type}`, 'PERF_EVENT_IOC_SET_BPF');
  event.program = loaded.program;
}

/** Runs the programs of events at their overflows: one that returns 0 swallows the overflow. docs/spec/03 section 6.1. */
export function installBpf(machine: Machine, hooks: OverflowHooks): void {
  const world = new MachineWorld(machine);
  hooks.keep = (event, frame) =>
    event.program === null || runProgram(event.program, contextOf(event, frame), world) !== 0;
}

const c = x86PerfEventContext;
/** Where each register of `sample_regs_*`, by its number, lies in the context; -1: nowhere. Source: asm/perf_regs.h. */
const registerOffsets: readonly number[] = [
  ...[c.ax, c.bx, c.cx, c.dx, c.si, c.di, c.bp, c.sp, -1, -1, -1, c.ss, -1, -1, -1, -1],
  ...[c.r8, c.r9, c.r10, c.r11, c.r12, c.r13, c.r14, c.r15],
];

/** struct bpf_perf_event_data of a hit. */
function contextOf(event: PerfEvent, frame: TrapFrame): Uint8Array {
  const bytes = new Uint8Array(x86PerfEventContext.bytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(x86PerfEventContext.ip, frame.ipLow, true);
  view.setUint32(x86PerfEventContext.ip + 4, frame.ipHigh, true);
  view.setBigUint64(x86PerfEventContext.cs, frame.userMode ? userCodeSegment : kernelCodeSegment, true);
  view.setBigUint64(x86PerfEventContext.flags, BigInt(frame.flags), true);
  view.setBigUint64(x86PerfEventContext.samplePeriod, BigInt(event.sampledPeriod), true);
  if (frame.registers !== null)
    for (const [number, offset] of registerOffsets.entries()) {
      if (offset < 0) continue;
      view.setUint32(offset, frame.registers[2 * number] ?? 0, true);
      view.setUint32(offset + 4, frame.registers[2 * number + 1] ?? 0, true);
    }
  const { addressLow, addressHigh } = event.record;
  view.setBigUint64(x86PerfEventContext.addr, event.attr.bpAddr ?? joinPair(addressLow, addressHigh), true);
  return bytes;
}

/** What helpers reach: the CPU that executes the kernel, and the task that it interrupted. */
class MachineWorld implements BpfWorld {
  readonly #machine: Machine;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  get #task(): Task | null {
    return this.#machine.currentCpu.current;
  }

  get cpu(): number {
    return this.#machine.currentCpu.number;
  }

  nowNs(): bigint {
    return BigInt(this.#machine.nowNs());
  }

  get pid(): number {
    return this.#task?.pid ?? 0;
  }

  get tid(): number {
    return this.#task?.tid ?? 0;
  }

  get comm(): string {
    return this.#task?.name ?? '';
  }

  readUser(address: bigint, lengthBytes: number): Uint8Array | undefined {
    const task = this.#task;
    return task === null ? undefined : this.#machine.readUser(task, address, lengthBytes);
  }

  /** The machine keeps no bytes of kernel memory. */
  readKernel(): undefined {}

  sendSignal(signal: number): number {
    const task = this.#task;
    if (task === null) return -1; // EPERM: there is nobody to send it to
    this.#machine.signal(task, { signal, code: SI_KERNEL, address: 0n }, { process: true });
    return 0;
  }
}
