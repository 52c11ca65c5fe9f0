import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Assembler } from '../../src/bpf/assembler.ts';
import { openLinuxSurface } from '../../src/linux/linux-surface.ts';
import { Driven } from './support/driven.ts';
import { describeWith, skip } from './support/machine.ts';
import { trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { endedWatch, finishWatch, type HitLine, readWatch, startWatch } from './support/watching.ts';

// --when, --rate, --max-hits, --stop, --then on this machine's Linux.

/** Why bpf programs may not be loaded here. */
const bpfLack = (() => {
  try {
    openLinuxSurface()
      .bpf.load({ bytes: new Assembler().mov(0, 1).exit().assemble().bytes })
      .close();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
})();

interface Judging {
  readonly when?: { readonly judge: string; readonly why?: string };
  readonly rate?: { readonly perSecond: number; readonly keeper: string };
  readonly maxHits?: { readonly hits: number; readonly keeper: string };
  readonly stop?: string;
}

/** What the `armed` line says of who judges; the type of the line has it not. */
function judging(armed: object): Judging {
  return armed as Judging;
}

const newOf = (hit: HitLine): unknown => (hit as HitLine & { readonly new?: unknown }).new; // of a watch with values
const expectedJudge = (judge: string): string => (bpfLack === undefined ? judge : 'here');

describeWith(['gcc', 'breakpoints', 'x86_64'], 'conditions', () => {
  test('--when on the new value: those hits alone, whichever thread stored them', async () => {
    const driven = await Driven.start();
    await driven.ask('worker one');
    const watching = await startWatch(['counter:w', '--when', 'new >= 95', '-p', String(driven.pid)]);
    // Twice, so that the second time the code is known and programs judge it.
    for (let round = 0; round < 2; round++) {
      await driven.ask('store 100');
      driven.process.write('work 0 100\n');
      await driven.process.line(/^worked/);
    }
    const { armed, hits } = await finishWatch(watching);
    expect(judging(armed).when?.judge).toBe(expectedJudge('both'));
    expect(hits.map(newOf).sort()).toEqual(
      Array.from({ length: 4 }, () => [95, 96, 97, 98, 99])
        .flat()
        .sort(),
    );
    expect(await driven.quit()).toBe(0);
  });

  test('two threads that race on one variable: each hit is judged by what its own thread stored', async () => {
    const program = programs.build('even-odd');
    const news = async (when: string): Promise<readonly unknown[]> => {
      const result = await trapline(['watch', '--json', 'v:w', '--when', when, '--', program]);
      const { hits, summary } = readWatch(result.stdout);
      expect(summary.lost).toBe(0);
      return hits.map(newOf);
    };
    expect(await news('(tid == pid) == (new % 2 == 1)')).toEqual([]);
    expect(await news('new % 3000 == 7')).toEqual([7, 3007, 6007, 9007]);
  });

  test('--when on the change from one hit to the next is judged by the chain of all hits', async () => {
    const driven = await Driven.start();
    const watching = await startWatch([
      'counter:w',
      '--when',
      'changed && new < old',
      '-p',
      String(driven.pid),
    ]);
    for (let round = 0; round < 3; round++) await driven.ask('store 10');
    const { armed, hits } = await finishWatch(watching);
    expect(judging(armed).when?.judge).toBe('here');
    expect(hits.map(newOf)).toEqual([0, 0]);
    expect(await driven.quit()).toBe(0);
  });

  test('--when on thread and name, without looking at the value', async () => {
    const driven = await Driven.start();
    const tid = await driven.ask('worker one');
    const watching = await startWatch([
      'counter:w',
      '--when',
      `tid == ${tid} && comm == "one"`,
      '-p',
      String(driven.pid),
    ]);
    await driven.ask('store 10');
    driven.process.write('work 0 7\n');
    await driven.process.line(/^worked/);
    const { armed, hits } = await finishWatch(watching);
    expect(judging(armed).when?.judge).toBe(expectedJudge('kernel'));
    expect(hits.map((hit) => hit.tid)).toEqual(Array.from({ length: 7 }, () => tid));
    expect(await driven.quit()).toBe(0);
  });

  test('--when on another variable, as it was in the trap', async (context) => {
    if (bpfLack !== undefined) return skip(context, bpfLack);
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '--when', 'new == other + 1', '-p', String(driven.pid)]);
    // Stores 0 to 4, to counter first: then other still has the number before. Afterwards both are alike.
    for (let round = 0; round < 2; round++) await driven.ask('all 5');
    const { armed, hits } = await finishWatch(watching);
    expect(judging(armed).when?.judge).toBe('kernel');
    expect(hits.map(newOf)).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
    expect(await driven.quit()).toBe(0);
  });

  test('a condition that makes no sense is refused with a caret, and nothing is armed', async () => {
    const driven = await Driven.start();
    const result = await trapline([
      'watch',
      'counter:w',
      '--when',
      'new > nothing',
      '-p',
      String(driven.pid),
    ]);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/--when: .*nothing/);
    expect(result.stderr).toContain('  new > nothing\n        ^\n');
    expect(await driven.quit()).toBe(0);
  });

  test('--rate: as many at once and then so many a second; the rest is counted by nobody as lost', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '--rate', '10/s', '-p', String(driven.pid)]);
    await driven.ask('store 5000');
    const { armed, hits, summary } = await finishWatch(watching);
    expect(judging(armed).rate).toEqual({ perSecond: 10, keeper: expectedJudge('kernel') });
    const spanNs = Number(BigInt(hits.at(-1)?.timeNs ?? 0) - BigInt(hits[0]?.timeNs ?? 0));
    expect(hits.length).toBeGreaterThanOrEqual(10);
    expect(hits.length).toBeLessThanOrEqual(10 + Math.ceil(spanNs / 1e8) + 1);
    expect(summary.lost).toBe(0);
    expect(await driven.quit()).toBe(0);
  });

  test('--max-hits with a condition: so many hits that it holds of', async () => {
    const driven = await Driven.start();
    for (const when of [`pid == ${driven.pid}`, 'new % 10 == 4']) {
      const watching = await startWatch([
        'counter:w',
        '--when',
        when,
        '--max-hits',
        '5',
        '-p',
        String(driven.pid),
      ]);
      await driven.ask('store 200');
      const { hits, ended, armed } = await endedWatch(watching);
      expect(hits).toHaveLength(5);
      expect(ended.map((line) => line.reason)).toEqual(['max hits']);
      expect(judging(armed).maxHits?.keeper).toBe(when.startsWith('pid') ? expectedJudge('kernel') : 'here');
    }
    expect(await driven.quit()).toBe(0);
  });

  test('--stop: the process stands still at the hit until it is let go', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '--stop', '--max-hits', '1', '-p', String(driven.pid)]);
    driven.process.write('store 3\n');
    const { armed, hits } = await endedWatch(watching);
    expect(hits).toHaveLength(1);
    expect(judging(armed).stop).toBe(expectedJudge('kernel'));
    const state = (): string =>
      /^State:\s+(\S)/m.exec(fs.readFileSync(`/proc/${driven.pid}/status`, 'utf8'))?.[1] ?? '?';
    await expect.poll(state).toBe('T');
    process.kill(driven.pid, 'SIGCONT');
    await driven.process.line(/^stored 3/);
    expect(await driven.quit()).toBe(0);
  });

  test('--then: a command for every hit, in order, that is told of it', async () => {
    const file = path.join(programs.folder, 'then');
    const driven = await Driven.start();
    const watching = await startWatch([
      'counter:w',
      '--max-hits',
      '3',
      '--then',
      `echo "$TRAPLINE_WATCH $TRAPLINE_PID $TRAPLINE_NEW" >> ${file}`,
      '-p',
      String(driven.pid),
    ]);
    await driven.ask('store 5');
    expect((await endedWatch(watching)).hits).toHaveLength(3);
    expect(fs.readFileSync(file, 'utf8')).toBe(
      [0, 1, 2].map((value) => `counter:w ${driven.pid} ${value}\n`).join(''),
    );
    expect(await driven.quit()).toBe(0);
  });
});
