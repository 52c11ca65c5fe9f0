import type { ByteSource } from '../base/byte-source.ts';
import { decodeUtf8 } from '../base/text.ts';
import { type ArrowBatch, arrowMessages } from './arrow-messages.ts';
import {
  type AccessEntry,
  type FrameEntry,
  parseEntry,
  type RecordingEntry,
  type RecordingHeader,
  recordingVersion,
  type SiteEntry,
} from './recording-entries.ts';
import { RecordingError } from './recording-error.ts';
import { columnNames, versionKey } from './recording-format.ts';

/** Rows of a recording; the arrays are the reader's own until the next ones come. 64-bit columns are words, low first. */
export interface RecordedRows {
  readonly length: number;
  readonly time: Uint32Array;
  /** Numbers of access entries: see {@link RecordingTables.accesses}. */
  readonly access: Int32Array;
  readonly old: Uint32Array;
  readonly new: Uint32Array;
  /** `valueFlags`, and `continuesCopyFlag`. */
  readonly flags: Uint8Array;
}

/** What the entries read so far say. */
export interface RecordingTables {
  readonly header: RecordingHeader;
  readonly sites: readonly SiteEntry[];
  readonly frames: readonly FrameEntry[];
  /** Frames of each stack, innermost first. */
  readonly stacks: readonly (readonly number[])[];
  /** By the number of the entry; a hole where the entry is no access. */
  readonly accesses: readonly (AccessEntry | undefined)[];
}

/** How far a recording could be read. */
export interface ReadResult extends RecordingTables {
  readonly hits: number;
  /** Hits that the recorder lost, as last told. */
  readonly lost: number;
  /** Why it ended; `undefined` where the end is missing. */
  readonly reason: string | undefined;
  /** What is missing, a sentence; `undefined` of a whole recording. */
  readonly missing: string | undefined;
}

/** Takes a recording as it is read, in the order of the file. */
export interface RecordingVisitor {
  /** An entry of any type; rows that refer to it come later. */
  entry?(entry: RecordingEntry, tables: RecordingTables): void;
  rows?(rows: RecordedRows, tables: RecordingTables): void;
}

/**
 * Reads a recording up to where it ends or is cut off, whatever is behind. Throws {@link RecordingError} where not even
 * the beginning is a recording's, or where it is one of a newer version.
 */
export function readRecording(source: ByteSource, visitor: RecordingVisitor): ReadResult {
  const state = new ReadState(visitor);
  let problem: string | undefined;
  try {
    const messages = arrowMessages(source);
    const first = messages.next();
    if (first.done === true || first.value.type !== 'schema') throw noRecording();
    const { fields, metadata } = first.value;
    checkVersion(metadata.get(versionKey));
    if (fields.join() !== columnNames.join()) throw damaged();
    for (;;) {
      const { done, value } = messages.next();
      if (done === true) {
        if (!value) problem = `its end is not there, the file stops at byte ${source.sizeBytes}`;
        break;
      }
      if (value.type === 'dictionary') state.entries(value.batch);
      else if (value.type === 'rows') state.rows(value.batch);
    }
  } catch (error) {
    if (error instanceof VisitorError) throw error.cause;
    if (!(error instanceof RecordingError)) throw error;
    if (state.header === undefined) throw error instanceof NewerVersion ? error : noRecording();
    problem = `it is damaged: ${error.message}`;
  }
  if (state.header === undefined) throw noRecording();
  return state.result(problem);
}

function noRecording(): RecordingError {
  return new RecordingError('this is not a recording of trapline, or nothing of it but the beginning');
}

class NewerVersion extends RecordingError {}

function checkVersion(version: string | undefined): void {
  if (version === undefined || !/^[0-9]{1,6}$/.test(version)) throw noRecording();
  if (Number(version) > recordingVersion) {
    throw new NewerVersion(
      `this recording has version ${version} of the format; this trapline reads versions up to ${recordingVersion}`,
    );
  }
}

/** What a visitor threw is not the file's fault. */
class VisitorError extends Error {}

