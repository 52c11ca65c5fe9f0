import type { ByteSource } from '../base/byte-source.ts';
import { FlatTable } from './flat-table.ts';
import { RecordingError } from './recording-error.ts';

// The part of the Arrow IPC stream format that a recording consists of, read without trust: the package's reader runs
// out of memory on damaged bytes.
//
//   message:  u32 0xffffffff, u32 size of the metadata, metadata (a flatbuffer, padded to 8), body (padded to 8)
//   stream:   a schema, then dictionary batches and record batches; at its end a message of size 0
//
// Source: the Arrow documentation, "Serialization and interprocess communication", and its Message.fbs and Schema.fbs.

/** One message of a stream. */
export type ArrowMessage =
  | {
      readonly type: 'schema';
      readonly fields: readonly string[];
      readonly metadata: ReadonlyMap<string, string>;
    }
  | { readonly type: 'dictionary'; readonly batch: ArrowBatch }
  | { readonly type: 'rows'; readonly batch: ArrowBatch };

/** Columns as buffers of one body, in the order of the schema. */
export interface ArrowBatch {
  readonly length: number;
  readonly buffers: readonly Uint8Array[];
}

/** More than the writer ever puts into one. */
const mostMetadataBytes = 1 << 20;
const mostBodyBytes = 1 << 30;

/**
 * The messages of a stream, as far as they are whole. Returns whether the stream's end was there; throws
 * {@link RecordingError} where what is there is no message.
 */
export function* arrowMessages(source: ByteSource): Generator<ArrowMessage, boolean> {
  for (let at = 0; ; ) {
    const prefix = source.read(at, 8);
    if (prefix.length < 8) return false;
    const view = new DataView(prefix.buffer, prefix.byteOffset, 8);
    const metadataBytes = view.getUint32(4, true);
    if (view.getUint32(0, true) !== 0xffff_ffff) throw new RecordingError(`there is no batch at byte ${at}`);
    if (metadataBytes === 0) return true;
    if (metadataBytes > mostMetadataBytes) throw new RecordingError(`there is no batch at byte ${at}`);
    const metadata = source.read(at + 8, metadataBytes);
    if (metadata.length < metadataBytes) return false;
    const message = FlatTable.root(metadata);
    const bodyBytes = message.size(3);
    if (bodyBytes > mostBodyBytes) throw new RecordingError(`the batch at byte ${at} is too long`);
    const body = bodyBytes === 0 ? new Uint8Array(0) : source.read(at + 8 + metadataBytes, bodyBytes);
    if (body.length < bodyBytes) return false;
    at += 8 + metadataBytes + bodyBytes;
    const header = message.table(2);
    if (header === undefined) throw new RecordingError('a batch says nothing of itself');
    const type = message.u8(1);
    if (type === 1) yield schemaOf(header);
    else if (type === 2) yield { type: 'dictionary', batch: batchOf(header.table(1), body) };
    else if (type === 3) yield { type: 'rows', batch: batchOf(header, body) };
  }
}

function schemaOf(schema: FlatTable): ArrowMessage {
  return {
    type: 'schema',
    fields: schema.tables(1).map((field) => field.text(0) ?? ''),
    metadata: new Map(schema.tables(2).map((pair) => [pair.text(0) ?? '', pair.text(1) ?? ''])),
  };
}

function batchOf(batch: FlatTable | undefined, body: Uint8Array): ArrowBatch {
  if (batch === undefined) throw new RecordingError('a dictionary has no batch');
  if (batch.table(3) !== undefined) throw new RecordingError('a batch is compressed');
  // Columns of 64-bit words want their alignment.
  const aligned = body.byteOffset % 8 === 0 ? body : body.slice();
  return {
    length: batch.size(0),
    buffers: batch.sizePairs(2).map(([offset, length]) => {
      if (offset % 8 !== 0 || offset + length > aligned.length)
        throw new RecordingError('a column lies outside its batch');
      return aligned.subarray(offset, offset + length);
    }),
  };
}
