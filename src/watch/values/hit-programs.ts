import { isKernelError } from '../../base/kernel-error.ts';
import { type AssembledProgram, Assembler } from '../../bpf/assembler.ts';
import { rawHit, rawHitMarks, sampledRegisters } from '../../ring/sample-layout.ts';
import type { Bpf, BpfMap, BpfProgram } from '../../surface/bpf.ts';
import type { Events, HitDrain, PerfEvent } from '../../surface/events.ts';
import type { Surface } from '../../surface/surface.ts';
import {
  BPF_F_CURRENT_CPU,
  BPF_FUNC_perf_event_output,
  BPF_FUNC_probe_read_kernel,
  BPF_FUNC_probe_read_user,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  x86PerfEventContext,
} from '../../uapi/bpf.ts';
import {
  PERF_REG_X86_AX,
  PERF_REG_X86_BP,
  PERF_REG_X86_BX,
  PERF_REG_X86_CX,
  PERF_REG_X86_DI,
  PERF_REG_X86_DX,
  PERF_REG_X86_FLAGS,
  PERF_REG_X86_R8,
  PERF_REG_X86_SI,
  PERF_REG_X86_SP,
} from '../../uapi/perf-event-attr.ts';
import { type EventOptions, rawHitsAttr } from '../event-attrs.ts';
import type { PlannedWatch } from '../plan.ts';

/** The map of events, by CPU, in programs that have {@link emitHit} in them. */
export const hitsMap = 'hits';

/** What a watch's program must know. */
export interface ProgramWatch {
  readonly address: bigint;
  readonly lenBytes: number;
}

/**
 * bpf programs at the breakpoint events that write every hit themselves: the registers, and the watched memory as it is in
 * the trap. The sample of the event is dropped. One record with raw data costs the target what a sample does; a sample
 * with as many registers costs 0.9 us more (docs/decisions/0014-values.md).
 */
export class HitPrograms {
  readonly #bpf: Bpf;
  readonly #events: Events;
  readonly #map: BpfMap;
  readonly #outputs: PerfEvent[] = [];
  /** By watch number and round. */
  readonly #programs: Map<string, BpfProgram> = new Map();
  #lost: bigint = 0n;

  private constructor(parts: { readonly bpf: Bpf; readonly events: Events; readonly map: BpfMap }) {
    this.#bpf = parts.bpf;
    this.#events = parts.events;
    this.#map = parts.map;
  }

  /** `undefined` where bpf is not there, not allowed, or cannot do this. */
  static open(surface: Surface, options: EventOptions): HitPrograms | undefined {
    const { bpf, events, tasks } = surface;
    if (bpf === undefined || events === undefined || tasks === undefined) return undefined;
    let map: BpfMap | undefined;
    try {
      map = bpf.createMap({
        type: BPF_MAP_TYPE_PERF_EVENT_ARRAY,
        keyBytes: 4,
        valueBytes: 4,
        maxEntries: 1 + Math.max(...tasks.cpus),
      });
      // What the verifier and perf say to it, before anything is armed.
      bpf.load(requestOf(hitProgram({ address: 0x1000n, lenBytes: 8 }, 0), map)).close();
      events
        .open(rawHitsAttr({ ...options, layout: { ...options.layout, values: 'bpf' } }), {
          pid: -1,
          cpu: tasks.cpus[0] ?? 0,
        })
        .close();
    } catch (error) {
      map?.close();
      if (isKernelError(error)) return undefined;
      throw error;
    }
    return new HitPrograms({ bpf, events, map });
  }

  /** The map of events, for programs with {@link emitHit} in them that others load. */
  get map(): BpfMap {
    return this.#map;
  }

  /** Hits on `cpu` go to the ring of `holder`. */
  addRing(cpu: number, holder: PerfEvent, drain: Pick<HitDrain, 'addRawHits'>, options: EventOptions): void {
    const output = this.#events.open(rawHitsAttr(options), { pid: -1, cpu });
    this.#outputs.push(output);
    output.setOutput(holder);
    drain.addRawHits(output);
    this.#map.setEvent(cpu, output);
  }

  /**
   * Hits of `event`, of watch number `number`, are written by a program. `round` (0 to 255): a thread that is armed twice
   * has events of different rounds.
   */
  attach(event: PerfEvent, watch: PlannedWatch, number: number, round: number): void {
    if (watch.access === 'x') return;
    const key = `${number},${round}`;
    let program = this.#programs.get(key);
    if (program === undefined) {
      program = this.#bpf.load(
        requestOf(hitProgram(watch, number | (round << rawHitMarks.roundShift)), this.#map),
      );
      this.#programs.set(key, program);
    }
    program.attach(event);
  }

  /** Nothing of watch number `number` is attached any more: the number may come to mean another. */
  forget(number: number): void {
    for (const [key, program] of this.#programs) {
      if (!key.startsWith(`${number},`)) continue;
      program.close();
      this.#programs.delete(key);
    }
  }

