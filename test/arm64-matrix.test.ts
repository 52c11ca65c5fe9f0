import { describe, expect, it } from 'vitest';
import { ModelLabMaker } from '../src/hosts/model/model-lab.ts';
import { renderReport } from '../src/scenario/report.ts';
import { runScenarioFiles } from '../src/scenario/run.ts';

// The matrix of docs/spec/05 section 7: stores of 1 to 32 bytes against watches of up to 8, by a tracer and by perf.

interface Case {
  readonly storeBytes: number;
  readonly storeOffset: number;
  readonly watchBytes: number;
  readonly watchOffset: number;
  readonly hits: boolean;
}

const sizes = [1, 2, 4, 8, 16, 32];
const cases: Case[] = sizes.flatMap((size) => {
  const watchBytes = Math.min(size, 8);
  const own: Case[] = [];
  for (let w = 0; w <= 32; w += size)
    for (const p of [w - size, w, w + size])
      own.push({ storeBytes: size, storeOffset: w, watchBytes, watchOffset: p, hits: w === p });
  own.push({ storeBytes: size, storeOffset: -size, watchBytes: 8, watchOffset: -8, hits: true });
  return own;
});

const address = (offset: number) => `A.data+${1024 + offset}`;

/** A control value for stores by user code, enabled. */
function control({ watchBytes, watchOffset }: Case): number {
  const bytes = ((1 << watchBytes) - 1) << (((watchOffset % 8) + 8) % 8);
  return (bytes << 5) | (2 << 3) | (2 << 1) | 1;
}

async function run(machine: object, steps: (each: Case) => object[], select: (each: Case) => boolean) {
  const text = cases
    .filter(select)
    .flatMap((each, n) => [
      { scenario: `${n}: ${JSON.stringify(each)}`, machine: { arch: 'arm64', cpus: 1, ...machine } },
      { step: 'spawn', task: 'A' },
      ...steps(each),
    ])
    .map((line) => JSON.stringify(line))
    .join('\n');
  const report = await runScenarioFiles([{ name: 'matrix', text }], {
    maker: new ModelLabMaker({ verify: true }),
  });
  expect(report.exitCode, renderReport(report)).toBe(0);
  return report.scenarios.filter(({ status }) => status === 'held').length;
}

describe('the matrix of stores and watches on arm64', () => {
  it('has 213 cases, of which a third hits', () => {
    expect(cases).toHaveLength(213);
    expect(cases.filter(({ hits }) => hits)).toHaveLength(75);
  });

  it.each([{ features: [] }, { features: ['watched-far'] }])(
    '225: stops a traced task, %o',
    async (machine) => {
      const held = await run(
        machine,
        (each) => [
          { step: 'attach', task: 'A' },
          {
            step: 'setregset',
            task: 'A',
            set: 'watch',
            entries: [{ addr: address(each.watchOffset & ~7), ctrl: control(each) }],
          },
          { step: 'store', task: 'A', at: address(each.storeOffset), len: each.storeBytes, expect: {} },
          {
            step: 'setregset',
            task: 'A',
            set: 'watch',
            entries: [{ addr: address(each.watchOffset & ~7), ctrl: 0 }],
          },
          // In the midst of the access, if it hit: the task is told nothing else.
          { step: 'migrate', task: 'A', cpu: 0, expect: { errno: each.hits ? 'EBUSY' : 0 } },
          { step: 'cont', task: 'A', expect: { stop: null } },
        ],
        () => true,
      );
      expect(held).toBe(213);
    },
  );

  it('225: counts for perf', async () => {
    const held = await run(
      {},
      (each) => [
        {
          step: 'open',
          as: 'w',
          task: 'A',
          attr: { bpType: 'w', bpAddr: address(each.watchOffset), bpLen: each.watchBytes },
        },
        { step: 'store', task: 'A', at: address(each.storeOffset), len: each.storeBytes },
        { step: 'read', event: 'w', expect: { value: each.hits ? 1 : 0 } },
      ],
      () => true,
    );
    expect(held).toBe(213);
  });
});
