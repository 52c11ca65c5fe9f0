// How long does it take to find a name in a large binary with debug information?
//
// A generated C program of many units with debug information, --megabytes in all. `trapline resolve` of an element behind members: its whole time cold (an empty cache of names;
// the file itself is in the page cache) and with the cache, each in a process of its own, less what the command takes
// for a small file. Beside it gdb's time for the same question. Expected: cold below a second (0012: a pass over
// the entries' headers, no index), with the cache the time to start.
//
//     npm run bench -- names [--megabytes 100] [--rounds 5]
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
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

const coldMs = 1000;
const cachedMs = 50;

export async function run(argv) {
  const { megabytes, rounds } = parseOptions(
    argv,
    { megabytes: 100, rounds: 5 },
    { megabytes: 1, rounds: 1 },
  );
  if (!isInstalled('gcc')) {
    console.log('no gcc: nothing is measured');
    return 0;
  }
  const folder = temporaryFolder();
  const { program, units } = build(folder, megabytes * 1e6);
  const small = build(path.join(folder, 'small'), 0).program;
  // In the middle: neither the first unit nor the last.
  const name = 'wanted_global.parts[3].b.wide';
  const cache = path.join(folder, 'cache');
  const times = { cold: [], cached: [], start: [], gdb: [] };
  const answers = new Set();
  for (let round = 0; round < rounds; round++) {
    fs.rmSync(cache, { recursive: true, force: true });
    times.cold.push(resolve(program, name, cache, answers));
    times.cached.push(resolve(program, name, cache, answers));
    resolve(small, name, cache, new Set());
    times.start.push(resolve(small, name, cache, new Set()));
    if (isInstalled('gdb')) {
      const commands = ['-q', '-batch', '-nx', '-ex', `print/x (long)&${name}`, program];
      times.gdb.push(timed('gdb', commands, process.env).ms);
    }
  }
  const start = median(times.start);
  const cold = median(times.cold) - start;
  const cached = median(times.cached) - start;
  const bytes = fs.statSync(program).size;
  console.log(
    `${machineLine()}; ${(bytes / 1e6).toFixed(1)} MB, ${units} units, ${rounds} rounds (median, min..max)`,
  );
  printTable([
    ['resolve', 'ms in all', 'ms less the start', 'wanted', ''],
    ['cold', spread(times.cold, 0), cold.toFixed(0), `<= ${coldMs}`, verdict(cold, coldMs)],
    [
      'from the cache',
      spread(times.cached, 0),
      cached.toFixed(0),
      `<= ${cachedMs}`,
      verdict(cached, cachedMs),
    ],
    ['a small file', spread(times.start, 0), '-', '', ''],
    ...(times.gdb.length > 0 ? [['gdb', spread(times.gdb, 0), '-', '', '']] : []),
  ]);
  if (answers.size !== 1) console.log(`WRONG: ${answers.size} answers: ${[...answers].join(' | ')}`);
  return answers.size === 1 ? 0 : 1;
}

function resolve(program, expression, cache, answers) {
  const env = { ...process.env, XDG_CACHE_HOME: cache };
  const { ms, stdout, status, stderr } = timed(
    process.execPath,
    [trapline, 'resolve', expression, program, '--json'],
    env,
  );
  if (status !== 0) throw new Error(`trapline resolve: ${stderr}`);
  answers.add(stdout.trim());
  return ms;
}

function timed(file, args, env) {
  const start = performance.now();
  const result = spawnSync(file, args, { env, encoding: 'utf8' });
  return { ms: performance.now() - start, ...result };
}

/**
 * A program of about `bytes`: a unit that is asked for in the middle of many that are alike. Those are one object file
 * that is linked again and again, which the linker is told to accept: every one brings its debug information.
 */
function build(folder, bytes) {
  fs.mkdirSync(folder, { recursive: true });
  const objectOf = (name, source) => {
    const object = path.join(folder, `${name}.o`);
    fs.writeFileSync(path.join(folder, `${name}.c`), source);
    run1('gcc', ['-g', '-O0', '-c', path.join(folder, `${name}.c`), '-o', object]);
    return object;
  };
  const main = objectOf('main', 'int main(void) { return 0; }\n');
  const wanted = objectOf('wanted', unitSource('wanted', 20));
  const objects = [wanted];
  if (bytes > 0) {
    const other = objectOf('other', unitSource('other', 800));
    const each = 0.45 * fs.statSync(other).size; // relocations of debug information do not get into the program
    while (objects.length * each < bytes) objects.splice(objects.length >> 1, 0, other);
    objects.splice(objects.indexOf(wanted), 1);
    objects.splice(objects.length >> 1, 0, wanted);
  }
  const program = path.join(folder, 'program');
  run1('gcc', ['-g', '-Wl,--allow-multiple-definition', main, ...objects, '-o', program]);
  return { program, units: objects.length };
}

function run1(file, args) {
  const { status, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file}: ${stderr}`);
}

/** A unit as large ones are: many types and functions, few globals. */
function unitSource(prefix, count) {
  const lines = [];
  const p = `${prefix}_`;
  lines.push(`struct ${p}b { char a; long wide; }; struct ${p}part { int a; struct ${p}b b; };`);
  lines.push(`struct ${p}whole { struct ${p}part parts[8]; struct ${p}whole *next; } ${p}global;`);
  for (let i = 0; i < count; i++) {
    lines.push(
      `struct ${p}t${i} { int first${i}; struct ${p}t${i} *next; long values${i}[${(i % 7) + 1}]; };`,
    );
    lines.push(`int ${p}v${i}; static struct ${p}t${i} ${p}s${i};`);
    lines.push(
      `int ${p}f${i}(struct ${p}t${i} *at, int by) { int sum = by; for (int k = 0; k < by; k++) { int twice = 2 * k; sum += twice + at->first${i}; } ${p}s${i}.first${i} += sum; return sum + (int)${p}global.parts[1].b.wide + ${p}v${i}; }`,
    );
  }
  return `${lines.join('\n')}\n`;
}
