import type { Credentials } from '../../machine/task.ts';
import type { MappedRing, RingMapCall } from '../../surface/perf-calls.ts';
import { clockOf } from './attr-check.ts';
import type { EventControl } from './event-control.ts';
import { failure } from './failure.ts';
import type { PerfEvent } from './perf-event.ts';
import { pageBytes, RingBuffer } from './ring-buffer.ts';

/** perf_event_mlock_kb: KiB of rings that a user has for each online CPU. */
const mlockKb = 516;
/** RLIMIT_MEMLOCK of a process, in bytes: what it may hold beyond that. */
const memlockBytes = 8 << 20;

/** A mapping of a ring by an event's fd. */
export interface ModelRing extends MappedRing {
  readonly event: PerfEvent;
  readonly ring: RingBuffer;
}

/** mmap(2) on events, and where events send their samples. docs/spec/03 sections 7 and 12. */
export class RingControl {
  readonly #control: EventControl;
  readonly #onlineCpus: () => number;
  readonly #paranoid: number;
  readonly #locked: Map<
    RingBuffer,
    { readonly uid: number; readonly user: number; readonly pinned: number }
  > = new Map();
  readonly #userPages: Map<number, number> = new Map();
  #pinnedPages = 0;
  readonly #mapped: Set<ModelRing> = new Set();

  constructor(
    control: EventControl,
    options: { readonly onlineCpus: () => number; readonly paranoid: number },
  ) {
    this.#control = control;
    this.#onlineCpus = options.onlineCpus;
    this.#paranoid = options.paranoid;
  }

  /** Throws `KernelError` EINVAL, EBUSY, EPERM: docs/spec/03 section 12. */
  map(event: PerfEvent, call: RingMapCall, credentials: Credentials): ModelRing {
    const { dataPages } = call;
    const refuse = (hint: string): never => {
      throw failure('EINVAL', hint, 'mmap');
    };
    if (event.cpu === -1 && event.attr.inherit === true) refuse('inherit on any CPU');
    if (call.private) refuse('a private mapping');
    if (dataPages < 0 || (dataPages & (dataPages - 1)) !== 0) refuse('a ring has 2^n data pages, or none');
    let { ring } = event;
    if (ring !== null) {
      if (ring.dataPages !== dataPages) refuse('the ring has another size');
      if (event.mappings === 0) throw failure('EBUSY', 'the event writes to the ring of another', 'mmap');
    } else {
      const charge = this.#charge(1 + dataPages, credentials);
      ring = new RingBuffer({
        dataPages,
        overwrite: call.readOnly,
        backward: event.attr.writeBackward === true,
        watermark: event.attr.watermark === true ? (event.attr.wakeupEvents ?? 0) : 0,
      });
      this.#locked.set(ring, charge);
      this.#attach(event, ring);
      const { value, enabledNs, runningNs } = this.#control.totals(event);
      ring.describe(value, enabledNs, runningNs);
    }
    event.mappings++;
    ring.mappings++;
    const mapped: ModelRing = { memory: ring.memory, pageBytes, event, ring };
    this.#mapped.add(mapped);
    return mapped;
  }

  /** A mapping as this kernel knows it. */
  mapped(ring: MappedRing): ModelRing {
    for (const mapped of this.#mapped) if (mapped === ring) return mapped;
    throw failure('EINVAL', 'not mapped', 'munmap');
  }

  /** Ends all mappings. */
  unmapAll(): void {
    for (const mapped of this.#mapped) this.unmap(mapped);
  }

  /** Ends a mapping. With the last one of a ring the ring is gone, for every event that wrote to it. */
  unmap(mapped: ModelRing): void {
    const { event, ring } = mapped;
    this.#mapped.delete(mapped);
    ring.mappings--;
    if (--event.mappings === 0 && event.ring === ring) this.#attach(event, null);
    if (ring.mappings > 0) return;
    for (const writer of [...ring.writers]) this.#attach(writer, null);
    const charge = this.#locked.get(ring);
    if (charge === undefined) return;
    this.#locked.delete(ring);
    this.#pinnedPages -= charge.pinned;
    this.#userPages.set(charge.uid, (this.#userPages.get(charge.uid) ?? 0) - charge.user);
  }

  /** PERF_EVENT_IOC_SET_OUTPUT; null detaches. Throws `KernelError` EINVAL: docs/spec/03 section 7. */
  setOutput(event: PerfEvent, output: PerfEvent | null): void {
    const refuse = (hint: string): never => {
      throw failure('EINVAL', hint, 'PERF_EVENT_IOC_SET_OUTPUT');
    };
    if (output !== null) {
      if (output === event) refuse('an event cannot send to itself');
      if (output.cpu !== event.cpu) refuse('another CPU');
      if (output.cpu === -1 && output.task !== event.task) refuse('another task');
      if (clockOf(output.attr) !== clockOf(event.attr)) refuse('another clock');
      if ((output.attr.writeBackward === true) !== (event.attr.writeBackward === true))
        refuse('another direction');
    }
    if (event.mappings > 0) refuse('the event has a ring of its own mapped');
    if (output !== null && output.ring === null) refuse('the other event has no ring');
    this.#attach(event, output?.ring ?? null);
  }

  /** PERF_EVENT_IOC_PAUSE_OUTPUT. Throws `KernelError` EINVAL without a ring that has data. */
  pause(event: PerfEvent, paused: boolean): void {
    const { ring } = event;
    if (ring === null || ring.dataPages === 0)
      throw failure('EINVAL', 'the event has no ring', 'PERF_EVENT_IOC_PAUSE_OUTPUT');
    ring.paused = paused;
  }

  /** The event is gone: it writes nowhere any more. */
  forget(event: PerfEvent): void {
    this.#attach(event, null);
  }

  #attach(event: PerfEvent, ring: RingBuffer | null): void {
    event.ring?.writers.delete(event);
    event.ring = ring;
    ring?.writers.add(event);
  }

  /** Takes pages from the user's share, and what is more from the process's. */
  #charge(pages: number, credentials: Credentials): { uid: number; user: number; pinned: number } {
    const { uid } = credentials;
    const share = ((mlockKb << 10) / pageBytes) * this.#onlineCpus();
    const held = this.#userPages.get(uid) ?? 0;
    const pinned = Math.max(0, held + pages - Math.max(share, held));
    if (
      this.#pinnedPages + pinned > memlockBytes / pageBytes &&
      this.#paranoid > -1 &&
      !credentials.capabilities.has('IPC_LOCK')
    )
      throw failure('EPERM', `${pages} pages are more than may be locked`, 'mmap');
    this.#userPages.set(uid, held + pages - pinned);
    this.#pinnedPages += pinned;
    return { uid, user: pages - pinned, pinned };
  }
}
