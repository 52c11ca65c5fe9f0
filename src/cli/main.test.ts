import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

// The command line as a whole, up to where a kernel would be asked: nothing here needs permission for perf events.

const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

function trapline(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

describe('what stands behind --', () => {
  test('is the command with options of its own, which are not trapline’s', () => {
    const done = trapline(
      'watch',
      'counter',
      '--',
      '/no/such/program',
      '--json',
      '--help',
      '-p',
      '1',
      '--',
      'x',
    );
    expect(done).toEqual({
      status: 2,
      stdout: '',
      stderr: 'trapline: cannot run /no/such/program: no such file\n',
    });
  });

  test('must be something', () => {
    const done = trapline('watch', 'counter', '--');
    expect([done.status, done.stderr]).toEqual([2, 'trapline: -- wants a command behind it\n']);
  });

  test('excludes other targets', () => {
    const done = trapline('stat', 'counter', '-p', '1', '--', '/bin/true');
    expect(done.status).toBe(2);
    expect(done.stderr).toContain('exclude each other');
  });
});

describe('a wrong command line', () => {
  test.each([
    [['watch', 'counter'], 'whom to watch?'],
    [['watch'], "missing required argument 'what'"],
    [['watch', '--', '/bin/true'], "missing required argument 'what'"],
    [['watch', 'counter', '-p', 'x'], "'x' is no process id"],
    [['watch', 'counter', '-p', '0'], "'0' is no process id"],
    [['watch', 'counter', '-t', '-1'], "'-1' is no thread id"],
    [['watch', 'counter', '-C', '3-1'], "'3-1' is no list of CPUs"],
    [['watch', 'counter', '-a', '-C', '0'], 'exclude each other'],
    [['watch', 'counter', '-p', '1', '--for', 'ever'], "'ever' is no duration"],
    [['watch', 'counter', '-p', '1', '--max-hits', '0'], "'0' is no number of hits"],
    [['watch', 'counter', '-p', '1', '--frobnicate'], "unknown option '--frobnicate'"],
    [['watch', 'counter', '-p'], "option '-p, --pid <pid>' argument missing"],
    [['watch', 'counter:', '-p', '1'], "'counter:': '' is no access"],
    [['stat', 'counter/x:w', '-p', '999999999'], 'there is no process 999999999'],
    [['frobnicate'], "unknown command 'frobnicate'"],
  ])('%j exits with 2 and one line that says why', (args, text) => {
    const { status, stdout, stderr } = trapline(...args);
    expect(stderr).toContain(text);
    expect(stderr).toMatch(/^trapline: [^\n]*\n$/);
    expect([status, stdout]).toEqual([2, '']);
  });

  test('with control characters is quoted without them', () => {
    const { stderr } = trapline('watch', 'coun\nter\u001b[31m:', '-p', '1');
    expect(stderr).toMatch(/^trapline: [\x20-\x7e]*\n$/);
  });
});

test('help and version go to standard output, and are no failure', () => {
  const help = trapline('watch', '--help');
  expect([help.status, help.stderr]).toEqual([0, '']);
  expect(help.stdout).toContain('mem:ADDRESS');
  const version = trapline('--version');
  expect(version.status).toBe(0);
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});
