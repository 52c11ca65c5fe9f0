import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeWith } from './support/machine.ts';
import { trapline } from './support/process.ts';
import { programs } from './support/programs.ts';

// `trapline watch --remote` on processes: by gdbserver, which takes debug registers by ptrace, and by Valgrind's stub, which
// takes none.

const source = `
#include <signal.h>
volatile int counter;
int total;
static volatile int handled;
static void on(int signal) { handled++; }
__attribute__((noinline)) void bump(int i) { counter = i; total += 2; }
int main(void) {
  signal(SIGUSR1, on);
  for (int i = 1; i <= 20; i++) {
    bump(i);
    if (i == 10) raise(SIGUSR1);
  }
  return handled == 1 ? 7 : 8;
}
`;

function build(...options: readonly string[]): string {
  const program = path.join(programs.folder, `remote${options.join('')}`);
  const done = spawnSync('gcc', ['-g', '-O1', ...options, '-o', program, '-x', 'c', '-'], {
    input: source,
    encoding: 'utf8',
  });
  expect(done.stderr).toBe('');
  return program;
}

interface Line {
  readonly type: string;
  readonly watch: string;
  readonly old: number;
  readonly new: number;
  readonly access: string;
  readonly function: string;
  readonly reason: string;
}

function have(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

const noGdbserver = have('gdbserver') ? undefined : 'gdbserver is not installed';
if (noGdbserver !== undefined) console.log(`remote watches of gdbserver: skipped: ${noGdbserver}`);

describeWith(['gcc', 'breakpoints'], 'a program of gdbserver', () => {
  for (const options of [['-no-pie'], ['-pie', '-fPIE']]) {
    test.skipIf(noGdbserver !== undefined)(
      `has each store and call told, its signals delivered, and its end: ${options[0]}`,
      async () => {
        const program = build(...options);
        const { stdout, status } = await trapline([
          ...['watch', '--json', '--remote', `| gdbserver --once - ${program} 2>/dev/null`],
          ...['--symbols', program, 'counter:w', 'total:w', 'bump:x'],
        ]);
        const lines = stdout
          .trim()
          .split('\n')
          .map((line): Line => JSON.parse(line) as Line); // our own
        const hits = lines.filter(({ type }) => type === 'hit');
        const told = hits.map((hit) => [hit.watch, hit.old, hit.new, hit.access, hit.function]);
        const expected = Array.from({ length: 20 }, (_, i) => [
          ['bump:x', null, null, 'x', 'bump'],
          ['counter:w', i, i + 1, 'w', 'bump'],
          ['total:w', 2 * i, 2 * i + 2, 'rw', 'bump'],
        ]).flat();
        expect(told).toEqual(expected);
        expect(lines.at(-2)).toMatchObject({ type: 'ended', reason: 'target ended' });
        expect(status).toBe(0);
      },
    );
  }

  test.skipIf(noGdbserver !== undefined)('runs to its end when a refusal has let it go', async () => {
    const program = build('-no-pie');
    const mark = path.join(programs.folder, 'remote-ended');
    fs.rmSync(mark, { force: true });
    const { stderr, status } = await trapline([
      ...['watch', '--remote', `| gdbserver --once - /bin/sh -c 'echo ended > ${mark}' 2>/dev/null`],
      ...['--symbols', program, 'counter:w'],
    ]);
    expect(stderr).toMatch(/^trapline: --symbols \S+ does not fit the target: .*\n$/);
    expect(status).toBe(2);
    const deadline = Date.now() + 10_000;
    while (!fs.existsSync(mark) && Date.now() < deadline) await new Promise((done) => setTimeout(done, 20));
    expect(fs.existsSync(mark)).toBe(true);
  });
});

const noValgrind =
  have('valgrind') && have('gcc') && spawnSync('vgdb', ['--help'], { stdio: 'ignore' }).error === undefined
    ? undefined
    : 'valgrind, vgdb or gcc is not installed';
if (noValgrind !== undefined) console.log(`remote watches of valgrind: skipped: ${noValgrind}`);

describe.skipIf(noValgrind !== undefined)('a program under Valgrind', () => {
  test('has its stores told through vgdb, without debug registers', async () => {
    const program = build('-no-pie');
    const prefix = path.join(programs.folder, 'vgdb');
    const valgrind = spawn('valgrind', ['--vgdb-error=0', `--vgdb-prefix=${prefix}`, program], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    try {
      let said = '';
      valgrind.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
      while (!said.includes('vgdb') && valgrind.exitCode === null)
        await new Promise((done) => setTimeout(done, 20));
      const { stdout } = await trapline([
        ...[
          'watch',
          '--json',
          '--remote',
          `| vgdb --vgdb-prefix=${prefix} --pid=${valgrind.pid} 2>/dev/null`,
        ],
        ...['--symbols', program, 'counter:w'],
      ]);
      const hits = stdout
        .trim()
        .split('\n')
        .map((line): Line => JSON.parse(line) as Line) // our own
        .filter(({ type }) => type === 'hit');
      expect(hits.map((hit) => [hit.old, hit.new])).toEqual(Array.from({ length: 20 }, (_, i) => [i, i + 1]));
    } finally {
      valgrind.kill('SIGKILL');
    }
  }, 60_000);
});
