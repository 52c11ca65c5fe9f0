import { decodeCString } from '../base/text.ts';
import {
  PERF_FORMAT_GROUP,
  PERF_FORMAT_ID,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
  PERF_SAMPLE_ADDR,
  PERF_SAMPLE_AUX,
  PERF_SAMPLE_CALLCHAIN,
  PERF_SAMPLE_CGROUP,
  PERF_SAMPLE_CODE_PAGE_SIZE,
  PERF_SAMPLE_CPU,
  PERF_SAMPLE_DATA_PAGE_SIZE,
  PERF_SAMPLE_DATA_SRC,
  PERF_SAMPLE_ID,
  PERF_SAMPLE_IDENTIFIER,
  PERF_SAMPLE_IP,
  PERF_SAMPLE_PERIOD,
  PERF_SAMPLE_PHYS_ADDR,
  PERF_SAMPLE_RAW,
  PERF_SAMPLE_READ,
  PERF_SAMPLE_REGS_INTR,
  PERF_SAMPLE_REGS_USER,
  PERF_SAMPLE_STACK_USER,
  PERF_SAMPLE_STREAM_ID,
  PERF_SAMPLE_TID,
  PERF_SAMPLE_TIME,
  PERF_SAMPLE_TRANSACTION,
  PERF_SAMPLE_WEIGHT,
  PERF_SAMPLE_WEIGHT_STRUCT,
  type PerfEventAttr,
} from '../uapi/perf-event-attr.ts';
import {
  PERF_EVENT_HEADER_BYTES,
  PERF_RECORD_COMM,
  PERF_RECORD_EXIT,
  PERF_RECORD_FORK,
  PERF_RECORD_LOST,
  PERF_RECORD_MMAP2,
  PERF_RECORD_READ,
  PERF_RECORD_SAMPLE,
  PERF_RECORD_THROTTLE,
  PERF_RECORD_UNTHROTTLE,
} from '../uapi/perf-event-ring.ts';

/** A field of a record: u64 as bigint, smaller ones as number. */
export type RecordField = bigint | number | string | readonly bigint[] | RecordFields;

/** Fields of a record, in the order of its bytes. */
export interface RecordFields {
  readonly [name: string]: RecordField;
}

/** One record of a ring. */
export interface RingRecord {
  /** PERF_RECORD_*. */
  readonly type: number;
  readonly misc: number;
  readonly sizeBytes: number;
  readonly fields: RecordFields;
}

/** Reads fields one after another; what lies beyond the end is 0. */
class FieldReader {
  readonly #view: DataView;
  at: number = PERF_EVENT_HEADER_BYTES;

