import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith, lacking, skip } from './support/machine.ts';
import { armedOn, Running, type RunResult, start, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';

interface Counts {
  readonly type: string;
  readonly reason: string;
  readonly elapsedNs: string;
  readonly exitStatus?: number;
  readonly lost?: number;
  readonly execs: readonly { readonly pid: number; readonly comm: string }[];
  readonly watches: readonly {
    readonly watch: string;
    readonly address: string;
    readonly lenBytes: number;
    readonly access: string;
    readonly hits: number;
    readonly timeEnabledNs: string;
    readonly timeRunningNs: string;
    readonly threads?: readonly { readonly tid: number; readonly comm: string; readonly hits: number }[];
  }[];
}

function readCounts(result: RunResult): Counts {
  expect(result.stderr).toBe('');
  return JSON.parse(result.stdout.trimEnd().split('\n').at(-1) ?? '') as Counts;
}

/** `stat` of a running process: what it is told is done while it counts. */
async function countOrders(
  args: readonly string[],
  orders: readonly string[],
): Promise<{ counts: Counts; driven: Driven }> {
  const driven = await Driven.start();
  const file = path.join(programs.folder, 'counts.json');
  fs.rmSync(file, { force: true });
  const counting = start(['stat', '--json', '-o', file, ...args, '-p', String(driven.pid)]);
  await armedOn(counting);
  for (const order of orders) await driven.ask(order);
  counting.signal('SIGINT');
  const result = await counting.ended;
  expect(result.status).toBe(0);
  expect(result.stdout).toBe('');
  return { counts: readCounts({ ...result, stdout: fs.readFileSync(file, 'utf8') }), driven };
}

describeWith(['gcc', 'breakpoints'], 'stat', () => {
  test('counts the hits of a started program, and gives its exit status', async () => {
    const result = await trapline([
      'stat',
      '--json',
      '--user-only',
      'counter:w',
      'table+40/8:w',
      '--',
      programs.build('simple'),
    ]);
    expect(result.status).toBe(3);
    const counts = readCounts(result);
    expect(counts).toMatchObject({
      type: 'counts',
      exitStatus: 3,
      reason: 'target ended',
      watches: [
        { watch: 'counter:w', hits: 10, lenBytes: 4, access: 'w' },
        { watch: 'table+40/8:w', hits: 3, lenBytes: 8 },
      ],
    });
  });

  test('as text: a line a watch', async () => {
    const result = await trapline([
      'stat',
      '--user-only',
      'counter:w',
      'table+40/8:w',
      '--',
      programs.build('simple'),
    ]);
    expect(result.status).toBe(3);
    expect(result.stdout).toMatch(/^hits +watch/m);
    expect(result.stdout).toMatch(/^ *10 {2}counter:w +0x[0-9a-f]+\/4 /m);
    expect(result.stdout).toMatch(/^ *3 {2}table\+40\/8:w +0x[0-9a-f]+\/8 /m);
  });

  test('threads, children and later threads of a running process, in one sum', async () => {
    const { counts, driven } = await countOrders(
      ['counter:w', 'other:w'],
      ['store 5', 'thread later 6', 'fork 7', 'all 2'],
    );
    expect(counts.watches.map((watch) => watch.hits)).toEqual([20, 2]);
    expect(counts.reason).toBe('stopped');
    expect(await driven.quit()).toBe(0);
  });

  test("--per-thread: each thread's own, those that come later and children too", async () => {
    const { counts, driven } = await countOrders(
      ['--per-thread', 'counter:w', 'other:w'],
      ['worker one', 'work 0 3', 'store 5', 'thread later 6', 'fork 7', 'all 2'],
    );
    expect(counts.watches.map((watch) => watch.hits)).toEqual([23, 2]);
    const [counter, other] = counts.watches;
    expect(counter?.threads?.map((thread) => [thread.comm, thread.hits])).toEqual([
      ['driven', 7],
      ['driven', 7],
      ['later', 6],
      ['one', 3],
    ]);
    expect(other?.threads).toEqual([{ tid: driven.pid, comm: 'driven', hits: 2 }]);
    expect(counts.lost).toBe(0);
    expect(await driven.quit()).toBe(0);
  });

  test('kernel writes are counted, and left out with --user-only', async (context) => {
    const lack = lacking('kernel mode');
    if (lack !== undefined) return skip(context, lack);
    const all = await countOrders(['counter:w'], ['read 1 4', 'store 2']);
    expect(all.counts.watches[0]?.hits).toBeGreaterThanOrEqual(3);
    expect(all.counts.watches[0]?.hits).toBeLessThanOrEqual(6);
    expect(await all.driven.quit()).toBe(0);
    const user = await countOrders(['--user-only', 'counter:w'], ['read 1 4', 'store 2']);
    expect(user.counts.watches[0]?.hits).toBe(2);
    expect(await user.driven.quit()).toBe(0);
  });

  test('-p with --for: ends after that time; enabled and running times are that of the threads', async () => {
    const steady = new Running(programs.build('steady'), ['2500']);
    await steady.line(/^steady/);
    const result = await trapline([
      'stat',
      '--json',
      '--for',
      '300ms',
      'counter:w',
      '-p',
      String(steady.pid),
    ]);
    expect(result.status).toBe(0);
    const counts = readCounts(result);
    expect(counts.reason).toBe('time');
    const [watch] = counts.watches;
    expect(watch?.hits).toBeGreaterThan(10);
    const elapsed = Number(counts.elapsedNs) / 1e6;
    expect(elapsed).toBeGreaterThanOrEqual(190);
    const enabled = Number(watch?.timeEnabledNs) / 1e6;
    const running = Number(watch?.timeRunningNs) / 1e6;
    expect(enabled, 'enabled within a factor of the time that passed').toBeGreaterThan(0);
    expect(enabled).toBeLessThanOrEqual(elapsed * 1.2);
    expect(running).toBeLessThanOrEqual(enabled);
    expect((await steady.ended).stdout).toMatch(/done\n$/);
  });

  test('no more than elapsed time is enabled where one thread is counted', async () => {
    const result = await trapline(['stat', '--json', 'counter:w', '--', programs.build('steady'), '200']);
    const counts = readCounts(result);
    const [watch] = counts.watches;
    expect(Number(watch?.timeEnabledNs)).toBeLessThanOrEqual(Number(counts.elapsedNs) * 1.1);
    expect(Number(watch?.timeRunningNs)).toBeGreaterThan(0);
  });

  test('-t: one thread alone', async () => {
    const driven = await Driven.start();
    await driven.ask('worker one');
    const counting = start(['stat', '--json', 'counter:w', '-t', String(driven.pid)]);
    await armedOn(counting);
    await driven.ask('store 3');
    await driven.ask('work 0 4');
    await driven.ask('fork 5');
    counting.signal('SIGINT');
    expect(readCounts(await counting.ended).watches[0]?.hits).toBe(3);
    expect(await driven.quit()).toBe(0);
  });

  test('a signal that ends the program gives 128 + its number', async () => {
    const result = await trapline(['stat', '0x10000:w', '--', '/bin/sh', '-c', 'kill -TERM $$']);
    expect(result.status).toBe(143);
  });

  test('a program that executes another: its count ends there, and it says so', async () => {
    const { counts, driven } = await countOrders(['counter:w'], ['store 3', 'exec /bin/sh']);
    expect(counts.watches[0]?.hits).toBe(3);
    expect(counts.execs).toMatchObject([{ pid: driven.pid, comm: 'sh' }]);
    driven.process.write('\n');
    expect((await driven.process.ended).status).toBe(5);
  });
});
