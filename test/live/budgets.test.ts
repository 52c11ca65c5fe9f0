import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith, lacking, skip } from './support/machine.ts';
import { Running, runsFreely, start, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { endedWatch, finishWatch, readWatch, startWatch, total } from './support/watching.ts';

const four = ['counter:w', 'other:w', 'third:w', 'fourth:w'];

/** All registers of the process are free, and it runs: four more watches can be armed on it, and see it. */
async function expectUntouched(driven: Driven): Promise<void> {
  expect(runsFreely(driven.pid)).toBe(true);
  const watching = await startWatch([...four, '-p', String(driven.pid)]);
  await driven.ask('all 1');
  expect((await finishWatch(watching)).user).toHaveLength(4);
  expect(await driven.quit()).toBe(0);
}

describeWith(['gcc', 'breakpoints'], 'a budget ends the watch; the target runs on', () => {
  test('--max-hits: so many hits exactly, then nothing is armed', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['--max-hits', '7', 'counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 20');
    const { hits, ended, summary } = await endedWatch(watching);
    expect(hits).toHaveLength(7);
    expect(summary.hits).toBe(7);
    expect(ended.map((line) => line.reason)).toEqual(['max hits']);
    await expectUntouched(driven);
  });

  test('--max-hits 1 ends at the first hit, without waiting for more', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['--max-hits', '1', 'counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 1');
    expect((await endedWatch(watching)).hits).toHaveLength(1);
    await expectUntouched(driven);
  });

  test('--max-hits while several threads store: never more than asked', async () => {
    const driven = await Driven.start();
    await driven.ask('worker one');
    await driven.ask('worker two');
    const watching = await startWatch(['--max-hits', '100', 'counter:w', '-p', String(driven.pid)]);
    driven.process.write('work 0 500\nwork 1 500\nstore 500\n');
    await driven.process.line(/^stored 500/);
    expect((await endedWatch(watching)).summary.hits).toBe(100);
    await expectUntouched(driven);
  });

  test('--max-hits in the middle of a kernel copy: so many hits all the same', async (context) => {
    const lack = lacking('kernel mode');
    if (lack !== undefined) return skip(context, lack);
    const driven = await Driven.start();
    const watching = await startWatch(['--max-hits', '3', 'counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 2');
    await driven.ask('read 3 4');
    const { hits } = await endedWatch(watching);
    expect(total(hits)).toBe(3);
    await expectUntouched(driven);
  });

  test('--max-hits of a started program: its work, its output and its exit status are undisturbed', async () => {
    const result = await trapline([
      'watch',
      '--json',
      '--max-hits',
      '3',
      'counter:w',
      '--',
      programs.build('simple'),
    ]);
    expect(result.status).toBe(3);
    const { hits, others } = readWatch(result.stdout, { otherLines: true });
    expect(hits).toHaveLength(3);
    expect(others[0]).toMatch(/^simple/);
  });

  test('--for: ends after that time, silent target or not', async () => {
    const driven = await Driven.start();
    const began = Date.now();
    const watching = await startWatch(['--for', '200ms', 'counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 5');
    const { hits, ended } = await endedWatch(watching);
    expect(Date.now() - began).toBeGreaterThanOrEqual(190);
    expect(hits).toHaveLength(5);
    expect(ended.map((line) => line.reason)).toEqual(['time']);
    await expectUntouched(driven);
  });

  test('--for while the target stores all the time: it runs to its end', async () => {
    const steady = new Running(programs.build('steady'), ['500']);
    await steady.line(/^steady/);
    const watching = await startWatch(['--for', '0.2s', 'counter:w', '-p', String(steady.pid)]);
    const { hits, ended } = await endedWatch(watching);
    expect(ended.at(-1)?.reason).toBe('time');
    expect(hits.length).toBeGreaterThan(10);
    const result = await steady.ended;
    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(/done\n$/);
  });

  test('--for of a started program: the watch ends, the program runs to its end', async () => {
    const result = await trapline([
      ...['watch', '--json', '--for', '100ms', 'counter:w', '--', programs.build('steady'), '300'],
    ]);
    expect(result.status).toBe(0);
    const { others, ended } = readWatch(result.stdout, { otherLines: true });
    expect(others.at(-1)).toBe('done');
    expect(ended.at(-1)?.reason).toBe('time');
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    test(`${signal}: the totals are printed, exit status 0, nothing is armed`, async () => {
      const driven = await Driven.start();
      const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
      await driven.ask('store 4');
      watching.signal(signal);
      const { hits, ended } = await endedWatch(watching);
      expect(hits).toHaveLength(4);
      expect(ended.map((line) => line.reason)).toEqual(['stopped']);
      await expectUntouched(driven);
    });
  }

  test('SIGINT as text: totals a site, then hits and lost in the last line', async () => {
    const driven = await Driven.start();
    const watching = start(['watch', 'counter:w', '-p', String(driven.pid)]);
    await watching.line(/^# +seconds/);
    await driven.ask('store 4');
    await driven.ask('thread other 6');
    watching.signal('SIGINT');
    const result = await watching.ended;
    expect(result.status).toBe(0);
    const lines = result.stdout.trimEnd().split('\n');
    expect(lines.at(-1)).toBe('hits: 10  lost: 0');
    expect(lines.at(-2)).toMatch(/^ +10 +100\.0% +user +w +counter:w +store \S*driven\.c:\d+ +.*other\/\d+/);
    await expectUntouched(driven);
  });

  test('SIGINT to trapline alone leaves a started program to run to its end, and gives its exit status', async () => {
    const watching = start(['watch', '--json', 'counter:w', '--', programs.build('steady'), '300']);
    await watching.line(/"type":"hit"/);
    watching.signal('SIGINT');
    const result = await watching.ended;
    expect(result.status).toBe(0);
    const { others, ended } = readWatch(result.stdout, { otherLines: true });
    expect(others.at(-1)).toBe('done');
    expect(ended.at(-1)?.reason).toBe('stopped');
  });

  test('after each end on one process, all four registers can be had again and again', async () => {
    const driven = await Driven.start();
    for (let i = 0; i < 3; i++) {
      const result = await trapline(['stat', '--for', '10ms', ...four, '-p', String(driven.pid)]);
      expect([result.status, result.stderr]).toEqual([0, '']);
    }
    await expectUntouched(driven);
  });

  test('--quiet prints no hits, only what is armed and the totals', async () => {
    const driven = await Driven.start();
    const watching = start(['watch', '--quiet', '--for', '200ms', 'counter:w', '-p', String(driven.pid)]);
    await watching.line(/^# Linux/);
    await driven.ask('store 400');
    const { stdout, status } = await watching.ended;
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.filter((line) => line.includes('store '))).toHaveLength(1);
    expect(lines.at(-1)).toBe('hits: 400  lost: 0');
    await expectUntouched(driven);
  });

  test('closing its output (head -1) ends it at the next hits, without a word, and leaves nothing armed', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    watching.closeOutput();
    for (let i = 0; i < 50; i++) {
      if (!runsFreely(watching.pid)) break;
      await driven.ask('store 100');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const result = await watching.ended;
    expect(result.stderr).toBe('');
    await expectUntouched(driven);
  });

  test('a hit is printed soon after it happened', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 1');
    const began = Date.now();
    await watching.line(/"type":"hit"/);
    expect(Date.now() - began).toBeLessThan(1000);
    await finishWatch(watching);
    expect(await driven.quit()).toBe(0);
  });
});
