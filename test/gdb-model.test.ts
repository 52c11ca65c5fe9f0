import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { socketTransport } from '../src/cli/gdb-transports.ts';
import { GdbClient } from '../src/gdb/gdb-client.ts';

// gdb on the simulated machine, driven by its command line; what it prints is compared as it stands.

const root = path.join(import.meta.dirname, '..');
const main = path.join(root, 'dist/cli/main.js');
const scenario = path.join(root, 'examples/model/gdb.jsonl');

function have(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

const reason = have('gdb') ? undefined : 'gdb is not installed';
if (reason !== undefined) console.log(`gdb on the model: skipped: ${reason}`);

/** What gdb prints for some commands, without empty lines; behind it what it and the target complain and tell. */
function gdb(target: string, commands: readonly string[]): string {
  const args = ['-nx', '-batch', '-ex', 'set pagination off', '-ex', 'set architecture i386:x86-64'];
  for (const command of [`target remote ${target}`, ...commands]) args.push('-ex', command);
  const { stdout, stderr } = spawnSync('gdb', args, { encoding: 'utf8', timeout: 60_000 });
  expect(stderr).not.toMatch(/internal-error|Remote communication error/);
  return `${stdout}--\n${stderr}`.replace(/\n{2,}/g, '\n');
}

const pipe = `| node ${main} gdbserver --stdio --on model ${scenario}`;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A server on a free port or a socket; gives where it listens. */
async function served(
  args: readonly string[],
  file: string = scenario,
): Promise<{ child: ChildProcess; where: string; said(): string }> {
  const child = spawn('node', [main, 'gdbserver', '--on', 'model', file, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  children.push(child);
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  while (!said.includes('target remote') && child.exitCode === null)
    await Promise.race([once(child.stderr ?? child, 'data'), once(child, 'exit')]);
  return { child, where: /target remote ([^']+)'/.exec(said)?.[1] ?? '', said: () => said };
}

describe.skipIf(reason !== undefined)('gdb on the simulated machine', () => {
  it('sees hits of each kind with old and new value, counts them, and has a fifth refused until one is deleted', () => {
    const output = gdb(pipe, [
      ...['hbreak *0xffffffff81000040', 'watch *(int*)0xffffffff83000100'],
      ...['watch *(long*)0xffffffff83000108', 'awatch *(short*)0xffffffff83000110'],
      ...['continue', 'continue', 'continue', 'delete 1', 'continue', 'continue'],
      ...['watch *(char*)0xffffffff83000118', 'watch *(int*)0xffffffff83000120', 'continue'],
      ...['delete 6', 'continue', 'continue', 'continue', 'info watchpoints', 'continue'],
    ]);
    expect(output.slice(output.indexOf('Hardware assisted'))).toMatchInlineSnapshot(`
      "Hardware assisted breakpoint 1 at 0xffffffff81000040
      Hardware watchpoint 2: *(int*)0xffffffff83000100
      Hardware watchpoint 3: *(long*)0xffffffff83000108
      Hardware access (read/write) watchpoint 4: *(short*)0xffffffff83000110
      Thread 1 "CPU 0, idle" hit Breakpoint 1, 0xffffffff81000040 in ?? ()
      Thread 1 "CPU 0, idle" hit Hardware watchpoint 2: *(int*)0xffffffff83000100
      Old value = 0
      New value = 1
      0xffffffff81000044 in ?? ()
      [Switching to Thread 1.2]
      Thread 2 "CPU 1, idle" hit Breakpoint 1, 0xffffffff81000040 in ?? ()
      Thread 2 "CPU 1, idle" hit Hardware watchpoint 2: *(int*)0xffffffff83000100
      Old value = 1
      New value = 2
      0xffffffff81000044 in ?? ()
      [Switching to Thread 1.1]
      Thread 1 "CPU 0, idle" hit Hardware watchpoint 3: *(long*)0xffffffff83000108
      Old value = 0
      New value = 70
      0xffffffff81000084 in ?? ()
      Hardware watchpoint 5: *(char*)0xffffffff83000118
      Hardware watchpoint 6: *(int*)0xffffffff83000120
      Thread 1 "CPU 0, idle" hit Hardware access (read/write) watchpoint 4: *(short*)0xffffffff83000110
      Old value = 0
      New value = 3
      0xffffffff81000104 in ?? ()
      [Switching to Thread 1.2]
      Thread 2 "CPU 1, worker" hit Hardware watchpoint 5: *(char*)0xffffffff83000118
      Old value = 0 '\\000'
      New value = 65 'A'
      0xffffffff81000104 in ?? ()
      [Switching to Thread 1.1]
      Thread 1 "CPU 0, idle" hit Hardware watchpoint 2: *(int*)0xffffffff83000100
      Old value = 2
      New value = 3
      0xffffffff81000044 in ?? ()
      Num     Type           Disp Enb Address            What
      2       hw watchpoint  keep y                      *(int*)0xffffffff83000100
      	breakpoint already hit 3 times
      3       hw watchpoint  keep y                      *(long*)0xffffffff83000108
      	breakpoint already hit 1 time
      4       acc watchpoint keep y                      *(short*)0xffffffff83000110
      	breakpoint already hit 1 time
      5       hw watchpoint  keep y                      *(char*)0xffffffff83000118
      	breakpoint already hit 1 time
      [Inferior 1 (process 1) exited normally]
      --
      warning: No executable has been specified and target does not support
      determining executable automatically.  Try using the "file" command.
      Warning:
      Could not insert hardware watchpoint 6.
      Could not insert hardware breakpoints:
      You may have requested too many hardware breakpoints/watchpoints.
      Command aborted.
      "
    `);
  });

  it('takes conditions, threads, memory and commands of the target', () => {
    const output = gdb(pipe, [
      'info threads',
      ...['watch *(int*)0xffffffff83000100 if *(int*)0xffffffff83000100 > 2', 'continue'],
      ...[
        'x/2dw 0xffffffff83000100',
        'set var *(int*)0xffffffff83000120 = 77',
        'p *(int*)0xffffffff83000120',
      ],
      ...['thread 2', 'p $pc', 'monitor slots', 'monitor registers', 'monitor nothing'],
    ]);
    expect(output.slice(output.indexOf('  Id'))).toMatchInlineSnapshot(`
      "  Id   Target Id                Frame 
      * 1    Thread 1.1 "CPU 0, idle" 0x0000000000000000 in ?? ()
        2    Thread 1.2 "CPU 1, idle" 0x0000000000000000 in ?? ()
      Hardware watchpoint 1: *(int*)0xffffffff83000100
      Thread 1 "CPU 0, idle" hit Hardware watchpoint 1: *(int*)0xffffffff83000100
      Old value = 2
      New value = 3
      0xffffffff81000044 in ?? ()
      0xffffffff83000100:	3	0
      $1 = 77
      [Switching to thread 2 (Thread 1.2)]
      #0  0x0000555510008004 in ?? ()
      $2 = (void (*)()) 0x555510008004
      [Inferior 1 (process 1) detached]
      --
      warning: No executable has been specified and target does not support
      determining executable automatically.  Try using the "file" command.
      CPU 0: 4 of 4 free
      CPU 1: 4 of 4 free
      CPU 0: dr0 0xffffffff83000100  dr1 0x0  dr2 0x0  dr3 0x0  dr6 0xffff0ff0  dr7 0x400
      CPU 1: dr0 0xffffffff83000100  dr1 0x0  dr2 0x0  dr3 0x0  dr6 0xffff0ff0  dr7 0x400
      there is no command "nothing"
      slots      who holds a slot of which CPU
      registers  the hardware debug registers of each CPU
      "
    `);
  });

  it('refuses a watch for reads alone, as x86 has none', () => {
    const output = gdb(pipe, ['rwatch *(int*)0xffffffff83000100', 'continue', 'info watchpoints']);
    expect(output).toContain('Hardware read watchpoint 1: *(int*)0xffffffff83000100');
    expect(output).not.toContain('already hit');
  });

  it('steps by an access', () => {
    const output = gdb(pipe, ['stepi', 'stepi', 'p *(int*)0xffffffff83000100']);
    expect(output).toContain('$1 = 1');
  });

  it('lets go and takes the next client where the machine stands', async () => {
    const { child, where, said } = await served(['--listen', '127.0.0.1:0']);
    const first = gdb(where, ['watch *(int*)0xffffffff83000100', 'continue', 'detach']);
    expect(first).toContain('New value = 1');
    const second = gdb(where, [
      'monitor slots',
      'p *(int*)0xffffffff83000100',
      'watch *(int*)0xffffffff83000100',
      'continue',
    ]);
    expect(second).toContain('CPU 0: 4 of 4 free');
    expect(second).toContain('$1 = 1');
    expect(second).toContain('New value = 2');
    gdb(where, ['continue']);
    await once(child, 'exit');
    expect(child.exitCode).toBe(0);
    expect(said()).toContain('the client is gone; the machine stands and waits for the next');
  });

  it('listens on a unix socket', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-gdb-'));
    try {
      const socket = path.join(folder, 'gdb.sock');
      await served(['--unix', socket]);
      expect(gdb(socket, ['watch *(int*)0xffffffff83000100', 'continue'])).toContain('New value = 1');
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});

describe.skipIf(reason !== undefined)('README.md', () => {
  it('has a command for gdb that works as printed', () => {
    const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
    const command = /^gdb -ex .*gdbserver.*$/m.exec(readme)?.[0] ?? '';
    const { stdout } = spawnSync('sh', ['-c', `${command} -batch -nx`], {
      cwd: root,
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(stdout).toContain('Old value = 0\nNew value = 1');
  });
});

describe('trapline gdbserver', () => {
  it('stops on Ctrl-C, wherever the scenario is', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-gdb-'));
    try {
      const long = path.join(folder, 'long.jsonl');
      fs.writeFileSync(
        long,
        '{"scenario": "long"}\n{"step": "kernelAccess", "cpu": 0, "at": "sym:kernel_data", "times": 10000000}\n',
      );
      const { where } = await served(['--listen', '127.0.0.1:0'], long);
      const socket = net.connect(Number(where.split(':')[1]), '127.0.0.1');
      await once(socket, 'connect');
      const client = await GdbClient.connect(socketTransport(socket), {
        timer: (milliseconds, told) => {
          const timeout = setTimeout(told, milliseconds);
          return () => clearTimeout(timeout);
        },
      });
      const running = client.run();
      client.interrupt();
      expect(await running).toMatchObject({ type: 'signal', signal: 2 });
      const again = client.run();
      client.interrupt();
      expect(await again).toMatchObject({ type: 'signal', signal: 2 });
      await client.detach();
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });

  it('turns a second client away', async () => {
    const { where, said } = await served(['--listen', '127.0.0.1:0']);
    const port = Number(where.split(':')[1]);
    const first = net.connect(port, '127.0.0.1');
    await once(first, 'connect');
    const second = net.connect(port, '127.0.0.1');
    second.resume();
    await once(second, 'close');
    expect(said()).toContain('a second client was turned away: there is one at a time');
    first.destroy();
  });

  it('says that a port is in use, what an open one exposes, and what is wrong with a command line', async () => {
    const { where } = await served(['--listen', '127.0.0.1:0']);
    const failed = (...args: string[]): string => {
      const { status, stderr } = spawnSync('node', [main, 'gdbserver', ...args], { encoding: 'utf8' });
      return `${status} ${stderr}`;
    };
    expect(failed('--on', 'model', scenario, '--listen', where)).toBe(
      `2 trapline: ${where} is in use by another process\n`,
    );
    expect(failed()).toBe('2 trapline: gdbserver wants --on model SCENARIO\n');
    expect(failed('--on', 'model', scenario, '--listen', 'nowhere')).toBe(
      '2 trapline: --listen nowhere: expected HOST:PORT, as 127.0.0.1:1234\n',
    );
    expect(failed('--on', 'model', scenario, '--stdio', '--unix', 'x')).toBe(
      '2 trapline: --listen, --unix and --stdio exclude each other\n',
    );
    const open = await served(['--listen', '0.0.0.0:0']);
    while (!open.said().includes('password')) await once(open.child.stderr ?? open.child, 'data');
    expect(open.said()).toMatch(
      /whoever reaches 0\.0\.0\.0:\d+ can read, change and run this simulated machine/,
    );
  });

  it('drops garbage and goes on with the next client', async () => {
    const { where, child } = await served(['--listen', '127.0.0.1:0']);
    const port = Number(where.split(':')[1]);
    for (const bytes of [
      Buffer.from('GET / HTTP/1.0\r\n\r\n'),
      Buffer.alloc(300_000, '$'),
      Buffer.from('$m0,ffffffffff#00$?#3f'),
    ]) {
      const socket = net.connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.on('error', () => undefined);
      socket.end(bytes);
      socket.resume();
      await once(socket, 'close');
    }
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write('$?#3f');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^\+/);
    expect(child.exitCode).toBe(null);
    socket.destroy();
  });
});
