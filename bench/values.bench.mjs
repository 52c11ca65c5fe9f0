// What do values and conditions cost, the target and the recorder?
//
// One target stores a variable N times (bench/c/target.c); every way of watching runs once a round, in one interleaved
// run. Every value that is recorded is compared with what the target stored. Expected: the trap dominates; the registers
// in a sample cost the target under 0.1 us, the bpf program that reads memory in the trap 0.2-0.4 us. A condition that
// is false costs what counting costs where a program judges it, a record where it is judged here; gdb 3-5 times as much.
//
//     npm run bench -- values [--hits 200000] [--rounds 5]
//
// target us/hit: CPU time of the target's loop. recorder us/hit: CPU time of the recorder with its threads, less that of
// a session of 1000 hits. "value work" is the recorder's CPU time with values less that without. Ratios are medians of
// the rounds' ratios. A row is an entry of `modesOf`: its `name`, `command` and `outcome`.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
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
import { interleave, ratioOf, recorderUs, targetUs } from './target-runs.mjs';

export async function run(argv) {
  const options = parseOptions(argv, { hits: 200_000, rounds: 5 }, { hits: 2000, rounds: 1 });
  const folder = temporaryFolder();
  const target = compile('target', folder);
  if (target === undefined) {
    console.log('no gcc: nothing is measured');
    return 0;
  }
  const address = spawnSync(target, ['--address'], { encoding: 'utf8' }).stdout.trim();
  const modes = modesOf({ folder, address, isRoot: process.getuid() === 0 }).filter((mode) => {
    if (mode.peer === undefined || isInstalled(mode.peer)) return true;
    console.log(`left out: ${mode.name} (${mode.peer} is not installed)`);
    return false;
  });
  const results = interleave(modes, {
    folder,
    rounds: options.rounds,
    hitsOf: (mode) => (mode.slow === true ? Math.ceil(options.hits / 100) : options.hits),
  });
  console.log(`${machineLine()}; ${options.hits} hits a run, ${options.rounds} rounds (median, min..max)`);
  return report(modes, results);
}

/** The ways of watching. `wants`: figures that are judged, `{ base, most }` of target time to another row's. */
function modesOf({ folder, address, isRoot }) {
  const event = `mem:${address}/4:w`;
  const data = path.join(folder, 'perf.data');
  const statFile = path.join(folder, 'perf.stat');
  const apiFile = path.join(folder, 'api.json');
  const api = (name, values, wants) => ({
    name,
    wants,
    command: (target) => [
      process.execPath,
      path.join(benchFolder, 'record-api.mjs'),
      ...[apiFile, 'counter/4:w', values, ...target],
    ],
    outcome: () => JSON.parse(fs.readFileSync(apiFile, 'utf8')),
  });
  const condition = (name, when, judged) => ({
    name,
    ...judged,
    discard: true,
    command: (target) => [
      process.execPath,
      ...[trapline, 'watch', '--json', '-o', '/dev/null', 'counter/4:w', '--when', when, '--', ...target],
    ],
    outcome: () => ({}),
  });
  return [
    { name: 'nothing', command: (target) => target, outcome: () => ({}) },
    {
      name: 'perf stat',
      peer: 'perf',
      command: (target) => ['perf', 'stat', '-x,', '-e', event, '-o', statFile, ...target],
      outcome: () => ({ hits: Number(/^(\d+),/m.exec(fs.readFileSync(statFile, 'utf8'))?.[1]) }),
    },
    {
      name: 'perf record',
      peer: 'perf',
      command: (target) => ['perf', 'record', '-q', '-e', event, '-o', data, ...target],
      outcome: () => ({}),
    },
    api('trapline API, no values', 'plain'),
    api(`trapline API, values${isRoot ? ' (registers and bpf)' : ' (registers)'}`, 'values', {
      base: 'perf record',
      most: 1.05,
    }),
    {
      name: 'gdb, a false condition',
      peer: 'gdb',
      slow: true,
      discard: true,
      command: (target) => [
        'gdb',
        ...['-q', '-batch', '-nx', '-ex', `watch *(int *)${address} if *(int *)${address} < 0`],
        ...['-ex', 'run', '--args', ...target],
      ],
      outcome: () => ({}),
    },
    condition('trapline watch, a false condition', 'new < 0', {
      wants: isRoot ? { base: 'perf stat', most: 1.05 } : undefined,
      cheaper: { than: 'gdb, a false condition', least: 3 },
    }),
    condition('trapline watch, a false condition judged here', 'new < 0 && old < 0', {}),
    condition('trapline watch, a condition on the thread', 'tid == 0', {
      wants: isRoot ? { base: 'perf stat', most: 1.05 } : undefined,
    }),
    {
      name: 'trapline watch --json',
      discard: true,
      command: (target) => [
        process.execPath,
        ...[trapline, 'watch', '--json', '-o', '/dev/null', 'counter/4:w', '--', ...target],
      ],
      outcome: () => ({}),
    },
  ];
}

