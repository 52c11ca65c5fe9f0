import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { describeWith } from './support/machine.ts';
import { root, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { readWatch } from './support/watching.ts';

const source = path.join(root, 'test/live/programs/inlined.c');

function objcopy(...args: string[]): void {
  const result = spawnSync('objcopy', args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`objcopy: ${result.stderr}`);
}

/** What every hit must say of its code. */
const place = {
  function: 'clamp_to',
  file: source,
  line: 10,
  symbol: 'set_limit',
  inlined: [{ function: 'set_limit', file: source, line: 14, column: 3 }],
};

async function watchMax(program: string): Promise<ReturnType<typeof readWatch>> {
  const { stdout } = await trapline(['watch', '--json', 'cfg:w', '--', program]);
  return readWatch(stdout, { otherLines: true });
}

describeWith(['gcc', 'breakpoints'], 'the source of a hit', () => {
  test('is its line, its inlined function, and what that was inlined into', async () => {
    const { user, summary } = await watchMax(programs.build('inlined', { flags: ['-O2'] }));
    expect(user.length).toBe(2);
    for (const hit of user) expect(hit).toMatchObject(place);
    expect(summary.sites[0]).toMatchObject(place);
  });

  test('comes from compressed sections and from a separate debug file', async () => {
    const packed = programs.build('inlined', { as: 'packed', flags: ['-O2', '-gz'] });
    for (const hit of (await watchMax(packed)).user) expect(hit).toMatchObject(place);
    const linked = programs.build('inlined', { as: 'linked', flags: ['-O2'] });
    objcopy('--only-keep-debug', linked, `${linked}.debug`);
    objcopy('--strip-debug', `--add-gnu-debuglink=${linked}.debug`, linked);
    const { user, armed } = await watchMax(linked);
    expect(user.length).toBe(2);
    for (const hit of user) expect(hit).toMatchObject(place);
    expect(armed.notes).toEqual([]);
  });

  test('is not told from the debug file of another build, and one line says so', async () => {
    const program = programs.build('inlined', { as: 'mine', flags: ['-O2'] });
    const other = programs.build('simple', { as: 'other' });
    objcopy('--only-keep-debug', other, `${program}.debug`);
    objcopy('--strip-debug', `--add-gnu-debuglink=${program}.debug`, program);
    const { user, armed } = await watchMax(program);
    expect(user.length).toBe(2);
    expect(user[0]).toMatchObject({ symbol: 'set_limit', function: 'set_limit' });
    expect(user[0]).not.toHaveProperty('file');
    expect(armed.notes).toEqual([
      expect.stringMatching(
        /^no lines of source for mine: \S+mine\.debug does not belong to \S+mine: its build id is [0-9a-f]+, not [0-9a-f]+$/,
      ),
    ]);
  });

  test('is told to a person by file and line', async () => {
    const program = programs.build('inlined', { flags: ['-O2'] });
    const { stdout } = await trapline(['watch', 'cfg:w', '--', program]);
    expect(fs.existsSync(source)).toBe(true);
    expect(stdout).toMatch(/clamp_to \S*inlined\.c:10 \(inlined in set_limit\)/);
  });
});
