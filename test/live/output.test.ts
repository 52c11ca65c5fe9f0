import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith, lacking, perfEventHolder, skip } from './support/machine.ts';
import { cli, run, start, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { finishWatch, readWatch, startWatch } from './support/watching.ts';

describeWith(['gcc', 'breakpoints'], 'what watch prints', () => {
  test('the armed line is not later than the first hit, also of a program that stores at once', async () => {
    const program = programs.build('simple', { as: 'simple-static', flags: ['-static'] });
    for (let i = 0; i < 3; i++) {
      const { stdout } = await trapline(['watch', '--json', 'counter:w', '--', program]);
      const { armed, hits } = readWatch(stdout, { otherLines: true });
      expect(Number(BigInt(hits[0]?.timeNs ?? 0) - BigInt(armed.timeNs))).toBeGreaterThanOrEqual(0);
    }
  });

  test('times are those of CLOCK_MONOTONIC', async () => {
    const before = process.hrtime.bigint();
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    const armedBy = process.hrtime.bigint();
    await driven.ask('store 1');
    const stored = process.hrtime.bigint();
    const { armed, user } = await finishWatch(watching);
    expect(BigInt(armed.timeNs) > before && BigInt(armed.timeNs) < armedBy).toBe(true);
    const hitTime = BigInt(user[0]?.timeNs ?? 0);
    expect(hitTime > armedBy && hitTime < stored).toBe(true);
    expect(await driven.quit()).toBe(0);
  });

  test('the armed line names the kernel, the process, what is watched and where', async () => {
    const driven = await Driven.start();
    await driven.ask('worker one');
    const watching = await startWatch(['counter:w', 'other', '-p', String(driven.pid)]);
    const { armed } = await finishWatch(watching);
    expect(armed).toMatchObject({
      pid: driven.pid,
      threads: 2,
      kernel: expect.stringMatching(/^Linux \d+\./),
      watches: [
        {
          watch: 'counter:w',
          address: `0x${driven.counter.toString(16)}`,
          lenBytes: 4,
          access: 'w',
          symbol: 'counter',
        },
        {
          watch: 'other',
          address: `0x${driven.other.toString(16)}`,
          lenBytes: 4,
          access: 'rw',
          symbol: 'other',
        },
      ],
    });
    expect(await driven.quit()).toBe(0);
  });

  test('a hit has every field of the issue', async () => {
    const driven = await Driven.start();
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 1');
    const [hit] = (await finishWatch(watching)).user;
    const fields = 'timeNs pid tid comm cpu watch address access kernel ip symbol offset module stack'.split(
      ' ',
    );
    for (const field of fields) expect(hit).toHaveProperty(field);
    expect(await driven.quit()).toBe(0);
  });

  test('-o FILE holds all lines; standard output has only what the program prints', async () => {
    const file = path.join(programs.folder, 'hits.json');
    const result = await trapline([
      'watch',
      '--json',
      '-o',
      file,
      'counter:w',
      '--',
      programs.build('simple'),
    ]);
    expect(result.status).toBe(3);
    expect(result.stdout).toMatch(/^simple \d+ 0x[0-9a-f]+\n$/);
    expect(result.stderr).toBe('');
    expect(readWatch(fs.readFileSync(file, 'utf8')).user).toHaveLength(10);
  });

  test('-o FILE that is there already is written anew', async () => {
    const file = path.join(programs.folder, 'old.json');
    fs.writeFileSync(file, 'old\n'.repeat(10_000));
    await trapline(['watch', '--json', '-o', file, 'counter:w', '--', programs.build('simple')]);
    expect(readWatch(fs.readFileSync(file, 'utf8')).user).toHaveLength(10);
  });

  test('-o /dev/full: one line says so, and the program has run', async () => {
    const result = await trapline(['watch', '-o', '/dev/full', 'counter:w', '--', programs.build('simple')]);
    expect(result.stderr).toMatch(/^trapline: .*ENOSPC.*\n$/);
    expect(result.status).toBe(1);
  });

  test('as text: a header, a line a hit, the totals', async (context) => {
    const lack = lacking('kernel mode');
    if (lack !== undefined) return skip(context, lack);
    const driven = await Driven.start();
    const watching = start(['watch', 'counter:w', '-p', String(driven.pid), '--max-hits', '2']);
    await watching.line(/^# +seconds/);
    await driven.ask('store 2');
    const { stdout, stderr, status } = await watching.ended;
    expect([stderr, status]).toEqual(['', 0]);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toBe(
      `# counter:w: writes to 0x${driven.counter.toString(16)}, 4 bytes (counter of driven) in driven/${driven.pid}`,
    );
    const hits = lines.filter((line) => /^ +\d+\.\d{6} /.test(line));
    expect(hits).toHaveLength(2);
    expect(hits[0]).toMatch(
      new RegExp(
        `^ +0\\.\\d{6} +\\d+ +driven/${driven.pid} +user +w +counter:w +0 -> 0 +store \\S*driven\\.c:\\d+$`,
      ),
    );
    expect(lines.at(-1)).toBe('hits: 2  lost: 0');
    expect(await driven.quit()).toBe(0);
  });

  test('piped output has no control characters and no progress', async () => {
    const result = await trapline([
      'watch',
      '--for',
      '700ms',
      'counter:w',
      '--',
      programs.build('steady'),
      '800',
    ]);
    expect(result.stderr).toBe('');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is tested
    expect(result.stdout).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
  });

  test('a watch with no hits ends with zeros', async () => {
    const result = await trapline(['watch', '0x10000:w', '--', '/bin/true']);
    expect(result.status).toBe(0);
    expect(result.stdout.trimEnd().split('\n').at(-1)).toBe('hits: 0  lost: 0');
    const json = readWatch((await trapline(['watch', '--json', '0x10000:w', '--', '/bin/true'])).stdout);
    expect(json.summary).toMatchObject({ hits: 0, lost: 0, sites: [] });
  });

  test('piped into head -1: it ends with what head took, the program runs to its end, and no error is printed', async () => {
    const result = await run('/bin/sh', [
      '-c',
      `${process.execPath} ${cli} watch --json counter:w -- ${programs.build('counter')} 2>&1 | head -1`,
    ]);
    expect(result.stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(result.stderr).toBe('');
  });

  test('--version and --help answer and end with 0', async () => {
    const version = await trapline(['--version']);
    expect(version).toMatchObject({ status: 0, stderr: '' });
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    for (const args of [['--help'], ['watch', '--help'], ['stat', '--help'], ['help', 'watch']]) {
      const help = await trapline(args);
      expect(help).toMatchObject({ status: 0, stderr: '' });
      expect(help.stdout).toMatch(/^Usage: trapline/);
    }
  });
});

describeWith(['gcc', 'breakpoints', 'root'], 'whole CPUs', () => {
  test('-a and -C: an address of a running program is seen on every CPU, with its pid, name and function', async (context) => {
    const holder = perfEventHolder();
    if (holder !== undefined) return skip(context, holder);
    const program = programs.buildFixed('driven');
    const address = programs.address(program, 'counter');
    for (const flags of [['-a'], ['-C', fs.readFileSync('/sys/devices/system/cpu/online', 'utf8').trim()]]) {
      const driven = await Driven.start(program);
      expect(driven.counter).toBe(address);
      const watching = await startWatch([`0x${address.toString(16)}/4:w`, ...flags]);
      await driven.ask('store 5');
      await driven.ask('thread other 6');
      const child = await driven.ask('fork 7');
      const { user, armed, ended } = await finishWatch(watching);
      expect(armed.pid).toBeNull();
      const ours = user.filter((hit) => hit.pid === driven.pid || hit.pid === child);
      const names = ours.map((hit) => `${hit.pid === child ? 'child' : hit.comm} ${hit.symbol}`);
      const counts = Object.fromEntries(
        [...new Set(names)].map((name) => [name, names.filter((each) => each === name).length]),
      );
      expect(counts).toEqual({ 'driven-fixed store': 5, 'other store': 6, 'child store': 7 });
      expect(ended.at(-1)?.reason).toBe('stopped');
      expect(await driven.quit()).toBe(0);
    }
  });

  test('a program that starts after arming is seen too', async (context) => {
    const holder = perfEventHolder();
    if (holder !== undefined) return skip(context, holder);
    const program = programs.buildFixed('driven');
    const watching = await startWatch([`0x${programs.address(program, 'counter').toString(16)}/4:w`, '-a']);
    const driven = await Driven.start(program);
    await driven.ask('store 5');
    const { user } = await finishWatch(watching);
    const ours = user.filter((hit) => hit.pid === driven.pid);
    expect(ours.map((hit) => `${hit.comm} ${hit.symbol} ${hit.module}`)).toEqual(
      new Array(5).fill('driven-fixed store driven-fixed'),
    );
    expect(await driven.quit()).toBe(0);
  });

  test('stat -a counts, and --for ends it', async (context) => {
    const holder = perfEventHolder();
    if (holder !== undefined) return skip(context, holder);
    const program = programs.buildFixed('steady');
    const driven = start(['watch', '-q', '0x10000:w', '--', program, '2500']); // any running program
    await driven.line(/^steady/);
    const address = programs.address(program, 'counter').toString(16);
    const result = await trapline(['stat', '--json', '--for', '150ms', `0x${address}/4:w`, '-a']);
    expect(result.status).toBe(0);
    const [armed, counts] = result.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { watches: { hits: number }[] });
    expect(armed).toMatchObject({ type: 'armed', pid: null });
    expect(counts).toMatchObject({ type: 'counts', reason: 'time' });
    expect(counts?.watches[0]?.hits).toBeGreaterThan(10);
    expect((await driven.ended).status).toBe(0);
  });

  test('a CPU that is not there is refused, a CPU list that is none too', async () => {
    const far = await trapline(['watch', '--for', '100ms', '0x10000:w', '-C', '4095']);
    expect(far.status).toBe(2);
    expect(far.stderr).toMatch(/^trapline: .*4095.*\n$/);
    const none = await trapline(['watch', '--for', '100ms', '0x10000:w', '-C', '1-0']);
    expect(none.status).toBe(2);
    expect(none.stderr).toMatch(/^trapline: .*1-0.*\n$/);
  });

  test('the registers of all CPUs are free again: four watches on a process', async (context) => {
    const holder = perfEventHolder();
    if (holder !== undefined) return skip(context, holder);
    const first = await trapline([
      'watch',
      '--for',
      '50ms',
      '0x10000:w',
      '0x10004:w',
      '0x10008:w',
      '0x1000c:w',
      '-a',
    ]);
    expect(first.status).toBe(0);
    const driven = await Driven.start();
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
});
