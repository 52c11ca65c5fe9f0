import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith, lacking, skip } from './support/machine.ts';
import { start } from './support/process.ts';
import { programs } from './support/programs.ts';
import { finishWatch, startWatch, total, totalsBy } from './support/watching.ts';

describeWith(['gcc', 'breakpoints', 'kernel mode'], 'kernel writes to a variable', () => {
  async function afterOrders(args: readonly string[], orders: readonly string[]) {
    const driven = await Driven.start();
    const watching = await startWatch([...args, '-p', String(driven.pid)]);
    for (const order of orders) await driven.ask(order);
    const output = await finishWatch(watching);
    expect(await driven.quit()).toBe(0);
    return { ...output, pid: driven.pid };
  }

  test("a read(2) into it is one line, shown as the kernel's", async () => {
    const { hits, kernel, pid, summary } = await afterOrders(['counter:w'], ['read 1 4']);
    expect(hits).toHaveLength(1);
    expect(kernel).toHaveLength(1);
    expect(kernel[0]).toMatchObject({
      pid,
      tid: pid,
      comm: 'driven',
      access: 'w',
      kernel: true,
      watch: 'counter:w',
    });
    expect(total(kernel)).toBeGreaterThanOrEqual(1);
    expect(total(kernel)).toBeLessThanOrEqual(4);
    expect(summary.sites).toHaveLength(1);
    expect(summary.sites[0]?.kernel).toBe(true);
  });

  test('two reads back to back are two lines', async () => {
    const { kernel } = await afterOrders(['counter:w'], ['read 2 4']);
    expect(kernel).toHaveLength(2);
    expect(kernel[0]?.count).toBe(kernel[1]?.count);
  });

  test('five reads of eight bytes each are five lines', async () => {
    const { kernel } = await afterOrders(['counter:w'], ['read 5 8']);
    expect(kernel).toHaveLength(5);
  });

  test('a read of one byte is one hit without a count', async () => {
    const { kernel } = await afterOrders(['counter:w'], ['read 1 1']);
    expect(kernel).toHaveLength(1);
    expect(kernel[0]?.count).toBeUndefined();
  });

  test('two reads of one byte are two lines', async () => {
    const { kernel } = await afterOrders(['counter:w'], ['read 2 1']);
    expect(kernel.map((hit) => hit.count)).toEqual([undefined, undefined]);
  });

  test('a read between two stores stands between them', async () => {
    const { hits } = await afterOrders(['counter:w'], ['store 1', 'read 1 4', 'store 1']);
    expect(hits.map((hit) => hit.kernel)).toEqual([false, true, false]);
  });

  test('a watch of reads and writes sees what write(2) reads', async () => {
    const { kernel, hits } = await afterOrders(['counter:rw'], ['write']);
    expect(hits).toHaveLength(1);
    expect(kernel[0]?.access).toMatch(/^r/);
    const writes = await afterOrders(['counter:w'], ['write']);
    expect(writes.hits).toEqual([]);
  });

  test('a watch of reads and writes sees a read(2) once, not merged with other copies', async () => {
    const { kernel } = await afterOrders(['counter:rw'], ['read 1 4', 'write', 'read 1 4']);
    expect(kernel).toHaveLength(3);
  });

  test('--user-only leaves them out', async () => {
    const { hits, armed } = await afterOrders(
      ['--user-only', 'counter:w'],
      ['read 1 4', 'store 3', 'read 1 4'],
    );
    expect(hits).toHaveLength(3);
    expect(armed.kernelMode).toBe(false);
    expect(hits.every((hit) => !hit.kernel)).toBe(true);
  });

  test('a held kernel hit is printed soon, without another one coming', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '--max-hits', '1000', '-p', String(driven.pid)]);
    await driven.ask('read 1 4');
    expect(JSON.parse(await watching.line(/"type":"hit"/))).toMatchObject({ kernel: true });
    await finishWatch(watching);
    expect(await driven.quit()).toBe(0);
  });
});

