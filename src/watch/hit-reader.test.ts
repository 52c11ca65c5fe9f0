import { expect, test } from 'vitest';
import { type HitBatch, HitColumns, hitFlags, type RingNotice } from '../ring/hit-columns.ts';
import type { Tasks } from '../surface/tasks.ts';
import type { CodeAccess } from './code-sites.ts';
import type { WatchMove } from './follower.ts';
import { type Hit, HitReader } from './hit-reader.ts';
import type { PlannedWatch } from './plan.ts';
import { TaskNames } from './task-names.ts';
import type { WatchSession } from './watch-session.ts';

interface Row {
  readonly time: number;
  readonly tid?: number;
  readonly watch?: number;
  readonly site?: number;
  readonly kernel?: boolean;
  readonly continues?: boolean;
}

function batchOf(rows: readonly Row[], notices: readonly RingNotice[] = []): HitBatch {
  const columns = new HitColumns({ capacity: 32 });
  for (const [i, row] of rows.entries()) {
    columns.timeLow[i] = row.time;
    columns.timeHigh[i] = 1;
    columns.pid[i] = 10;
    columns.tid[i] = row.tid ?? 10;
    columns.watch[i] = row.watch ?? 0;
    columns.site[i] = row.site ?? 0;
    columns.cpu[i] = 3;
    columns.flags[i] = (row.kernel ? hitFlags.kernel : 0) | (row.continues ? hitFlags.continuesCopy : 0);
  }
  columns.length = rows.length;
  const none = new Uint32Array(0);
  return { columns, firstSite: 0, newSites: none, firstStack: 0, newStacks: none, notices };
}

const at = (low: number): bigint => 0x1_0000_0000n + BigInt(low);
const watches: PlannedWatch[] = ['a', 'b'].map((text) => ({ text, address: 1n, lenBytes: 4, access: 'w' }));

/** A reader whose items are noted as short lines. */
function reader(moves: WatchMove[] = []): {
  reader: HitReader;
  lines: string[];
  hits: Hit[];
  names: TaskNames;
} {
  const names = new TaskNames({ name: () => 'main' } as unknown as Tasks); // TaskNames asks for names alone
  const session = {
    names,
    info: { watches },
    takeMoves: () => moves.splice(0),
    sites: {
      access: (site: number, watch: PlannedWatch) => ({ text: `${watch.text}@${site}` }) as CodeAccess,
    },
  } as unknown as WatchSession; // what a HitReader uses of one
  const lines: string[] = [];
  const hits: Hit[] = [];
  const made = new HitReader(session, (item) => {
    if (item.type === 'exec') lines.push(`exec ${item.pid} ${item.comm}`);
    else if (item.type === 'moved') lines.push(`moved ${item.move.text} at ${item.move.timeNs - at(0)}`);
    else {
      hits.push(item.hit);
      const { hit } = item;
      lines.push(
        `${hit.timeNs - at(0)} ${hit.comm} ${hit.code.text}${hit.count > 1 ? ` x${hit.count}` : ''}`,
      );
    }
  });
  return { reader: made, lines, hits, names };
}

const comm = (time: number, tid: number, name: string, exec = false): RingNotice => ({
  type: 'comm',
  timeNs: at(time),
  pid: tid,
  tid,
  comm: name,
  exec,
});

test('a user hit comes out at once, with all that its row says', () => {
  const { reader: one, hits } = reader();
  one.read(batchOf([{ time: 5, tid: 11, watch: 1, site: 4 }]));
  expect(one.holds).toBe(false);
  expect(hits).toEqual([
    {
      timeNs: at(5),
      pid: 10,
      tid: 11,
      comm: 'main',
      cpu: 3,
      watch: watches[1],
      watchNumber: 1,
      code: { text: 'b@4' },
      stack: 0,
      count: 1,
    },
  ]);
});

test('hits of one kernel copy are one line with their count, over batches too', () => {
  const { reader: one, lines } = reader();
  one.read(
    batchOf([
      { time: 1, kernel: true },
      { time: 2, kernel: true, continues: true },
    ]),
  );
  expect([one.holds, lines]).toEqual([true, []]);
  one.read(batchOf([{ time: 3, kernel: true, continues: true }, { time: 4 }]));
  expect(lines).toEqual(['1 main a@0 x3', '4 main a@0']);
  expect(one.holds).toBe(false);
});

