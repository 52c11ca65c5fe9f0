import type { ByteSource } from '../base/byte-source.ts';
import { decodeCString } from '../base/text.ts';
import { RecordingError } from './recording-error.ts';

/** A breakpoint event of a perf.data. */
export interface PerfEvent {
  readonly bpType: number;
  readonly address: bigint;
  readonly lenBytes: number;
  readonly sampleType: number;
}

/** A record of a perf.data that import takes. */
export type PerfRecord =
  | {
      readonly type: 'sample';
      readonly kernel: boolean;
      readonly event: number;
      readonly ip: bigint;
      readonly pid: number;
      readonly tid: number;
      readonly timeNs: bigint;
      readonly cpu: number;
      /** With the context markers. */
      readonly callchain: readonly bigint[];
    }
  | {
      readonly type: 'comm';
      readonly pid: number;
      readonly tid: number;
      readonly comm: string;
      readonly exec: boolean;
      readonly timeNs: bigint;
    }
  | {
      readonly type: 'fork' | 'exit';
      readonly pid: number;
      readonly tid: number;
      readonly parentPid: number;
      readonly parentTid: number;
      readonly timeNs: bigint;
    }
  | {
      readonly type: 'mmap';
      readonly pid: number;
      readonly start: bigint;
      readonly lengthBytes: bigint;
      readonly offset: bigint;
      readonly executable: boolean;
      readonly path: string;
      readonly timeNs: bigint;
    }
  | { readonly type: 'lost'; readonly lost: number };

/** PERF_SAMPLE_… */
const bits = {
  ip: 1,
  tid: 2,
  time: 4,
  addr: 8,
  read: 0x10,
  callchain: 0x20,
  id: 0x40,
  cpu: 0x80,
  period: 0x100,
  streamId: 0x200,
  identifier: 0x1_0000,
} as const;

const breakpointType = 5;
const mostEvents = 4096;

/** A perf.data file, read without trust: what is not in the format ends in a {@link RecordingError}. */
export class PerfDataReader {
  readonly events: readonly PerfEvent[];
  readonly #source: ByteSource;
  readonly #dataAt: number;
  readonly #dataEnd: number;
  /** The event of an id. */
  readonly #ids: Map<bigint, number> = new Map();

  constructor(source: ByteSource) {
    this.#source = source;
    const header = this.#bytes(0, 104);
    if (header.getBigUint64(0, true) !== 0x32454c4946524550n)
      throw new RecordingError('this is not a perf.data file');
    const attrBytes = size(header, 16);
    const attrsAt = size(header, 24);
    const attrsBytes = size(header, 32);
    this.#dataAt = size(header, 40);
    const dataBytes = size(header, 48);
    // A recorder that was killed has written no size.
    this.#dataEnd = dataBytes === 0 ? source.sizeBytes : Math.min(source.sizeBytes, this.#dataAt + dataBytes);
    const count = attrBytes < 80 ? 0 : Math.floor(attrsBytes / attrBytes);
    if (count === 0 || count > mostEvents) throw new RecordingError('this perf.data describes no events');
    const events: PerfEvent[] = [];
    for (let i = 0; i < count; i++) {
      const attr = this.#bytes(attrsAt + i * attrBytes, attrBytes);
      if (attr.getUint32(0, true) !== breakpointType)
        throw new RecordingError(
          'this perf.data has events that are no breakpoints: record it with -e mem:…',
        );
      events.push({
        bpType: attr.getUint32(52, true),
        address: attr.getBigUint64(56, true),
        lenBytes: Number(attr.getBigUint64(64, true) & 0xffn),
        sampleType: Number(attr.getBigUint64(24, true) & 0xffff_ffffn),
      });
      const idsAt = size(attr, attrBytes - 16);
      const idsBytes = size(attr, attrBytes - 8);
      if (idsBytes > 1 << 24) throw new RecordingError('an event has too many ids');
      const ids = this.#bytes(idsAt, idsBytes);
      for (let at = 0; at + 8 <= idsBytes; at += 8) this.#ids.set(ids.getBigUint64(at, true), i);
    }
    this.events = events;
    const [first] = events;
    if (first === undefined || events.some(({ sampleType }) => sampleType !== first.sampleType))
      throw new RecordingError('the events of this perf.data have samples of several layouts');
    if ((first.sampleType & bits.read) !== 0)
      throw new RecordingError('samples with counts (-S) are not read');
    if (events.length > 1 && (first.sampleType & (bits.identifier | bits.id)) === 0)
      throw new RecordingError('samples do not say whose they are');
  }

