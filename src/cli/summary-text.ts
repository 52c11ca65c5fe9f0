import { watchName } from '../watch/shown-watches.ts';
import { codeText } from './code-text.ts';
import type { SummaryFields } from './json-lines.ts';
import { printable } from './printable.ts';

/** How many sites and threads of a site are listed. */
const mostSites = 30;
const mostThreads = 4;

/** The totals: a line a code site, then `hits: N  lost: M`. */
export function summaryText(fields: SummaryFields): string[] {
  const { session, hits, sites, names } = fields;
  const lines: string[] = [];
  if (sites.length > 0) {
    const rows = sites.slice(0, mostSites).map(({ site, watch, hits: siteHits, tids }) => {
      const planned = session.info.watches[watch]!; // totals count watches of the session
      const code = session.sites.access(site, planned, watch);
      const threads = tids.slice(0, mostThreads).map((tid) => `${printable(names.get(tid) ?? '?')}/${tid}`);
      const more = tids.length - threads.length;
      return [
        String(siteHits),
        `${((100 * siteHits) / hits).toFixed(1)}%`,
        code.kernel ? 'kernel' : 'user',
        code.access,
        printable(watchName(planned)),
        codeText(code.location),
        `${threads.join(' ')}${more > 0 ? ` and ${more} more` : ''}`,
      ];
    });
    lines.push(...table([['hits', 'share', 'mode', 'acc', 'watch', 'code', 'threads'], ...rows], 2));
    if (sites.length > mostSites) lines.push(`… and ${sites.length - mostSites} more sites`);
  }
  lines.push(`hits: ${hits}  lost: ${session.lost()}`);
  return lines;
}

/** Rows of cells as aligned lines; the first `rightAligned` columns end, the others begin, at one place. */
export function table(rows: readonly (readonly string[])[], rightAligned: number): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column < rightAligned ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}
