// Does the recorder's memory stay flat over 10 million hits (without stacks)?
//
// Synthetic (the default): the decoder and the totals of the CLI, fed from a ring in memory at full speed with hits of
// a few threads and sites; heapUsed and RSS after each tenth. Expected: flat after the first tenth, within a few MiB.
// --live: real hits of a C program recorded by `trapline watch --quiet`, its VmRSS sampled from /proc; takes 10-16 us
// a hit, so minutes for 10 million.
//
//     npm run bench -- memory [--hits 10000000] [--live]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { HitColumns } from '../dist/ring/hit-columns.js';
import { noHorizon, RingDrain } from '../dist/ring/ring-drain.js';
import { Totals } from '../dist/watch/totals.js';
import { FakeRing } from './fake-ring.mjs';
import { compile, machineLine, parseOptions, printTable, temporaryFolder, trapline } from './support.mjs';

/** MiB that memory may grow after the first tenth and still be called flat. */
const flatMib = 16;
const steps = 10;

export async function run(argv) {
  const options = parseOptions(argv, { hits: 10_000_000, live: false }, { hits: 200_000 });
  console.log(`${machineLine()}; ${options.hits} hits`);
  return options.live ? await live(options) : synthetic(options);
}

function synthetic({ hits }) {
  const drain = new RingDrain({ stacks: false, copyRegisters: true });
  const rings = [new FakeRing(1 << 21), new FakeRing(1 << 21)];
  for (const ring of rings) drain.addRing(ring.view);
  drain.addWatchId(7, 0, 0);
  const columns = new HitColumns({ capacity: 16384 });
  const totals = new Totals();
  const rows = [];
  let written = 0;
  let next = hits / steps;
  while (written < hits) {
    for (let i = 0; i < 14_000 && written < hits; i++) {
      for (const [cpu, ring] of rings.entries()) {
        const di = 0x7f0000000000 + (written % 4096);
        const registers = { cx: 1e6 - (written % 4096), di };
        const more = { cpu, kernel: written % 64 === 0, registers };
        ring.sample({
          id: 7,
          ip: 0x401000 + (written % 32),
          pid: 4000,
          tid: 4000 + (written % 8),
          timeNs: 1e12 + written * 1000,
          ...more,
        });
        written++;
      }
    }
    for (const ring of rings) ring.publish();
    for (let more = true; more; ) {
      columns.length = 0;
      more = drain.pass(columns, noHorizon);
      drain.takeBatch(columns);
      totals.add(columns);
    }
    if (written < next) continue;
    next += hits / steps;
    globalThis.gc?.();
    const { heapUsed, rss } = process.memoryUsage();
    rows.push({ hits: totals.hits, rssMib: rss / 2 ** 20, heapMib: heapUsed / 2 ** 20 });
  }
  return show(rows, totals.hits === written);
}

async function live({ hits }) {
  const folder = temporaryFolder();
  const target = compile('target', folder);
  if (target === undefined) {
    console.log('left out: --live needs gcc');
    return 0;
  }
  const result = path.join(folder, 'target.json');
  const out = path.join(folder, 'watch.txt');
  const args = ['watch', '--quiet', '-o', out, 'counter/4:w', '--', target, String(hits), result];
  const child = spawn(process.execPath, [trapline, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
  let running = true;
  const ended = once(child, 'exit').then(() => {
    running = false;
  });
  const samples = [];
  const start = performance.now();
  while (running) {
    await Promise.race([ended, sleep(200)]);
    try {
      const status = fs.readFileSync(`/proc/${child.pid}/status`, 'utf8');
      const kib = /VmRSS:\s*(\d+)/.exec(status)?.[1];
      if (kib !== undefined) samples.push({ ms: performance.now() - start, rssMib: Number(kib) / 1024 });
    } catch {
      break; // it has ended
    }
  }
  await ended;
  const [, counted, lost] = /hits: (\d+) {2}lost: (\d+)/.exec(fs.readFileSync(out, 'utf8')) ?? [];
  console.log(`hits ${counted}, lost ${lost}, ${(samples.at(-1).ms / 1000).toFixed(0)} s`);
  const rows = Array.from({ length: steps }, (_, i) => {
    const upTo = samples.slice(
      Math.floor((i * samples.length) / steps),
      Math.ceil(((i + 1) * samples.length) / steps),
    );
    return { hits: Math.round((hits * (i + 1)) / steps), rssMib: Math.max(...upTo.map((one) => one.rssMib)) };
  });
  return show(rows, Number(counted) === hits && lost === '0');
}

function show(rows, complete) {
  const mib = (value) => (value === undefined ? '-' : value.toFixed(1));
  printTable([
    ['after hits', 'RSS MiB', 'heapUsed MiB'],
    ...rows.map((row) => [String(row.hits), mib(row.rssMib), mib(row.heapMib)]),
  ]);
  const [first] = rows;
  const grown = Math.max(...rows.map((row) => row.rssMib)) - first.rssMib;
  console.log(
    `grown after the first tenth: ${mib(grown)} MiB (flat: up to ${flatMib}): ${grown <= flatMib ? 'flat' : 'NOT FLAT'}`,
  );
  if (!complete) console.log('WRONG: not every hit was counted');
  return complete ? 0 : 1;
}
