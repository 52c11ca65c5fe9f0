import { isKernelError } from '../../base/kernel-error.ts';
import { type AssembledProgram, Assembler } from '../../bpf/assembler.ts';
import { trapRecord } from '../../ring/sample-layout.ts';
import type { Bpf, BpfMap, BpfProgram } from '../../surface/bpf.ts';
import type { Events, HitDrain, PerfEvent } from '../../surface/events.ts';
import type { Surface } from '../../surface/surface.ts';
import {
  BPF_F_CURRENT_CPU,
  BPF_FUNC_perf_event_output,
  BPF_FUNC_probe_read_kernel,
  BPF_FUNC_probe_read_user,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
} from '../../uapi/bpf.ts';
import { type EventOptions, trapValuesAttr } from '../event-attrs.ts';
import type { PlannedWatch } from '../plan.ts';

/** The map of events, by CPU, in programs that have {@link emitTrapValue} in them. */
export const trapValuesMap = 'trap values';

/**
 * Reads the watched memory in every trap: a bpf program at each breakpoint event writes the bytes to the ring of its CPU,
 * right before the sample of the hit. Costs the target some 0.3 us a hit; the sample stays what it is.
 */
export class TrapValues {
  readonly #bpf: Bpf;
  readonly #events: Events;
  readonly #drain: HitDrain;
  readonly #options: EventOptions;
  readonly #map: BpfMap;
  readonly #outputs: PerfEvent[] = [];
  /** By watch number. */
  readonly #programs: Map<number, BpfProgram> = new Map();

  private constructor(
    parts: { readonly bpf: Bpf; readonly events: Events; readonly drain: HitDrain; readonly map: BpfMap },
    options: EventOptions,
  ) {
    this.#bpf = parts.bpf;
    this.#events = parts.events;
    this.#drain = parts.drain;
    this.#map = parts.map;
    this.#options = options;
  }

  /** `undefined` where bpf is not there or not allowed. */
  static open(surface: Surface, drain: HitDrain, options: EventOptions): TrapValues | undefined {
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
      // The verifier's word, and that of perf, before anything is armed.
      bpf.load(requestOf(trapProgram({ address: 0x1000n, lenBytes: 8 }, 0), map)).close();
      events.open(trapValuesAttr(options), { pid: -1, cpu: tasks.cpus[0] ?? 0 }).close();
    } catch (error) {
      map?.close();
      if (isKernelError(error)) return undefined;
      throw error;
    }
    return new TrapValues({ bpf, events, drain, map }, options);
  }

  /** Values of hits on `cpu` go to the ring of `holder`. */
  addRing(cpu: number, holder: PerfEvent): void {
    const output = this.#events.open(trapValuesAttr(this.#options), { pid: -1, cpu });
    this.#outputs.push(output);
    output.setOutput(holder);
    this.#drain.addValues(output);
    this.#map.setEvent(cpu, output);
  }

  /** Hits of `event`, of watch number `number`, have the watched memory read. */
  attach(event: PerfEvent, watch: PlannedWatch, number: number): void {
    if (watch.access === 'x') return;
    let program = this.#programs.get(number);
    if (program === undefined) {
      program = this.#bpf.load(requestOf(trapProgram(watch, number), this.#map));
      this.#programs.set(number, program);
    }
    program.attach(event);
  }

  close(): void {
    for (const output of this.#outputs.splice(0)) output.close();
    for (const program of this.#programs.values()) program.close();
    this.#programs.clear();
    this.#map.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function requestOf({ bytes, mapUses }: AssembledProgram, map: BpfMap): Parameters<Bpf['load']>[0] {
  return { bytes, maps: mapUses, mapOf: { [trapValuesMap]: map } };
}

/** A program that reads the watched memory, and lets the sample be. */
function trapProgram(
  watch: { readonly address: bigint; readonly lenBytes: number },
  number: number,
): AssembledProgram {
  const program = new Assembler();
  program.mov(6, { reg: 1 });
  emitTrapValue(program, watch, number);
  return program.mov(0, 1).exit().assemble();
}

const firstKernelAddress = 0x8000_0000_0000_0000n;
const recordBytes = 16;

/**
 * Instructions that read the memory of a watch and write it to the ring; nothing is written if it cannot be read.
 * Register 6 holds the program's context; 0 to 5 and the 16 bytes at the end of the stack are lost.
 */
export function emitTrapValue(
  program: Assembler,
  watch: { readonly address: bigint; readonly lenBytes: number },
  number: number,
): void {
  const { address, lenBytes } = watch;
  const unread = program.label('unread');
  const numberAt = 4 * (trapRecord.watch - trapRecord.valueLow) - recordBytes;
  program
    .store(8, 10, -recordBytes, 0)
    .mov(1, { reg: 10 })
    .alu('add', 1, -recordBytes)
    .mov(2, lenBytes)
    .load64(3, address)
    .call(address < firstKernelAddress ? BPF_FUNC_probe_read_user : BPF_FUNC_probe_read_kernel)
    .jumpIf('ne', 0, 0, unread)
    .store(4, 10, numberAt, number)
    .mov(1, { reg: 6 })
    .loadMap(2, trapValuesMap)
    .load64(3, BPF_F_CURRENT_CPU)
    .mov(4, { reg: 10 })
    .alu('add', 4, -recordBytes)
    .mov(5, trapRecord.rawBytes)
    .call(BPF_FUNC_perf_event_output)
    .at(unread);
}
