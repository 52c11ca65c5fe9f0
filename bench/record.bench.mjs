// What does watching cost, the target and the recorder, beside perf's and gdb's?
//
// One target writes a variable N times; every way of watching runs once a round, in one interleaved run, all of them in
// user and kernel mode on the same 4 bytes. Expected: the trap dominates, 14-17 us a hit in a virtual machine (under
// 1 us on bare metal), alike for all recorders; recorders add 0.1-0.3 us of CPU a hit on another core; gdb 60-80 us.
//
//     npm run bench -- record [--hits 200000] [--rounds 5] [--gdb-hits 2000] [--only perf,api]
// The wanted figures are judged with --hits 2000000: in a shorter run the compiling of the recorder's code shows.
//
// target us/hit: user+system CPU time of the target's loop (its wall time suffers from neighbours). recorder us/hit:
// user+system CPU time of the recorder with its threads (the target's own is subtracted), less the same of a session of
// 1000 hits, shown beside as "start": what is done once. "all in": with it. Drain: CPU time of the draining thread, less
// its start likewise. Ratios are medians of the rounds' ratios, to perf record, with stacks to perf record -g.
// Without gcc the target is a JavaScript worker of the recording process, and only the API is measured.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import {
  benchFolder,
  compile,
  isInstalled,
  machineLine,
  median,
  parseOptions,
  printTable,
  spread,
  temporaryFolder,
  trapline,
  verdict,
} from './support.mjs';
import { interleave } from './target-runs.mjs';

export async function run(argv) {
  const options = parseOptions(
    argv,
    { hits: 200_000, rounds: 5, gdbHits: 2000, only: '' },
    { hits: 2000, rounds: 1, gdbHits: 20 },
  );
  const folder = temporaryFolder();
  const target = compile('target', folder);
  if (target === undefined) return await runInWorker(options);
  const address = spawnSync(target, ['--address'], { encoding: 'utf8' }).stdout.trim();

  const modes = modesOf({ folder, address }).filter((mode) => {
    if (options.only !== '' && !options.only.split(',').some((word) => mode.name.includes(word)))
      return false;
    if (mode.peer === undefined || isInstalled(mode.peer)) return true;
    console.log(`left out: ${mode.name} (${mode.peer} is not installed)`);
    return false;
  });

  const results = interleave(modes, {
    folder,
    rounds: options.rounds,
    hitsOf: (mode) => (mode.slow === true ? options.gdbHits : options.hits),
  });
  console.log(`${machineLine()}; ${options.hits} hits a run, ${options.rounds} rounds (median, min..max)`);
  return report(modes, results);
}

/** Every way of watching: `command` makes its command line, `outcome` reads what it saw. */
function modesOf({ folder, address }) {
  const event = `mem:${address}/4:w`;
  const data = path.join(folder, 'perf.data');
  const statFile = path.join(folder, 'perf.stat');
  const apiFile = path.join(folder, 'api.json');
  const gdbScript = path.join(folder, 'watch.gdb');
  fs.writeFileSync(
    gdbScript,
    `set pagination off\nset confirm off\nbreak main\nrun\nwatch *(int *) ${address}\nset $hits = 0\ncommands\nsilent\nset $hits = $hits + 1\ncontinue\nend\ncontinue\nprintf "hits %d\\n", $hits\n`,
  );
  const perfRecord = (name, extra) => ({
    name,
    stacks: extra.includes('-g'),
    peer: 'perf',
    command: (target) => ['perf', 'record', '-q', ...extra, '-e', event, '-o', data, ...target],
    outcome: () => {
      const text = spawnSync('perf', ['report', '--stats', '-i', data], {
        encoding: 'utf8',
        maxBuffer: 1 << 26,
      }).stdout;
      const count = (what) => Number(new RegExp(`${what} events:\\s*(\\d+)`).exec(text)?.[1] ?? 0);
      fs.rmSync(data, { force: true });
      // perf counts what its ring lost in records, not in hits: what is missing is lost.
      return { hits: count('SAMPLE') };
    },
  });
  const api = (name, stacks) => ({
    name,
    ours: true,
    stacks,
    command: (target) => [
      process.execPath,
      path.join(benchFolder, 'record-api.mjs'),
      apiFile,
      'counter/4:w',
      stacks ? 'stacks' : 'plain',
      ...target,
    ],
    outcome: () => {
      const { hits, userHits, lost, drainCpuNs } = JSON.parse(fs.readFileSync(apiFile, 'utf8'));
      return { hits: hits === userHits ? hits : -1, lost, drainCpuNs };
    },
  });
  const cli = (name, flags, more = {}) => ({
    name,
    ours: true,
    stacks: flags.includes('-s'),
    command: (target) => [process.execPath, trapline, 'watch', ...flags, 'counter/4:w', '--', ...target],
    outcome: (stdout) => {
      const match = /hits: (\d+) {2}lost: (\d+)/.exec(stdout);
      return match === null ? {} : { hits: Number(match[1]), lost: Number(match[2]) };
    },
    ...more,
  });
  const bare = { name: 'nothing', command: (target) => target, outcome: () => ({}) };
  const perfStat = {
    name: 'perf stat',
    peer: 'perf',
    command: (target) => ['perf', 'stat', '-x,', '-e', event, '-o', statFile, ...target],
    outcome: () => ({ hits: Number(/^(\d+),/m.exec(fs.readFileSync(statFile, 'utf8'))?.[1]), lost: 0 }),
  };
  const gdb = {
    name: 'gdb, silent watch',
    peer: 'gdb',
    slow: true,
    command: ([target, ...args]) => [
      ...(isInstalled('taskset') ? ['taskset', '-c', '0'] : []),
      ...['gdb', '-batch', '-nx', '-x', gdbScript, '--args', target, ...args],
    ],
    outcome: (stdout) => ({ hits: Number(/hits (\d+)/.exec(stdout)?.[1]), lost: 0 }),
  };
  return [
    bare,
    perfStat,
    perfRecord('perf record', []),
    perfRecord('perf record -g', ['-g']),
    api('trapline API', false),
    api('trapline API, stacks', true),
    cli('trapline watch --quiet', ['--quiet']),
    cli('trapline watch --quiet -s', ['--quiet', '-s']),
    cli('trapline watch --json', ['--json', '-o', '/dev/null'], { discard: true, unbounded: true }),
    gdb,
  ];
}

