// How long from the start of the command until the watch is armed?
//
// `trapline watch --json` on a small C program, launched and by -p, until its `armed` line can be read, beside the
// start of Node itself and `perf record -p` until its events are open. Expected: Node itself 30-60 ms, all of it
// 80-150 ms.
//
//     npm run bench -- start [--rounds 21]
//
// Without gcc the program is `sleep`, watched at an address of its own stack.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
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

const wantedMs = 150;
/** The command's own output may come before it. */
const armedLine = /^\{"type":"armed".*\n/m;

export async function run(argv) {
  const { rounds } = parseOptions(argv, { rounds: 21 }, { rounds: 2 });
  const folder = temporaryFolder();
  const program = compile('threads', folder);
  const sleeping = await startTarget(
    program === undefined ? ['sleep', '600'] : [program, '0'],
    program !== undefined,
  );
  const what = program === undefined ? `${stackOf(sleeping.pid)}/8:w` : 'counter/4:w';
  const command = program === undefined ? ['true'] : [program, '0', 'now'];
  const ways = [
    { name: 'node -e 0', ms: () => untilExit([process.execPath, '-e', '0']) },
    { name: 'trapline --version', ms: () => untilExit([process.execPath, trapline, '--version']) },
    {
      name: 'trapline watch --json -p PID',
      bound: true,
      ms: () => untilArmed(['watch', '--json', '-p', String(sleeping.pid), what]),
    },
  ];
  if (program !== undefined) {
    ways.push({
      name: 'trapline watch --json -- COMMAND',
      bound: true,
      ms: () => untilArmed(['watch', '--json', what, '--', ...command]),
    });
    if (isInstalled('perf'))
      ways.push({ name: 'perf stat, launched, to its end', ms: () => untilExit(perfStat(command)) });
  }
  const times = new Map(ways.map((way) => [way, []]));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const way of ways) times.get(way).push(await way.ms());
    }
  } finally {
    sleeping.kill('SIGKILL');
  }
  console.log(`${machineLine()}; ${rounds} rounds, interleaved`);
  printTable([
    ['from command start', 'ms (median, min..max)', 'x node', 'wanted', ''],
    ...ways.map((way) => {
      const ms = times.get(way);
      return [
        way.name,
        spread(ms, 1),
        (median(ms) / median(times.get(ways[0]))).toFixed(2),
        way.bound ? `<= ${wantedMs}` : '',
        way.bound ? verdict(median(ms), wantedMs) : '',
      ];
    }),
  ]);
  return 0;
}

const perfStat = (command) => ['perf', 'stat', '-x,', '-o', '/dev/null', '-e', 'dummy', ...command];

async function startTarget(command, saysReady) {
  const child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
  if (saysReady) await once(child.stdout, 'data');
  return child;
}

function stackOf(pid) {
  const line = /^([0-9a-f]+)-.*\[stack\]$/m.exec(fs.readFileSync(`/proc/${pid}/maps`, 'utf8'));
  return `0x${line[1]}`;
}

async function untilExit(command) {
  const start = performance.now();
  const child = spawn(command[0], command.slice(1), { stdio: 'ignore' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${command.join(' ')}: exit status ${code}`);
  return performance.now() - start;
}

/** Milliseconds until the `armed` line has been read. */
async function untilArmed(args) {
  const start = performance.now();
  const child = spawn(process.execPath, [trapline, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  let text = '';
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  for await (const chunk of child.stdout) {
    text += chunk;
    if (armedLine.test(text)) break;
  }
  const ms = performance.now() - start;
  child.kill('SIGTERM');
  await ended;
  if (!armedLine.test(text)) throw new Error(`not armed: ${errors || text}`);
  return ms;
}
