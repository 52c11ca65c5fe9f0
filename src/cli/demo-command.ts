import { once } from 'node:events';
import fs from 'node:fs';
import v8 from 'node:v8';
import { Worker } from 'node:worker_threads';
import { type Watch, watch } from '../api/watch.ts';
import { WatchError } from '../watch/errors.ts';
import { HitReader } from '../watch/hit-reader.ts';
import { Totals } from '../watch/totals.ts';
import type { WatchSession } from '../watch/watch-session.ts';
import type { RaceStart } from './demo-race.ts';
import { doctorCommand } from './doctor-command.ts';
import { armedText, HitText, hitTitles } from './hit-text.ts';
import { Output } from './output.ts';
import { summaryText } from './summary-text.ts';

const times = 200;
const mostLines = 20;

/**
 * `trapline demo`: two threads of this process write one element of a `SharedArrayBuffer`; it is watched on the
 * machine's debug registers, and every write is told with its thread, function, file and line.
 * Where this machine refuses breakpoints, what failed is said, and the same is shown on the model. @returns 0.
 */
export async function demoCommand(): Promise<number> {
  const out = new Output(1);
  // V8 then writes /tmp/perf-PID.map for the threads started from here on, with a frame of its own for each
  // interpreted function.
  v8.setFlagsFromString('--perf-basic-prof');
  v8.setFlagsFromString('--interpreted-frames-native-stack');
  const shared = new SharedArrayBuffer(8);
  const balance = new Int32Array(shared);
  const workers = [race('depositor', 'deposit', shared), race('interest', 'payInterest', shared)];
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  try {
    const watched = watch({ memory: balance.subarray(0, 1), what: 'balance', scriptFrames: true });
    try {
      await watched.armed;
    } catch (error) {
      if (!(error instanceof WatchError)) throw error;
      out.line(`This machine refuses breakpoints: ${error.message}`);
      out.line('What was tried, and what would allow it:');
      await doctorCommand({ json: false }, (text) => out.write(text));
      out.line('');
      out.line(
        'The same pipeline on the model, Trapline\u2019s own kernel; no hit below is of this machine.',
      );
      const { modelDemo } = await import('./model-demo.ts');
      await modelDemo(out, (session) => showModel(session, out));
      return 0;
    }
    await show(watched, workers, balance, out);
    return 0;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
    fs.rmSync(`/tmp/perf-${process.pid}.map`, { force: true });
  }
}

function race(name: string, role: RaceStart['role'], shared: SharedArrayBuffer): Worker {
  const start: RaceStart = { name, role, shared, times };
  return new Worker(new URL('./demo-race.js', import.meta.url), { workerData: start });
}

async function show(
  watched: Watch,
  workers: readonly Worker[],
  balance: Int32Array,
  out: Output,
): Promise<void> {
  const session = await watched.session();
  const ended = Promise.all(workers.map((worker) => once(worker, 'exit')));
  const startNs = session.info.sinceNs;
  out.line(`Two threads add 1 to a shared balance, ${times} times each, without a lock. Every write to it:`);
  for (const line of armedText(session.info)) out.line(line);
  Atomics.store(balance, 1, 1);
  Atomics.notify(balance, 1);
  void ended.then(() => session.stop('target ended'));
  const totals = await printHits(session, startNs, out);
  const written = balance[0] ?? 0;
  out.line('');
  out.line(
    `The balance is ${written}; ${2 * times} were paid in${written < 2 * times ? `: ${2 * times - written} writes were made over another's` : ''}. Who wrote:`,
  );
  writeSummary(session, totals, out);
  watched.close();
}

/** The hits of a session on the model, and who wrote. */
async function showModel(session: WatchSession, out: Output): Promise<void> {
  for (const line of armedText(session.info)) out.line(line);
  const totals = await printHits(session, session.info.sinceNs, out);
  out.line('');
  out.line('Who wrote:');
  writeSummary(session, totals, out);
}

/** The last line is `hits: N  lost: M`. */
function writeSummary(session: WatchSession, totals: Totals, out: Output): void {
  const names = new Map([...totals.threads().keys()].map((tid) => [tid, session.names.name(tid)]));
  for (const line of summaryText({ session, hits: totals.hits, sites: totals.sites(), names }))
    out.line(line);
  out.flush();
}

/** Prints the first hits, and counts all. */
async function printHits(session: WatchSession, startNs: bigint, out: Output): Promise<Totals> {
  const totals = new Totals();
  const text = new HitText(session, { startNs, asm: false, stacks: false });
  out.line(hitTitles(text.watchWidth));
  let lines = 0;
  const reader = new HitReader(session, (item) => {
    if (item.type !== 'hit') return;
    lines++;
    if (lines <= mostLines) out.line(text.line(item.hit));
  });
  for (;;) {
    const batch = await session.next();
    if (batch === undefined) break;
    totals.add(batch.columns);
    reader.read(batch);
    session.recycle(batch);
    out.flush();
  }
  reader.flush();
  if (lines > mostLines) out.line(`  … and ${lines - mostLines} more`);
  return totals;
}
