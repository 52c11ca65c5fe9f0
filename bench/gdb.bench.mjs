// How fast are the GDB protocol's two ends?
//
// A round trip of a small packet, and memory in the largest packets agreed, from our client to our server in another process,
// over a unix socket. Then a watched store of a guest under QEMU, handled by `trapline watch --remote` and by gdb with a watch
// whose commands are "silent" and "continue": the time of many hits less the time of few, by hit, one after the other.
// Expected: below 0.2 ms; above 100 MB/s; at most 1.2 times gdb.
//
//     npm run bench -- gdb [--trips 5000] [--megabytes 64] [--hits 2000] [--rounds 5]
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildGuest, guestObstacle, startGuest } from '../dist/bench/guests.js';
import { socketTransport } from '../dist/cli/gdb-transports.js';
import { GdbClient } from '../dist/gdb/gdb-client.js';
import { GdbServer } from '../dist/gdb/gdb-server.js';
import { x8664Description } from '../dist/gdb/x86-64-description.js';
import {
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

const memoryBytes = 1 << 20;
const base = 0x10_0000n;

export async function run(argv) {
  const { trips, megabytes, hits, rounds } = parseOptions(
    argv,
    { trips: 5000, megabytes: 64, hits: 2000, rounds: 5 },
    { trips: 50, megabytes: 1, hits: 20, rounds: 1 },
  );
  const folder = temporaryFolder();
  try {
    console.log(machineLine());
    await protocol(folder, { trips, megabytes, rounds });
    await watch(folder, { hits, rounds });
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function protocol(folder, { trips, megabytes, rounds }) {
  const socket = path.join(folder, 'server');
  const server = spawn(process.execPath, [fileURLToPath(import.meta.url), socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await once(server.stdout, 'data');
    const line = net.connect(socket);
    await once(line, 'connect');
    const client = await GdbClient.connect(socketTransport(line), {
      timer: (milliseconds, told) => {
        const timer = setTimeout(told, milliseconds);
        return () => clearTimeout(timer);
      },
    });
    const tripMs = [];
    const rates = [];
    const hash = createHash('sha256');
    for (let round = 0; round < rounds; round++) {
      let start = performance.now();
      for (let i = 0; i < trips; i++) await client.ask('qC');
      tripMs.push((performance.now() - start) / trips);
      start = performance.now();
      let bytes;
      for (let i = 0; i < megabytes; i++) bytes = await client.readMemory(base, memoryBytes);
      rates.push((megabytes * memoryBytes) / 1e3 / (performance.now() - start));
      hash.update(bytes);
    }
    printTable([
      ['what', 'median', 'spread', 'wanted', ''],
      ['round trip, ms', median(tripMs).toFixed(4), spread(tripMs, 4), '0.2', verdict(median(tripMs), 0.2)],
      [
        'memory, MB/s',
        median(rates).toFixed(0),
        spread(rates, 0),
        '100',
        median(rates) >= 100 ? 'reached' : 'MISSED',
      ],
    ]);
    console.log(
      `packets of ${client.packetBytesMax} bytes; sha256 of what was read: ${hash.digest('hex').slice(0, 16)}`,
    );
    client.close();
  } finally {
    server.kill();
  }
}

async function watch(folder, { hits, rounds }) {
  const obstacle = guestObstacle('x86-64') ?? (isInstalled('gdb') ? undefined : 'gdb is not installed');
  if (obstacle !== undefined) {
    console.log(`a hit on QEMU: skipped: ${obstacle}`);
    return;
  }
  const few = Math.ceil(hits / 10);
  const ours = [];
  const theirs = [];
  for (let round = 0; round < rounds; round++) {
    for (const [times, handle] of [
      [ours, byTrapline],
      [theirs, byGdb],
    ]) {
      const short = await guestRun(folder, few, handle);
      const long = await guestRun(folder, hits, handle);
      times.push(((long - short) / (hits - few)) * 1e3);
    }
  }
  const ratio = median(ours) / median(theirs);
  printTable([
    ['a hit on QEMU', 'µs, median', 'spread'],
    ['trapline watch --remote', median(ours).toFixed(0), spread(ours, 0)],
    ['gdb, silent watch', median(theirs).toFixed(0), spread(theirs, 0)],
  ]);
  console.log(`ratio ${ratio.toFixed(2)}, wanted 1.2: ${verdict(ratio, 1.2)}`);
}

/** Milliseconds from the start of what handles the hits to its end. */
async function guestRun(folder, stores, handle) {
  const guest = buildGuest('x86-64', folder, stores);
  const socket = path.join(folder, 'qemu');
  const qemu = await startGuest(guest, socket);
  try {
    const start = performance.now();
    const { command, args, check } = handle(guest.elf, socket, stores, folder);
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
    const elapsedMs = performance.now() - start;
    if (!check(stdout))
      throw new Error(`${command} has not seen ${stores} stores: ${stderr}${stdout.slice(-500)}`);
    return elapsedMs;
  } finally {
    qemu.kill('SIGKILL');
  }
}

function byTrapline(elf, socket, stores) {
  return {
    command: process.execPath,
    args: [
      trapline,
      'watch',
      '--remote',
      `unix:${socket}`,
      '--symbols',
      elf,
      'counter:w',
      '-q',
      '--max-hits',
      String(stores),
    ],
    check: (stdout) => stdout.includes(`hits: ${stores}  lost: 0`),
  };
}

function byGdb(elf, socket, stores, folder) {
  const script = path.join(folder, 'silent.gdb');
  fs.writeFileSync(
    script,
    [
      'set pagination off',
      'set architecture i386:x86-64',
      `target remote ${socket}`,
      'set $hits = 0',
      'watch *(int *)&counter',
      'commands',
      'silent',
      'set $hits = $hits + 1',
      `if $hits == ${stores}`,
      'printf "hits %d\\n", $hits',
      'detach',
      'quit',
      'end',
      'continue',
      'end',
      'continue',
      '',
    ].join('\n'),
  );
  return {
    command: 'gdb',
    args: ['-nx', '-batch', '-x', script, elf],
    check: (stdout) => stdout.includes(`hits ${stores}\n`),
  };
}

/** The server of the first part, in a process of its own. */
function serve(socket) {
  const memory = Uint8Array.from({ length: memoryBytes }, (_, i) => (i * 31) & 0xff);
  const thread = { process: 1, thread: 1, name: 'main' };
  const target = {
    description: x8664Description,
    threads: () => [thread],
    lastStop: () => ({ type: 'signal', signal: 5, thread }),
    registers: { read: () => new Uint8Array(8), write: () => undefined },
    memory: {
      read: (_, address, lenBytes) =>
        memory.subarray(Number(address - base), Number(address - base) + lenBytes),
    },
  };
  const server = net.createServer((line) => new GdbServer(socketTransport(line), target));
  server.listen(socket, () => console.log('listening'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serve(process.argv[2]);
