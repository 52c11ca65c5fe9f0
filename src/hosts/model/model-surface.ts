import { assert } from '../../base/assert.ts';
import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import type { PerfEvent as KernelEvent } from '../../kernel/perf/perf-event.ts';
import type { RingBuffer } from '../../kernel/perf/ring-buffer.ts';
import type { SampleLayout } from '../../ring/sample-layout.ts';
import type {
  EventCounts,
  Events,
  EventTarget,
  HangupWait,
  HitDrain,
  PerfEvent,
  Ring,
} from '../../surface/events.ts';
import type { Memory } from '../../surface/memory.ts';
import type { Names } from '../../surface/names.ts';
import type { MappedRing } from '../../surface/perf-calls.ts';
import type { KernelIdentity, Surface } from '../../surface/surface.ts';
import {
  encodePerfEventAttr,
  PERF_FORMAT_ID,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  type PerfEventAttr,
} from '../../uapi/perf-event-attr.ts';
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
  PERF_EVENT_IOC_SET_OUTPUT,
} from '../../uapi/perf-event-ioctl.ts';
import { ModelBpf } from './model-bpf.ts';
import { ModelHitDrain } from './model-drain.ts';
import type { ModelHost } from './model-host.ts';
import { ModelTasks } from './model-tasks.ts';

/** Bytes of a record of one event with all fields. */
const recordBytes = 40;

/** One open event of the model. */
class ModelPerfEvent implements PerfEvent {
  readonly #host: ModelHost;
  #fd: number;
  readonly #readFormat: number;
  #mapped: MappedRing | undefined;

  constructor(host: ModelHost, fd: number, readFormat: number) {
    this.#host = host;
    this.#fd = fd;
    this.#readFormat = readFormat;
  }

  /** -1 when closed. */
  get fd(): number {
    return this.#fd;
  }

  /** The kernel's object. Throws `KernelError` EBADF once closed. */
  get event(): KernelEvent {
    return this.#host.calls.event(this.#fd);
  }

  id(): bigint {
    return BigInt(this.event.top.id);
  }

  enable(): void {
    this.#host.calls.ioctl(this.#fd, PERF_EVENT_IOC_ENABLE, 0);
  }

  disable(): void {
    this.#host.calls.ioctl(this.#fd, PERF_EVENT_IOC_DISABLE, 0);
  }

  modify(attr: PerfEventAttr): void {
    this.#host.calls.ioctl(this.#fd, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, encodePerfEventAttr(attr));
  }

  setOutput(event: PerfEvent): void {
    assert(event instanceof ModelPerfEvent, 'an event of this surface');
    this.#host.calls.ioctl(this.#fd, PERF_EVENT_IOC_SET_OUTPUT, event.#fd);
  }