/** Below this the start of a recorder hides what a hit costs it. */
const leastHits = 50_000;

function report(modes, results) {
  const short = new Map(
    [...results].map(([mode, { short: runs }]) => [mode, median(runs.map((one) => one.recorderNs))]),
  );
  const shortDrain = new Map(
    [...results].map(([mode, { short: runs }]) => [mode, median(runs.map((one) => one.drainCpuNs ?? 0))]),
  );
  const targetUs = (_, one) => one.targetNs / one.wanted / 1000;
  const recorderUs = (mode, one) =>
    Math.max(0, one.recorderNs - short.get(mode)) / (one.wanted - one.least) / 1000;
  const allUs = (_, one) => one.recorderNs / one.wanted / 1000;
  /** Median of the rounds' ratios to a peer. */
  const ratio = (mode, peerName, pick) => {
    const peer = modes.find((each) => each.name === peerName);
    const base = peer === undefined ? [] : results.get(peer).rounds;
    const ratios = results
      .get(mode)
      .rounds.flatMap((one, round) =>
        base[round] === undefined ? [] : [pick(mode, one) / pick(peer, base[round])],
      );
    return ratios.length === 0 || mode.slow === true ? undefined : median(ratios);
  };
  const text = (value) => (value === undefined ? '-' : value.toFixed(2));
  const titles = ['watched by', 'hits', 'lost', 'target us/hit', 'wall us/hit', 'x peer', 'recorder us/hit'];
  const rows = [[...titles, 'x peer', 'all in us/hit', 'x peer', 'start ms CPU', 'drain ns/hit', 'RSS MiB']];
  const figures = [];
  let wrong = 0;
  let few = false;
  for (const mode of modes) {
    const rounds = results.get(mode).rounds.filter((one) => one !== undefined);
    if (rounds.length === 0) continue;
    const [{ wanted }] = rounds;
    if (mode.slow !== true && wanted < leastHits) few = true;
    const complete = rounds.every((one) => one.hits === undefined || one.hits + (one.lost ?? 0) === wanted);
    // perf sees a few hits of the kernel while the program is loaded: told, but no fault of this benchmark.
    if (!complete && mode.ours === true) wrong++;
    const lost = rounds.reduce(
      (sum, one) => sum + (one.lost ?? Math.max(0, wanted - (one.hits ?? wanted))),
      0,
    );
    const each = (pick) => rounds.map((one) => pick(mode, one));
    const bare = mode.name === 'nothing';
    const peer = mode.stacks ? 'perf record -g' : 'perf record';
    const ratios = [targetUs, recorderUs, allUs].map((pick) => (bare ? undefined : ratio(mode, peer, pick)));
    const drain = rounds
      .filter((one) => one.drainCpuNs !== undefined)
      .map((one) => (one.drainCpuNs - shortDrain.get(mode)) / (one.wanted - one.least));
    rows.push([
      mode.name,
      `${rounds.at(-1).hits ?? '-'}${complete ? '' : mode.ours ? ' WRONG' : ' (other)'}`,
      rounds.at(-1).hits === undefined ? '-' : lost,
      spread(each(targetUs), bare ? 4 : 2),
      text(median(rounds.map((one) => one.targetWallNs / one.wanted / 1000))),
      text(ratios[0]),
      bare ? '-' : spread(each(recorderUs), 3),
      text(ratios[1]),
      bare ? '-' : text(median(each(allUs))),
      text(ratios[2]),
      bare ? '-' : (short.get(mode) / 1e6).toFixed(0),
      drain.length === 0 ? '-' : spread(drain, 0),
      (median(rounds.map((one) => one.maxRssKiB)) / 1024).toFixed(0),
    ]);
    if (mode.ours !== true || mode.unbounded === true) continue;
    const figure = (what, is, digits, wants) =>
      figures.push([mode.name, what, is.toFixed(digits), `<= ${wants}`, verdict(is, wants)]);
    if (ratios[0] !== undefined) figure(`target time / ${peer}`, ratios[0], 3, 1.05);
    if (ratios[1] !== undefined) figure(`recorder CPU / ${peer}`, ratios[1], 2, 1.2);
    figure(`lost of ${wanted * rounds.length}`, lost, 0, 0);
    if (drain.length > 0) figure('draining thread, ns CPU/hit', median(drain), 0, 100);
  }
  printTable(rows);
  console.log('\nx peer: perf record; for stacks perf record -g');
  if (few) console.log(`too few hits for figures a hit: give --hits ${leastHits} or more`);
  else printTable([['wanted of', 'figure', 'is', 'wanted', ''], ...figures]);
  if (wrong > 0) console.log(`WRONG: ${wrong} of the recorders did not see every hit`);
  return wrong > 0 ? 1 : 0;
}

