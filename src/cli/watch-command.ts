import fs from 'node:fs';
import tty from 'node:tty';
import type { HitBatch } from '../ring/hit-columns.ts';
import { HitReader, type HitReaderItem } from '../watch/hit-reader.ts';
import type { HitSource } from '../watch/hit-source.ts';
import { Totals } from '../watch/totals.ts';
import { parseCount, parseRate } from './durations.ts';
import { shellStatus } from './exit-status.ts';
import { HitCommand } from './hit-command.ts';
import { armedText, HitText, hitTitles, movedText, seconds } from './hit-text.ts';
import {
  armedJson,
  endedJson,
  HitJson,
  lostJson,
  movedJson,
  type SummaryFields,
  summaryJson,
} from './json-lines.ts';
import { oneLine, printable } from './printable.ts';
import { Progress } from './progress.ts';
import { openSession, type RunningSession, type SessionFlags } from './run-session.ts';
import { summaryText } from './summary-text.ts';

/** The options of `trapline watch`, as commander gives them. */
export interface WatchFlags extends SessionFlags {
  readonly stacks?: boolean;
  readonly asm?: boolean;
  readonly maxHits?: string;
  readonly when?: string;
  readonly rate?: string;
  readonly follow?: boolean;
  readonly stop?: boolean;
  readonly then?: string;
  readonly quiet?: boolean;
  readonly raw?: boolean;
}

/** Takes the batches of a session besides the command's own output. */
export interface BatchTap {
  /** The session is open. */
  begin(session: HitSource): void;
  /** A batch, before its notices are applied to the session's names. */
  batch(batch: HitBatch): void;
  lost(timeNs: bigint, lost: number): void;
  /** No more will come. @returns what is to be said of it. */
  end(timeNs: bigint, reason: string, lost: number): string[];
}

/** A kernel hit is held back for what may belong to it, this long at the most. */
const holdMs = 100;

/** `trapline watch`: streams a line a hit, then the totals; `tap` has the hits too. @returns the exit status. */
export async function watchCommand(
  what: readonly string[],
  flags: WatchFlags,
  command: readonly string[] | undefined,
  tap?: BatchTap,
): Promise<number> {
  const maxHits = flags.maxHits === undefined ? undefined : parseCount(flags.maxHits, 'number of hits');
  const running = await openSession(what, flags, command, {
    stacks: flags.stacks === true,
    follow: flags.follow === true,
    values: flags.quiet !== true || flags.then !== undefined || tap !== undefined,
    ...(maxHits === undefined ? {} : { maxHits }),
    ...(flags.when === undefined ? {} : { when: flags.when }),
    ...(flags.rate === undefined ? {} : { rate: parseRate(flags.rate) }),
    ...(flags.stop === true ? { stop: true } : {}),
  });
  try {
    return await show(running, flags, tap);
  } catch (error) {
    await running.session.close(); // a remote target would stand for ever
    throw error;
  }
}

/** Everything from the first line to the last. @returns the exit status. */
async function show(running: RunningSession, flags: WatchFlags, tap: BatchTap | undefined): Promise<number> {
  const json = flags.json === true;
  const quiet = flags.quiet === true;
  const asm = flags.asm === true;
  const raw = flags.raw === true;
  const { session, out } = running;
  const startNs = session.info.sinceNs;
  tap?.begin(session);
  const totals = new Totals((watch) => session.groupOf?.(watch) ?? watch);
  const threadNames = new Map<number, string>();
  const hitJson = json ? new HitJson(session, { asm, raw }) : undefined;
  const hitText = json
    ? undefined
    : new HitText(session, { startNs, asm, raw, stacks: flags.stacks === true });

  if (json) out.line(armedJson(session.info));
  else {
    for (const line of armedText(session.info)) out.line(line);
    if (hitText !== undefined && !quiet)
      out.line(hitTitles(hitText.watchWidth, { values: session.hasValues }));
  }
  out.flush();

  const then = flags.then === undefined ? undefined : new HitCommand(flags.then, session);
  const emit = (item: HitReaderItem): void => {
    if (item.type === 'hit') {
      if (!quiet) out.line(hitJson?.line(item.hit) ?? hitText?.line(item.hit) ?? '');
      if (then !== undefined) {
        out.flush();
        then.run(item.hit);
      }
    } else if (item.type === 'moved')
      out.line(
        json
          ? movedJson(item.move)
          : `# ${seconds(item.move.timeNs - startNs).trim()}: ${movedText(item.move)}`,
      );
    else if (json) out.line(endedJson(item.timeNs, { reason: 'exec', pid: item.pid, comm: item.comm }));
    else
      out.line(
        `# ${seconds(item.timeNs - startNs).trim()}: process ${item.pid} executed another program (${printable(item.comm)}); its watch has ended`,
      );
  };
  const reader = new HitReader(session, emit);
  let lostShown = 0;
  const showLost = (): void => {
    const lost = session.lost();
    if (lost === lostShown) return;
    lostShown = lost;
    tap?.lost(running.now(), lost);
    out.line(json ? lostJson(running.now(), lost) : `# lost: ${lost} hits so far (the ring was full)`);
  };
  const readBatch = (batch: HitBatch): void => {
    totals.add(batch.columns);
    tap?.batch(batch);
    if (!quiet || then !== undefined) reader.read(batch);
    else reader.readNotices(batch);
    if (batch.notices.some((notice) => notice.type === 'lost')) showLost();
  };

  const progress = new Progress(
    () => ({ hits: session.delivered, lost: lostShown }),
    quiet || flags.output !== undefined || !tty.isatty(1),
  );
  let holdTimer: NodeJS.Timeout | undefined;
  for (;;) {
    const batch = await session.next();
    clearTimeout(holdTimer);
    if (batch === undefined) break;
    readBatch(batch);
    session.recycle(batch);
    out.flush();
    if (out.broken) session.stop();
    if (reader.holds) {
      holdTimer = setTimeout(() => {
        reader.flush();
        out.flush();
      }, holdMs);
    }
  }
  reader.flush();
  const more = unreported(session, then);
  showLost(); // a ring that stayed full to the end has told nobody
  progress.close();
  running.over();

  for (const tid of totals.threads().keys()) threadNames.set(tid, session.names.name(tid, session.info.pid));
  const summary: SummaryFields = { session, hits: totals.hits, sites: totals.sites(), names: threadNames };
  const reason = session.endReason ?? 'stopped';
  const told = tap?.end(running.now(), reason, session.lost()) ?? [];
  if (json) {
    out.line(endedJson(running.now(), { reason }));
    out.line(summaryJson(summary));
  } else {
    for (const line of told) out.line(`# ${printable(line)}`);
    if (reason !== 'target ended') out.line(`# ended: ${reason}`);
    for (const line of more) out.line(`# ${line}`);
    for (const line of summaryText(summary)) out.line(line);
  }
  out.flush();
  await session.close();
  if (session.problem !== undefined) {
    fs.writeSync(2, `trapline: ${oneLine(session.problem)}\n`);
    return 1;
  }
  return session.launched === undefined ? 0 : shellStatus(await session.launched.ended);
}

/** What the totals do not say. */
function unreported(session: HitSource, then: HitCommand | undefined): string[] {
  const lines: string[] = [];
  if (session.undecided > 0)
    lines.push(`${session.undecided} hits could not be judged: a value was not known; they are not reported`);
  if (then !== undefined && then.failures > 0)
    lines.push(`${then.failures} of the commands of --then failed or could not be started`);
  return lines;
}
