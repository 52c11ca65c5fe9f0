import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { LiveLabMaker } from '../../src/hosts/live/live-lab.ts';
import { ModelLabMaker } from '../../src/hosts/model/model-lab.ts';
import { fuzz } from '../../src/scenario/fuzz/fuzz.ts';
import { knownDifferences } from '../../src/scenario/fuzz/known-differences.ts';

const live = new LiveLabMaker();
const reason = live.unable() ?? (live.machine.root ? undefined : 'it needs root');
if (reason !== undefined) console.log(`skipped: random scenarios on Linux: ${reason}`);
const folder = mkdtempSync(join(tmpdir(), 'trapline-live-fuzz-'));
afterAll(() => {
  live.close();
  rmSync(folder, { recursive: true });
});

const program = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
/** So long each seed goes on at most: about a minute in all. */
const budgetMs = 18_000;

describe.skipIf(reason !== undefined)('random scenarios on the model and on Linux', () => {
  for (const seed of [101, 102, 103])
    it(`agree but for what is listed: seed ${seed}`, async () => {
      const begin = performance.now();
      const { release } = live.machine;
      const { counts, findings, broken, skipReasons } = await fuzz({
        ...{ seed, scenarios: 6000, steps: 24, release, known: knownDifferences },
        maker: new ModelLabMaker({ verify: true }),
        against: live,
        onScenario: () => performance.now() - begin > budgetMs,
      });
      console.log(`seed ${seed}, Linux ${release}: ${JSON.stringify(counts)}`);
      for (const [why, times] of skipReasons) console.log(`skipped: ${times} random scenarios: ${why}`);
      expect(findings.map(({ outcome, text }) => `${outcome.reason}\n${text}`)).toEqual([]);
      expect(broken.map(({ outcome, text }) => `${outcome.reason}\n${text}`)).toEqual([]);
      expect(counts.agreements + counts.skipped + counts.known).toBe(counts.scenarios);
      expect(counts.steps).toBeGreaterThan(1000);
    });

  it('are run by the tool, which prints steps, rate and coverage, and saves nothing where nothing differs', () => {
    const run = spawnSync(process.execPath, [program, 'fuzz', '--seed', '1', '--scenarios', '100'], {
      ...{ cwd: folder, encoding: 'utf8', timeout: 60_000 },
    });
    expect([run.status, run.stderr]).toEqual([0, '']);
    expect(run.stdout).toContain(
      `fuzz of the model and Linux ${live.machine.release}: seed 1, 100 scenarios`,
    );
    expect(run.stdout).toMatch(/^coverage: \d+ of \d+ branches/m);
    expect(readdirSync(folder)).toEqual([]);
  });
});
