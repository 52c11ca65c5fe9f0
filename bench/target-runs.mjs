// Ways of watching one target, in turns: what `record` and `values` share.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { compile, median } from './support.mjs';

/** Hits of the session that tells what is done once. */
const shortHits = 1000;

/**
 * Runs every mode once a round, none always behind the same one: a short session and one of `hitsOf(mode)` hits.
 *
 * A mode is `{ name, command: ([target, ...args]) => [file, ...args], outcome: (stdout, stderr) => fields }`; `discard`:
 * what it prints is thrown away; `target`: the name of another program than target.c. Modes that fail are told, and
 * `broken` from then on. Gives a map from mode to `{ short, rounds }`, each run being
 * `{ targetNs, targetWallNs, recorderNs, maxRssKiB, wanted, least, ...outcome }`.
 */
export function interleave(modes, { folder, rounds, hitsOf }) {
  const measure = compile('measure', folder);
  const programs = new Map();
  const programOf = (name) => {
    if (!programs.has(name)) programs.set(name, compile(name, folder));
    return programs.get(name);
  };
  const files = { target: path.join(folder, 'target.json'), measure: path.join(folder, 'measure.json') };

  /** Runs one mode; undefined if it failed. */
  const runOnce = (mode, hits) => {
    for (const file of Object.values(files)) fs.rmSync(file, { force: true });
    const target = programOf(mode.target ?? 'target');
    const args = [files.measure, ...mode.command([target, String(hits), files.target])];
    const done = spawnSync(measure, args, {
      encoding: 'utf8',
      stdio: ['ignore', mode.discard === true ? 'ignore' : 'pipe', 'pipe'],
      maxBuffer: 1 << 26,
      timeout: 600_000,
    });
    if (done.status !== 0 || !fs.existsSync(files.target)) {
      console.log(`${mode.name} failed (${done.status}): ${String(done.stderr).trim().split('\n').at(-1)}`);
      mode.broken = true;
      return undefined;
    }
    const used = JSON.parse(fs.readFileSync(files.measure, 'utf8'));
    const own = JSON.parse(fs.readFileSync(files.target, 'utf8'));
    return {
      targetNs: own.userNs + own.sysNs,
      targetWallNs: own.wallNs,
      recorderNs: used.userNs + used.sysNs - own.allCpuNs,
      maxRssKiB: used.maxRssKiB,
      ...mode.outcome(done.stdout ?? '', done.stderr),
    };
  };

  const results = new Map(modes.map((mode) => [mode, { short: [], rounds: [] }]));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < modes.length; i++) {
      const mode = modes[(i + round) % modes.length]; // nobody always runs behind the same one
      if (mode.broken === true) continue;
      const hits = hitsOf(mode);
      const least = Math.min(shortHits, hits >> 2);
      const short = runOnce(mode, least);
      const full = short === undefined ? undefined : runOnce(mode, hits);
      if (full === undefined) continue;
      const result = results.get(mode);
      result.short.push(short);
      result.rounds[round] = { ...full, wanted: hits, least };
    }
  }
  return results;
}

/** CPU time of the target a hit, in us. */
export function targetUs(one) {
  return one.targetNs / one.wanted / 1000;
}

/** CPU time of the recorder a hit, in us, without what a session of few hits takes. */
export function recorderUs({ short, rounds }) {
  const once = median(short.map((one) => one.recorderNs));
  return rounds
    .filter((one) => one !== undefined)
    .map((one) => Math.max(0, one.recorderNs - once) / (one.wanted - one.least) / 1000);
}

/** Median of the rounds' ratios of two modes; `undefined` where one of them has no rounds. */
export function ratioOf(result, base, pick) {
  const ratios = result.rounds.flatMap((one, round) =>
    one === undefined || base.rounds[round] === undefined ? [] : [pick(one) / pick(base.rounds[round])],
  );
  return ratios.length === 0 ? undefined : median(ratios);
}
