import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { readHits } from '../formats/read-hits.ts';
import type { RecordingHeader } from '../formats/recording-entries.ts';
import type { ReadResult, RecordingTables } from '../formats/recording-reader.ts';
import { TextSink } from '../formats/text-sink.ts';
import { unknownCpu } from '../ring/hit-columns.ts';
import type { Hit } from '../watch/hit-reader.ts';
import type { ArmedInfo, EndReason } from '../watch/hit-source.ts';
import { armedJson, endedJson, HitJson, lostJson } from './json-lines.ts';

/** A recording as the lines of `trapline watch --json -s` (docs/hit.schema.json), a line each hit; without the summary. */
export function writeRecordedJsonLines(source: ByteSource, sink: ByteSink): ReadResult {
  const out = new TextSink(sink);
  let lines: HitJson | undefined;
  const waiting: { readonly timeNs: bigint; readonly line: string }[] = [];
  const result = readHits(source, {
    begin(tables) {
      const { header } = tables;
      out.write(`${armedJson(armedInfo(header))}\n`);
      lines = new HitJson(
        {
          info: header,
          sites: { frames: (stack) => recordedFrames(stack, tables) },
          nameOf: () => undefined,
        },
        { asm: true },
      );
    },
    entry(entry) {
      // They come before the rows of their batch: they wait for their time.
      if (entry.type === 'lost')
        waiting.push({ timeNs: entry.timeNs, line: lostJson(entry.timeNs, entry.lost) });
      else if (entry.type === 'end')
        // the reason is what the recorder's session said
        waiting.push({
          timeNs: entry.timeNs,
          line: endedJson(entry.timeNs, { reason: entry.reason as EndReason }),
        });
      else if (entry.type === 'exec') {
        const ended = { reason: 'exec', pid: entry.pid, comm: entry.comm ?? '' } as const;
        waiting.push({ timeNs: entry.timeNs, line: endedJson(entry.timeNs, ended) });
      }
    },
    hit({ timeNs, access, site, value }, { header }) {
      const { pid, tid, comm, cpu, stack } = access;
      while (waiting[0] !== undefined && waiting[0].timeNs <= timeNs) out.write(`${waiting.shift()?.line}\n`);
      const hit: Hit = {
        timeNs,
        pid,
        tid,
        comm,
        cpu: cpu === unknownCpu ? undefined : cpu,
        stack,
        count: 1,
        watch: header.watches[site.watch]!, // checked by the reader
        watchNumber: site.watch,
        code: site.code,
      };
      if (value !== undefined) hit.value = value;
      out.write(lines?.line(hit) ?? '');
      out.write('\n');
    },
  });
  for (const { line } of waiting) out.write(`${line}\n`);
  out.flush();
  return result;
}

function armedInfo(header: RecordingHeader): ArmedInfo {
  return { ...header, pid: header.pid, judging: {} };
}

function recordedFrames(stack: number, { stacks, frames }: RecordingTables): ReturnType<HitJsonFrames> {
  return (stack === 0 ? [] : (stacks[stack - 1] ?? [])).map((frame) => {
    const { kernel, location } = frames[frame]!; // checked by the reader
    return { address: location.address, kernel, location };
  });
}

type HitJsonFrames = ConstructorParameters<typeof HitJson>[0]['sites']['frames'];