class ReadState {
  readonly #visitor: RecordingVisitor;
  header: RecordingHeader | undefined;
  readonly sites: SiteEntry[] = [];
  readonly frames: FrameEntry[] = [];
  readonly stacks: (readonly number[])[] = [];
  readonly accesses: (AccessEntry | undefined)[] = [];
  #hits: number = 0;
  #lost: number = 0;
  #reason: string | undefined;
  #announced: number | undefined;

  constructor(visitor: RecordingVisitor) {
    this.#visitor = visitor;
  }

  /** The buffers of a column of text: validity, offsets, bytes. */
  entries({ length, buffers }: ArrowBatch): void {
    const [, offsetBytes, values] = buffers;
    if (offsetBytes === undefined || values === undefined || offsetBytes.length < 4 * (length + 1))
      throw damaged();
    const offsets = new Int32Array(offsetBytes.buffer, offsetBytes.byteOffset, length + 1);
    for (let i = 0; i < length; i++) this.#entry(decodeUtf8(values.subarray(offsets[i], offsets[i + 1])));
  }

  /** Two buffers a column: validity, values. */
  rows({ length, buffers }: ArrowBatch): void {
    if (length === 0) return;
    const tables = this.#tables();
    const [time, numbers, old, after, flags] = [1, 3, 5, 7, 9].map((i) => buffers[i]);
    if (numbers === undefined || numbers.length < 4 * length) throw damaged();
    const access = new Int32Array(numbers.buffer, numbers.byteOffset, length);
    for (let row = 0; row < length; row++) if (this.accesses[access[row]!] === undefined) throw damaged(); // row < length
    if (flags === undefined || flags.length < length) throw damaged();
    const rows: RecordedRows = {
      length,
      time: wordsOf(time, length),
      access,
      old: wordsOf(old, length),
      new: wordsOf(after, length),
      flags,
    };
    this.#hits += length;
    guarded(() => this.#visitor.rows?.(rows, tables));
  }

  result(problem: string | undefined): ReadResult {
    const short =
      this.#announced !== undefined && this.#announced !== this.#hits
        ? `it says that it has ${this.#announced} hits`
        : undefined;
    const why = problem ?? short ?? (this.#reason === undefined ? 'its end is not there' : undefined);
    return {
      ...this.#tables(),
      hits: this.#hits,
      lost: this.#lost,
      reason: this.#reason,
      missing:
        why === undefined
          ? undefined
          : `the recording is incomplete (${why}): what came after its first ${this.#hits} hits is missing`,
    };
  }

  #tables(): RecordingTables {
    const { header, sites, frames, stacks, accesses } = this;
    if (header === undefined) throw new RecordingError('its first entry is missing');
    return { header, sites, frames, stacks, accesses };
  }

  #entry(json: string): void {
    const entry = parseEntry(json);
    this.accesses.push(entry?.type === 'access' ? entry : undefined);
    if (entry === undefined) return;
    if (entry.type === 'recording') {
      if (this.header !== undefined || this.accesses.length > 1) throw damaged();
      this.header = entry;
    }
    this.#learn(entry);
    const tables = this.#tables();
    guarded(() => this.#visitor.entry?.(entry, tables));
  }

  #learn(entry: RecordingEntry): void {
    switch (entry.type) {
      case 'site':
        if (entry.watch >= (this.header?.watches.length ?? 0)) throw damaged();
        this.sites.push(entry);
        break;
      case 'frame':
        this.frames.push(entry);
        break;
      case 'stack':
        if (entry.frames.some((frame) => frame >= this.frames.length)) throw damaged();
        this.stacks.push(entry.frames);
        break;
      case 'access':
        if (entry.site >= this.sites.length || entry.stack > this.stacks.length) throw damaged();
        break;
      case 'lost':
        this.#lost = entry.lost;
        break;
      case 'end':
        this.#reason = entry.reason;
        this.#lost = entry.lost;
        this.#announced = entry.hits;
        break;
      default:
        break;
    }
  }
}

function wordsOf(column: Uint8Array | undefined, length: number): Uint32Array {
  if (column === undefined || column.length < 8 * length) throw damaged();
  return new Uint32Array(column.buffer, column.byteOffset, 2 * length);
}

function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    throw new VisitorError('visitor', { cause: error });
  }
}

function damaged(): RecordingError {
  return new RecordingError('a part of it contradicts itself');
}
