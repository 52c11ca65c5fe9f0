import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { hex } from '../base/hex.ts';
import { type ValueFormat, valueFormat } from '../watch/values/value-format.ts';
import { framesOf, functionsOf, readHits } from './read-hits.ts';
import type { ReadResult } from './recording-reader.ts';
import { TextSink } from './text-sink.ts';

/** The columns of the CSV, in their order; 64-bit values are "0x…", what is not known is empty. */
export const csvColumns: readonly string[] = [
  ...['time_ns', 'pid', 'tid', 'comm', 'cpu', 'watch', 'address', 'access', 'kernel'],
  ...['ip', 'symbol', 'module', 'function', 'file', 'line', 'stack'],
  ...['old', 'new', 'value_type', 'value_from', 'exact'],
];

/** A line a hit, by RFC 4180 but with "\n". `stack`: functions, innermost first, with "<" between. */
export function writeCsv(source: ByteSource, sink: ByteSink): ReadResult {
  const out = new TextSink(sink);
  out.write(`${csvColumns.join(',')}\n`);
  const parts: string[] = [];
  let formats: readonly ValueFormat[] = [];
  const result = readHits(source, {
    begin: ({ header }) => {
      formats = header.watches.map((watch) => valueFormat(watch));
    },
    hit({ timeNs, number, access, site, value }, tables) {
      let part = parts[number];
      if (part === undefined) {
        const { pid, tid, comm, cpu } = access;
        const watch = tables.header.watches[site.watch]!; // checked by the reader
        const { location, ip, kernel, access: kind } = site.code;
        const stack = access.stack === 0 ? [] : framesOf(access, tables);
        part = [
          ...[pid, tid, comm, cpu, watch.text, hex(watch.address), kind, kernel],
          ...[hex(ip), location.symbol, location.module, location.function, location.file, location.line],
          stack.flatMap((frame) => functionsOf(frame.location).map(({ name }) => name)).join(' < '),
        ]
          .map(csvField)
          .join(',');
        parts[number] = part;
      }
      let text = '';
      if (value !== undefined) {
        const { before, after, from, exact } = value;
        const { text: write, typeName } = formats[site.watch]!; // one a watch
        text = `${before === undefined ? '' : csvField(write(before))},${after === undefined ? '' : csvField(write(after))},${csvField(typeName)},${from ?? ''},${exact}`;
      } else text = ',,,,';
      out.write(`${timeNs},${part},${text}\n`);
    },
  });
  out.flush();
  return result;
}

function csvField(value: string | number | boolean | undefined): string {
  const text = value === undefined ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
