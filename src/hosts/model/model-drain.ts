import type { TrapFrame } from '../../arch/trap-frame.ts';
import { lowWord } from '../../base/pair.ts';
import type { PerfEvent as KernelEvent } from '../../kernel/perf/perf-event.ts';
import { kernelCopyIp } from '../../machines/sim/instruction-unit.ts';
import { tickNs } from '../../machines/sim/sim-machine.ts';
import { type HitBatch, HitColumns, hitFlags } from '../../ring/hit-columns.ts';
import { SiteTable } from '../../ring/interning.ts';
import type { HitDrain, PerfEvent } from '../../surface/events.ts';
import type { ModelHost } from './model-host.ts';

/** Hits in one batch at most. */
const batchRows = 4096;

/** What a {@link ModelHitDrain} works with. */
export interface ModelDrainParts {
  readonly host: ModelHost;
  readonly eventOf: (event: PerfEvent) => KernelEvent;
  /** Makes something happen when no program can run; false: nothing will happen any more. */
  readonly step: () => Promise<boolean>;
  /** Is told when nothing will hit any more. */
  readonly idle: () => void;
}

/** Whether a kernel hit is of the same copy as the row before: no time passes within an operation. */
function continuesCopy(
  { timeLow, timeHigh, tid, watch, flags }: HitColumns,
  row: number,
  frame: TrapFrame,
): boolean {
  const before = row - 1;
  return (
    before >= 0 &&
    frame.ipLow === lowWord(kernelCopyIp) &&
    ((flags[before] ?? 0) & hitFlags.kernel) !== 0 &&
    [timeLow, timeHigh, tid, watch].every((column) => column[before] === column[row])
  );
}

/**
 * Hits of the model's events as batches. They are taken at the overflow itself, so none is lost and no ring is needed.
 * Waiting for the next batch is what lets the machine's programs run, and the steps of a scenario. Stacks are not known:
 * every row has none.
 */
export class ModelHitDrain implements HitDrain {
  readonly #host: ModelHost;
  readonly #eventOf: (event: PerfEvent) => KernelEvent;
  readonly #step: () => Promise<boolean>;
  readonly #idle: () => void;
  readonly #watched: Set<KernelEvent> = new Set();
  readonly #sites: SiteTable = new SiteTable();
  readonly #ready: HitColumns[] = [];
  readonly #free: HitColumns[] = [];
  #columns: HitColumns = new HitColumns({ capacity: batchRows });
  #finished = false;

  constructor(parts: ModelDrainParts) {
    this.#host = parts.host;
    this.#eventOf = parts.eventOf;
    this.#step = parts.step;
    this.#idle = parts.idle;
  }

  /** Nothing: hits do not pass through a ring here. */
  addRing(_event: PerfEvent): void {}

  /** Nothing: hits are taken at the overflow itself. */
  addRawHits(_event: PerfEvent): void {}

  addWatch(event: PerfEvent, watch: number): void {
    const kernelEvent = this.#eventOf(event);
    this.#watched.add(kernelEvent);
    kernelEvent.overflowHandler = (_hit, frame) => this.#add(frame, watch);
  }

  #add(frame: TrapFrame, watch: number): void {
    const { machine } = this.#host;
    const task = machine.currentCpu.current;
    const pid = task?.pid ?? 0;
    const columns = this.#columns;
    const row = columns.length++;
    const now = machine.nowNs();
    columns.timeLow[row] = now >>> 0;
    columns.timeHigh[row] = Math.floor(now / 0x1_0000_0000);
    columns.pid[row] = pid;
    columns.tid[row] = task?.tid ?? 0;
    columns.site[row] = this.#sites.intern(frame.ipLow, frame.ipHigh, frame.userMode ? pid : 0);
    columns.stack[row] = 0;
    columns.cpu[row] = machine.currentCpu.number;
    columns.watch[row] = watch;
    columns.flags[row] = frame.userMode
      ? 0
      : hitFlags.kernel | (continuesCopy(columns, row, frame) ? hitFlags.continuesCopy : 0);
    if (columns.length < columns.capacity) return;
    this.#ready.push(columns);
    this.#columns = this.#free.pop() ?? new HitColumns({ capacity: batchRows });
  }

  /** Nothing: tasks do not run while breakpoints are armed here, so none inherits and is armed again. */
  dropDoubles(): void {}

  async next(): Promise<HitBatch | undefined> {
    for (;;) {
      const batch = this.#take();
      if (batch !== undefined) return batch;
      if (this.#finished) return undefined;
      if (this.#host.machine.run({ untilNs: this.#host.machine.nowNs() + tickNs })) continue;
      if (await this.#step()) continue;
      this.#finished = true;
      this.#idle();
    }
  }

  #take(): HitBatch | undefined {
    let columns = this.#ready.shift();
    if (columns === undefined) {
      if (this.#columns.length === 0) return undefined;
      columns = this.#columns;
      this.#columns = this.#free.pop() ?? new HitColumns({ capacity: batchRows });
    }
    const firstSite = this.#sites.firstNew;
    return {
      columns,
      firstSite,
      newSites: this.#sites.takeNew(),
      firstStack: 0,
      newStacks: new Uint32Array(0),
      notices: [],
    };
  }

  recycle(batch: HitBatch): void {
    batch.columns.length = 0;
    this.#free.push(batch.columns);
  }

  finish(): void {
    this.#finished = true;
  }

  cpuTimeNs(): undefined {}

  close(): void {
    for (const event of this.#watched) event.overflowHandler = null;
    this.#watched.clear();
    this.finish();
  }
}
