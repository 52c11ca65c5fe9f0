import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { describeWith } from './support/machine.ts';
import { cli, type RunResult, run, start, statusField, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { readWatch, totalsBy, type WatchOutput } from './support/watching.ts';

const nowhere = '0x10000/4:w'; // an address that no program has: the watch never fires

async function watchCommand(
  what: readonly string[],
  command: readonly string[],
): Promise<WatchOutput & RunResult> {
  const result = await trapline(['watch', '--json', ...what, '--', ...command]);
  expect(result.stderr).toBe('');
  return { ...result, ...readWatch(result.stdout, { otherLines: true }) };
}

function fresh(name: string): string {
  return path.join(programs.folder, name);
}

function script(name: string, text: string): string {
  const file = fresh(name);
  fs.writeFileSync(file, text, { mode: 0o755 });
  return file;
}

describeWith(['gcc', 'breakpoints'], 'a started program is armed before it runs', () => {
  const kinds = [
    ['position-independent', 'simple-pie', ['-pie', '-fPIE']],
    ['fixed', 'simple-fixed', ['-no-pie', '-fno-pie']],
    ['static', 'simple-static', ['-static']],
    ['static position-independent', 'simple-static-pie', ['-static-pie', '-fPIE']],
  ] as const;
  for (const [kind, as, flags] of kinds) {
    test(`a ${kind} program: every store is seen, with its function`, async () => {
      const program = programs.build('simple', { as, flags });
      const { status, user, others, armed, summary } = await watchCommand(['counter:w'], [program]);
      expect(status).toBe(3);
      expect(totalsBy(user, (hit) => `${hit.symbol} ${hit.module} ${hit.comm}`)).toEqual({
        [`store ${as} ${as.slice(0, 15)}`]: 10,
      });
      expect(summary.lost).toBe(0);
      const [, pid, address] = /^simple (\d+) (\w+)$/.exec(others[0] ?? '') ?? [];
      expect(armed.pid).toBe(Number(pid));
      expect(user[0]).toMatchObject({ pid: Number(pid), tid: Number(pid), address });
      expect(armed.watches).toMatchObject([
        { watch: 'counter:w', address, lenBytes: 4, access: 'w', symbol: 'counter', module: as },
      ]);
    });
  }

  test('NAME+OFFSET/LEN of an array: the element alone', async () => {
    const { user, armed } = await watchCommand(['table+40/8:w'], [programs.build('simple')]);
    expect(totalsBy(user, (hit) => `${hit.symbol} ${hit.watch}`)).toEqual({ 'main table+40/8:w': 3 });
    expect(armed.watches).toMatchObject([{ lenBytes: 8, access: 'w' }]);
    const beside = await watchCommand(['table+48/8:w'], [programs.build('simple')]);
    expect(beside.user).toEqual([]);
  });

  test('a stripped program: by MODULE+0xOFFSET', async () => {
    const program = programs.build('simple', { as: 'offsets', flags: ['-pie', '-fPIE'] });
    const stripped = programs.strip(program);
    const offset = programs.address(program, 'counter').toString(16);
    const { user } = await watchCommand([`offsets-stripped+0x${offset}/4:w`], [stripped]);
    expect(totalsBy(user, (hit) => `${hit.symbol} ${hit.module}`)).toEqual({ 'null offsets-stripped': 10 });
    const store = programs.address(program, 'store');
    const codeOffset = BigInt(user[0]?.moduleOffset ?? 0);
    expect(codeOffset >= store && codeOffset < store + 64n).toBe(true);
  });

  test('a stripped program: by address', async () => {
    const program = programs.buildFixed('simple');
    const address = `0x${programs.address(program, 'counter').toString(16)}`;
    const { user } = await watchCommand([`${address}/4:w`], [programs.strip(program)]);
    expect(user).toHaveLength(10);
    expect(user[0]).toMatchObject({ address, watch: `${address}/4:w` });
  });

  test("perf's syntax mem:ADDRESS/LEN:w:u gives the user's stores", async () => {
    const program = programs.buildFixed('simple');
    const what = `mem:0x${programs.address(program, 'counter').toString(16)}/4:w:u`;
    const { user, kernel } = await watchCommand([what], [program]);
    expect([user.length, kernel.length]).toEqual([10, 0]);
  });

  test('a script with #! runs, its interpreter being watched', async () => {
    const program = programs.build('simple');
    const file = script('script.sh', '#!/bin/sh\necho "script $0 $1"\nexit 4\n');
    const own = await watchCommand([nowhere], [file, 'one']);
    expect(own.status).toBe(4);
    expect(own.others).toEqual([`script ${file} one`]);
    const interpreted = script('interpreted', `#!${program}\n`);
    const { user, status } = await watchCommand(['counter:w'], [interpreted]);
    expect([user.length, status]).toEqual([10, 3]);
  });

  test('a program found in PATH', async () => {
    const program = programs.build('simple');
    const result = await trapline(['watch', '--json', 'counter:w', '--', 'simple'], {
      env: { ...process.env, PATH: `${path.dirname(program)}:${process.env.PATH}` },
    });
    expect(result.status).toBe(3);
    expect(readWatch(result.stdout, { otherLines: true }).user).toHaveLength(10);
  });

  test('stores of forked children of a started program are seen, with the pid of each', async () => {
    const file = fresh('forks.json');
    const driven = await Driven.over(
      start(['watch', '--json', '-o', file, 'counter:w', '--', programs.build('driven')]),
    );
    const child = await driven.ask('fork 7');
    await driven.ask('store 2');
    expect(await driven.quit(6)).toBe(6);
    const { user } = readWatch(fs.readFileSync(file, 'utf8'));
    expect(totalsBy(user, (hit) => `${hit.pid}`)).toEqual({ [child]: 7, [driven.pid]: 2 });
  });

  test("a program that executes another at once: the watch ends there, the exit status is the new program's", async () => {
    const file = fresh('exec.json');
    const driven = await Driven.over(
      start(['watch', '--json', '-o', file, 'counter:w', '--', programs.build('driven')]),
    );
    await driven.ask('store 3');
    driven.process.write('exec /bin/sh\n');
    await driven.process.line(/^executed/);
    driven.process.endInput();
    expect((await driven.process.ended).status).toBe(5);
    const { user, ended } = readWatch(fs.readFileSync(file, 'utf8'));
    expect(user).toHaveLength(3);
    expect(ended[0]).toMatchObject({ reason: 'exec', pid: driven.pid });
  });
});

describeWith(['gcc', 'breakpoints'], "a library's variable", () => {
  function buildLibrary(as: string, flags: readonly string[]): string {
    const library = programs.build('library', { as: 'libshared.so', flags: ['-shared', '-fPIC'] });
    return programs.build('uses-library', { as, flags: [...flags, library, '-Wl,-rpath,$ORIGIN'] });
  }

  test('is armed before its own constructor runs, by its name alone', async () => {
    const program = buildLibrary('uses-library-pie', ['-pie', '-fPIC']);
    const { user, armed, status } = await watchCommand(['library_value:w'], [program]);
    expect(status).toBe(0);
    expect(
      totalsBy(
        user.filter((hit) => hit.symbol === 'own_store'),
        (hit) => hit.module ?? '',
      ),
    ).toEqual({
      'uses-library-pie': 2,
    });
    expect(armed.watches).toMatchObject([{ symbol: 'library_value', lenBytes: 4 }]);
    // "variables of libraries it links are armed before main": the library's own stores of library_store are after it.
    const fills = user.filter((hit) => hit.symbol === 'fill').length;
    expect(
      fills,
      'three stores after main began, five more of the constructor where that came after',
    ).toSatisfy((count: number) => count === 3 || count === 8);
  });

  test('FILE.so:NAME finds it', async () => {
    const program = buildLibrary('uses-library-pie', ['-pie', '-fPIC']);
    const { user, armed } = await watchCommand(['libshared.so:library_value:w'], [program]);
    expect(user.length).toBeGreaterThanOrEqual(5);
    expect(armed.watches).toMatchObject([{ symbol: 'library_value', module: 'libshared.so' }]);
  });

  test('FILE.so:NAME:ACCESS of a name of letters alone finds it, with and without a length', async () => {
    for (const what of ['libc.so.6:environ:w', 'libc.so.6:environ/8:rw']) {
      const { armed } = await watchCommand([what], [programs.build('simple')]);
      expect(armed.watches).toMatchObject([{ watch: what, module: 'libc.so.6', lenBytes: 8 }]);
    }
  });

  test('with a copy in the program (copy relocation), the copy in use is watched', async () => {
    const program = buildLibrary('uses-library-copy', ['-no-pie', '-fno-pie']);
    const { user, armed } = await watchCommand(['library_value:w'], [program]);
    expect(armed.watches).toMatchObject([{ module: 'uses-library-copy' }]);
    // Armed before the first instruction, since the copy is the program's own: the constructor's five stores too.
    expect(totalsBy(user, (hit) => `${hit.symbol}`)).toMatchObject({ fill: 8, own_store: 2 });
  });

  test('FILE.so:NAME with a copy in the program: the copy in use is watched, and a note says so', async () => {
    const program = buildLibrary('uses-library-copy', ['-no-pie', '-fno-pie']);
    const { user, armed } = await watchCommand(['libshared.so:library_value:w'], [program]);
    expect(totalsBy(user, (hit) => `${hit.symbol}`)).toMatchObject({ own_store: 2 });
    expect(armed.notes.join()).toMatch(/library_value.*copy/);
  });

  test('of a module that is not mapped is refused, naming those that are', async () => {
    const result = await trapline(['watch', 'libnothere.so:library_value:w', '--', programs.build('simple')]);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(/^trapline: .*libnothere\.so.*libc\.so.*\n$/);
  });
});

describeWith(['gcc', 'breakpoints'], 'what a started program gets is what a shell would give it', () => {
  const file = (): string => fresh('lines.json');

  /** Runs a command under a shell, by itself and through trapline: both ends. */
  async function both(
    command: string,
    options: { input?: string; cwd?: string; prefix?: string; exec?: false } = {},
  ): Promise<{ plain: RunResult; watched: RunResult }> {
    const { prefix = '', exec, ...rest } = options;
    const through = `${process.execPath} ${cli} watch --json -o ${file()} ${nowhere} --`;
    const env = {
      PATH: process.env.PATH,
      HOME: '/',
      SPACES: ' a=b ',
      EMPTY: '',
      LANG: 'C.UTF-8',
      UMLAUT: 'ä',
    };
    const shell = (text: string): Promise<RunResult> =>
      run('/bin/sh', ['-c', exec === false ? `${prefix} ${text}; exit $?` : `${prefix} exec ${text}`], {
        env,
        ...rest,
      });
    return { plain: await shell(command), watched: await shell(`${through} ${command}`) };
  }

  test('its environment, in the same order', async () => {
    const { plain, watched } = await both('env');
    expect(watched).toEqual(plain);
    expect(plain.stdout).toContain('SPACES= a=b \n');
  });

  test('its arguments: none, empty ones, spaces, dashes, umlauts', async () => {
    const program = programs.build('arguments');
    const { plain, watched } = await both(`${program} '' ' ' -x --json -- 'a"b' ä -- --help`);
    expect(watched).toEqual(plain);
    expect(plain.stdout.trimEnd().split('\n')).toHaveLength(10);
  });

  test('arguments and environment that are no UTF-8, byte for byte', async () => {
    const program = programs.build('arguments');
    const prefix = "ODD=$(printf '\\377\\200x'); export ODD;";
    const { plain, watched } = await both(`${program} "$ODD"`, { prefix });
    expect(plain.stdout).toContain('ff8078');
    expect(watched.stdout).toBe(plain.stdout);
    const hexdump = await both(`/bin/sh -c 'printf %s "$ODD" | od -An -tx1'`, { prefix });
    expect(hexdump.watched.stdout).toBe(hexdump.plain.stdout);
  });

  test('its working directory', async () => {
    const { plain, watched } = await both('pwd', { cwd: '/usr/share' });
    expect(watched).toEqual(plain);
    expect(plain.stdout).toBe('/usr/share\n');
  });

  test('standard input, output and error', async () => {
    const input = `${'0123456789abcdef'.repeat(4)}\n`.repeat(8000);
    const { watched } = await both('cat', { input });
    expect(watched.stdout === input).toBe(true);
    const error = await both(`sh -c 'echo out; echo err >&2; exit 9'`);
    expect(error.watched).toEqual(error.plain);
    expect(error.plain).toMatchObject({ status: 9, stdout: 'out\n', stderr: 'err\n' });
  });

  test('a closed standard input: nothing to read there', async () => {
    const { watched } = await both(`sh -c 'read line; echo "$? $line"' <&-`);
    expect(watched).toMatchObject({ status: 0, stdout: '1 \n' });
  });

  test('no file descriptors besides', async () => {
    const { plain, watched } = await both('ls /proc/self/fd');
    expect(watched).toEqual(plain);
  });

  test('blocking standard streams: a slow reader loses nothing', async () => {
    // The flags of descriptors are shared with the program: trapline must not make them non-blocking.
    const { plain, watched } = await both(
      `sh -c 'sleep 0.1; grep flags /proc/self/fdinfo/0 /proc/self/fdinfo/1 /proc/self/fdinfo/2'`,
    );
    expect(watched.stdout).toBe(plain.stdout);
    const slow = await run('/bin/sh', [
      '-c',
      `${process.execPath} ${cli} watch -q -o ${file()} ${nowhere} -- sh -c 'sleep 0.1; seq 1 100000' | (sleep 0.6; tail -n 1)`,
    ]);
    expect(slow).toMatchObject({ stdout: '100000\n', stderr: '' });
  });

  test('the limit of open files, which Node raises for itself, is that of the shell', async () => {
    const { plain, watched } = await both(`sh -c 'ulimit -Sn'`, { prefix: 'ulimit -Sn 512;', exec: false });
    expect(plain.stdout).toBe('512\n');
    expect(watched).toEqual(plain);
  });

  test('signal dispositions, mask, umask, capabilities, scheduling and limits', async () => {
    const command = `cat /proc/self/status /proc/self/limits /proc/self/personality /proc/self/oom_score_adj /proc/self/timerslack_ns`;
    const { plain, watched } = await both(command, { prefix: 'umask 027; ulimit -Sc 0;' });
    const relevant = (text: string): string[] =>
      text
        .split('\n')
        .filter(
          (line) =>
            !/^(Pid|Tgid|PPid|NSpid|NStgid|NSpgid|NSsid|Ngid|Vm|Rss|Hugetlb|.*ctxt_switches|Mems_allowed|Max open files)/.test(
              line,
            ),
        );
    expect(relevant(watched.stdout)).toEqual(relevant(plain.stdout));
    expect(plain.stdout).toMatch(/^SigIgn:\s+0+$/m);
  });

  test('its process group and session are those of the shell', async () => {
    const { plain, watched } = await both(
      `sh -c 'set -- $(cat /proc/self/stat); test "$5" = "$(ps -o pgid= -p $PPID | tr -d " ")" && echo same'`,
    );
    expect(plain.stdout).toBe('same\n');
    expect(watched.stdout).toBe(plain.stdout);
  });

  test('the exit status of a program that a signal ends is 128 + its number', async () => {
    const signals = { SEGV: 139, KILL: 137, TRAP: 133, PIPE: 141 };
    const ends = Object.keys(signals).map(async (name) => {
      const result = await trapline(['watch', '-q', nowhere, '--', '/bin/sh', '-c', `kill -${name} $$`]);
      return [name, result.status] as const;
    });
    expect(Object.fromEntries(await Promise.all(ends))).toEqual(signals);
  });

  test('a program that stops itself can be continued', async () => {
    const watching = start([
      'watch',
      '-q',
      nowhere,
      '--',
      '/bin/sh',
      '-c',
      'echo $$; kill -STOP $$; echo on; exit 2',
    ]);
    const pid = Number(await watching.line(/^\d+$/));
    const deadline = Date.now() + 5000;
    while (!(statusField(pid, 'State') ?? '').startsWith('T') && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect(statusField(pid, 'TracerPid')).toBe('0');
    process.kill(pid, 'SIGCONT');
    const result = await watching.ended;
    expect(result.stdout).toContain('on\n');
    expect(result.status).toBe(2);
  });
});
