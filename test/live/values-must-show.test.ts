import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { describeWith } from './support/machine.ts';
import { root, trapline } from './support/process.ts';
import { programs } from './support/programs.ts';
import { readWatch } from './support/watching.ts';

// The program of the "Must show": two threads and a read(2) change a member behind a pointer.

const source = path.join(root, 'test/live/programs/config.c');

/** The line of config.c that ends with this comment. */
function lineOf(comment: string): number {
  return (
    1 +
    fs
      .readFileSync(source, 'utf8')
      .split('\n')
      .findIndex((line) => line.endsWith(`// ${comment}`))
  );
}

describeWith(['gcc', 'breakpoints', 'root', 'x86_64'], 'a member behind a pointer', () => {
  test('every change in its order, exact, with file and line', async () => {
    const result = await trapline([
      ...['watch', '--json', 'cfg->limits[2].max:w', '--'],
      programs.build('config'),
    ]);
    expect(result.stderr).toBe('');
    expect(result.status).toBe(0);
    const { hits, summary } = readWatch(result.stdout);
    const stored = [1, 2, 3, 4, 5, 6].flatMap((i) => [
      { new: 10 * i, line: lineOf('even'), symbol: 'even' },
      { new: 10 * i + 1, line: lineOf('odd'), symbol: 'odd' },
    ]);
    const read = { new: 75, kernel: true, valueFrom: 'trap' };
    const chain = [...stored, read, { new: 76, line: lineOf('main'), symbol: 'main' }];
    expect(hits).toHaveLength(chain.length);
    let old = 0;
    for (const [i, wanted] of chain.entries()) {
      expect(hits[i], `hit ${i}`).toMatchObject({ ...wanted, old, exact: true, valueType: 'int' });
      if (wanted !== read) expect(hits[i]).toMatchObject({ file: source, valueFrom: 'stored' });
      expect(hits[i]).not.toHaveProperty('gap');
      old = wanted.new;
    }
    expect(summary.lost).toBe(0);
  });
});
