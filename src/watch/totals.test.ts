import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HitColumns } from '../ring/hit-columns.ts';
import { Totals } from './totals.ts';

interface Row {
  readonly site: number;
  readonly watch: number;
  readonly tid: number;
}

function columnsOf(rows: readonly Row[], capacity: number): HitColumns {
  const columns = new HitColumns({ capacity });
  // What lies behind the length is of an earlier batch, and does not count.
  columns.site.fill(1);
  columns.tid.fill(1);
  for (const [i, row] of rows.entries()) {
    columns.site[i] = row.site;
    columns.watch[i] = row.watch;
    columns.tid[i] = row.tid;
  }
  columns.length = rows.length;
  return columns;
}

test('totals are those of a naive count, over any batches', () => {
  const row = fc.record({
    site: fc.constantFrom(0, 1, 2, 9, 40),
    watch: fc.constantFrom(0, 1, 3),
    tid: fc.constantFrom(7, 8, 0xffff_fff0),
  });
  fc.assert(
    fc.property(fc.array(fc.array(row, { maxLength: 20 }), { maxLength: 5 }), (batches) => {
      const totals = new Totals();
      for (const batch of batches) totals.add(columnsOf(batch, 24));
      const rows = batches.flat();
      expect(totals.hits).toBe(rows.length);
      const sites = new Map<string, { hits: number; tids: Set<number> }>();
      const threads = new Map<number, Map<number, number>>();
      for (const { site, watch, tid } of rows) {
        const key = `${site} ${watch}`;
        const of = sites.get(key) ?? { hits: 0, tids: new Set() };
        sites.set(key, of);
        of.hits++;
        of.tids.add(tid);
        const perWatch = threads.get(tid) ?? new Map<number, number>();
        threads.set(tid, perWatch);
        perWatch.set(watch, (perWatch.get(watch) ?? 0) + 1);
      }
      const got = totals.sites();
      expect(got.map((one) => one.hits)).toEqual(got.map((one) => one.hits).sort((a, b) => b - a));
      expect(
        new Map(
          got.map(({ site, watch, hits, tids }) => [`${site} ${watch}`, { hits, tids: new Set(tids) }]),
        ),
      ).toEqual(sites);
      expect(got.length).toBe(sites.size);
      for (const { tids } of got) expect(new Set(tids).size).toBe(tids.length);
      expect([...totals.threads().keys()].sort()).toEqual([...threads.keys()].sort());
      for (const [tid, perWatch] of totals.threads()) {
        for (let watch = 0; watch < 5; watch++) {
          expect(perWatch[watch] ?? 0).toBe(threads.get(tid)?.get(watch) ?? 0);
        }
      }
    }),
  );
});

test('nothing counted is nothing listed', () => {
  const totals = new Totals();
  totals.add(columnsOf([], 4));
  expect([totals.hits, totals.sites(), totals.threads().size]).toEqual([0, [], 0]);
});
