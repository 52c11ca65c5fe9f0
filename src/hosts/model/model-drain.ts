import { highWord, lowWord } from '../../base/pair.ts';
import type { PerfEvent as KernelEvent } from '../../kernel/perf/perf-event.ts';
import type { RingBuffer } from '../../kernel/perf/ring-buffer.ts';
import { tickNs } from '../../machines/sim/sim-machine.ts';
import { type HitBatch, HitColumns } from '../../ring/hit-columns.ts';
import { noHorizon, RingDrain } from '../../ring/ring-drain.ts';
import { RingView } from '../../ring/ring-view.ts';
import type { SampleLayout } from '../../ring/sample-layout.ts';
import type { HitDrain, PerfEvent, Ring } from '../../surface/events.ts';
import type { ModelHost } from './model-host.ts';
import { ModelTrapValues } from './model-trap-values.ts';

/** Hits in one batch at most. */
const batchRows = 4096;

/** What a {@link ModelHitDrain} works with. */
export interface ModelDrainParts {
  readonly host: ModelHost;
  readonly layout: SampleLayout;
  /** The ring that an event mapped, as it is read and as the kernel has it. */
  readonly ringOf: (event: PerfEvent) => { readonly mapped: Ring; readonly ring: RingBuffer };
  /** The kernel's object. */
  readonly eventOf: (event: PerfEvent) => KernelEvent;
  /** Makes something happen when no program can run; false: nothing will happen any more. */
  readonly step: () => Promise<boolean>;
  /** Is told when nothing will hit any more. */
  readonly idle: () => void;
}

/**
 * Hits of the model's rings as batches. Waiting for the next batch is what lets the machine's programs run, and the steps
 * of a scenario. A ring that wakes its reader is read at once, as by a thread on another CPU: hits are lost only where
 * more of them come than a ring holds before it wakes anybody.
 */
export class ModelHitDrain implements HitDrain {
  readonly #host: ModelHost;
  readonly #ringOf: ModelDrainParts['ringOf'];
  readonly #eventOf: ModelDrainParts['eventOf'];
  readonly #values: ModelTrapValues | undefined;
  readonly #step: () => Promise<boolean>;
  readonly #idle: () => void;
  readonly #drain: RingDrain;
  readonly #rings: Set<RingBuffer> = new Set();
  onUrgent: (() => void) | undefined;
  readonly #ready: HitColumns[] = [];
  readonly #free: HitColumns[] = [];
  #columns: HitColumns;
  #finished = false;

  constructor(parts: ModelDrainParts) {
    this.#host = parts.host;
    this.#ringOf = parts.ringOf;
    this.#step = parts.step;
    this.#idle = parts.idle;
    this.#eventOf = parts.eventOf;
    this.#values = parts.layout.values === undefined ? undefined : new ModelTrapValues(parts.host);
    this.#columns = this.#freshColumns();
    this.#drain = new RingDrain(parts.layout);
  }

  addRing(event: PerfEvent): void {
    const { mapped, ring } = this.#ringOf(event);
    this.#drain.addRing(new RingView(mapped.memory, mapped.pageBytes));
    this.#rings.add(ring);
    ring.onWakeup = () => this.#pass();
  }

  addWatch(event: PerfEvent, watch: number): void {
    const id = event.id();
    this.#drain.addWatchId(lowWord(id), highWord(id), watch);
    this.#values?.watch(this.#eventOf(event), watch);
  }

  forgetWatch(watch: number): void {
    this.#drain.forgetWatch(watch);
  }

  /** Nothing: no bpf program of the model writes hits. */
  addRawHits(_event: PerfEvent): void {}

  dropDoubles(): void {
    this.#drain.dropDoubles();
  }

  /** Reads the rings until they are empty. Records are written in the order of time here: none can still be overtaken. */
  #pass(): void {
    for (let more = true; more; ) {
      const { length } = this.#columns;
      more = this.#drain.pass(this.#columns, noHorizon);
      this.#values?.fill(this.#columns, length);
      if (more) this.#nextColumns();
    }
    if (this.#columns.length === this.#columns.capacity) this.#nextColumns();
  }

  #nextColumns(): void {
    this.#ready.push(this.#columns);
    this.#columns = this.#freshColumns();
  }

  #freshColumns(): HitColumns {
    return this.#free.pop() ?? new HitColumns({ capacity: batchRows, values: this.#values !== undefined });
  }

  async next(): Promise<HitBatch | undefined> {
    for (;;) {
      this.#pass();
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
    if (this.#ready.length === 0) {
      if (this.#columns.length === 0 && !this.#drain.hasNotices) return undefined;
      this.#nextColumns();
    }
    const columns = this.#ready.shift();
    return columns === undefined ? undefined : this.#drain.takeBatch(columns);
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
    for (const ring of this.#rings) ring.onWakeup = null;
    this.#rings.clear();
    this.finish();
  }
}