  /** The records in the order of the file, up to its end or where it is cut off. */
  *records(): Generator<PerfRecord> {
    let window = new DataView(new ArrayBuffer(0));
    let windowAt = this.#dataAt;
    for (let at = this.#dataAt; at + 8 <= this.#dataEnd; ) {
      if (at + 0x1_0000 > windowAt + window.byteLength && windowAt + window.byteLength < this.#dataEnd) {
        windowAt = at;
        window = view(this.#source.read(at, Math.min(1 << 20, this.#dataEnd - at)));
      }
      const offset = at - windowAt;
      if (offset + 8 > window.byteLength) return;
      const bytes = window.getUint16(offset + 6, true);
      if (bytes < 8 || offset + bytes > window.byteLength) {
        if (bytes < 8) throw new RecordingError(`there is no record at byte ${at}`);
        return;
      }
      const parsed = this.#record(new DataView(window.buffer, window.byteOffset + offset, bytes));
      if (parsed !== undefined) yield parsed;
      at += bytes;
    }
  }

  #record(record: DataView): PerfRecord | undefined {
    const type = record.getUint32(0, true);
    const misc = record.getUint16(4, true);
    try {
      switch (type) {
        case 1:
        case 10:
          return this.#mmap(record, type === 10);
        case 2:
          return { type: 'lost', lost: Number(record.getBigUint64(16, true) & 0xffff_ffffn) };
        case 3:
          return {
            type: 'comm',
            ...{ pid: record.getUint32(8, true), tid: record.getUint32(12, true) },
            comm: textAt(record, 16),
            exec: (misc & (1 << 13)) !== 0,
            timeNs: this.#trailingTime(record),
          };
        case 4:
        case 7:
          return {
            type: type === 7 ? 'fork' : 'exit',
            ...{ pid: record.getUint32(8, true), parentPid: record.getUint32(12, true) },
            ...{ tid: record.getUint32(16, true), parentTid: record.getUint32(20, true) },
            timeNs: record.getBigUint64(24, true),
          };
        case 9:
          return this.#sample(record, (misc & 7) === 1);
        case 81:
          throw new RecordingError('this perf.data is compressed (-z): it cannot be read');
        default:
          return undefined;
      }
    } catch (error) {
      if (error instanceof RangeError) throw new RecordingError('a record is shorter than its contents');
      throw error;
    }
  }

  #mmap(record: DataView, extended: boolean): PerfRecord {
    return {
      type: 'mmap',
      pid: record.getUint32(8, true),
      start: record.getBigUint64(16, true),
      lengthBytes: record.getBigUint64(24, true),
      offset: record.getBigUint64(32, true),
      executable: !extended || (record.getUint32(64, true) & 4) !== 0,
      path: textAt(record, extended ? 72 : 40),
      timeNs: this.#trailingTime(record),
    };
  }

  #sample(record: DataView, kernel: boolean): PerfRecord {
    const type = this.events[0]?.sampleType ?? 0;
    let at = 8;
    const next = (bit: number): bigint => {
      if ((type & bit) === 0) return 0n;
      at += 8;
      return record.getBigUint64(at - 8, true);
    };
    const identifier = next(bits.identifier);
    const ip = next(bits.ip);
    const task = next(bits.tid);
    const timeNs = next(bits.time);
    next(bits.addr);
    const id = next(bits.id) || identifier;
    next(bits.streamId);
    const cpu = Number(next(bits.cpu) & 0xffff_ffffn);
    next(bits.period);
    const callchain: bigint[] = [];
    const frames = Number(next(bits.callchain));
    if (frames > 0x2000) throw new RangeError('more frames than a record holds');
    for (let i = 0; i < frames; i++) callchain.push(next(bits.callchain));
    const event = this.#ids.get(id) ?? (this.events.length === 1 ? 0 : undefined);
    if (event === undefined) throw new RecordingError(`a sample is of no event: id ${id}`);
    const [pid, tid] = [Number(task & 0xffff_ffffn), Number(task >> 32n)];
    return { type: 'sample', kernel, event, ip, pid, tid, timeNs, cpu, callchain };
  }

  /** The time that other records end with: behind it are id, stream id, cpu and identifier, as far as samples have them. */
  #trailingTime(record: DataView): bigint {
    const type = this.events[0]?.sampleType ?? 0;
    if ((type & bits.time) === 0) return 0n;
    const behind = [bits.id, bits.streamId, bits.cpu, bits.identifier].filter((bit) => (type & bit) !== 0);
    const at = record.byteLength - 8 * (behind.length + 1);
    return record.getBigUint64(at, true);
  }

  #bytes(offset: number, lengthBytes: number): DataView {
    const bytes = this.#source.read(offset, lengthBytes);
    if (bytes.length < lengthBytes) throw new RecordingError('this perf.data is cut off before its records');
    return view(bytes);
  }
}

function view(bytes: Uint8Array): DataView<ArrayBuffer> {
  return new DataView(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength); // sources read into plain memory
}

function size(bytes: DataView, at: number): number {
  const value = bytes.getBigUint64(at, true);
  if (value > 0xffff_ffff_ffffn) throw new RecordingError('a size in this perf.data is too large');
  return Number(value);
}

function textAt(record: DataView, at: number): string {
  return decodeCString(new Uint8Array(record.buffer, record.byteOffset, record.byteLength), at);
}
