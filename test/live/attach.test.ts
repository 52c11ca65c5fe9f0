import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith } from './support/machine.ts';
import { eventually, runsFreely, start, statusField } from './support/process.ts';
import { endedWatch, finishWatch, startWatch, totalsBy } from './support/watching.ts';

describeWith(['gcc', 'breakpoints'], 'a running process is watched', () => {
  test('threads that run already, each with its name', async () => {
    const driven = await Driven.start();
    await driven.ask('worker first');
    await driven.ask('worker second');
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('work 0 3');
    await driven.ask('work 1 4');
    await driven.ask('store 5');
    const { user, summary, ended } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.comm} ${hit.symbol}`)).toEqual({
      'first store': 3,
      'second store': 4,
      'driven store': 5,
    });
    expect(new Set(user.map((hit) => hit.pid))).toEqual(new Set([driven.pid]));
    expect(summary.lost).toBe(0);
    expect(ended.map((line) => line.reason)).toEqual(['stopped']);
    expect(await driven.quit()).toBe(0);
  });

  test('threads born later, and threads that those create', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    const tids = [await driven.ask('thread later 3'), await driven.ask('thread last 4')];
    const { user } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.pid} ${hit.tid} ${hit.comm}`)).toEqual({
      [`${driven.pid} ${tids[0]} later`]: 3,
      [`${driven.pid} ${tids[1]} last`]: 4,
    });
    expect(await driven.quit()).toBe(0);
  });

  test('forked children and grandchildren, with the pid of each', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    const child = await driven.ask('fork 6');
    const grandchild = await driven.ask('fork 2');
    driven.process.write('grandchild 8\n');
    const second = Number((await driven.process.line(/^grandchild/)).split(' ')[1]);
    const { user } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.pid} ${hit.tid} ${hit.comm} ${hit.symbol}`)).toEqual({
      [`${child} ${child} driven store`]: 6,
      [`${grandchild} ${grandchild} driven store`]: 2,
      [`${second} ${second} driven store`]: 8,
    });
    expect(await driven.quit()).toBe(0);
  });

  test('a child that outlives its parent is watched to its end', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    const child = await driven.ask('orphan 9');
    expect(await driven.quit()).toBe(0);
    const { user, ended } = await endedWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.pid}`)).toEqual({ [child]: 9 });
    expect(ended.map((line) => line.reason)).toEqual(['target ended']);
  });

  test('names that threads take later are those of the hits from then on', async () => {
    const driven = await Driven.start();
    await driven.ask('worker before');
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('work 0 2');
    await driven.ask('renamework 0 after');
    await driven.ask('work 0 3');
    await driven.ask('rename new name');
    await driven.ask('store 1');
    const { user } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => hit.comm)).toEqual({ before: 2, after: 3, 'new name': 1 });
    expect(await driven.quit()).toBe(0);
  });

  test('thread names with quotes, backslashes and control characters keep the JSON valid', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('rename a"b\\c\u0001ä');
    await driven.ask('store 1');
    const { user } = await finishWatch(watching);
    expect(user.map((hit) => hit.comm)).toEqual(['a"b\\c\u0001ä']);
    expect(await driven.quit()).toBe(0);
  });

  test('-t: one thread alone, not those that it or others create', async () => {
    const driven = await Driven.start();
    await driven.ask('worker mine');
    driven.process.write('worker theirs\n');
    const tid = Number((await driven.process.line(/^worker 1/)).split(' ')[2]);
    const watching = await startWatch(['counter:w', '-t', String(tid)]);
    await driven.ask('work 0 3');
    await driven.ask('work 1 4');
    await driven.ask('store 5');
    await driven.ask('thread another 6');
    await driven.ask('fork 7');
    const { user } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.tid} ${hit.comm}`)).toEqual({ [`${tid} theirs`]: 4 });
    expect(await driven.quit()).toBe(0);
  });

  test('-t of the first thread: not what it forks or creates', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-t', String(driven.pid)]);
    await driven.ask('store 5');
    await driven.ask('thread another 6');
    await driven.ask('fork 7');
    const { user } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.pid} ${hit.tid}`)).toEqual({ [`${driven.pid} ${driven.pid}`]: 5 });
    expect(await driven.quit()).toBe(0);
  });

  test('a process that executes another program: the watch ends there and says so, in JSON', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 2');
    await driven.ask('exec /bin/sh');
    const { user, ended } = await endedWatch(watching);
    expect(user).toHaveLength(2);
    expect(ended[0]).toMatchObject({ reason: 'exec', pid: driven.pid, comm: 'sh' });
    expect(runsFreely(driven.pid)).toBe(true);
    driven.process.write('\n');
    expect((await driven.process.ended).status).toBe(5);
  });

  test('a process that executes another program: the watch ends there and says so, as text', async () => {
    const driven = await Driven.start();
    const watching = start(['watch', 'counter:w', '-p', String(driven.pid)]);
    await watching.line(/^# +seconds/);
    await driven.ask('exec /bin/sh');
    const result = await watching.ended;
    expect(result.status).toBe(0);
    expect(result.stdout).toMatch(new RegExp(`process ${driven.pid} executed another program \\(sh\\)`));
    expect(result.stdout).toMatch(/^hits: 0 {2}lost: 0$/m);
    driven.process.write('\n');
    expect((await driven.process.ended).status).toBe(5);
  });

  test('a child that executes another program ends its own watch alone', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    const child = await driven.ask('forkexec /bin/sh');
    await driven.ask('store 3');
    const { user, ended } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.pid}`)).toEqual({ [child]: 1, [driven.pid]: 3 });
    expect(ended.map((line) => [line.reason, line.pid])).toEqual([
      ['exec', child],
      ['stopped', undefined],
    ]);
    expect(await driven.quit()).toBe(0);
  });

  test('the target is never stopped or traced while it is watched', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    for (let i = 0; i < 20; i++) {
      await driven.ask('store 10');
      expect(runsFreely(driven.pid)).toBe(true);
    }
    expect((await finishWatch(watching)).user).toHaveLength(200);
    expect(await driven.quit()).toBe(0);
  });

  test('a stopped process (SIGSTOP) can be watched and stays stopped until it is continued', async () => {
    const driven = await Driven.start();
    process.kill(driven.pid, 'SIGSTOP');
    expect(await eventually(() => (statusField(driven.pid, 'State') ?? '').startsWith('T'))).toBe(true);
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    expect(statusField(driven.pid, 'State')).toMatch(/^T/);
    process.kill(driven.pid, 'SIGCONT');
    await driven.ask('store 4');
    expect((await finishWatch(watching)).user).toHaveLength(4);
    expect(await driven.quit()).toBe(0);
  });

  test('a target that is killed ends the watch', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 4');
    process.kill(driven.pid, 'SIGKILL');
    const { user, ended } = await endedWatch(watching);
    expect(user).toHaveLength(4);
    expect(ended.at(-1)?.reason).toBe('target ended');
  });

  test('two watchers of one process see the same', async () => {
    const driven = await Driven.start();
    const one = await startWatch(['counter:w', '-p', String(driven.pid)]);
    const two = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 20');
    const outputs = [await finishWatch(one), await finishWatch(two)];
    expect(outputs.map((output) => output.user.length)).toEqual([20, 20]);
    expect(await driven.quit()).toBe(0);
  });
});
