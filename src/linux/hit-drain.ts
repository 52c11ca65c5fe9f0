import { Worker } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { highWord, lowWord } from '../base/pair.ts';
import { type HitBatch, HitColumns } from '../ring/hit-columns.ts';
import type { SampleLayout } from '../ring/sample-layout.ts';
import type { HitDrain, PerfEvent, RingOptions } from '../surface/events.ts';
import {
  batchCredits,
  batchRowsOf,
  type DrainReply,
  type DrainRequest,
  type DrainStart,
} from './drain-protocol.ts';
import { noteWorker } from './living-workers.ts';
import { LinuxPerfEvent } from './perf-event.ts';
import type { System } from './system.ts';
import { workerUrl } from './worker-url.ts';

const EFD_CLOEXEC_NONBLOCK = 0o2004000;

/** Drains rings in a worker thread; see drain-worker.ts. */
export class LinuxHitDrain implements HitDrain {
  readonly #system: System;
  readonly #worker: Worker;
  readonly #wakeFd: number;
  readonly #finished: () => void;
  readonly #values: boolean;
  #watchIds: number[] = [];
  readonly #rings: DrainRequest[] = [];
  /** The worker reads rings: what it must know of samples it must know before they come. */
  #isReading: boolean = false;
  #batches: HitBatch[] = [];
  #waiting: { resolve: (batch: HitBatch | undefined) => void; reject: (error: Error) => void } | undefined;
  #state: 'running' | 'finishing' | 'finished' = 'running';
  #failure: Error | undefined;
  #cpuTimeNs: number = 0;
  onUrgent: (() => void) | undefined;

  /** `finished` is called when the rings are not read any more. */
  constructor(system: System, layout: SampleLayout, finished: () => void) {
    this.#system = system;
    this.#finished = finished;
    const values = layout.values !== undefined;
    this.#values = values;
    this.#wakeFd = system.check(system.ffi.eventfd(0, EFD_CLOEXEC_NONBLOCK), 'eventfd()');
    const start: DrainStart = { layout, wakeFd: this.#wakeFd };
    // Streams of its own: to pass a worker's output on, Node would open ours, and so make them non-blocking for every
    // process that shares them.
    this.#worker = new Worker(workerUrl('drain-worker'), { workerData: start, stdout: true, stderr: true });
    noteWorker(this.#worker);
    this.#worker.on('message', (reply: DrainReply) => this.#received(reply));
    this.#worker.on('error', (error) => this.#failed(error));
    this.#worker.on('exit', () => {
      if (this.#state !== 'finished') this.#failed(new Error('the drain worker ended too early'));
    });
    for (let i = 0; i < batchCredits; i++) {
      const buffer = new ArrayBuffer(HitColumns.bytesFor(batchRowsOf(layout), { values }));
      this.#post({ type: 'columns', buffer }, [buffer]);
    }
  }

  addRing(event: PerfEvent, options: RingOptions = {}): void {
    assert(event instanceof LinuxPerfEvent && event.mapping !== undefined, 'an event of Linux with a ring');
    this.#sendSoon();
    this.#rings.push({
      type: 'ring',
      fd: event.fd,
      address: event.mapping.address,
      lengthBytes: event.mapping.lengthBytes,
      urgent: options.urgent === true,
    });
  }

  addWatch(event: PerfEvent, watch: number): void {
    const id = event.id();
    this.#sendSoon();
    this.#watchIds.push(lowWord(id), highWord(id), watch);
    if (this.#isReading) this.#send();
  }

  forgetWatch(watch: number): void {
    this.#send(); // in the order of calls
    this.#post({ type: 'forgetWatch', watch });
  }

  addRawHits(event: PerfEvent): void {
    const id = event.id();
    this.#post({ type: 'rawHits', ids: Uint32Array.of(lowWord(id), highWord(id)) });
  }

  dropDoubles(): void {
    this.#post({ type: 'dropDoubles' });
  }

  next(): Promise<HitBatch | undefined> {
    assert(this.#waiting === undefined, 'one caller waits for hits at a time');
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const batch = this.#batches.shift();
    if (batch !== undefined) return Promise.resolve(batch);
    if (this.#state === 'finished') return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  recycle(batch: HitBatch): void {
    if (this.#state === 'finished') return;
    const { buffer } = batch.columns;
    this.#post({ type: 'columns', buffer }, [buffer]);
    if (this.#state === 'finishing') this.#wake();
  }

  finish(): void {
    if (this.#state !== 'running') return;
    this.#state = 'finishing';
    this.#send();
    this.#post({ type: 'finish' });
    this.#wake();
  }

  /** Reads the rings without waiting for them to be half full. */
  readNow(): void {
    if (this.#state === 'running') this.#wake();
  }

  cpuTimeNs(): number {
    return this.#cpuTimeNs;
  }

  close(): void {
    // What the worker has not been told of yet it need not know: the caller may unmap these rings at once.
    this.#rings.length = 0;
    this.#watchIds = [];
    this.finish();
    // With its columns back the worker can empty the rings and end by itself.
    for (const batch of this.#batches.splice(0)) this.recycle(batch);
  }

  /**
   * Event ids and rings are collected and sent together, ids first: a session has one id per thread, CPU and watch,
   * and no ring may be read before the ids of its samples are known.
   */
  #sendSoon(): void {
    if (this.#watchIds.length === 0 && this.#rings.length === 0) queueMicrotask(() => this.#send());
  }

  #send(): void {
    if (this.#watchIds.length > 0) {
      const ids = Uint32Array.from(this.#watchIds);
      this.#watchIds = [];
      this.#post({ type: 'watches', ids }, [ids.buffer]);
    }
    if (this.#rings.length > 0) this.#isReading = true;
    for (const ring of this.#rings.splice(0)) this.#post(ring);
  }

  #post(request: DrainRequest, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(request, transfer);
  }

  #wake(): void {
    this.#system.scratch((scratch) => {
      const one = scratch.alloc(8);
      one.view.setBigUint64(0, 1n, true);
      this.#system.ffi.write(this.#wakeFd, one.address, 8);
    });
  }

  #received(reply: DrainReply): void {
    this.#cpuTimeNs = reply.cpuTimeNs;
    if (reply.type === 'finished') {
      this.#state = 'finished';
      this.#finished();
      this.#system.ffi.close(this.#wakeFd);
      this.#settle(undefined);
      return;
    }
    if (reply.type === 'urgent') {
      this.onUrgent?.();
      return;
    }
    const { buffer, length, firstSite, newSites, firstStack, newStacks, notices } = reply;
    const columns = new HitColumns({ buffer, length, values: this.#values });
    this.#settle({ columns, firstSite, newSites, firstStack, newStacks, notices });
  }

  #settle(batch: HitBatch | undefined): void {
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting.resolve(batch);
    } else if (batch !== undefined) this.#batches.push(batch);
  }

  #failed(error: Error): void {
    this.#failure = error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }
}
