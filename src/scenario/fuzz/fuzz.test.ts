import { describe, expect, it } from 'vitest';
import { ModelLabMaker } from '../../hosts/model/model-lab.ts';
import type { Scenario } from '../format.ts';
import { type Lab, LabFailure, type LabMaker } from '../lab.ts';
import { parseScenarios } from '../parser.ts';
import { fuzz } from './fuzz.ts';
import { type KnownDifference, shows } from './known-difference.ts';
import { knownDifferences } from './known-differences.ts';

const right = new ModelLabMaker();
const asked = { seed: 2, scenarios: 200, steps: 20 };

/** A model in which something is otherwise. */
function changed(change: (lab: Lab) => void, more: Partial<LabMaker> = {}): LabMaker {
  return {
    refuses: (machine, needs) => right.refuses(machine, needs),
    make: (machine) => {
      const lab = right.make(machine);
      change(lab);
      return lab;
    },
    ...more,
  };
}

/** A model in which nothing is ever to be polled. */
const quietPoll = changed((lab) => {
  const { poll } = lab.calls;
  lab.calls.poll = (fd) => poll.call(lab.calls, fd) & 0;
});

describe('fuzzing', () => {
  it('counts what agrees', async () => {
    const { counts, findings } = await fuzz({ ...asked, maker: right, against: right });
    expect(counts).toMatchObject({ scenarios: 200, agreements: 200, differences: 0, broken: 0, skipped: 0 });
    expect(counts.steps).toBeGreaterThanOrEqual(200 * 20);
    expect(findings).toEqual([]);
  });

  it('makes what differs small: the steps that matter and no others', async () => {
    const { counts, findings } = await fuzz({ ...asked, maker: right, against: quietPoll });
    expect(counts.differences).toBeGreaterThan(3);
    expect(findings).toHaveLength(3); // of one kind no more are told
    for (const { scenario, outcome } of findings) {
      expect(scenario.steps.map(({ step }) => step).slice(-2)).toEqual(['open', 'poll']);
      expect(scenario.steps.length).toBeLessThanOrEqual(4);
      expect(outcome.difference).toEqual({ step: 'poll', field: 'revents', values: [16, 0] });
    }
  });

  it('gives texts that show the difference again', async () => {
    const { findings } = await fuzz({ ...asked, maker: right, against: quietPoll });
    const [scenario] = parseScenarios('again', findings[0]?.text ?? '');
    expect(scenario?.steps.every(({ expect: expected }) => JSON.stringify(expected) === '{}')).toBe(true);
  });

  it('tells a lab that broke apart from a difference', async () => {
    const mortal = changed((lab) => {
      lab.tasks.migrate = () => {
        throw new LabFailure('puppet 77 died: signal 9');
      };
    });
    const { counts, findings, broken } = await fuzz({ ...asked, maker: right, against: mortal });
    expect([counts.differences, findings.length]).toEqual([0, 0]);
    expect(counts.broken).toBeGreaterThan(0);
    expect(broken[0]?.outcome.reason).toContain('puppet 77 died: signal 9');
    expect(broken[0]?.scenario.steps.at(-1)?.step).toBe('migrate');
  });

  it('tells why scenarios did not run', async () => {
    const oneCpu = changed(() => {}, {
      refuses: (_, needs) => (needs.includes('two-cpus') ? 'it needs two CPUs' : undefined),
    });
    const { counts, skipReasons } = await fuzz({ ...asked, maker: right, against: oneCpu });
    expect(counts.skipped).toBeGreaterThan(30);
    expect(counts.agreements).toBeGreaterThan(0);
    expect([...skipReasons]).toEqual([['it needs two CPUs', counts.skipped]]);
  });

  it('counts what chance decides, and does not call it a difference', async () => {
    let times = 0;
    const chancy = changed(
      (lab) => {
        const { poll } = lab.calls;
        lab.calls.poll = (fd) => (times++ === 3 ? 0 : poll.call(lab.calls, fd));
      },
      { disturbance: () => undefined },
    );
    const { counts } = await fuzz({ ...asked, maker: right, against: chancy });
    expect(counts).toMatchObject({ differences: 0, unsteady: 1, agreements: 200 });
  });
});

describe('a known difference', () => {
  const known: KnownDifference = {
    id: 'poll-is-quiet',
    title: 'poll says nothing',
    scenario: [
      '{"scenario": "poll is quiet", "machine": {"cpus": 1}}',
      '{"step": "spawn", "task": "A", "cpu": 0}',
      '{"step": "open", "as": "e", "attr": {"bpType": "w", "bpAddr": "A.data"}, "task": "A", "expect": {}}',
      '{"step": "poll", "event": "e", "expect": {}}',
    ].join('\n'),
    difference: { step: 'poll', field: 'revents', values: [16, 0] },
    right: 'model',
    section: '03 section 11',
    why: 'It is made up.',
    releases: ['6.18'],
  };

  it('is counted, and no finding, on the releases that it is listed for', async () => {
    const listed = { ...asked, maker: right, against: quietPoll, known: [known] };
    const on = await fuzz({ ...listed, release: '6.18.1' });
    expect(on.counts.known).toBeGreaterThan(0);
    expect(on.counts.known + on.findings.length).toBeGreaterThan(on.findings.length);
    expect(on.knownSeen.get('poll-is-quiet')).toBe(on.counts.known);
    const off = await fuzz({ ...listed, release: '6.19.0' });
    expect([off.counts.known, off.findings.length]).toEqual([0, 3]);
  });

  it('is only what has all its steps, asked in the same way, with the same outcome', () => {
    const steps = parseScenarios('known', known.scenario)[0]?.steps ?? [];
    const scenario = (attr: string, ...more: string[]): Scenario | undefined =>
      parseScenarios(
        'seen',
        [
          '{"scenario": "seen"}',
          '{"step": "spawn", "task": "T0", "cpu": 1}',
          ...more,
          `{"step": "open", "as": "e9", "attr": {"bpAddr": "T0.data+8", ${attr}}, "task": "T0"}`,
          '{"step": "poll", "event": "e9"}',
        ].join('\n'),
      )[0];
    const seen = (
      found: ReturnType<typeof scenario>,
      values: [unknown, unknown] = [16, 0],
      release = '6.18.44',
    ): boolean =>
      found !== undefined &&
      shows({ ...known, steps }, { scenario: found, difference: { ...known.difference, values }, release });
    expect(seen(scenario('"bpType": "w", "bpLen": 4', '{"step": "used"}'))).toBe(true);
    expect(seen(scenario('"bpType": "x"'))).toBe(false);
    expect(seen(scenario('"bpType": "w"'), [16, 1])).toBe(false);
    expect(seen(scenario('"bpType": "w"'), [16, 0], '6.1.8')).toBe(false);
  });

  it('has a scenario that can be read, and says on which releases it was seen', () => {
    for (const { id, scenario, releases } of knownDifferences) {
      expect(parseScenarios(id, scenario), id).toHaveLength(1);
      expect(releases.length, id).toBeGreaterThan(0);
    }
  });
});
