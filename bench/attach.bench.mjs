// How long does it take to arm a program of 200 threads?
//
// A C program (a JavaScript one with fewer threads without gcc) whose threads sleep. The time inside
// `WatchSession.open` with a surface that is there already (what `watch --pid` spends on the target), and from the start
// of the command to its `armed` line; beside it, where perf is there, `perf stat -p` of the same event for no time.
// Expected: 25-60 ms for 201 threads on 2 CPUs (two events a thread and CPU), growing with threads x CPUs.
//
//     npm run bench -- attach [--threads 200] [--rounds 15]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { openLinuxSurface } from '../dist/linux/linux-surface.js';
import { parseWatchRequest } from '../dist/watch/watch-request.js';
import { WatchSession } from '../dist/watch/watch-session.js';
import {
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

const wantedMs = 100;

export async function run(argv) {
  const { threads, rounds } = parseOptions(argv, { threads: 200, rounds: 15 }, { threads: 8, rounds: 2 });
  const folder = temporaryFolder();
  const program = compile('threads', folder);
  if (program === undefined) console.log('no gcc: the threads are JavaScript workers');
  const target = await startTarget(program, threads);
  const what = program === undefined ? `${dataOf(target.pid)}/8:w` : 'counter/4:w';
  const surface = openLinuxSurface();
  const inside = [];
  const outside = [];
  const peer = [];
  let armedThreads = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      const start = performance.now();
      const session = await WatchSession.open({
        surface,
        target: { type: 'process', pid: target.pid },
        requests: [parseWatchRequest(what)],
      });
      inside.push(performance.now() - start);
      armedThreads = session.info.threads;
      session.stop();
      while ((await session.next()) !== undefined);
      session.close();
      outside.push(await untilArmed(['watch', '--json', '-p', String(target.pid), what]));
      if (program !== undefined && isInstalled('perf'))
        peer.push(
          await untilExit([
            'perf',
            'stat',
            '-x,',
            '-o',
            '/dev/null',
            '-e',
            'mem:0x10000/4:w',
            '-p',
            String(target.pid),
            'true',
          ]),
        );
    }
  } finally {
    target.kill('SIGKILL');
  }
  const running = armedThreads - 1;
  console.log(`${machineLine()}; ${running} threads beside the main one, ${rounds} rounds, interleaved`);
  const row = (name, ms, bound) => [
    name,
    armedThreads,
    spread(ms, 1),
    bound ? `<= ${wantedMs}` : '',
    bound ? verdict(median(ms), wantedMs) : '',
  ];
  printTable([
    ['', 'threads', 'ms (median, min..max)', 'wanted', ''],
    row('inside WatchSession.open', inside, true),
    row('command start to armed', outside, false),
    ...(peer.length === 0 ? [] : [row('perf stat -p PID true, all of it', peer, false)]),
  ]);
  const wanted = program === undefined ? armedThreads : threads + 1;
  if (armedThreads === wanted) return 0;
  console.log(`WRONG: ${armedThreads} threads armed, ${wanted} expected`);
  return 1;
}

async function startTarget(program, threads) {
  const source = `const { Worker } = require('node:worker_threads'); let up = 0;
    for (let i = 0; i < ${Math.min(threads, 16)}; i++) new Worker("require('node:worker_threads').parentPort.postMessage(0); setInterval(() => {}, 1e6)", { eval: true })
      .on('message', () => ++up === ${Math.min(threads, 16)} && console.log('ready'));`;
  const command = program === undefined ? [process.execPath, '-e', source] : [program, String(threads)];
  const child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

/** Some writable address of a process. */
function dataOf(pid) {
  const line = /^([0-9a-f]+)-\S+ rw-p.*\[heap\]$/m.exec(fs.readFileSync(`/proc/${pid}/maps`, 'utf8'));
  return `0x${line[1]}`;
}

async function untilExit(command) {
  const start = performance.now();
  const child = spawn(command[0], command.slice(1), { stdio: 'ignore' });
  await once(child, 'exit');
  return performance.now() - start;
}

async function untilArmed(args) {
  const start = performance.now();
  const child = spawn(process.execPath, [trapline, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  let text = '';
  for await (const chunk of child.stdout) {
    text += chunk;
    if (text.includes('\n')) break;
  }
  const ms = performance.now() - start;
  child.kill('SIGTERM');
  await ended;
  if (!text.startsWith('{"type":"armed"')) throw new Error(`not armed: ${text}`);
  return ms;
}
