import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { type ValueFormat, valueFormat } from '../watch/values/value-format.ts';
import { FirefoxThread } from './firefox-thread.ts';
import { changes, type RecordedHit, readHits } from './read-hits.ts';
import type { ReadResult, RecordingTables } from './recording-reader.ts';
import { TextSink } from './text-sink.ts';

/** The version of the processed profile format that is written; the profiler upgrades older ones. */
const processedVersion = 47;
const geckoVersion = 27;

/**
 * A processed profile of the Firefox Profiler: every hit is a sample of its thread, every change of a value a marker.
 * Times are milliseconds since the recording began. Source: docs-developer/processed-profile-format.md and
 * CHANGELOG-formats.md of firefox-devtools/profiler.
 */
export function writeFirefoxProfile(source: ByteSource, sink: ByteSink): ReadResult {
  const threads = new Map<number, FirefoxThread>();
  const stacks: number[] = [];
  const owners: FirefoxThread[] = [];
  let formats: readonly ValueFormat[] = [];
  const newStack = ({ number, access }: RecordedHit, tables: RecordingTables): void => {
    let thread = threads.get(access.tid);
    if (thread === undefined) {
      thread = new FirefoxThread(access);
      threads.set(access.tid, thread);
    }
    owners[number] = thread;
    stacks[number] = thread.stackOf(access, tables);
  };
  const result = readHits(source, {
    begin: ({ header }) => {
      formats = header.watches.map((watch) => valueFormat(watch));
    },
    hit(hit, tables) {
      if (stacks[hit.number] === undefined) newStack(hit, tables);
      const thread = owners[hit.number]!; // made with its stack
      const atMs = Number(hit.timeNs - tables.header.sinceNs) / 1e6;
      thread.sample(atMs, stacks[hit.number]!); // likewise
      const { value, site } = hit;
      const { before, after } = value ?? {};
      if (after === undefined || (before !== undefined && !changes(value))) return;
      const { text } = formats[site.watch]!; // one a watch
      thread.marker(atMs, tables.header.watches[site.watch]?.text ?? '?', {
        old: before === undefined ? '?' : text(before),
        new: text(after),
        exact: value?.exact === true,
      });
    },
  });
  const out = new TextSink(sink);
  const { header } = result;
  const meta = {
    interval: 1,
    startTime: Number(header.wallClockNs) / 1e6,
    processType: 0,
    product: header.comm || 'trapline',
    importedFrom: header.tool,
    oscpu: header.kernel,
    logicalCPUs: header.machine.cpus,
    stackwalk: 1,
    debug: false,
    symbolicated: true,
    version: geckoVersion,
    preprocessedProfileVersion: processedVersion,
    categories: [
      { name: 'Other', color: 'grey', subcategories: ['Other'] },
      { name: 'User', color: 'yellow', subcategories: ['Other'] },
      { name: 'Kernel', color: 'orange', subcategories: ['Other'] },
    ],
    markerSchema: [
      {
        name: 'change',
        tooltipLabel: '{marker.name}: {marker.data.old} -> {marker.data.new}',
        tableLabel: '{marker.data.old} -> {marker.data.new}',
        chartLabel: '{marker.data.new}',
        display: ['marker-chart', 'marker-table', 'timeline-overview'],
        data: [
          { key: 'old', label: 'Before', format: 'string', searchable: true },
          { key: 'new', label: 'After', format: 'string', searchable: true },
          { key: 'exact', label: 'Certain', format: 'string' },
        ],
      },
    ],
  };
  out.write(`{"meta":${JSON.stringify(meta)},"libs":[],"pages":[],"threads":[`);
  let first = true;
  for (const thread of threads.values()) {
    if (!first) out.write(',');
    first = false;
    thread.write(out);
  }
  out.write(']}\n');
  out.flush();
  return result;
}
