import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { joinPair } from '../base/pair.ts';
import { type ValueFormat, valueFormat } from '../watch/values/value-format.ts';
import { ProtobufWriter } from './protobuf.ts';
import { functionsOf, type RecordedHit, readHits } from './read-hits.ts';
import type { ReadResult } from './recording-reader.ts';

// A Perfetto trace: packets of track events. Every watch is a counter track of its process, every hit an instant on its thread's.
// Field numbers: trace_packet.proto, track_event.proto, track_descriptor.proto, clock_snapshot.proto of google/perfetto.

const monotonic = 3;
const realtime = 1;
const boottime = 6;
const sequence = 1;
/** Of `TrackEvent.type`. */
const instant = 3;
const counter = 4;
/** Of a thread's descriptor: a chunk of packets is handed over when it has this size. */
const chunkBytes = 1 << 18;

/** Writes a recording as a Perfetto trace. */
export function writePerfetto(source: ByteSource, sink: ByteSink): ReadResult {
  const trace = new ProtobufWriter();
  /** Used again for every hit. */
  const event = new ProtobufWriter();
  const annotation = new ProtobufWriter();
  const timed = new ProtobufWriter();
  const packet = (content: ProtobufWriter): void => {
    trace.message(1, content.number(10, sequence));
    if (trace.lengthBytes > chunkBytes) sink.write(trace.take());
  };
  const threads = new Map<number, string>();
  const processes = new Set<number>();
  const names: string[] = [];
  let formats: readonly ValueFormat[] = [];
  const processTrack = (pid: number): bigint => (1n << 32n) | BigInt(pid);
  const threadTrack = (tid: number): bigint => (2n << 32n) | BigInt(tid);
  const watchTrack = (watch: number): bigint => (3n << 32n) | BigInt(watch);
  const descriptor = (content: ProtobufWriter): void => packet(new ProtobufWriter().message(60, content));
  const nameThread = ({ access: { pid, tid, comm } }: RecordedHit): void => {
    if (!processes.has(pid)) {
      processes.add(pid);
      const process = new ProtobufWriter().number(1, pid).text(6, comm);
      descriptor(new ProtobufWriter().number(1, processTrack(pid)).message(3, process));
    }
    threads.set(tid, comm);
    const thread = new ProtobufWriter().number(1, pid).number(2, tid).text(5, comm);
    descriptor(
      new ProtobufWriter().number(1, threadTrack(tid)).number(5, processTrack(pid)).message(4, thread),
    );
  };
  const result = readHits(source, {
    begin({ header }) {
      const clock = (id: number, timeNs: bigint): ProtobufWriter =>
        new ProtobufWriter().number(1, id).number(2, timeNs);
      const snapshot = new ProtobufWriter()
        .message(1, clock(realtime, header.wallClockNs))
        .message(1, clock(monotonic, header.sinceNs))
        .message(1, clock(boottime, header.sinceNs));
      packet(new ProtobufWriter().message(6, snapshot));
      formats = header.watches.map((watch) => valueFormat(watch));
      for (const [i, watch] of header.watches.entries()) {
        const track = new ProtobufWriter().number(1, watchTrack(i)).text(2, watch.text);
        descriptor(track.message(8, new ProtobufWriter()));
      }
    },
    hit(hit) {
      const { timeNs, number, access, site, value } = hit;
      if (threads.get(access.tid) !== access.comm) nameThread(hit);
      let name = names[number];
      if (name === undefined) {
        name = functionsOf(site.code.location)[0]?.name ?? '?';
        names[number] = name;
      }
      event.clear().number(9, instant).number(11, threadTrack(access.tid)).text(23, name);
      const format = formats[site.watch]!; // one a watch
      if (value?.before !== undefined)
        event.message(4, annotation.clear().text(10, 'old').text(6, format.text(value.before)));
      if (value?.after !== undefined)
        event.message(4, annotation.clear().text(10, 'new').text(6, format.text(value.after)));
      packet(timed.clear().number(8, timeNs).number(58, monotonic).message(11, event));
      if (value?.after === undefined) return;
      event.clear().number(9, counter).number(11, watchTrack(site.watch));
      const json: unknown = JSON.parse(format.json(value.after));
      if (typeof json !== 'number') event.present(30, joinPair(value.after.low, value.after.high));
      else if (Number.isSafeInteger(json)) event.present(30, json < 0 ? BigInt(json) : json);
      else event.double(44, json);
      packet(timed.clear().number(8, timeNs).number(58, monotonic).message(11, event));
    },
  });
  sink.write(trace.take());
  return result;
}
