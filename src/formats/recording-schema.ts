import { Dictionary, Field, Int32, Schema, Uint8, Uint64, Utf8 } from 'apache-arrow';
import { recordingVersion } from './recording-entries.ts';
import { columnNames, versionKey } from './recording-format.ts';

/** The columns of a recording; docs/recording-format.md describes them. */
export type RecordingColumns = {
  timeNs: Uint64;
  access: Dictionary<Utf8, Int32>;
  old: Uint64;
  new: Uint64;
  flags: Uint8;
};

/** A new schema, with one dictionary. */
export function recordingSchema(): Schema<RecordingColumns> {
  const fields = [
    new Field(columnNames[0], new Uint64(), false),
    new Field(columnNames[1], new Dictionary(new Utf8(), new Int32(), 0), false),
    new Field(columnNames[2], new Uint64(), true),
    new Field(columnNames[3], new Uint64(), true),
    new Field(columnNames[4], new Uint8(), false),
  ];
  return new Schema(
    fields as Field[],
    new Map([[versionKey, String(recordingVersion)]]),
  ) as Schema<RecordingColumns>; // the fields just listed
}
