import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { Driven } from './support/driven.ts';
import { i386Program } from './support/i386.ts';
import { describeWith, lacking, skip } from './support/machine.ts';
import { Running, type RunResult, runsFreely, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { finishWatch, startWatch } from './support/watching.ts';

/** One line on standard error that matches, nothing on standard output, and the exit status. */
function expectRefusal(result: RunResult, status: 1 | 2, message: RegExp): void {
  expect(result.stderr).toMatch(/^trapline: .+\n$/);
  expect(result.stderr.trimEnd().split('\n'), 'one line').toHaveLength(1);
  expect(result.stderr).toMatch(message);
  expect(result.stdout).toBe('');
  expect(result.status).toBe(status);
}

describeWith(['gcc', 'breakpoints'], 'a bad WHAT: one line, exit status 2, the target unharmed', () => {
  const cases: readonly (readonly [name: string, what: string, message: RegExp])[] = [
    ['an unknown name: near misses', 'conter:w', /no variable or function 'conter'.*did you mean counter/],
    ['another case: the right one', 'Counter', /did you mean counter/],
    [
      'a name that nothing is like',
      'zzqqxxyy12',
      /no variable or function 'zzqqxxyy12' in process \d+ \(driven\)/,
    ],
    ['an unknown module', 'libnone.so:counter:w', /no module 'libnone\.so'.*driven/],
    ['a name that no module defines (undefined symbol)', 'absent:w', /absent/],
    ['a misaligned address', 'counter+1/4:w', /'counter\+1\/4:w'.*align.*counter\+1\/1/],
    ['an odd length', 'counter/3:w', /3.*counter\/2.*counter\+2\/1/],
    ['an odd length of the symbol itself', 'odd:w', /3 bytes.*odd\/2.*odd\+2\/1/],
    [
      'a struct too large for a register: the pieces',
      'record:w',
      /24 bytes.*record\/8.*record\+8\/8.*record\+16\/8/,
    ],
    ['an array too large', 'pipes/16:w', /pipes\/8.*pipes\+8\/8/],
    ['length zero', 'counter/0:w', /0/],
    ['a length that is none', 'counter/x:w', /'counter\/x/],
    ['a huge length', 'counter/99999999999999999999999:w', /.+/],
    ['a read-only watch on x86', 'counter:r', /read/],
    ['an access that is none', 'counter:q', /.+/],
    ['an access twice', 'counter:ww', /'ww'/],
    ['read, write and execution in one', 'counter:rwx', /'rwx'/],
    ['nothing', '', /nothing to watch/],
    ['an access alone', ':w', /.+/],
    ['an address that is none', '0xzz:w', /'0xzz'/],
    ['an address of more than 64 bits', '0x10000000000000000:w', /64 bits/],
    ['an offset that is none', 'counter+0xg:w', /0xg/],
    ['an offset without a number', 'counter+:w', /counter\+/],
    ['an execute watch with another length', 'target/4:x', /8|length/],
    ['an address of the kernel', '0xffffffff81000000:x', /.+/],
    ['spaces', 'counter w', /.+/],
    ['a newline in the name', 'coun\nter:w', /.+/],
    ['an escape in the name', '\u001b[31mcounter:w', /.+/],
    ["perf's syntax with a name", 'mem:counter:w', /mem: takes an address/],
    ["perf's syntax with modifiers that are none", 'mem:0x1000/4:w:z', /'z'/],
  ];
  const results = new Map<string, RunResult>();
  let unharmed = false;

  // All of them first, three at a time: a refused watch holds nothing that another could miss.
  beforeAll(async () => {
    const driven = await Driven.start();
    const left = cases.map(([, what]) => what);
    const work = async (): Promise<void> => {
      for (let what = left.shift(); what !== undefined; what = left.shift())
        results.set(what, await trapline(['watch', '--for', '200ms', what, '-p', String(driven.pid)]));
    };
    await Promise.all([work(), work(), work()]);
    unharmed = runsFreely(driven.pid) && (await driven.ask('store 1')) === 1 && (await driven.quit()) === 0;
  });

  for (const [name, what, message] of cases) {
    test(`${name}: ${JSON.stringify(what)}`, () => {
      const result = results.get(what);
      if (result === undefined) throw new Error('it did not run');
      expectRefusal(result, 2, message);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is what is tested
      expect(result.stderr).not.toMatch(/\x1b/);
    });
  }

  test('the target of all these is unharmed', () => {
    expect(unharmed).toBe(true);
  });

  test('of a command: the program is ended before it has done anything', async () => {
    const result = await trapline(['watch', 'conter:w', '--', programs.build('simple')]);
    expectRefusal(result, 2, /did you mean counter/);
  });

  test('a function of a library that is only there later', async () => {
    expectRefusal(
      await trapline(['watch', 'no_such_name_anywhere', '--', '/bin/true']),
      2,
      /no_such_name_anywhere/,
    );
  });

  test('a message is short, even where the name is very long', async () => {
    const result = await trapline(['watch', `${'x'.repeat(20_000)}:w`, '--', programs.build('simple')]);
    expectRefusal(result, 2, /xxx/);
  });

  test('a stripped program: by name it says that it is stripped', async () => {
    const stripped = programs.strip(programs.build('simple'));
    expectRefusal(
      await trapline(['watch', 'counter:w', '--', stripped]),
      2,
      /simple-stripped is stripped.*\+0xOFFSET/,
    );
  });
});

describeWith(
  ['gcc', 'breakpoints'],
  'registers that are full: one line, exit status 1, the target unharmed',
  () => {
    const five = ['counter:w', 'other:w', 'third:w', 'fourth:w', 'fifth:w'];

    test('a fifth watch in one command', async () => {
      const driven = await Driven.start();
      const result = await trapline(['watch', ...five, '-p', String(driven.pid)]);
      expectRefusal(result, 1, /'fifth:w'.*5 watches.*4 registers/);
      expect(runsFreely(driven.pid)).toBe(true);
      // None of the five is left armed.
      const watching = await startWatch([...five.slice(0, 4), '-p', String(driven.pid)]);
      await driven.ask('all 1');
      expect((await finishWatch(watching)).user).toHaveLength(4);
      expect(await driven.quit()).toBe(0);
    });

    test('a fifth watch of a started program, and of stat', async () => {
      expectRefusal(await trapline(['watch', ...five, '--', programs.build('driven')]), 1, /4 registers/);
      expectRefusal(await trapline(['stat', ...five, '--', programs.build('driven')]), 1, /4 registers/);
    });

    test('held by another trapline: it is named as a suspect, and goes on undisturbed', async () => {
      const driven = await Driven.start();
      const holder = await startWatch([...five.slice(0, 4), '-p', String(driven.pid)]);
      for (const command of ['watch', 'stat'] as const) {
        const result = await trapline([command, 'fifth:w', '-p', String(driven.pid)]);
        expectRefusal(
          result,
          1,
          new RegExp(`no free debug register.*process ${holder.pid} .*holds \\d+ perf events`),
        );
      }
      await driven.ask('all 2');
      expect((await finishWatch(holder)).user).toHaveLength(8);
      expect(await driven.quit()).toBe(0);
    });

    test('half held by another: three more are refused, two are not', async () => {
      const driven = await Driven.start();
      const holder = await startWatch(['counter:w', 'other:w', '-p', String(driven.pid)]);
      const three = await trapline(['watch', 'third:w', 'fourth:w', 'fifth:w', '-p', String(driven.pid)]);
      expectRefusal(three, 1, /no free debug register/);
      const two = await startWatch(['third:w', 'fourth:w', '-p', String(driven.pid)]);
      await driven.ask('all 2');
      expect((await finishWatch(two)).user).toHaveLength(4);
      expect((await finishWatch(holder)).user).toHaveLength(4);
      expect(await driven.quit()).toBe(0);
    });
  },
);

describeWith(['gcc', 'breakpoints'], 'a bad target: one line', () => {
  test('a process that is not there', async () => {
    const gone = new Running('/bin/true', []);
    await gone.ended;
    expectRefusal(
      await trapline(['watch', 'counter:w', '-p', String(gone.pid)]),
      2,
      new RegExp(`${gone.pid}`),
    );
    expectRefusal(await trapline(['watch', 'counter:w', '-p', '4194304']), 2, /4194304/);
    expectRefusal(
      await trapline(['watch', 'counter:w', '-t', String(gone.pid)]),
      2,
      new RegExp(`${gone.pid}`),
    );
    expectRefusal(
      await trapline(['stat', 'counter:w', '-p', String(gone.pid)]),
      2,
      new RegExp(`${gone.pid}`),
    );
  });

  test('a zombie', async () => {
    const driven = await Driven.start();
    const zombie = await driven.ask('zombie');
    expectRefusal(await trapline(['watch', 'counter:w', '-p', String(zombie)]), 2, /zombie/);
    expectRefusal(await trapline(['watch', '0x10000:w', '-p', String(zombie)]), 2, /zombie/);
    expect(await driven.quit()).toBe(0);
  });

  test('a kernel thread', async (context) => {
    const comm = fs.existsSync('/proc/2/comm') ? fs.readFileSync('/proc/2/comm', 'utf8').trim() : '';
    if (comm !== 'kthreadd') return skip(context, 'no kernel thread is to be seen');
    expectRefusal(await trapline(['watch', 'counter:w', '-p', '2']), 2, /kthreadd|kernel thread/);
    expectRefusal(await trapline(['watch', '--for', '100ms', '0x10000:w', '-p', '2']), 2, /kernel thread/);
  });

  test('a thread where a process is wanted: says which process', async () => {
    const driven = await Driven.start();
    driven.process.write('worker one\n');
    const tid = Number((await driven.process.line(/^worker/)).split(' ')[2]);
    expectRefusal(
      await trapline(['watch', 'counter:w', '-p', String(tid)]),
      2,
      new RegExp(`${tid} is a thread of process ${driven.pid}.*-p ${driven.pid}.*-t ${tid}`),
    );
    expect(await driven.quit()).toBe(0);
  });

  test('process ids that are none', async () => {
    const pids = ['0', '-1', 'abc', '1e3', '99999999999999999999', '1 2', ''];
    const ends = pids.map((pid) => trapline(['watch', '--for', '100ms', '0x10000:w', '-p', pid]));
    for (const result of await Promise.all(ends)) expectRefusal(result, 2, /.+/);
  });

  test('no target, two targets, an empty command', async () => {
    expectRefusal(await trapline(['watch', 'counter:w']), 2, /-p PID/);
    expectRefusal(await trapline(['watch', 'counter:w', '-p', '1', '-a']), 2, /exclude/);
    expectRefusal(await trapline(['watch', 'counter:w', '-p', '1', '--', '/bin/true']), 2, /exclude/);
    expectRefusal(await trapline(['watch', 'counter:w', '--']), 2, /command/);
    expectRefusal(await trapline(['watch', 'counter:w', '--', '']), 2, /command/);
  });

  test('nothing to watch', async () => {
    expectRefusal(await trapline(['watch', '--', '/bin/true']), 2, /what/);
    expectRefusal(await trapline(['stat', '-p', String(process.pid)]), 2, /what/);
  });

  test('a command that is not there, no program, a folder, not executable', async () => {
    const watch = (command: string): Promise<RunResult> => trapline(['watch', '0x10000:w', '--', command]);
    expectRefusal(await watch('no-such-command-anywhere'), 2, /no-such-command-anywhere.*not found/);
    expectRefusal(await watch('/no/such/file'), 2, /\/no\/such\/file.*no such file/);
    expectRefusal(await watch(programs.folder), 2, /directory/);
    expectRefusal(await watch('/dev/null'), 2, /\/dev\/null/);
    const plain = path.join(programs.folder, 'plain');
    fs.writeFileSync(plain, 'hello\n', { mode: 0o644 });
    expectRefusal(await watch(plain), 2, /not executable|permission/);
    fs.writeFileSync(`${plain}-x`, 'hello\n', { mode: 0o755 });
    expectRefusal(await watch(`${plain}-x`), 2, /ENOEXEC|not a program/);
    fs.writeFileSync(`${plain}-empty`, '', { mode: 0o755 });
    expectRefusal(await watch(`${plain}-empty`), 2, /ENOEXEC|not a program/);
    fs.writeFileSync(`${plain}-script`, '#!/no/such/interpreter\n', { mode: 0o755 });
    expectRefusal(await watch(`${plain}-script`), 2, /ENOENT|interpreter/);
    fs.symlinkSync('loop', path.join(programs.folder, 'loop'));
    expectRefusal(await watch(path.join(programs.folder, 'loop')), 2, /loop/);
  });

  test('a program that is being written (ETXTBSY)', async () => {
    const copy = path.join(programs.folder, 'busy');
    fs.copyFileSync(programs.build('simple'), copy);
    const fd = fs.openSync(copy, 'r+');
    try {
      expectRefusal(await trapline(['watch', 'counter:w', '--', copy]), 2, /ETXTBSY|busy/);
    } finally {
      fs.closeSync(fd);
    }
  });

  test('options that are unknown or lack a value', async () => {
    expectRefusal(await trapline(['watch', '--frob', 'counter:w', '-p', '1']), 2, /--frob/);
    expectRefusal(await trapline(['watch', 'counter:w', '-p']), 2, /-p/);
    expectRefusal(await trapline(['wotch', 'counter:w']), 2, /wotch/);
    expectRefusal(await trapline(['stat', '--stacks', 'counter:w', '-p', '1']), 2, /--stacks/);
    const refused = async (option: string, values: readonly string[], message: RegExp): Promise<void> => {
      const ends = values.map((value) =>
        trapline(['watch', `${option}=${value}`, '0x10000:w', '--', '/bin/true']),
      );
      for (const result of await Promise.all(ends)) expectRefusal(result, 2, message);
    };
    await refused('--max-hits', ['0', '-5', 'many', '1.5', ''], /hits/);
    await refused('--for', ['0', '-5', 'long', '5y', '1e99', ''], /duration|for/);
  });

  test('no arguments at all: the usage, exit status 2', async () => {
    const result = await trapline([]);
    expect(result.status).toBe(2);
    expect(result.stderr + result.stdout).toContain('Usage: trapline');
  });

  test('-o into a folder that is not there, or onto a folder: before anything is started', async () => {
    const marker = path.join(programs.folder, 'marker');
    const command = ['--', '/bin/sh', '-c', `echo > ${marker}`];
    expectRefusal(
      await trapline(['watch', '-o', '/no/such/folder/file', '0x10000:w', ...command]),
      1,
      /\/no\/such\/folder/,
    );
    expectRefusal(
      await trapline(['stat', '-o', programs.folder, '0x10000:w', ...command]),
      1,
      /EISDIR|directory/,
    );
    expect(fs.existsSync(marker)).toBe(false);
  });

  test('a refused request leaves the file of -o as it was', async () => {
    const file = path.join(programs.folder, 'kept');
    fs.writeFileSync(file, 'precious\n');
    const result = await trapline(['watch', '-o', file, 'conter:w', '--', programs.build('simple')]);
    expectRefusal(result, 2, /did you mean counter/);
    expect(fs.readFileSync(file, 'utf8')).toBe('precious\n');
  });

  test('a 32-bit process, attached or started: refused, and it runs on', async (context) => {
    const file = path.join(programs.folder, 'i386');
    fs.writeFileSync(file, i386Program(), { mode: 0o755 });
    const program = new Running(file, []);
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (!runsFreely(program.pid)) return skip(context, 'the kernel runs no 32-bit programs');
    for (const what of ['counter:w', '0x8049000/4:w'])
      expectRefusal(
        await trapline(['watch', '--for', '100ms', what, '-p', String(program.pid)]),
        2,
        /32-bit/,
      );
    expect(runsFreely(program.pid)).toBe(true);
    expectRefusal(await trapline(['watch', '--for', '100ms', 'counter:w', '--', file]), 2, /32-bit/);
    program.signal('SIGTERM');
    expect((await program.ended).status).toBe(143);
  });

  const damages: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
    ['cut before its section headers', (bytes) => bytes.subarray(0, Number(bytes.readBigUInt64LE(0x28)))],
    [
      'cut in the middle of its section headers',
      (bytes) => bytes.subarray(0, Number(bytes.readBigUInt64LE(0x28)) + 100),
    ],
    ['with section headers far behind its end', (bytes) => patch(bytes, 0x28, 0x7fff_ffff_ffff_0000n)],
    ['with section headers at offset 1', (bytes) => patch(bytes, 0x28, 1n)],
    ['with 65535 section headers', (bytes) => patch16(bytes, 0x3c, 0xffff)],
    ['with section headers of size 1', (bytes) => patch16(bytes, 0x3a, 1)],
  ];
  for (const [name, damage] of damages) {
    test(`a program ${name}: by name one line, by address it is watched`, async () => {
      const whole = programs.buildFixed('driven');
      const file = path.join(programs.folder, 'damaged');
      fs.rmSync(file, { force: true });
      fs.writeFileSync(file, damage(fs.readFileSync(whole)), { mode: 0o755 });
      const driven = await Driven.start(file);
      const began = Date.now();
      const byName = await trapline(['watch', '--for', '100ms', 'counter:w', '-p', String(driven.pid)]);
      expectRefusal(byName, 2, /damaged/);
      expect(Date.now() - began).toBeLessThan(5000);
      const watching = await startWatch([`0x${driven.counter.toString(16)}/4:w`, '-p', String(driven.pid)]);
      await driven.ask('store 3');
      expect((await finishWatch(watching)).user).toHaveLength(3);
      expect(await driven.quit()).toBe(0);
    });
  }

  test('a program whose file was deleted is watched by name all the same', async (context) => {
    const lack = lacking('root');
    if (lack !== undefined) return skip(context, lack);
    const file = path.join(programs.folder, 'deleted');
    fs.copyFileSync(programs.build('driven'), file);
    const driven = await Driven.start(file);
    fs.rmSync(file);
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 3');
    const { user } = await finishWatch(watching);
    expect(user.map((hit) => hit.symbol)).toEqual(['store', 'store', 'store']);
    expect(await driven.quit()).toBe(0);
  });

  test('a program whose file was replaced by another is not read from the new one', async (context) => {
    const lack = lacking('root');
    if (lack !== undefined) return skip(context, lack);
    const file = path.join(programs.folder, 'replaced');
    fs.copyFileSync(programs.build('driven'), file);
    const driven = await Driven.start(file);
    fs.rmSync(file);
    fs.copyFileSync(programs.build('simple'), file);
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 3');
    expect((await finishWatch(watching)).user).toHaveLength(3);
    expect(await driven.quit()).toBe(0);
  });

  test('a process under a debugger (gdb, strace) can be watched by perf events all the same', async (context) => {
    if (spawnSync('strace', ['-V'], { stdio: 'ignore' }).status !== 0)
      return skip(context, 'there is no strace');
    const driven = await Driven.start();
    const tracer = new Running('strace', ['-o', '/dev/null', '-p', String(driven.pid)]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const watching = await startWatch(['counter:w', '-p', String(driven.pid)]);
    await driven.ask('store 3');
    expect((await finishWatch(watching)).user).toHaveLength(3);
    await tracer.destroy();
  });
});

function patch(bytes: Buffer, at: number, value: bigint): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeBigUInt64LE(value, at);
  return copy;
}

function patch16(bytes: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt16LE(value, at);
  return copy;
}
