import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith, paranoidLevel, skip } from './support/machine.ts';
import { Running, type RunResult, root, run, runsFreely } from './support/process.ts';
import { programs } from './support/programs.ts';
import { readWatch, totalsBy } from './support/watching.ts';

// As another user (nobody), from a copy that this user may read.

const nobody = { uid: 65534, gid: 65534 };

function copyOfTrapline(): string {
  const folder = path.join(programs.folder, 'trapline');
  if (fs.existsSync(folder)) return path.join(folder, 'dist/cli/main.js');
  const copy = (name: string): void => {
    if (!fs.existsSync(path.join(root, name))) return;
    fs.cpSync(path.join(root, name), path.join(folder, name), { recursive: true, dereference: true });
  };
  for (const name of ['dist', 'package.json']) copy(name);
  for (const name of ['koffi', '@koromix', 'iced-x86', 'commander', 'fzstd', 'gecko-profiler-demangle'])
    copy(`node_modules/${name}`);
  return path.join(folder, 'dist/cli/main.js');
}

function asNobody(args: readonly string[]): Promise<RunResult> {
  return run(process.execPath, [copyOfTrapline(), ...args], {
    ...nobody,
    cwd: '/',
    env: { PATH: process.env.PATH },
  });
}

/** Values without bpf. */
const withoutBpf: unknown = expect.stringMatching(/^values by registers alone: .* read afterwards/);

describeWith(['gcc', 'breakpoints', 'root'], 'without privileges', () => {
  test('the first line says that kernel mode is left out, and user hits of an own program are all there', async (context) => {
    if (paranoidLevel() !== 2)
      return skip(context, `kernel.perf_event_paranoid is ${paranoidLevel()}, not 2`);
    const result = await asNobody(['watch', 'counter:w', '--', programs.build('simple')]);
    expect(result.stderr).toBe('');
    expect(result.status).toBe(3);
    const lines = result.stdout
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('simple'));
    expect(lines[0]).toMatch(/^# user mode only: .*left out.*perf_event_paranoid is 2.*CAP_PERFMON/);
    expect(lines.at(-1)).toBe('hits: 10  lost: 0');
  });

  test('the Must-show program: 4,000 user hits, no kernel hits, a note in the armed line', async (context) => {
    if (paranoidLevel() > 2) return skip(context, `kernel.perf_event_paranoid is ${paranoidLevel()}`);
    const result = await asNobody(['watch', '--json', 'counter:w', '--', programs.build('counter')]);
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
    const { user, armed, kernel, summary } = readWatch(result.stdout, { otherLines: true });
    expect(totalsBy(user, (hit) => `${hit.comm} ${hit.symbol}`)).toEqual({
      'storer-a store_a': 1000,
      'storer-b store_b': 1000,
      'storer-c store_c': 1000,
      'storer-d store_d': 1000,
    });
    expect(summary.lost).toBe(0);
    if (paranoidLevel() === 2) {
      expect([armed.kernelMode, kernel.length]).toEqual([false, 0]);
      expect(armed.notes).toEqual([expect.stringMatching(/^user mode only/), withoutBpf]);
    }
  });

  test('--user-only needs no note of the kernel; what values lack is told', async (context) => {
    if (paranoidLevel() > 2) return skip(context, `kernel.perf_event_paranoid is ${paranoidLevel()}`);
    const result = await asNobody([
      'watch',
      '--json',
      '--user-only',
      'counter:w',
      '--',
      programs.build('simple'),
    ]);
    expect(readWatch(result.stdout, { otherLines: true }).armed.notes).toEqual([withoutBpf]);
  });

  test('an own running process, by -p', async (context) => {
    if (paranoidLevel() > 2) return skip(context, `kernel.perf_event_paranoid is ${paranoidLevel()}`);
    const driven = await Driven.start(programs.build('driven'), nobody);
    const watching = new Running(
      process.execPath,
      [copyOfTrapline(), 'watch', '--json', '--max-hits', '5', 'counter:w', '-p', String(driven.pid)],
      { ...nobody, cwd: '/', env: {} },
    );
    await watching.line(/"type":"armed"/);
    await driven.ask('thread other 2');
    await driven.ask('store 3');
    const result = await watching.ended;
    expect([result.status, result.stderr]).toEqual([0, '']);
    expect(totalsBy(readWatch(result.stdout).user, (hit) => `${hit.comm} ${hit.symbol}`)).toEqual({
      'other store': 2,
      'driven store': 3,
    });
    expect(await driven.quit()).toBe(0);
  });

  test('stat of an own program', async (context) => {
    if (paranoidLevel() > 2) return skip(context, `kernel.perf_event_paranoid is ${paranoidLevel()}`);
    const result = await asNobody(['stat', 'counter:w', '--', programs.build('simple')]);
    expect([result.status, result.stderr]).toEqual([3, '']);
    expect(result.stdout).toMatch(/^ *10 {2}counter:w/m);
  });

  test("root's process is refused, by name and by address: one line that says what is needed, exit status 1", async () => {
    const driven = await Driven.start();
    for (const what of ['counter:w', `0x${driven.counter.toString(16)}/4:w`]) {
      const result = await asNobody(['watch', '--for', '200ms', what, '-p', String(driven.pid)]);
      expect(result.stderr).toMatch(/^trapline: .+\n$/);
      expect(result.stderr).toMatch(/perf_event_paranoid|CAP_|root/);
      expect(result.stdout).toBe('');
      expect([what, result.status]).toEqual([what, 1]);
    }
    expect(runsFreely(driven.pid)).toBe(true);
    expect(await driven.ask('store 1')).toBe(1);
    expect(await driven.quit()).toBe(0);
  });

  test('whole CPUs are refused: one line, exit status 1', async (context) => {
    if (paranoidLevel() < 1) return skip(context, `kernel.perf_event_paranoid is ${paranoidLevel()}`);
    for (const flags of [['-a'], ['-C', '0']]) {
      const result = await asNobody(['watch', '--for', '200ms', '0x10000:w', ...flags]);
      expect(result.stderr).toMatch(/^trapline: .*(perf_event_paranoid|CAP_PERFMON|root).*\n$/);
      expect(result.status).toBe(1);
    }
  });

  test('a command that may not be executed: one line, exit status 2', async () => {
    const secret = path.join(programs.folder, 'secret');
    fs.copyFileSync(programs.build('simple'), secret);
    fs.chmodSync(secret, 0o700);
    const result = await asNobody(['watch', 'counter:w', '--', secret]);
    expect(result.stderr).toMatch(/^trapline: .*secret.*(permission|executable).*\n$/i);
    expect(result.status).toBe(2);
  });

  test('a program that may be executed but not read: a clear line, or its hits', async () => {
    const unreadable = path.join(programs.folder, 'unreadable');
    fs.copyFileSync(programs.build('simple'), unreadable);
    fs.chmodSync(unreadable, 0o711);
    const result = await asNobody(['watch', 'counter:w', '--', unreadable]);
    expect(result.stderr).toMatch(/^trapline: .+\n$/);
    expect(result.stderr).not.toMatch(/bug of trapline/);
    expect([1, 2]).toContain(result.status);
  });

  test('a set-user-id program: a clear line, or it runs', async () => {
    const setuid = path.join(programs.folder, 'setuid');
    fs.copyFileSync(programs.build('simple'), setuid);
    fs.chmodSync(setuid, 0o4755);
    const result = await asNobody(['watch', 'counter:w', '--', setuid]);
    if (result.status === 3) expect(result.stderr).toBe('');
    else expect(result.stderr).toMatch(/^trapline: (?!this is a bug).+\n$/);
  });
});
