import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { framesOf, functionsOf, readHits } from './read-hits.ts';
import type { ReadResult } from './recording-reader.ts';
import { TextSink } from './text-sink.ts';

/** Collapsed stacks, as flame graphs take them: `thread;main;store 42`, a line a thread and stack. */
export function writeCollapsed(source: ByteSource, sink: ByteSink): ReadResult {
  const hits: number[] = [];
  const result = readHits(source, {
    hit({ number }) {
      hits[number] = (hits[number] ?? 0) + 1;
    },
  });
  const lines = new Map<string, number>();
  for (const [number, count] of hits.entries()) {
    const access = result.accesses[number];
    if (access === undefined || count === undefined) continue;
    const names = framesOf(access, result)
      .flatMap(({ location }) => functionsOf(location))
      .map(({ name }) => name);
    const line = [access.comm, ...names.reverse()].map((name) => name.replaceAll(/[;\n]/g, ':')).join(';');
    lines.set(line, (lines.get(line) ?? 0) + count);
  }
  const out = new TextSink(sink);
  for (const [line, count] of [...lines].sort((a, b) => b[1] - a[1])) out.write(`${line} ${count}\n`);
  out.flush();
  return result;
}
