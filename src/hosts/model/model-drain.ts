import type { TrapFrame } from '../../arch/trap-frame.ts';
import type { PerfEvent as KernelEvent } from '../../kernel/perf/perf-event.ts';
import { tickNs } from '../../machines/sim/sim-machine.ts';
import { type HitBatch, HitColumns, hitFlags } from '../../ring/hit-columns.ts';
import { SiteTable } from '../../ring/interning.ts';
import type { HitDrain, PerfEvent } from '../../surface/events.ts';
import type { ModelHost } from './model-host.ts';

/** Hits in one batch at most. */
const batchRows = 4096;

/**
 * Hits of the model's events as batches. They are taken at the overflow itself, so none is lost and no ring is needed.
 * Waiting for the next batch is what lets the machine's programs run. Stacks are not known: every row has none.
 */
export class ModelHitDrain implements HitDrain {
  readonly #host: ModelHost;
  readonly #eventOf: (event: PerfEvent) => KernelEvent;
  readonly #idle: () => void;
  readonly #watched: Set<KernelEvent> = new Set();
  readonly #sites: SiteTable = new SiteTable();
  readonly #ready: HitColumns[] = [];
  readonly #free: HitColumns[] = [];
  #columns: HitColumns = new HitColumns({ capacity: batchRows });
  #finished = false;
  #wake: (() => void) | undefined;

  /** `idle` is called when no program can run any more: nothing will hit. */
  constructor(host: ModelHost, eventOf: (event: PerfEvent) => KernelEvent, idle: () => void) {
    this.#host = host;
    this.#eventOf = eventOf;
    this.#idle = idle;
  }

  /** Nothing: hits do not pass through a ring here. */
  addRing(_event: PerfEvent): void {}

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
    columns.flags[row] = frame.userMode ? 0 : hitFlags.kernel;
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
      // Nothing runs any more: only the end of the session can come.
      this.#idle();
      if (this.#finished) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
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
    this.#wake?.();
  }

  cpuTimeNs(): undefined {}

  close(): void {
    for (const event of this.#watched) event.overflowHandler = null;
    this.#watched.clear();
    this.finish();
  }
}
