import { type RecordingSummary, summarize } from '../formats/recording-summary.ts';
import { valueFormat } from '../watch/values/value-format.ts';
import { codeText } from './code-text.ts';
import { parseCount } from './durations.ts';
import { openOutput } from './output.ts';
import { printable } from './printable.ts';
import { openFileSource } from './recording-file.ts';

/** The options of `trapline diff`, as commander gives them. */
export interface DiffFlags {
  readonly top?: string;
  readonly json?: boolean;
  readonly output?: string;
}

/** Something of a recording with its hits in both. */
interface Difference {
  readonly what: string;
  readonly before: number;
  readonly after: number;
}

/** `trapline diff`: which code and which values two recordings have, and how often. @returns the exit status. */
export function diffCommand(beforePath: string, afterPath: string, flags: DiffFlags): number {
  const top = parseCount(flags.top ?? '20', 'number of lines');
  const [before, after] = [read(beforePath), read(afterPath)];
  const code = differences(codeHits(before), codeHits(after));
  const values = differences(valueHits(before), valueHits(after));
  const { out, begin } = openOutput(flags.output);
  begin();
  if (flags.json === true) {
    const hits = { before: before.hits, after: after.hits };
    out.line(JSON.stringify({ type: 'diff', hits, code, values }));
  } else {
    for (const each of [before, after])
      if (each.missing !== undefined) out.line(`# ${printable(each.missing)}`);
    out.line(`# hits: ${before.hits} before, ${after.hits} after`);
    for (const [title, all] of [
      ['code', code],
      ['values', values],
    ] as const) {
      const fresh = all.filter((each) => each.before === 0);
      const gone = all.filter((each) => each.after === 0);
      const more = all.filter((each) => each.before > 0 && each.after > 0 && each.before !== each.after);
      for (const [word, group] of [
        ['new', fresh],
        ['gone', gone],
        ['other count', more],
      ] as const) {
        out.line(`# ${title}, ${word}: ${group.length}`);
        for (const { what, before: old, after: now } of group.slice(0, top))
          out.line(`${String(old).padStart(10)} -> ${String(now).padEnd(10)}  ${printable(what)}`);
        if (group.length > top) out.line(`# and ${group.length - top} more (--top)`);
      }
    }
  }
  out.flush();
  return 0;
}

function read(path: string): RecordingSummary {
  const source = openFileSource(path);
  try {
    return summarize(source);
  } finally {
    source.close();
  }
}

/** Code is the same where watch, access, function and line are: addresses change from run to run. */
function codeHits(summary: RecordingSummary): Map<string, number> {
  const hits = new Map<string, number>();
  for (const { site, hits: count } of summary.byCode) {
    const { watch, code } = summary.sites[site]!; // a site of the summary
    const key = `${summary.header.watches[watch]?.text ?? '?'}  ${code.access}  ${codeText(code.location)}`;
    hits.set(key, count + (hits.get(key) ?? 0));
  }
  return hits;
}

function valueHits(summary: RecordingSummary): Map<string, number> {
  const formats = summary.header.watches.map((watch) => valueFormat(watch));
  const hits = new Map<string, number>();
  for (const { watch, value, hits: count } of summary.byValue) {
    const key = `${summary.header.watches[watch]?.text ?? '?'} = ${formats[watch]?.text(value) ?? '?'}`;
    hits.set(key, count + (hits.get(key) ?? 0));
  }
  return hits;
}

function differences(before: Map<string, number>, after: Map<string, number>): Difference[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .map((what) => ({ what, before: before.get(what) ?? 0, after: after.get(what) ?? 0 }))
    .sort((a, b) => Math.max(b.before, b.after) - Math.max(a.before, a.after));
}
