import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { hex } from '../base/hex.ts';
import type { PlannedWatch } from '../watch/plan.ts';
import { framesOf, type RecordedFrame, readHits } from './read-hits.ts';
import type { ReadResult } from './recording-reader.ts';
import { TextSink } from './text-sink.ts';

/**
 * The text of `perf script` with call chains: what Firefox Profiler and speedscope take for it.
 *
 * ```
 * prog   100 [001]  5.000002:          1 mem:0x404040/4:w:
 * \t          401131 store+0x4 (/bin/prog)
 * \t          401155 main+0x4 (/bin/prog)
 *
 * ```
 */
export function writePerfScript(source: ByteSource, sink: ByteSink): ReadResult {
  const out = new TextSink(sink);
  const parts: [string, string][] = [];
  const result = readHits(source, {
    hit({ timeNs, number, access, site }, tables) {
      let part = parts[number];
      if (part === undefined) {
        const { pid, tid, comm, cpu } = access;
        const watch = tables.header.watches[site.watch]!; // checked by the reader
        part = [
          `${comm.replaceAll(/\s/g, '_') || ':'} ${pid}/${tid} [${String(cpu).padStart(3, '0')}] `,
          `:          1 ${eventName(watch)}: \n${framesOf(access, tables).map(frameLine).join('')}\n`,
        ];
        parts[number] = part;
      }
      out.write(part[0] + secondsText(timeNs) + part[1]);
    },
  });
  out.flush();
  return result;
}

/** "mem:0x404040/4:w", as perf names such an event. */
export function eventName(watch: PlannedWatch): string {
  return `mem:${hex(watch.address)}/${watch.lenBytes}:${watch.access}`;
}

function frameLine({ kernel, location }: RecordedFrame): string {
  const { symbol, offset, modulePath, module, address } = location;
  const name = location.function ?? symbol;
  const text = name === undefined ? '[unknown]' : `${name.replaceAll('\n', ' ')}+${hex(offset ?? 0n)}`;
  const file = kernel ? '[kernel.kallsyms]' : (modulePath ?? module ?? '[unknown]');
  return `\t${address.toString(16).padStart(16)} ${text} (${file})\n`;
}

/** Seconds with six digits. */
function secondsText(timeNs: bigint): string {
  const microseconds = Number(timeNs / 1000n);
  const seconds = Math.floor(microseconds / 1e6);
  return `${String(seconds).padStart(5)}.${String(microseconds - seconds * 1e6).padStart(6, '0')}`;
}
