import {
  type Data,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Struct,
  Utf8,
  Vector,
} from 'apache-arrow';
import { AsyncByteQueue } from 'apache-arrow/io/stream';
import type { ByteSink } from '../base/byte-source.ts';
import { encodeUtf8 } from '../base/text.ts';
import { valueFlags } from '../ring/hit-columns.ts';
import type { RecordingColumns } from './recording-schema.ts';
import { recordingSchema } from './recording-schema.ts';

/** Rows of a batch of the file at the most. */
const rowsPerBatch = 8192;

/**
 * Writes a recording: an Arrow stream (docs/recording-format.md). Entries and rows gather until {@link flush}, or until
 * a batch is full; each flush is one `write` of the sink, and whatever was flushed can be read, whether more comes or
 * not. Errors are the sink's.
 */
export class RecordingWriter {
  readonly #sink: ByteSink;
  readonly #schema = recordingSchema();
  readonly #stream = new RecordBatchStreamWriter<RecordingColumns>({ autoDestroy: false });
  readonly #gathered: Uint8Array[] = [];
  /** One chunk a flush that had entries. */
  readonly #dictionary: Data<Utf8>[] = [];
  readonly #entries: Uint8Array[] = [];
  #entryBytes: number = 0;
  #entryCount: number = 0;
  readonly #time = new BigUint64Array(rowsPerBatch);
  readonly #timeWords = new Uint32Array(this.#time.buffer);
  readonly #old = new BigUint64Array(rowsPerBatch);
  readonly #oldWords = new Uint32Array(this.#old.buffer);
  readonly #new = new BigUint64Array(rowsPerBatch);
  readonly #newWords = new Uint32Array(this.#new.buffer);
  readonly #access = new Int32Array(rowsPerBatch);
  readonly #flags = new Uint8Array(rowsPerBatch);
  readonly #oldKnown = new Uint8Array(rowsPerBatch / 8);
  readonly #newKnown = new Uint8Array(rowsPerBatch / 8);
  #oldUnknown: number = 0;
  #newUnknown: number = 0;
  #rows: number = 0;
  #hits: number = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
    this.#stream.reset(new GatheringQueue(this.#gathered) as never, this.#schema); // a queue is a sink, untyped there
  }

  /** Rows written so far. */
  get hits(): number {
    return this.#hits;
  }

  /** Adds an entry, a JSON text. @returns its number. */
  entry(json: string): number {
    const bytes = encodeUtf8(json);
    this.#entries.push(bytes);
    this.#entryBytes += bytes.length;
    return this.#entryCount++;
  }

  /** Adds a row. `access`: the number of its entry; words of 64-bit values; `flags` as the format has them. */
  hit(
    access: number,
    flags: number,
    timeLow: number,
    timeHigh: number,
    oldLow: number,
    oldHigh: number,
    newLow: number,
    newHigh: number,
  ): void {
    const row = this.#rows++;
    this.#timeWords[2 * row] = timeLow;
    this.#timeWords[2 * row + 1] = timeHigh;
    this.#access[row] = access;
    this.#flags[row] = flags;
    const bit = 1 << (row & 7);
    if ((flags & valueFlags.before) !== 0) {
      this.#oldWords[2 * row] = oldLow;
      this.#oldWords[2 * row + 1] = oldHigh;
      this.#oldKnown[row >> 3]! |= bit; // row < rowsPerBatch, here and below
    } else {
      this.#oldWords[2 * row] = 0;
      this.#oldWords[2 * row + 1] = 0;
      this.#oldUnknown++;
    }
    if ((flags & valueFlags.source) !== 0) {
      this.#newWords[2 * row] = newLow;
      this.#newWords[2 * row + 1] = newHigh;
      this.#newKnown[row >> 3]! |= bit;
    } else {
      this.#newWords[2 * row] = 0;
      this.#newWords[2 * row + 1] = 0;
      this.#newUnknown++;
    }
    this.#hits++;
    if (this.#rows === rowsPerBatch) this.flush();
  }

  /** Writes what has gathered. */
  flush(): void {
    if (this.#rows > 0 || this.#entries.length > 0) this.#writeBatch();
    this.#write();
  }

  /** Writes the end of the stream; the last call. */
  finish(): void {
    this.flush();
    this.#stream.finish();
    this.#stream.close();
    this.#write();
  }

  #writeBatch(): void {
    if (this.#entries.length > 0) this.#dictionary.push(this.#takeEntries());
    const length = this.#rows;
    const words = (
      data: BigUint64Array,
      known: Uint8Array,
      nullCount: number,
    ): Data<RecordingColumns['old']> =>
      makeData({
        type: this.#schema.fields[2]!.type as RecordingColumns['old'], // both columns of values have this type
        length,
        nullCount,
        nullBitmap: nullCount === 0 ? null : known.subarray(0, (length + 7) >> 3),
        data: data.subarray(0, length),
      });
    const [timeType, accessType, , , flagsType] = this.#schema.fields.map((field) => field.type) as [
      RecordingColumns['timeNs'],
      RecordingColumns['access'],
      RecordingColumns['old'],
      RecordingColumns['new'],
      RecordingColumns['flags'],
    ]; // the schema's own order
    const children = [
      makeData({ type: timeType, length, nullCount: 0, data: this.#time.subarray(0, length) }),
      makeData({
        type: accessType,
        length,
        nullCount: 0,
        data: this.#access.subarray(0, length),
        dictionary: new Vector(this.#dictionary),
      }),
      words(this.#old, this.#oldKnown, this.#oldUnknown),
      words(this.#new, this.#newKnown, this.#newUnknown),
      makeData({ type: flagsType, length, nullCount: 0, data: this.#flags.subarray(0, length) }),
    ];
    const data = makeData({
      type: new Struct<RecordingColumns>(this.#schema.fields),
      length,
      nullCount: 0,
      children,
    });
    this.#stream.write(new RecordBatch<RecordingColumns>(this.#schema, data));
    this.#rows = 0;
    this.#oldKnown.fill(0);
    this.#newKnown.fill(0);
    this.#oldUnknown = 0;
    this.#newUnknown = 0;
  }

  #takeEntries(): Data<Utf8> {
    const valueOffsets = new Int32Array(this.#entries.length + 1);
    const data = new Uint8Array(this.#entryBytes);
    let at = 0;
    for (const [i, bytes] of this.#entries.entries()) {
      data.set(bytes, at);
      at += bytes.length;
      valueOffsets[i + 1] = at;
    }
    const chunk = makeData({
      type: new Utf8(),
      length: this.#entries.length,
      nullCount: 0,
      valueOffsets,
      data,
    });
    this.#entries.length = 0;
    this.#entryBytes = 0;
    return chunk;
  }

  #write(): void {
    if (this.#gathered.length === 0) return;
    const bytes = new Uint8Array(this.#gathered.reduce((sum, each) => sum + each.length, 0));
    let at = 0;
    for (const each of this.#gathered) {
      bytes.set(each, at);
      at += each.length;
    }
    this.#gathered.length = 0;
    this.#sink.write(bytes);
  }
}

/** The stream writer's sink that keeps nothing back. The arrays are views of columns: they are copied before the next row comes. */
class GatheringQueue extends AsyncByteQueue {
  readonly #gathered: Uint8Array[];

  constructor(gathered: Uint8Array[]) {
    super();
    this.#gathered = gathered;
  }

  override write(value: ArrayBufferLike | ArrayBufferView): void {
    const bytes = ArrayBuffer.isView(value)
      ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      : new Uint8Array(value);
    if (bytes.length > 0) this.#gathered.push(bytes);
  }
}