  constructor(record: Uint8Array) {
    this.#view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  }

  u32(): number {
    const value = this.at + 4 <= this.#view.byteLength ? this.#view.getUint32(this.at, true) : 0;
    this.at += 4;
    return value;
  }

  u64(): bigint {
    const value = this.at + 8 <= this.#view.byteLength ? this.#view.getBigUint64(this.at, true) : 0n;
    this.at += 8;
    return value;
  }
}

type Writable = Record<string, RecordField>;

function tid(reader: FieldReader, fields: Writable): void {
  fields.pid = reader.u32();
  fields.tid = reader.u32();
}

function cpu(reader: FieldReader, fields: Writable): void {
  fields.cpu = reader.u32();
  fields.cpuReserved = reader.u32();
}

/** Values as read(2) gives them: docs/spec/03 section 10. */
function readValues(reader: FieldReader, format: number): RecordFields {
  const has = (bit: number): boolean => (format & bit) !== 0;
  const fields: Writable = {};
  const times = (): void => {
    if (has(PERF_FORMAT_TOTAL_TIME_ENABLED)) fields.timeEnabled = reader.u64();
    if (has(PERF_FORMAT_TOTAL_TIME_RUNNING)) fields.timeRunning = reader.u64();
  };
  const rest = (of: Writable): void => {
    if (has(PERF_FORMAT_ID)) of.id = reader.u64();
    if (has(PERF_FORMAT_LOST)) of.lost = reader.u64();
  };
  if (!has(PERF_FORMAT_GROUP)) {
    fields.value = reader.u64();
    times();
    rest(fields);
    return fields;
  }
  const members = Number(reader.u64());
  fields.nr = members;
  times();
  for (let n = 0; n < Math.min(members, 64); n++) {
    const member: Writable = { value: reader.u64() };
    rest(member);
    fields[`member${n}`] = member;
  }
  return fields;
}

function registers(reader: FieldReader, mask: bigint): RecordFields {
  const abi = reader.u64();
  const fields: Writable = { abi };
  if (abi === 0n) return fields;
  for (let n = 0n; n < 64n; n++) if (((mask >> n) & 1n) !== 0n) fields[`r${n}`] = reader.u64();
  return fields;
}

/** Fields of a SAMPLE of an event with `attr`, in their order: docs/spec/03 section 13. */
function sampleFields(reader: FieldReader, attr: PerfEventAttr): RecordFields {
  const { sampleType = 0 } = attr;
  const has = (bit: number): boolean => (sampleType & bit) !== 0;
  const fields: Writable = {};
  const u64 = (bit: number, name: string): void => {
    if (has(bit)) fields[name] = reader.u64();
  };
  u64(PERF_SAMPLE_IDENTIFIER, 'identifier');
  u64(PERF_SAMPLE_IP, 'ip');
  if (has(PERF_SAMPLE_TID)) tid(reader, fields);
  u64(PERF_SAMPLE_TIME, 'time');
  u64(PERF_SAMPLE_ADDR, 'addr');
  u64(PERF_SAMPLE_ID, 'id');
  u64(PERF_SAMPLE_STREAM_ID, 'streamId');
  if (has(PERF_SAMPLE_CPU)) cpu(reader, fields);
  u64(PERF_SAMPLE_PERIOD, 'period');
  if (has(PERF_SAMPLE_READ)) fields.read = readValues(reader, attr.readFormat ?? 0);
  if (has(PERF_SAMPLE_CALLCHAIN)) {
    const frames = Number(reader.u64());
    fields.callchain = Array.from({ length: Math.min(frames, 1024) }, () => reader.u64());
  }
  if (has(PERF_SAMPLE_RAW)) {
    const bytes = reader.u32();
    fields.rawBytes = bytes;
    reader.at += bytes;
  }
  if (has(PERF_SAMPLE_REGS_USER)) fields.regsUser = registers(reader, attr.sampleRegsUser ?? 0n);
  if (has(PERF_SAMPLE_STACK_USER)) {
    const bytes = Number(reader.u64());
    fields.stackBytes = bytes;
    reader.at += bytes;
    if (bytes > 0) fields.stackCopied = reader.u64();
  }
  u64(PERF_SAMPLE_WEIGHT, 'weight');
  u64(PERF_SAMPLE_WEIGHT_STRUCT, 'weight');
  u64(PERF_SAMPLE_DATA_SRC, 'dataSrc');
  u64(PERF_SAMPLE_TRANSACTION, 'transaction');
  if (has(PERF_SAMPLE_REGS_INTR)) fields.regsIntr = registers(reader, attr.sampleRegsIntr ?? 0n);
  u64(PERF_SAMPLE_PHYS_ADDR, 'physAddr');
  u64(PERF_SAMPLE_CGROUP, 'cgroup');
  u64(PERF_SAMPLE_DATA_PAGE_SIZE, 'dataPageSize');
  u64(PERF_SAMPLE_CODE_PAGE_SIZE, 'codePageSize');
  u64(PERF_SAMPLE_AUX, 'auxBytes');
  return fields;
}

/** What `sample_id_all` put behind a record that is no sample. */
function trailerFields(reader: FieldReader, attr: PerfEventAttr, sizeBytes: number): RecordFields {
  const { sampleType = 0 } = attr;
  const has = (bit: number): boolean => (sampleType & bit) !== 0;
  const bits = [PERF_SAMPLE_TID, PERF_SAMPLE_TIME, PERF_SAMPLE_ID, PERF_SAMPLE_STREAM_ID, PERF_SAMPLE_CPU];
  reader.at = sizeBytes - 8 * [...bits, PERF_SAMPLE_IDENTIFIER].filter(has).length;
  const fields: Writable = {};
  if (has(PERF_SAMPLE_TID)) tid(reader, fields);
  if (has(PERF_SAMPLE_TIME)) fields.time = reader.u64();
  if (has(PERF_SAMPLE_ID)) fields.id = reader.u64();
  if (has(PERF_SAMPLE_STREAM_ID)) fields.streamId = reader.u64();
  if (has(PERF_SAMPLE_CPU)) cpu(reader, fields);
  if (has(PERF_SAMPLE_IDENTIFIER)) fields.identifier = reader.u64();
  return fields;
}

function bodyFields(reader: FieldReader, type: number, attr: PerfEventAttr, bytes: Uint8Array): Writable {
  const fields: Writable = {};
  switch (type) {
    case PERF_RECORD_LOST:
      return { lostId: reader.u64(), lost: reader.u64() };
    case PERF_RECORD_THROTTLE:
    case PERF_RECORD_UNTHROTTLE:
      return { at: reader.u64(), ofId: reader.u64(), ofStreamId: reader.u64() };
    case PERF_RECORD_FORK:
    case PERF_RECORD_EXIT: {
      const pid = reader.u32();
      const parentPid = reader.u32();
      const thread = reader.u32();
      const parentTid = reader.u32();
      return { ofPid: pid, parentPid, ofTid: thread, parentTid, at: reader.u64() };
    }
    case PERF_RECORD_COMM:
      return { ofPid: reader.u32(), ofTid: reader.u32(), comm: decodeCString(bytes, reader.at) };
    case PERF_RECORD_READ:
      return {
        ofPid: reader.u32(),
        ofTid: reader.u32(),
        read: readValues(reader, attr.readFormat ?? 0),
      };
    case PERF_RECORD_MMAP2: {
      fields.ofPid = reader.u32();
      fields.ofTid = reader.u32();
      fields.start = reader.u64();
      fields.mappedBytes = reader.u64();
      fields.offset = reader.u64();
      reader.at += 24; // device, inode, generation
      fields.prot = reader.u32();
      fields.flags = reader.u32();
      fields.path = decodeCString(bytes, reader.at);
      return fields;
    }
    default:
      return fields;
  }
}

/**
 * One record, from its first byte to its last, of an event with `attr`. For reading records one by one; hits in numbers
 * are read by {@link RingDrain}.
 */
export function decodeRecord(bytes: Uint8Array, attr: PerfEventAttr): RingRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = view.getUint32(0, true);
  const misc = view.getUint16(4, true);
  const sizeBytes = view.getUint16(6, true);
  const reader = new FieldReader(bytes);
  if (type === PERF_RECORD_SAMPLE) return { type, misc, sizeBytes, fields: sampleFields(reader, attr) };
  const fields = bodyFields(reader, type, attr, bytes);
  if (attr.sampleIdAll === true) Object.assign(fields, trailerFields(reader, attr, sizeBytes));
  return { type, misc, sizeBytes, fields };
}

/** The id of the event that wrote a record, if `attr` makes every record carry it at one place; otherwise `undefined`. */
export function identifierOf(bytes: Uint8Array, attr: PerfEventAttr): bigint | undefined {
  if (((attr.sampleType ?? 0) & PERF_SAMPLE_IDENTIFIER) === 0) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) === PERF_RECORD_SAMPLE) return view.getBigUint64(PERF_EVENT_HEADER_BYTES, true);
  return attr.sampleIdAll === true ? view.getBigUint64(bytes.length - 8, true) : undefined;
}
