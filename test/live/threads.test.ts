import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith, lacking, skip } from './support/machine.ts';
import { armedOn, cli, Running, run, statusField } from './support/process.ts';
import { programs } from './support/programs.ts';
import { finishWatch, readWatch, startWatch } from './support/watching.ts';

describeWith(['gcc', 'breakpoints'], 'many threads', () => {
  for (const delay of [0, 5, 20]) {
    test(`threads created while trapline attaches are each watched once, none twice (${delay} ms after the start)`, async () => {
      const churn = new Running(programs.build('churn'), []);
      await churn.line(/^churn/);
      await new Promise((resolve) => setTimeout(resolve, delay));
      const watching = await startWatch(['counter:w', '-p', String(churn.pid)]);
      churn.write('\n');
      const threads = Number((await churn.line(/^stored/)).split(' ')[1]);
      const result = await watching.ended;
      expect([result.status, result.stderr]).toEqual([0, '']);
      const { user, summary } = readWatch(result.stdout);
      expect(threads).toBeGreaterThan(20);
      expect(user).toHaveLength(threads);
      expect(new Set(user.map((hit) => hit.tid)).size).toBe(threads);
      expect(new Set(user.map((hit) => hit.symbol))).toEqual(new Set(['store_once']));
      expect(summary.lost).toBe(0);
      expect((await churn.ended).status).toBe(0);
    });
  }

  test('four watches on a process that creates threads: armed on each all the same', async () => {
    for (const delay of [0, 15]) {
      const churn = new Running(programs.build('churn'), []);
      await churn.line(/^churn/);
      await new Promise((resolve) => setTimeout(resolve, delay));
      const watching = await startWatch([
        'counter:w',
        'other:w',
        'third:w',
        'fourth:w',
        '-p',
        String(churn.pid),
      ]);
      churn.write('\n');
      const threads = Number((await churn.line(/^stored/)).split(' ')[1]);
      const result = await watching.ended;
      expect([result.status, result.stderr]).toEqual([0, '']);
      expect(readWatch(result.stdout).user).toHaveLength(threads);
      await churn.ended;
    }
  });

  for (const flags of [[], ['--per-thread']]) {
    test(`stat ${flags.join('')} of threads created while it attaches: one each`, async () => {
      const churn = new Running(programs.build('churn'), []);
      await churn.line(/^churn/);
      const counting = new Running(process.execPath, [
        ...[cli, 'stat', '--json', ...flags, 'counter:w', '-p', String(churn.pid)],
      ]);
      await armedOn(counting);
      churn.write('\n');
      const threads = Number((await churn.line(/^stored/)).split(' ')[1]);
      const result = await counting.ended;
      expect([result.status, result.stderr]).toEqual([0, '']);
      const { watches } = JSON.parse(result.stdout.trimEnd().split('\n').at(-1) ?? '') as {
        watches: { hits: number; threads?: { hits: number }[] }[];
      };
      expect(watches[0]?.hits).toBe(threads);
      const each = watches[0]?.threads?.map((thread) => thread.hits);
      expect(each).toEqual(flags.length === 0 ? undefined : new Array(threads).fill(1));
    });
  }

  test('too few file descriptors for them: one line, exit status 1, the target unharmed', async () => {
    const driven = await Driven.start();
    for (let i = 0; i < 8; i++) await driven.ask(`worker number-${i}`);
    const watch = `${process.execPath} ${cli} watch counter:w other:w third:w fourth:w -p ${driven.pid}`;
    const result = await run('/bin/sh', ['-c', `ulimit -n 60; exec ${watch}`]);
    expect(result.stderr).toMatch(/^trapline: .*open files.*ulimit -n.*\n$/);
    expect(result.status).toBe(1);
    const watching = await startWatch([
      'counter:w',
      'other:w',
      'third:w',
      'fourth:w',
      '-p',
      String(driven.pid),
    ]);
    await driven.ask('all 1');
    expect((await finishWatch(watching)).user).toHaveLength(4);
    expect(await driven.quit()).toBe(0);
  });

  test('60,000 stores by two threads: every one is counted, none is lost', async () => {
    const driven = await Driven.start();
    await driven.ask('worker one');
    const watching = await startWatch(['--quiet', 'counter:w', '-p', String(driven.pid)]);
    driven.process.write('work 0 30000\nstore 30000\n');
    await driven.process.line(/^stored/);
    watching.signal('SIGINT');
    const result = await watching.ended;
    const summary: unknown = JSON.parse(result.stdout.trimEnd().split('\n').at(-1) ?? '');
    expect(summary).toMatchObject({ type: 'summary', hits: 60_000, lost: 0 });
    expect(await driven.quit()).toBe(0);
  });

  test('5,000 stores by ten threads in turn: each thread has its own, by its name', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    for (let i = 0; i < 10; i++) await driven.ask(`thread number-${i} 500`);
    const { user } = await finishWatch(watching);
    for (let i = 0; i < 10; i++) expect(user.filter((hit) => hit.comm === `number-${i}`)).toHaveLength(500);
    expect(await driven.quit()).toBe(0);
  });

  test('hits that find no room (trapline is stopped meanwhile) are lost, counted exactly and shown', async (context) => {
    const lack = lacking('root');
    if (lack !== undefined) return skip(context, lack);
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    watching.signal('SIGSTOP');
    while (!(statusField(watching.pid, 'State') ?? '').startsWith('T')) await new Promise(setImmediate);
    await driven.ask('store 40000');
    watching.signal('SIGCONT');
    await driven.ask('store 1');
    const { user, summary, ended } = await finishWatch(watching);
    expect(summary.lost).toBeGreaterThan(0);
    expect(user.length + summary.lost).toBe(40_001);
    expect(watching.stdout).toMatch(
      new RegExp(`^\\{"type":"lost","timeNs":"\\d+","lost":${summary.lost}\\}$`, 'm'),
    );
    expect(ended.at(-1)?.reason).toBe('stopped');
    expect(await driven.quit()).toBe(0);
  });
});
