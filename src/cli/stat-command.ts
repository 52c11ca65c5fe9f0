import fs from 'node:fs';
import { hex } from '../base/hex.ts';
import { HitReader } from '../watch/hit-reader.ts';
import type { HitSource } from '../watch/hit-source.ts';
import { shownWatches, sumCounts } from '../watch/shown-watches.ts';
import { Totals } from '../watch/totals.ts';
import { shellStatus } from './exit-status.ts';
import { armedText } from './hit-text.ts';
import { armedJson, countsJson } from './json-lines.ts';
import type { Output } from './output.ts';
import { oneLine, printable } from './printable.ts';
import { openSession, type RunningSession, type SessionFlags } from './run-session.ts';
import { table } from './summary-text.ts';

/** The options of `trapline stat`, as commander gives them. */
export interface StatFlags extends SessionFlags {
  readonly perThread?: boolean;
}

/**
 * `trapline stat`: counts hits. With `--per-thread` every hit is sampled, because a counter that is inherited does not
 * tell which thread counted; the totals are the counters' even so. @returns the exit status.
 */
export async function statCommand(
  what: readonly string[],
  flags: StatFlags,
  command: readonly string[] | undefined,
): Promise<number> {
  const perThread = flags.perThread === true;
  const running = await openSession(what, flags, command, { countOnly: !perThread });
  try {
    return await count(running, flags);
  } catch (error) {
    await running.session.close(); // a remote target would stand for ever
    throw error;
  }
}

/** Counts to the end, and tells. @returns the exit status. */
async function count(running: RunningSession, flags: StatFlags): Promise<number> {
  const perThread = flags.perThread === true;
  const { session, out } = running;
  const startNs = session.info.sinceNs;
  if (flags.json === true) out.line(armedJson(session.info));
  else for (const line of armedText(session.info)) out.line(line);
  out.flush();
  const totals = new Totals((watch) => session.groupOf?.(watch) ?? watch);
  const execs: { pid: number; comm: string }[] = [];
  const reader = new HitReader(session, (item) => {
    if (item.type === 'exec') execs.push({ pid: item.pid, comm: item.comm });
  });
  for (;;) {
    const batch = await session.next();
    if (batch === undefined) break;
    totals.add(batch.columns);
    reader.readNotices(batch);
    session.recycle(batch);
  }
  running.over();
  const elapsedNs = running.now() - startNs;
  const status = session.launched === undefined ? undefined : shellStatus(await session.launched.ended);
  const names = new Map(
    [...totals.threads().keys()].map((tid) => [tid, session.names.name(tid, session.info.pid)]),
  );
  const report: StatReport = { session, totals, names, elapsedNs, perThread, execs };
  if (flags.json === true) writeJson(out, report, status);
  else writeText(out, report);
  out.flush();
  await session.close();
  if (session.problem !== undefined) {
    fs.writeSync(2, `trapline: ${oneLine(session.problem)}\n`);
    return 1;
  }
  return status ?? 0;
}

interface StatReport {
  readonly session: HitSource;
  readonly totals: Totals;
  readonly names: ReadonlyMap<number, string>;
  readonly elapsedNs: bigint;
  readonly perThread: boolean;
  readonly execs: readonly { readonly pid: number; readonly comm: string }[];
}

/** Hits of one watch by thread, most first. */
function threadsOf(report: StatReport, watch: number): { tid: number; comm: string; hits: number }[] {
  return [...report.totals.threads()]
    .map(([tid, hits]) => ({ tid, comm: report.names.get(tid) ?? '', hits: hits[watch] ?? 0 }))
    .filter((thread) => thread.hits > 0)
    .sort((a, b) => b.hits - a.hits);
}

function writeJson(out: Output, report: StatReport, status: number | undefined): void {
  const { session, elapsedNs, execs, perThread } = report;
  out.line(
    countsJson(
      session,
      session.counts(),
      {
        reason: session.endReason ?? 'stopped',
        elapsedNs: String(elapsedNs),
        execs,
        ...(perThread ? { lost: session.lost() } : {}),
        ...(status === undefined ? {} : { exitStatus: status }),
      },
      perThread ? (watch) => threadsOf(report, watch) : undefined,
    ),
  );
}

function writeText(out: Output, report: StatReport): void {
  const { session, elapsedNs, execs, perThread } = report;
  const rows = [['hits', 'watch', 'address', 'enabled', 'running']];
  const counts = session.counts();
  for (const shown of shownWatches(session.info.watches)) {
    const { watch, numbers } = shown;
    const count = sumCounts(counts, shown);
    rows.push([
      String(count.hits),
      printable(watch.text),
      `${hex(watch.address)}/${watch.lenBytes}`,
      milliseconds(count.timeEnabledNs),
      milliseconds(count.timeRunningNs),
    ]);
    if (!perThread) continue;
    for (const { tid, comm, hits } of threadsOf(report, numbers[0] ?? -1))
      rows.push([String(hits), `  ${printable(comm)}/${tid}`, '', '', '']);
  }
  for (const line of table(rows, 1)) out.line(line);
  for (const { pid, comm } of execs)
    out.line(`# process ${pid} executed another program (${printable(comm)}); its watch ended there`);
  if (perThread && session.lost() > 0)
    out.line(`# ${session.lost()} hits are counted but belong to no thread above (their samples were lost)`);
  out.line(`${milliseconds(elapsedNs)} in all; times of tasks add up over threads`);
}

function milliseconds(ns: bigint): string {
  return `${(Number(ns) / 1e6).toFixed(3)} ms`;
}