test('a copy that was given out is not gone on with: what follows is another line', () => {
  const { reader: one, lines } = reader();
  one.read(batchOf([{ time: 1, kernel: true }]));
  one.flush();
  one.flush();
  expect(lines).toEqual(['1 main a@0']);
  one.read(
    batchOf([
      { time: 2, kernel: true, continues: true },
      { time: 3, kernel: true, continues: true },
    ]),
  );
  one.flush();
  expect(lines).toEqual(['1 main a@0', '2 main a@0 x2']);
});

test('hits of another thread in between end the line of a copy', () => {
  const { reader: one, lines } = reader();
  one.read(
    batchOf([
      { time: 1, tid: 10, kernel: true },
      { time: 2, tid: 11, kernel: true },
      { time: 3, tid: 10, kernel: true, continues: true },
    ]),
  );
  one.flush();
  expect(lines).toEqual(['1 main a@0', '2 main a@0', '3 main a@0']);
});

test('kernel hits that are no copy stand alone', () => {
  const { reader: one, lines } = reader();
  one.read(
    batchOf([
      { time: 1, kernel: true },
      { time: 2, kernel: true },
    ]),
  );
  one.flush();
  expect(lines).toEqual(['1 main a@0', '2 main a@0']);
});

test('a thread has the name that it had at the time of each hit', () => {
  const { reader: one, lines, names } = reader();
  one.read(
    batchOf(
      [{ time: 1 }, { time: 5 }, { time: 9 }],
      [comm(5, 10, 'second'), comm(7, 10, 'third'), comm(20, 10, 'last')],
    ),
  );
  expect(lines).toEqual(['1 main a@0', '5 second a@0', '9 third a@0']);
  expect(names.name(10)).toBe('last');
});

test('a held hit keeps the name that it was made under', () => {
  const { reader: one, lines } = reader();
  one.read(batchOf([{ time: 1, kernel: true }], [comm(2, 10, 'renamed')]));
  one.read(batchOf([{ time: 3 }]));
  expect(lines).toEqual(['1 main a@0', '3 renamed a@0']);
});

test('the execution of another program comes between the hits before and after it', () => {
  const { reader: one, lines } = reader();
  one.read(batchOf([{ time: 1, kernel: true }, { time: 9 }], [comm(5, 10, 'other', true)]));
  expect(lines).toEqual(['1 main a@0', 'exec 10 other', '9 other a@0']);
});

test('notices of a batch without hits are applied', () => {
  const { reader: one, lines, names } = reader();
  one.read(batchOf([], [comm(5, 10, 'new'), comm(6, 10, 'other', true)]));
  expect([names.name(10), lines]).toEqual(['other', ['exec 10 other']]);
});

test('readNotices passes over hits', () => {
  const { reader: one, lines, names } = reader();
  one.readNotices(batchOf([{ time: 1 }], [comm(5, 10, 'other', true)]));
  expect([names.name(10), lines]).toEqual(['other', ['exec 10 other']]);
});

test('a move is told between the hits before and after it, and waits until no older hit can come', () => {
  const move = (time: number): WatchMove => ({ timeNs: at(time), text: 'p->x', watches: [], pointers: [] });
  const moves = [move(15)];
  const { reader: made, lines } = reader(moves);
  made.read(batchOf([{ time: 10, tid: 1 }], []));
  expect(lines).toEqual(['10 main a@0']);
  expect(made.holds).toBe(true);
  made.read(
    batchOf(
      [
        { time: 12, tid: 1 },
        { time: 20, tid: 1 },
      ],
      [],
    ),
  );
  expect(lines).toEqual(['10 main a@0', '12 main a@0', 'moved p->x at 15', '20 main a@0']);
  moves.push(move(30));
  made.read(batchOf([], []));
  made.flush();
  expect(lines.at(-1)).toBe('moved p->x at 30');
  expect(made.holds).toBe(false);
});
