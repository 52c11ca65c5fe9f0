import { perfEventMmapPageOffsets as at } from '../../uapi/perf-event-ring.ts';
import type { PerfEvent } from './perf-event.ts';

/** Bytes of a page. */
export const pageBytes = 4096;
/** `size` of the control page: bytes of it that have a meaning. */
const controlPageSize = 84;
/** `capabilities` of the control page: bit 0 is deprecated, and nothing else can be done from user space. */
const controlPageCapabilities = 2;

/** How a ring is made. */
export interface RingOptions {
  /** 2^n, or 0: nothing is ever written. */
  readonly dataPages: number;
  /** Mapped without PROT_WRITE: nobody can say what has been read, and the oldest is overwritten. */
  readonly overwrite: boolean;
  /** `write_backward`: records grow towards lower addresses. */
  readonly backward: boolean;
  /** `wakeup_watermark` in bytes; 0: half of the data. */
  readonly watermark: number;
}

/**
 * The memory that samples go to, in Linux's layout: a control page, then the data. Head and tail are free-running
 * 64-bit byte counters; the position is the counter modulo the size. docs/spec/03 section 12.
 *
 * A record is written between {@link reserve} and {@link publish}, in u32 words one after another: all records are
 * multiples of 8 bytes, and words wrap around the end.
 */
export class RingBuffer {
  readonly memory: ArrayBuffer;
  readonly dataPages: number;
  readonly overwrite: boolean;
  readonly backward: boolean;
  /** Records that found no room since the last LOST record. */
  lost = 0;
  /** Nothing is written; what would be is lost. */
  paused: boolean;
  /** What the next poll(2) tells, once. */
  pollEvents = 0;
  /** Mappings that there are. At 0 the ring is gone. */
  mappings = 0;
  /** Events that write here. */
  readonly writers: Set<PerfEvent> = new Set();
  /** Is told when the ring wakes its readers. */
  onWakeup: (() => void) | null = null;
  readonly #words: Uint32Array;
  readonly #wordMask: number;
  readonly #byteMask: number;
  readonly #control: Uint32Array;
  readonly #watermark: number;
  #headLow = 0;
  #headHigh = 0;
  /** Bytes since the last wakeup by watermark. */
  #sinceWakeup = 0;
  /** Samples since the last wakeup by number. */
  #samples = 0;
  #wakes = false;
  #next = 0;

  constructor(options: RingOptions) {
    const { dataPages, watermark } = options;
    const dataBytes = dataPages * pageBytes;
    this.dataPages = dataPages;
    this.overwrite = options.overwrite;
    this.backward = options.backward;
    this.paused = dataPages === 0;
    this.memory = new ArrayBuffer(pageBytes + dataBytes);
    this.#words = new Uint32Array(this.memory, pageBytes, dataBytes / 4);
    this.#control = new Uint32Array(this.memory, 0, pageBytes / 4);
    this.#byteMask = dataBytes - 1;
    this.#wordMask = dataBytes / 4 - 1;
    this.#watermark = watermark === 0 ? dataBytes / 2 : Math.min(watermark, dataBytes);
    this.#control[at.capabilities / 4] = controlPageCapabilities;
    this.#control[at.size / 4] = controlPageSize;
    this.#control[at.dataOffset / 4] = pageBytes;
    this.#control[at.dataSize / 4] = dataBytes;
  }

  /** Brings what the control page tells of its event up to date. */
  describe(count: number, enabledNs: number, runningNs: number): void {
    const put = (offset: number, value: number): void => {
      this.#control[offset / 4] = value >>> 0;
      this.#control[offset / 4 + 1] = Math.floor(value / 0x1_0000_0000);
    };
    this.#control[at.lock / 4]! += 2; // a page has every word
    put(at.offset, count);
    put(at.timeEnabled, enabledNs);
    put(at.timeRunning, runningNs);
  }

  /** Room for `sizeBytes` bytes, or false: there is none, as far as the reader has said what it has read. */
  reserve(sizeBytes: number): boolean {
    const headLow = this.#headLow;
    if (!this.overwrite) {
      // One byte stays free. A tail that makes no sense is taken modulo the size like any other.
      const tailLow = this.#control[at.dataTail / 4]!; // a page has every word
      const free = this.backward ? headLow - tailLow - 1 : tailLow - headLow - 1;
      if ((free & this.#byteMask) < sizeBytes) return false;
    }
    if (this.backward) {
      this.#headLow = (headLow - sizeBytes) >>> 0;
      if (this.#headLow > headLow) this.#headHigh = (this.#headHigh - 1) >>> 0;
      this.#next = this.#headLow >>> 2;
    } else {
      this.#headLow = (headLow + sizeBytes) >>> 0;
      if (this.#headLow < headLow) this.#headHigh++;
      this.#next = headLow >>> 2;
    }
    this.#sinceWakeup += sizeBytes;
    if (this.#sinceWakeup > this.#watermark) {
      this.#sinceWakeup -= this.#watermark;
      this.#wakes = true;
    }
    return true;
  }

  /** Writes a u32. */
  word(value: number): void {
    this.#words[this.#next++ & this.#wordMask] = value;
  }

  /** Writes a u64. */
  pair(low: number, high: number): void {
    const words = this.#words;
    const mask = this.#wordMask;
    words[this.#next & mask] = low;
    words[(this.#next + 1) & mask] = high;
    this.#next += 2;
  }

  /** Writes a u64 that is an integer below 2^53. */
  integer(value: number): void {
    this.pair(value, value < 0x1_0000_0000 ? 0 : Math.floor(value / 0x1_0000_0000));
  }

  /** A sample was written of an event that wakes at every `wakeupEvents`-th; 0: at none. */
  countSample(wakeupEvents: number): void {
    if (wakeupEvents === 0 || ++this.#samples < wakeupEvents) return;
    this.#samples -= wakeupEvents;
    this.#sinceWakeup--;
    this.#wakes = true;
  }

  /** Shows the reader what was written; gives whether it is to be woken. */
  publish(): boolean {
    this.#control[at.dataHead / 4] = this.#headLow;
    this.#control[at.dataHead / 4 + 1] = this.#headHigh;
    if (!this.#wakes) return false;
    this.#wakes = false;
    this.pollEvents = pollReadable;
    return true;
  }
}

/** POLLIN | POLLRDNORM. */
const pollReadable = 0x41;
