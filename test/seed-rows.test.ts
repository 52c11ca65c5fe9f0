import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const rows = read('docs/seed-rows.md')
  .split('\n')
  .flatMap((line) => {
    const cells = /^\| (\d+) \|.*\| ([^|]*) \|$/.exec(line);
    return cells === null ? [] : [{ number: Number(cells[1]), shownBy: cells[2] ?? '' }];
  });

describe('docs/seed-rows.md', () => {
  it('has every row of docs/spec/08, once, in order', () => {
    const specified = [...read('docs/spec/08-seed-rows.md').matchAll(/^\| (\d+) \|/gm)].map((match) =>
      Number(match[1]),
    );
    expect(rows.map((row) => row.number)).toEqual(specified);
    expect(rows).toHaveLength(156);
  });

  it('names only files that exist, and tests that are in them', () => {
    let named = 0;
    for (const { number, shownBy } of rows) {
      for (const [, path = '', , test] of shownBy.matchAll(
        /`((?:scenarios|src|test)\/[^`]+)`( "([^"]+)")?/g,
      )) {
        expect(existsSync(join(root, path)), `row ${number}: ${path}`).toBe(true);
        if (test !== undefined)
          expect(read(path).replaceAll("\\'", "'"), `row ${number}: ${path}`).toContain(test);
        named++;
      }
    }
    expect(named).toBeGreaterThan(120);
  });

  it('leaves no row without an answer', () => {
    for (const { number, shownBy } of rows)
      expect(
        /`(?:scenarios|src|test)\/|later: |context: |provenance: |compiler projects|rows 16|Architecture\.claim/.test(
          shownBy,
        ),
        `row ${number}: ${shownBy}`,
      ).toBe(true);
  });
});