  /** Hits that found no room in a ring. */
  lost(): bigint {
    return this.#outputs.reduce((sum, output) => sum + (output.read().lost ?? 0n), this.#lost);
  }

  /** Nothing writes hits any more. */
  finish(): void {
    this.#lost = this.lost();
    for (const output of this.#outputs.splice(0)) output.close();
    for (const program of this.#programs.values()) program.close();
    this.#programs.clear();
    this.#map.close();
  }
}

function requestOf({ bytes, mapUses }: AssembledProgram, map: BpfMap): Parameters<Bpf['load']>[0] {
  return { bytes, maps: mapUses, mapOf: { [hitsMap]: map } };
}

/** Minus ENOSPC: the ring was full, which the event of the record has counted. */
const ringFull = -28;

/**
 * A program that writes every hit, and drops the sample. Where the hit cannot be written, as when the event of the record is
 * not on its CPU, the sample is kept: it has no value, but the hit is told.
 */
function hitProgram(watch: ProgramWatch, number: number): AssembledProgram {
  const program = new Assembler();
  const told = program.label('told');
  program.mov(6, { reg: 1 });
  emitHit(program, watch, number);
  return program
    .jumpIf('eq', 0, 0, told)
    .jumpIf('eq', 0, ringFull, told)
    .mov(0, 1)
    .exit()
    .at(told)
    .mov(0, 0)
    .exit()
    .assemble();
}

const firstKernelAddress = 0x8000_0000_0000_0000n;
/** Bytes of the stack that are used: the raw data, rounded up. */
const frameBytes = (rawHit.bytes + 7) & ~7;
/** The code segment of 32-bit code in user mode. Source: asm/segment.h __USER32_CS. */
const user32Segment = 0x23;

/**
 * Instructions that write a hit (`rawHit`) to the ring of the CPU. Register 6 holds the program's context; registers 0
 * to 5 and 7 and the {@link frameBytes} bytes at the end of the stack are lost. `number`: watch and round, as in the
 * record's marks.
 */
export function emitHit(program: Assembler, watch: ProgramWatch, number: number): void {
  const { address, lenBytes } = watch;
  const place = (word: number): number => 4 * (word - 1) - frameBytes; // behind the size, which the kernel writes
  for (const [i, register] of sampledRegisters.entries()) {
    const from = contextOffsets[register];
    if (from !== undefined)
      program.load(8, 1, 6, from).store(8, 10, place(rawHit.registers + 2 * i), { reg: 1 });
  }
  const is32Bit = program.label('32-bit code');
  const unread = program.label('unread');
  program
    .mov(7, number)
    .load(8, 1, 6, context.cs)
    .jumpIf('eq', 1, user32Segment, is32Bit)
    .alu('or', 7, rawHitMarks.is64Bit)
    .at(is32Bit)
    .store(8, 10, place(rawHit.valueLow), 0)
    .mov(1, { reg: 10 })
    .alu('add', 1, place(rawHit.valueLow))
    .mov(2, lenBytes)
    .load64(3, address)
    .call(address < firstKernelAddress ? BPF_FUNC_probe_read_user : BPF_FUNC_probe_read_kernel)
    .jumpIf('ne', 0, 0, unread)
    .alu('or', 7, rawHitMarks.read)
    .at(unread)
    .store(4, 10, place(rawHit.marks), { reg: 7 })
    .mov(1, { reg: 6 })
    .loadMap(2, hitsMap)
    .load64(3, BPF_F_CURRENT_CPU)
    .mov(4, { reg: 10 })
    .alu('add', 4, place(rawHit.registers))
    .mov(5, rawHit.bytes)
    .call(BPF_FUNC_perf_event_output);
}

const context = x86PerfEventContext;
/** Where the context has what a sample calls by a number. */
const contextOffsets: Readonly<Record<number, number>> = {
  [PERF_REG_X86_AX]: context.ax,
  [PERF_REG_X86_BX]: context.bx,
  [PERF_REG_X86_CX]: context.cx,
  [PERF_REG_X86_DX]: context.dx,
  [PERF_REG_X86_SI]: context.si,
  [PERF_REG_X86_DI]: context.di,
  [PERF_REG_X86_BP]: context.bp,
  [PERF_REG_X86_SP]: context.sp,
  [PERF_REG_X86_FLAGS]: context.flags,
  [PERF_REG_X86_R8]: context.r8,
  [PERF_REG_X86_R8 + 1]: context.r9,
  [PERF_REG_X86_R8 + 2]: context.r10,
  [PERF_REG_X86_R8 + 3]: context.r11,
  [PERF_REG_X86_R8 + 4]: context.r12,
  [PERF_REG_X86_R8 + 5]: context.r13,
  [PERF_REG_X86_R8 + 6]: context.r14,
  [PERF_REG_X86_R8 + 7]: context.r15,
};
