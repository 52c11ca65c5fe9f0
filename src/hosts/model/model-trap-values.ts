import { highWord, lowWord } from '../../base/pair.ts';
import type { PerfEvent as KernelEvent } from '../../kernel/perf/perf-event.ts';
import { type HitColumns, valueFlags, valueSources } from '../../ring/hit-columns.ts';
import { memoryAt } from './memory-at.ts';
import type { ModelHost } from './model-host.ts';

/** The watched memory as it was in a trap. */
interface TrapValue {
  readonly timeNs: number;
  readonly watch: number;
  readonly value: bigint;
}

const trapSource = valueSources.indexOf('trap');

/**
 * The watched memory at every hit: nothing runs on the simulated machine between an access and its trap, so it is what the
 * access left. Samples go to the rings as ever; values wait here, by CPU in the order of time, for the rows that they
 * belong to. A row whose sample was lost has none, and its value is passed over.
 */
export class ModelTrapValues {
  readonly #host: ModelHost;
  /** By CPU. */
  readonly #waiting: TrapValue[][] = [];

  constructor(host: ModelHost) {
    this.#host = host;
  }

  /** Reads memory at every overflow of `event`, and of what inherits it. */
  watch(event: KernelEvent, watch: number): void {
    const { kernel } = this.#host;
    event.overflowHandler = (hit, frame) => {
      this.#read(hit, watch);
      kernel.output.writeSample(hit, frame);
    };
  }

  #read(event: KernelEvent, watch: number): void {
    const { machine } = this.#host;
    const cpu = machine.currentCpu;
    const { bpAddr = 0n, bpLen = 0n } = event.attr;
    const memory = memoryAt(machine, cpu, bpAddr);
    if (memory === undefined || cpu.current?.replay !== undefined) return; // a recording has no values
    this.#waiting[cpu.number] ??= [];
    this.#waiting[cpu.number]?.push({
      timeNs: machine.nowNs(),
      watch,
      value: memory.readNumber(bpAddr, Number(bpLen)),
    });
  }

  /** Puts the values into rows from `first` on, which have just been read. */
  fill(columns: HitColumns, first: number): void {
    const { values } = columns;
    if (values === undefined) return;
    for (let row = first; row < columns.length; row++) {
      const timeNs = columns.timeHigh[row]! * 0x1_0000_0000 + columns.timeLow[row]!; // row < length, here and below
      const waiting = this.#waiting[columns.cpu[row]!] ?? [];
      while (waiting[0] !== undefined && waiting[0].timeNs < timeNs) waiting.shift();
      const [trap] = waiting;
      if (trap === undefined || trap.timeNs !== timeNs || trap.watch !== columns.watch[row]) continue;
      waiting.shift();
      values.flags[row] = trapSource | valueFlags.exact;
      values.afterLow[row] = lowWord(trap.value);
      values.afterHigh[row] = highWord(trap.value);
    }
  }
}
