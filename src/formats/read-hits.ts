import type { ByteSource } from '../base/byte-source.ts';
import { joinPair } from '../base/pair.ts';
import { valueFlags, valueSources } from '../ring/hit-columns.ts';
import type { CodeLocation } from '../symbols/code-location.ts';
import type { HitValue } from '../watch/values/hit-value.ts';
import type { AccessEntry, RecordingEntry, SiteEntry } from './recording-entries.ts';
import { type ReadResult, type RecordingTables, readRecording } from './recording-reader.ts';

/** One hit of a recording. */
export interface RecordedHit {
  readonly timeNs: bigint;
  /** The number of `access`: equal for hits that differ in time and value alone. */
  readonly number: number;
  readonly access: AccessEntry;
  readonly site: SiteEntry;
  /** Absent where values were not recorded. */
  readonly value: HitValue | undefined;
}

/** Takes hits one by one, in the order of the file. */
export interface HitVisitor {
  /** Before the first hit. */
  begin?(tables: RecordingTables): void;
  entry?(entry: RecordingEntry, tables: RecordingTables): void;
  hit(hit: RecordedHit, tables: RecordingTables): void;
}

/** Reads a recording hit by hit. Throws as `readRecording` does. */
export function readHits(source: ByteSource, visitor: HitVisitor): ReadResult {
  let begun = false;
  const begin = (tables: RecordingTables): void => {
    if (begun) return;
    begun = true;
    visitor.begin?.(tables);
  };
  return readRecording(source, {
    entry(entry, tables) {
      begin(tables);
      visitor.entry?.(entry, tables);
    },
    rows({ length, time, access, old, new: after, flags }, tables) {
      const { accesses, sites, header } = tables;
      for (let row = 0; row < length; row++) {
        // row < length; the reader has checked what rows and accesses refer to
        const number = access[row]!;
        const entry = accesses[number]!;
        const low = 2 * row;
        const flag = flags[row]!;
        const from = valueSources[flag & valueFlags.source];
        visitor.hit(
          {
            timeNs: joinPair(time[low]!, time[low + 1]!),
            number,
            access: entry,
            site: sites[entry.site]!,
            value: header.values
              ? {
                  before:
                    (flag & valueFlags.before) === 0 ? undefined : { low: old[low]!, high: old[low + 1]! },
                  after: from === 'unknown' ? undefined : { low: after[low]!, high: after[low + 1]! },
                  from: from === 'unknown' ? undefined : from,
                  exact: (flag & valueFlags.exact) !== 0,
                  gap: (flag & valueFlags.gap) !== 0,
                }
              : undefined,
          },
          tables,
        );
      }
    },
  });
}

/** A frame of a hit's stack. */
export interface RecordedFrame {
  readonly kernel: boolean;
  readonly location: CodeLocation;
}

/** The frames of an access, innermost first: the accessing instruction, then where its callers are. */
export function framesOf(access: AccessEntry, tables: RecordingTables): RecordedFrame[] {
  const { code } = tables.sites[access.site]!; // checked by the reader
  const own = { kernel: code.kernel, location: code.location };
  const stack = access.stack === 0 ? [] : (tables.stacks[access.stack - 1] ?? []);
  return [own, ...stack.slice(1).map((frame) => tables.frames[frame]!)]; // checked by the reader
}

/** Whether the access left another value than it found. */
export function changes(value: HitValue | undefined): boolean {
  const { before, after } = value ?? {};
  return (
    before !== undefined && after !== undefined && (before.low !== after.low || before.high !== after.high)
  );
}

/** The functions of a location, those that were inlined first; where no name is known its module or address. */
export function functionsOf(location: CodeLocation): {
  readonly name: string;
  readonly file: string | undefined;
  readonly line: number | undefined;
}[] {
  const name =
    location.function ??
    location.symbol ??
    (location.module === undefined ? `0x${location.address.toString(16)}` : `[${location.module}]`);
  return [
    { name, file: location.file, line: location.line },
    ...(location.inlinedInto ?? []).map((each) => ({
      name: each.function ?? '?',
      file: each.file,
      line: each.line,
    })),
  ];
}
