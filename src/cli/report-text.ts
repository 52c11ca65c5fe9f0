import { hex } from '../base/hex.ts';
import type { RecordingSummary } from '../formats/recording-summary.ts';
import { sparkline } from '../formats/time-bins.ts';
import { type ValueFormat, valueFormat } from '../watch/values/value-format.ts';
import { codeText } from './code-text.ts';
import { frameFields } from './json-lines.ts';
import { printable } from './printable.ts';

/** The lines of `trapline report`. */
export function reportText(summary: RecordingSummary, options: { readonly top: number }): string[] {
  const { header, hits, lost, reason, missing } = summary;
  const { top } = options;
  const lines: string[] = [];
  const comment = (text: string): void => {
    lines.push(`# ${printable(text)}`);
  };
  comment(`${header.kernel}, ${header.tool}: ${header.command.join(' ')}`);
  if (header.wallClockNs > 0n)
    comment(`recorded ${new Date(Number(header.wallClockNs / 1_000_000n)).toISOString()}`);
  for (const note of header.notes) comment(note);
  if (missing !== undefined) comment(missing);
  else comment(`ended: ${reason}`);
  comment(`hits: ${hits}  lost: ${lost}`);
  const share = (count: number): string => `${((100 * count) / Math.max(1, hits)).toFixed(1)}%`.padStart(6);
  const table = <Row extends { readonly hits: number }>(
    title: string,
    rows: readonly Row[],
    text: (row: Row) => string,
  ): void => {
    if (rows.length === 0) return;
    lines.push('', `# by ${title}`);
    for (const row of rows.slice(0, top))
      lines.push(`${String(row.hits).padStart(10)}  ${share(row.hits)}  ${printable(text(row))}`);
    if (rows.length > top) comment(`and ${rows.length - top} more (--top)`);
  };
  const names = new Map(summary.byThread.map(({ tid, comm }) => [tid, comm]));
  const watchName = (watch: number): string => header.watches[watch]?.text ?? '?';
  table('code', summary.byCode, ({ site, tids }) => {
    const { watch, code } = siteOf(summary, site);
    const threads = tids.slice(0, 3).map((tid) => `${names.get(tid) ?? '?'}/${tid}`);
    return `${code.access.padEnd(2)}  ${watchName(watch)}  ${codeText(code.location)}  ${threads.join(' ')}${tids.length > 3 ? ` and ${tids.length - 3} more threads` : ''}`;
  });
  table(
    'thread',
    summary.byThread,
    ({ tid, pid, comm }) => `${comm}/${tid}${tid === pid ? '' : ` of ${pid}`}`,
  );
  const formats = formatsOf(summary);
  table(
    'value (after the access)',
    summary.byValue,
    ({ watch, value }) => `${watchName(watch)}  ${formats[watch]?.text(value) ?? '?'}`,
  );
  if (summary.valuesUnknown > 0) comment(`${summary.valuesUnknown} hits without a known value`);
  if (summary.valuesBeyond > 0)
    comment(`${summary.valuesBeyond} hits with other values: there are too many to list`);
  table('stack', summary.byStack, ({ stack, site }) =>
    [watchName(siteOf(summary, site).watch), ...framesOf(summary, stack).map(codeText)].join(' < '),
  );
  for (const [watch, { hits: all, changes }] of summary.times.entries()) {
    const changed = changes.used();
    const shown = header.values && changed.length > 0 ? changes : all;
    const counts = shown.used();
    if (counts.length === 0) continue;
    lines.push(
      '',
      `# ${shown === changes ? 'changes' : 'hits'} of ${printable(watchName(watch))} over ${((counts.length * shown.widthNs) / 1e9).toFixed(3)} s, most ${Math.max(...counts)} in ${(shown.widthNs / 1e6).toFixed(1)} ms`,
      `|${sparkline(counts)}|`,
    );
  }
  return lines;
}

/** `trapline report --json`: one object (docs/recording-format.md, "The report"). */
export function reportJson(summary: RecordingSummary): string {
  const { header, hits, lost, reason, missing } = summary;
  const formats = formatsOf(summary);
  return JSON.stringify({
    type: 'report',
    kernel: header.kernel,
    tool: header.tool,
    command: header.command,
    sinceNs: String(header.sinceNs),
    hits,
    lost,
    reason: reason ?? null,
    complete: missing === undefined,
    missing: missing ?? null,
    watches: header.watches.map((watch, i) => ({
      watch: watch.text,
      address: hex(watch.address),
      lenBytes: watch.lenBytes,
      access: watch.access,
      hits: summary.byWatch[i] ?? 0,
      hitsOverTime: binsJson(summary.times[i]?.hits),
      changesOverTime: header.values ? binsJson(summary.times[i]?.changes) : null,
    })),
    code: summary.byCode.map(({ site, hits: siteHits, tids }) => {
      const { watch, code } = siteOf(summary, site);
      return {
        watch: header.watches[watch]?.text,
        access: code.access,
        kernel: code.kernel,
        ...frameFields(code.ip, code.location),
        hits: siteHits,
        tids,
      };
    }),
    threads: summary.byThread,
    values: summary.byValue.map(({ watch, value, hits: valueHits }) => ({
      watch: header.watches[watch]?.text,
      value: JSON.parse(formats[watch]?.json(value) ?? 'null') as unknown,
      hits: valueHits,
    })),
    valuesUnknown: summary.valuesUnknown,
    valuesBeyond: summary.valuesBeyond,
    stacks: summary.byStack.map(({ stack, site, hits: stackHits }) => ({
      watch: header.watches[siteOf(summary, site).watch]?.text,
      frames: framesOf(summary, stack).map((location) => frameFields(location.address, location)),
      hits: stackHits,
    })),
  });
}

function binsJson(bins: RecordingSummary['times'][number]['hits'] | undefined): object {
  return { binNs: bins?.widthNs ?? 0, counts: bins?.used() ?? [] };
}

function formatsOf({ header }: RecordingSummary): readonly ValueFormat[] {
  return header.watches.map((watch) => valueFormat(watch));
}

function siteOf(summary: RecordingSummary, site: number): RecordingSummary['sites'][number] {
  return summary.sites[site]!; // the reader has checked what accesses refer to
}

/** `stack` as an access has it. */
function framesOf(
  summary: RecordingSummary,
  stack: number,
): RecordingSummary['frames'][number]['location'][] {
  return (summary.stacks[stack - 1] ?? []).map((frame) => summary.frames[frame]!.location); // likewise
}
