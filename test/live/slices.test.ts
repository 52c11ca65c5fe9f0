import { expect, test } from 'vitest';
import { describeWith } from './support/machine.ts';
import { Running, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { finishWatch, startWatch } from './support/watching.ts';

// Slices: several registers, one watch.

const orders = ['1', '2', '3', '5', '6', 'v', '4'];

async function begin(): Promise<Running> {
  const program = new Running(programs.build('table'), []);
  await program.line(/^ready/);
  return program;
}

async function give(program: Running): Promise<void> {
  for (const order of orders) {
    program.write(`${order}\n`);
    await program.line(/^done/);
  }
}

describeWith(['gcc', 'breakpoints', 'x86_64'], 'a slice that takes several registers', () => {
  test('is one watch: hits tell the element and its values, totals are together', async () => {
    const program = await begin();
    const watching = await startWatch(['table[2:6]:w', '-p', String(program.pid)]);
    await give(program);
    const { armed, user, summary } = await finishWatch(watching);
    program.write('q\n');
    await program.ended;
    expect(armed.watches).toMatchObject([
      { watch: 'table[2:6]:w', lenBytes: 16, registers: 2, symbol: 'table' },
    ]);
    const base = BigInt(armed.watches[0]?.address ?? 0);
    const hit = (element: string, first: number, old: unknown, is: unknown, valueType = 'int') => ({
      ...{ watch: 'table[2:6]:w', element, address: `0x${(base + 4n * BigInt(first - 2)).toString(16)}` },
      ...{ old, new: is, valueType, valueFrom: 'stored', exact: true },
    });
    expect(user).toMatchObject([
      hit('table[2]', 2, 0, 20),
      hit('table[3]', 3, 0, 30),
      hit('table[5]', 5, 0, 40),
      hit('table[2:4]', 2, '{20, 30}', '{1, 2}', 'int[2]'),
      hit('table[4:6]', 4, '{0, 40}', '{3, 4}', 'int[2]'),
      hit('table[4]', 4, 3, 60),
    ]);
    expect(summary.hits).toBe(6);
    const stores = summary.sites.filter(({ hits }) => hits === 4);
    expect(stores, 'the site of the stores to single elements stands there once').toHaveLength(1);
    for (const site of summary.sites) expect(site.watch).toBe('table[2:6]:w');
  });

  test('is one line of text for the watch, and one of stat, whose registers are added up', async () => {
    const program = await begin();
    const watching = new Running(process.execPath, [
      ...['dist/cli/main.js', 'stat', '--per-thread', '--json', 'table[2:6]:w', '-p', String(program.pid)],
    ]);
    await watching.line(/^\{"type":"armed"/);
    await give(program);
    watching.signal('SIGINT');
    const { stdout } = await watching.ended;
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
      type: 'counts',
      watches: [{ watch: 'table[2:6]:w', lenBytes: 16, hits: 6, threads: [{ tid: program.pid, hits: 6 }] }],
    });
    program.write('q\n');
    await program.ended;
    const told = await trapline(['watch', '--for', '100ms', 'table[2:6]:w', '--', programs.build('table')]);
    expect(told.stdout).toMatch(
      /^# table\[2:6\]:w: writes to 0x[0-9a-f]+, 16 bytes in 2 registers \(table of table\)/m,
    );
    expect(told.stdout.match(/writes to/g)).toHaveLength(1);
  });
});