  /** The ring that this event mapped. */
  ring(): { readonly mapped: Ring; readonly ring: RingBuffer } {
    assert(this.#mapped !== undefined, 'an event with a ring');
    return { mapped: ringOf(this.#mapped), ring: this.#host.kernel.rings.mapped(this.#mapped).ring };
  }

  read(): EventCounts {
    const bytes = this.#host.calls.read(this.#fd, recordBytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    const next = (): bigint => {
      const word = bytes.length === 0 ? 0n : view.getBigUint64(at, true);
      at += 8;
      return word;
    };
    const has = (bit: number): boolean => (this.#readFormat & bit) !== 0;
    return {
      value: next(),
      ...(has(PERF_FORMAT_TOTAL_TIME_ENABLED) ? { timeEnabledNs: next() } : {}),
      ...(has(PERF_FORMAT_TOTAL_TIME_RUNNING) ? { timeRunningNs: next() } : {}),
      ...(has(PERF_FORMAT_ID) ? { id: next() } : {}),
      ...(has(PERF_FORMAT_LOST) ? { lost: next() } : {}),
    };
  }

  mapRing(dataPages: number): Ring {
    assert(this.#mapped === undefined, 'a ring is mapped once');
    this.#mapped = this.#host.calls.mmap(this.#fd, { dataPages, readOnly: false, private: false });
    return ringOf(this.#mapped);
  }

  close(): void {
    if (this.#fd < 0) return;
    if (this.#mapped !== undefined) this.#host.calls.munmap(this.#mapped);
    this.#mapped = undefined;
    this.#host.calls.close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function ringOf({ memory, pageBytes }: MappedRing): Ring {
  return { memory, pageBytes, dataBytes: memory.byteLength - pageBytes };
}

class ModelEvents implements Events {
  readonly #host: ModelHost;
  readonly #step: () => Promise<boolean>;
  /** To be called when nothing can hit any more. */
  readonly #hangups: Set<() => void> = new Set();

  constructor(host: ModelHost, step: () => Promise<boolean>) {
    this.#host = host;
    this.#step = step;
  }

  open(attr: PerfEventAttr, target: EventTarget): PerfEvent {
    const bytes = encodePerfEventAttr(attr);
    const fd = this.#host.calls.perfEventOpen({ attr: bytes, ...target, groupFd: -1, flags: 0 });
    return new ModelPerfEvent(this.#host, fd, attr.readFormat ?? 0);
  }

  /** Ends when no program can run any more, and no step is left. */
  waitHangup(): HangupWait {
    let resolveEnded: () => void = () => {};
    const ended = new Promise<void>((resolve) => {
      resolveEnded = resolve;
    });
    this.#hangups.add(resolveEnded);
    return {
      ended,
      check: () => {}, // idleness is told at once
      close: () => {
        this.#hangups.delete(resolveEnded);
      },
    };
  }

  drain(layout: SampleLayout): HitDrain {
    return new ModelHitDrain({
      host: this.#host,
      layout,
      ringOf: (event) => {
        assert(event instanceof ModelPerfEvent, 'an event of this surface');
        return event.ring();
      },
      eventOf: (event) => {
        assert(event instanceof ModelPerfEvent, 'an event of this surface');
        return event.event;
      },
      step: this.#step,
      idle: () => {
        for (const hangUp of this.#hangups) hangUp();
      },
    });
  }
}

/** Every address of a model's process can be read: memory is zero where nothing was stored. */
class ModelMemory implements Memory {
  readonly #host: ModelHost;

  constructor(host: ModelHost) {
    this.#host = host;
  }

  read(pid: number, address: bigint, lengthBytes: number): Uint8Array {
    const task = this.#host.machine.findTask(pid);
    if (task === undefined)
      throw new KernelError({ errno: errnoValues.ESRCH, operation: `read memory of ${pid}` });
    return task.memory.read(address, lengthBytes);
  }
}

/** What a {@link ModelSurface} may have besides its host. */
export interface ModelSurfaceOptions {
  /** Names of places. */
  readonly names?: Names;
  /** Makes something happen when no program can run; false: nothing will happen any more. */
  readonly step?: () => Promise<boolean>;
}

/** The system calls of a {@link ModelHost}, by objects. What the model has not got is absent. */
export class ModelSurface implements Surface {
  readonly kernel: KernelIdentity = { description: 'Trapline model x86_64', machine: 'x86_64', live: false };
  readonly host: ModelHost;
  readonly events: Events;
  readonly tasks: ModelTasks;
  readonly memory: Memory;
  readonly bpf: ModelBpf;
  readonly names?: Names;

  constructor(host: ModelHost, options: ModelSurfaceOptions = {}) {
    this.host = host;
    if (options.names !== undefined) this.names = options.names;
    this.events = new ModelEvents(host, options.step ?? (() => Promise.resolve(false)));
    this.tasks = new ModelTasks(host);
    this.memory = new ModelMemory(host);
    this.bpf = new ModelBpf(host.calls, (event) => {
      assert(event instanceof ModelPerfEvent, 'an event of this surface');
      return event.fd;
    });
  }

  now(): bigint {
    return BigInt(this.host.machine.nowNs());
  }

  close(): void {
    this.host.close();
  }
}