/** Without a compiler: a worker of this process writes, the API watches its memory. */
async function runInWorker({ hits, rounds }) {
  console.log('no gcc: the target is a JavaScript worker of this process; perf and gdb are left out');
  const { watch } = await import('../dist/api/index.js');
  const shared = new Int32Array(new SharedArrayBuffer(16));
  const source = `const { workerData: { shared, hits }, parentPort } = require('node:worker_threads');
    const cpu = () => Number(require('node:fs').readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]);
    parentPort.postMessage('ready'); Atomics.wait(shared, 1, 0); const start = cpu();
    for (let i = 0; i < hits; i++) shared[0] = i + 1;
    parentPort.postMessage(cpu() - start);`;
  const rows = [['watched by', 'hits', 'lost', 'target us/hit', 'process us/hit', 'drain ns/hit']];
  for (const watching of [false, true]) {
    const runs = [];
    for (let round = 0; round < rounds; round++) {
      shared.fill(0);
      const worker = new Worker(source, { eval: true, workerData: { shared, hits } });
      await once(worker, 'message');
      const watched = watching ? watch({ memory: shared.subarray(0, 1), what: 'shared[0]' }) : undefined;
      await watched?.armed;
      const before = process.cpuUsage();
      const finished = once(worker, 'message').then(async ([ns]) => {
        await watched?.stop();
        return ns;
      });
      Atomics.store(shared, 1, 1);
      Atomics.notify(shared, 1);
      let seen = 0;
      if (watched !== undefined) for await (const batch of watched) seen += batch.length;
      const targetNs = await finished;
      const used = process.cpuUsage(before);
      const session = await watched?.session();
      runs.push({
        seen,
        lost: session?.lost() ?? 0,
        targetNs,
        processNs: (used.user + used.system) * 1000 - targetNs,
        drainNs: session?.drainCpuTimeNs() ?? 0,
      });
      watched?.close();
      await worker.terminate();
    }
    const each = (pick) =>
      spread(
        runs.map((one) => pick(one) / hits),
        3,
      );
    rows.push([
      watching ? 'trapline API' : 'nothing',
      watching ? runs.at(-1).seen : '-',
      watching ? runs.reduce((sum, one) => sum + one.lost, 0) : '-',
      each((one) => one.targetNs / 1000),
      each((one) => one.processNs / 1000),
      watching ? each((one) => one.drainNs) : '-',
    ]);
  }
  printTable(rows);
  return 0;
}
