import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { buildGuest, type Guest, guestObstacle, startGuest } from '../bench/guests.ts';

// `trapline watch --remote` on guests of QEMU, and on peers that are no stubs.

const main = path.join(import.meta.dirname, '../dist/cli/main.js');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-remote-'));
const stores = 120;
/** Counted down to 0 again: 2^32 rounds, many seconds. */
const endless = 0;

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

interface Line {
  readonly type: string;
  readonly old?: unknown;
  readonly new?: unknown;
  readonly exact?: unknown;
  readonly symbol?: unknown;
  readonly offset?: unknown;
  readonly cpu?: unknown;
}

interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function trapline(...args: readonly string[]): Answer {
  return spawnSync('node', [main, ...args], { encoding: 'utf8', timeout: 60_000 });
}

async function started(guest: Guest): Promise<{ readonly child: ChildProcess; readonly remote: string }> {
  const socket = path.join(folder, 'stub');
  const child = await startGuest(guest, socket);
  children.push(child);
  return { child, remote: `unix:${socket}` };
}

for (const architecture of ['x86-64', 'arm64'] as const) {
  const reason = guestObstacle(architecture);
  if (reason !== undefined) console.log(`a watch on an ${architecture} guest: skipped: ${reason}`);
  describe.skipIf(reason !== undefined)(`a watch on an ${architecture} guest of QEMU`, () => {
    it('tells exactly the stores of the guest, each with what was and what is', async () => {
      const guest = buildGuest(architecture, folder, stores);
      const { remote, child } = await started(guest);
      const { status, stdout, stderr } = trapline(
        ...['watch', '--remote', remote, '--symbols', guest.elf, 'counter:w', '--json'],
      );
      expect(stderr).toBe('');
      const lines = stdout
        .trim()
        .split('\n')
        .map((line): Line => JSON.parse(line) as Line); // our own
      const hits = lines.filter(({ type }) => type === 'hit');
      const value = (round: number): number => (architecture === 'arm64' ? (round + 1) >> 1 : round);
      expect(hits.map((hit) => [hit.old, hit.new, hit.exact, hit.symbol, hit.cpu])).toEqual(
        Array.from({ length: stores }, (_, i) => [value(i), value(i + 1), true, 'count', 0]),
      );
      const offsets = new Set(hits.map((hit) => hit.offset));
      expect(offsets).toEqual(new Set(architecture === 'arm64' ? ['0x4', '0x8'] : ['0x5']));
      expect(lines.at(-2)).toMatchObject({ type: 'ended', reason: 'target ended' });
      expect(lines.at(-1)).toMatchObject({ type: 'summary', hits: stores, lost: 0 });
      expect(status).toBe(0);
      if (child.exitCode === null) await once(child, 'exit');
    });

    it('counts accesses of each kind, and executions of a function', async () => {
      const guest = buildGuest(architecture, folder, stores);
      const { remote } = await started(guest);
      const { stdout, status } = trapline(
        ...['stat', '--remote', remote, '--symbols', guest.elf, '--json', 'counter:rw', 'count:x'],
      );
      expect(status).toBe(0);
      const counts = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as {
        watches: { watch: string; hits: number }[]; // our own
      };
      expect(counts.watches.map(({ watch, hits }) => [watch, hits])).toEqual([
        ['counter:rw', architecture === 'x86-64' ? stores + 1 : stores],
        ['count:x', architecture === 'x86-64' ? 1 : stores / 2],
      ]);
    });
  });
}