/** Time that passed for the target a hit, in us: who is stopped by a debugger waits without CPU time. */
function wallUs(one) {
  return one.targetWallNs / one.wanted / 1000;
}

/** CPU time of the recorder for the value of a hit, at most. */
const mostValueNs = 300;

function report(modes, results) {
  const rows = [['watched by', 'hits', 'lost', 'exact values', 'wrong', 'target us/hit', 'recorder us/hit']];
  const figures = [['wanted of', 'figure', 'is', 'wanted', '']];
  const resultOf = (name) => results.get(modes.find((mode) => mode.name === name));
  let wrong = 0;
  for (const mode of modes) {
    const result = results.get(mode);
    const rounds = result.rounds.filter((one) => one !== undefined);
    const last = rounds.at(-1);
    if (last === undefined) continue;
    for (const one of rounds) wrong += one.wrongValues ?? 0;
    const text = (value) => (value === undefined ? '-' : String(value));
    rows.push([
      ...[mode.name, text(last.hits), text(last.lost), text(last.exactValues), text(last.wrongValues)],
      spread(rounds.map(targetUs), mode.name === 'nothing' ? 4 : 2),
      mode.name === 'nothing' ? '-' : spread(recorderUs(result), 3),
    ]);
    const { wants } = mode;
    const base = wants === undefined ? undefined : resultOf(wants.base);
    const ratio = base === undefined ? undefined : ratioOf(result, base, targetUs);
    if (ratio !== undefined)
      figures.push([
        mode.name,
        `target time / ${wants.base}`,
        ratio.toFixed(3),
        `<= ${wants.most}`,
        verdict(ratio, wants.most),
      ]);
  }
  for (const mode of modes) {
    const { cheaper } = mode;
    const base = cheaper === undefined ? undefined : resultOf(cheaper.than);
    const ratio = base === undefined ? undefined : ratioOf(base, results.get(mode), wallUs);
    if (ratio === undefined) continue;
    const figure = `time of ${cheaper.than} / its`;
    const verdictText = ratio >= cheaper.least ? 'ok' : 'MISSED';
    figures.push([mode.name, figure, ratio.toFixed(2), `>= ${cheaper.least}`, verdictText]);
  }
  const plain = resultOf('trapline API, no values');
  const valued = modes.find((mode) => mode.name.startsWith('trapline API, values'));
  if (plain !== undefined && results.get(valued).rounds.length > 0) {
    const workNs = (median(recorderUs(results.get(valued))) - median(recorderUs(plain))) * 1000;
    figures.push([
      valued.name,
      'value work, ns CPU/hit',
      workNs.toFixed(0),
      `<= ${mostValueNs}`,
      verdict(workNs, mostValueNs),
    ]);
  }
  printTable(rows);
  console.log('');
  printTable(figures);
  if (wrong > 0) console.log(`WRONG: ${wrong} recorded values are not what the target stored`);
  return wrong > 0 ? 1 : 0;
}