describeWith(['gcc', 'breakpoints'], 'what is watched', () => {
  test('FUNCTION:x gives a hit a call, at its first byte', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['target:x', '-p', String(driven.pid)]);
    await driven.ask('target 12');
    const { user, armed } = await finishWatch(watching);
    expect(
      totalsBy(user, (hit) => `${hit.symbol} ${hit.offset} ${hit.access} ${hit.ip === hit.address}`),
    ).toEqual({
      'target 0x0 x true': 12,
    });
    expect(armed.watches).toMatchObject([{ access: 'x', symbol: 'target' }]);
    expect(await driven.quit()).toBe(0);
  });

  test('a function alone is watched for execution, a variable alone for reads and writes', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['target', 'counter', '-p', String(driven.pid)]);
    await driven.ask('target 2');
    await driven.ask('store 3');
    await driven.ask('load 4');
    const { user, armed } = await finishWatch(watching);
    expect(armed.watches.map((watch) => watch.access)).toEqual(['x', 'rw']);
    expect(totalsBy(user, (hit) => `${hit.watch} ${hit.access} ${hit.symbol}`)).toEqual({
      'target x target': 2,
      'counter w store': 3,
      'counter r load': 4,
    });
    expect(await driven.quit()).toBe(0);
  });

  test('two watches at once: each hit says which', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', 'other:w', '-p', String(driven.pid)]);
    await driven.ask('store 3');
    await driven.ask('all 2');
    const { user, summary } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.watch} ${BigInt(hit.address) === driven.other}`)).toEqual({
      'counter:w false': 5,
      'other:w true': 2,
    });
    expect(summary.sites.map((site) => site.watch).sort()).toEqual(['counter:w', 'counter:w', 'other:w']);
    expect(await driven.quit()).toBe(0);
  });

  test('four watches at once fill the registers, and all are seen', async () => {
    const driven = await Driven.start();
    const watching = await startWatch([
      'counter:w',
      'other:w',
      'third:w',
      'fourth:w',
      '-p',
      String(driven.pid),
    ]);
    await driven.ask('all 5');
    const { user } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => hit.watch)).toEqual({
      'counter:w': 5,
      'other:w': 5,
      'third:w': 5,
      'fourth:w': 5,
    });
    expect(user.slice(0, 4).map((hit) => hit.watch)).toEqual(['counter:w', 'other:w', 'third:w', 'fourth:w']);
    expect(await driven.quit()).toBe(0);
  });

  test('one variable watched for writes and for reads and writes: a store hits both, a load one', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', 'counter:rw', '-p', String(driven.pid)]);
    await driven.ask('store 3');
    await driven.ask('load 4');
    const { user } = await finishWatch(watching);
    expect(totalsBy(user, (hit) => `${hit.watch} ${hit.access}`)).toEqual({
      'counter:w w': 3,
      'counter:rw w': 3,
      'counter:rw r': 4,
    });
    expect(await driven.quit()).toBe(0);
  });

  test("sizes of one, two and eight bytes are the symbols' own", async () => {
    const driven = await Driven.start();
    const watching = await startWatch([
      'letter:w',
      'brief:w',
      'wide:w',
      'record+8/8:w',
      '-p',
      String(driven.pid),
    ]);
    await driven.ask('small 3');
    const { user, armed } = await finishWatch(watching);
    expect(armed.watches.map((watch) => watch.lenBytes)).toEqual([1, 2, 8, 8]);
    expect(totalsBy(user, (hit) => hit.watch)).toEqual({
      'letter:w': 3,
      'brief:w': 3,
      'wide:w': 3,
      'record+8/8:w': 3,
    });
    expect(await driven.quit()).toBe(0);
  });

  test('0xADDRESS in a running process, its default length 4', async () => {
    const driven = await Driven.start();
    const what = `0x${driven.counter.toString(16)}:w`;
    const watching = await startWatch([what, '-p', String(driven.pid)]);
    await driven.ask('store 3');
    const { user, armed } = await finishWatch(watching);
    expect(armed.watches[0]?.lenBytes).toBe(4);
    expect(totalsBy(user, (hit) => `${hit.watch} ${hit.symbol}`)).toEqual({ [`${what} store`]: 3 });
    expect(await driven.quit()).toBe(0);
  });

  test('MODULE+0xOFFSET in a running process', async () => {
    const driven = await Driven.start();
    const offset = programs.address(programs.build('driven'), 'counter').toString(16);
    const watching = await startWatch([`driven+0x${offset}/4:w`, '-p', String(driven.pid)]);
    await driven.ask('store 3');
    expect((await finishWatch(watching)).user).toHaveLength(3);
    expect(await driven.quit()).toBe(0);
  });

  test('thread names with control characters do not break lines of text, nor reach the terminal raw', async () => {
    const driven = await Driven.start();
    const watching = start(['watch', '--max-hits', '1', 'counter:w', '-p', String(driven.pid)]);
    await watching.line(/^# +seconds/);
    await driven.ask('rename a\u001b[31m\rb');
    await driven.ask('store 1');
    const { stdout } = await watching.ended;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is tested
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
    expect(await driven.quit()).toBe(0);
  });

  test('access is what the instruction does: load r, store w, add to memory rw; --asm shows it', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['--asm', 'counter:rw', '-p', String(driven.pid)]);
    await driven.ask('store 3');
    await driven.ask('load 4');
    await driven.ask('bump 5');
    const { user } = await finishWatch(watching);
    const mnemonic = (asm: string | undefined): string =>
      asm?.split(' ')[0]?.replace(/^movl$/, 'mov') ?? 'none';
    expect(totalsBy(user, (hit) => `${hit.symbol} ${hit.access} ${mnemonic(hit.asm)}`)).toMatchObject({
      'store w mov': 3,
      'load r mov': 4,
    });
    const bumps = user.filter((hit) => hit.symbol === 'bump');
    expect(new Set(bumps.map((hit) => `${hit.access} ${mnemonic(hit.asm)}`))).toEqual(new Set(['rw addl']));
    // One trap an instruction, though it reads and writes.
    expect(bumps).toHaveLength(5);
    expect(await driven.quit()).toBe(0);
  });

  test('--asm in text output stands behind the code, which is an offset where nothing tells its line', async () => {
    const driven = await Driven.start(programs.build('driven', { as: 'driven-plain', flags: ['-g0'] }));
    const watching = start(['watch', '--asm', '--max-hits', '1', 'counter:w', '-p', String(driven.pid)]);
    await watching.line(/^# +seconds/);
    await driven.ask('store 1');
    expect(await watching.line(/store\+0x/)).toMatch(/store\+0x[0-9a-f]+ \(driven-plain\) {2}\[movl? .*\]$/);
    expect((await watching.ended).status).toBe(0);
    expect(await driven.quit()).toBe(0);
  });

  test('without --asm there is no instruction in the lines', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 1');
    expect((await finishWatch(watching)).user[0]).not.toHaveProperty('asm');
    expect(await driven.quit()).toBe(0);
  });

  test('-s: the stack goes from the function through its caller to main', async (context) => {
    const lack = lacking('kernel mode');
    if (lack !== undefined) return skip(context, lack);
    const program = programs.build('driven', {
      as: 'driven-frames',
      flags: ['-O0', '-fno-omit-frame-pointer'],
    });
    const driven = await Driven.start(program);
    const watching = await startWatch(['-s', 'counter:w', '-p', String(driven.pid)]);
    await driven.ask('outer 3');
    await driven.ask('read 1 4');
    const { user, kernel } = await finishWatch(watching);
    expect(user).toHaveLength(3);
    for (const hit of user)
      expect(hit.stack.slice(0, 3).map((frame) => frame.symbol)).toEqual(['store', 'outer', 'main']);
    // libc's syscall() has no frame of its own, so that its caller's is the one that is passed over.
    expect(kernel[0]?.stack.map((frame) => frame.symbol)).toContain('main');
    expect(kernel[0]?.stack.some((frame) => frame.module === 'kernel')).toBe(true);
    expect(await driven.quit()).toBe(0);
  });

  test('-s in text: a line a frame', async () => {
    const program = programs.build('driven', {
      as: 'driven-frames',
      flags: ['-O0', '-fno-omit-frame-pointer'],
    });
    const driven = await Driven.start(program);
    const watching = start(['watch', '-s', '--max-hits', '1', 'counter:w', '-p', String(driven.pid)]);
    await watching.line(/^# +seconds/);
    await driven.ask('outer 1');
    await watching.line(/store \S*driven\.c:\d+$/);
    await watching.line(/^ +outer \S*driven\.c:\d+$/);
    await watching.line(/^ +main \S*driven\.c:\d+$/);
    expect((await watching.ended).status).toBe(0);
    expect(await driven.quit()).toBe(0);
  });
});