const reason = guestObstacle('x86-64');
describe.skipIf(reason !== undefined)('the end of a remote watch', () => {
  it('leaves the guest running with nothing armed, after --max-hits and after Ctrl-C', async () => {
    const guest = buildGuest('x86-64', folder, endless);
    const { remote, child } = await started(guest);
    const few = trapline(
      'watch',
      '--remote',
      remote,
      '--symbols',
      guest.elf,
      'counter:w',
      '--max-hits',
      '3',
      '-q',
    );
    expect([few.status, few.stdout.split('\n').at(-2)]).toEqual([0, 'hits: 3  lost: 0']);
    // Nothing hits any more, or it would stand: the counter goes on by more than anybody could have watched.
    const watching = spawn('node', [main, 'watch', '--remote', remote, '0x8f00/4:w'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(watching);
    let said = '';
    watching.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    while (!said.includes('# i386:x86-64 at'))
      await Promise.race([once(watching.stdout, 'data'), once(watching, 'exit')]);
    watching.kill('SIGINT');
    expect(await once(watching, 'exit')).toEqual([0, null]);
    expect(said).toContain('# ended: stopped\nhits: 0  lost: 0\n');
    const { stdout } = trapline(
      ...['watch', '--remote', remote, '--symbols', guest.elf, 'counter:w', '--max-hits', '1', '--json'],
    );
    const hit = JSON.parse(stdout.split('\n')[1] ?? '') as { old: number }; // our own
    expect(hit.old).toBeGreaterThan(1000);
    expect(child.exitCode).toBeNull();
  });

  it('is told in one line where the stub is gone, and the status is 1', async () => {
    const guest = buildGuest('x86-64', folder, endless);
    const { remote, child } = await started(guest);
    const watching = spawn('node', [main, 'watch', '--remote', remote, '0x8f00/4:w'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(watching);
    let said = '';
    let complaint = '';
    watching.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    watching.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    while (!said.includes('# i386:x86-64 at'))
      await Promise.race([once(watching.stdout, 'data'), once(watching, 'exit')]);
    child.kill('SIGKILL');
    expect(await once(watching, 'close')).toEqual([1, null]);
    expect(said).toContain('# ended: stub gone\nhits: 0  lost: 0\n');
    expect(complaint).toMatch(/^trapline: i386:x86-64 at unix:\S+: the stub is gone.*\n$/);
  });

  it('refuses symbols of another program, and leaves the guest running', async () => {
    const guest = buildGuest('x86-64', folder, endless);
    const { remote, child } = await started(guest);
    const other = path.join(folder, 'other');
    fs.mkdirSync(other, { recursive: true });
    const bytes = fs.readFileSync(guest.elf);
    const at = bytes.indexOf(Buffer.from([0xfa, 0x31, 0xc0])); // where the code begins: cli, xorw
    bytes.fill(0x90, at, at + 0x100);
    const wrong = path.join(other, 'wrong.elf');
    fs.writeFileSync(wrong, bytes);
    const { status, stderr, stdout } = trapline('watch', '--remote', remote, '--symbols', wrong, 'counter:w');
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^trapline: --symbols \S+wrong\.elf does not fit the target: at 0xf0000 .*\n$/);
    expect(status).toBe(2);
    expect(trapline('stat', '--remote', remote, '0x9000:w', '--for', '100ms').stdout).not.toMatch(/^ *0 /m);
    expect(child.exitCode).toBeNull();
  });
});

describe('what is no stub', () => {
  it('is told in one line', () => {
    const told = (...args: readonly string[]): readonly unknown[] => {
      const { status, stderr, stdout } = trapline('watch', '0x1000:w', ...args);
      expect(stdout).toBe('');
      return [status, stderr];
    };
    expect(told('--remote', '127.0.0.1:1')).toEqual([
      1,
      'trapline: no stub at 127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1\n',
    ]);
    expect(told('--remote', '| cat')).toEqual([
      1,
      'trapline: no stub answers at | cat: the peer does not say why its target stands\n',
    ]);
    expect(told('--remote', '| exit 3')).toEqual([
      1,
      'trapline: no stub answers at | exit 3: the stub is gone: the command ended (3)\n',
    ]);
    expect(told('--remote', 'somewhere')).toEqual([
      2,
      "trapline: --remote somewhere: expected HOST:PORT, unix:PATH or '| COMMAND'\n",
    ]);
    expect(told('--remote', ':1', '-p', '1')[0]).toBe(2);
    expect(told('--symbols', main, '-p', '1')[0]).toBe(2);
  });
});
