import { expect, test } from 'vitest';
import { machineSurface } from '../../src/api/machine-surface.ts';
import { ModelScenario } from '../../src/hosts/model/model-scenario.ts';
import { parseScenarios } from '../../src/scenario/parser.ts';
import type { Surface } from '../../src/surface/surface.ts';
import { parseWatchRequest } from '../../src/watch/watch-request.ts';
import { WatchSession } from '../../src/watch/watch-session.ts';
import { describeWith, lacking } from './support/machine.ts';
import { Running } from './support/process.ts';
import { programs } from './support/programs.ts';

// One session on both kernels: the same accesses in the same order, by a real process and by a scenario. Everything but
// times must be the same.

interface Act {
  readonly who: 'A' | 'T';
  readonly op: 'store' | 'load' | 'rmw' | 'call' | 'read';
  /** Offset in the data page; number of the code label. */
  readonly place: number;
  readonly len: number;
  readonly times: number;
}

const lengths = [1, 2, 4, 8];
/** Every kind of access of every length at every distance from what is watched, by both in turn. */
const acts: readonly Act[] = [
  ...lengths.flatMap((len) =>
    Array.from({ length: 24 / len }, (_, n) => n * len).flatMap((place, n): Act[] => [
      { who: n % 2 === 0 ? 'A' : 'T', op: 'store', place, len, times: 2 },
      { who: 'A', op: 'load', place, len, times: 1 },
      { who: 'T', op: 'rmw', place, len, times: 3 },
    ]),
  ),
  ...[3, 5, 6, 7, 11, 13].map((place): Act => ({ who: 'T', op: 'store', place, len: 4, times: 1 })), // unaligned
  ...[0, 1, 0].flatMap((place, n): Act[] => [
    { who: n === 1 ? 'A' : 'T', op: 'call', place, len: 0, times: 2 + n },
  ]),
  ...[3, 4, 7, 8, 15, 16].flatMap((place): Act[] => [
    { who: 'A', op: 'read', place, len: 1, times: 1 },
    { who: 'T', op: 'read', place, len: 1, times: 2 },
  ]),
];

/** What is watched: by its place in the data page, or the number of a code label. */
const watches = [
  { place: 'data', offset: 4, rest: '/4:w' },
  { place: 'data', offset: 8, rest: '/8:rw' },
  { place: 'data', offset: 1, rest: '/1:w' },
  { place: 'code0', offset: 0, rest: ':x' },
] as const;

const scenario = [
  '{"scenario": "turns", "machine": {"cpus": 2}}',
  '{"step": "spawn", "task": "A", "cpu": 0}',
  '{"step": "thread", "task": "A", "as": "T"}',
  ...acts
    .flatMap(({ who, op, place, len, times }): object[] => {
      const at = op === 'call' ? `A.code${place}` : `A.data+${place}`;
      if (op !== 'read') return [{ step: op, task: who, at, ...(op === 'call' ? {} : { len }), times }];
      return Array.from({ length: times }, () => ({ step: 'syscallWrite', task: who, at, len }));
    })
    .map((step) => JSON.stringify(step)),
].join('\n');

/** What a session saw, without times and addresses. */
interface Seen {
  /** "thread watch access mode", one a hit. */
  readonly hits: string[];
  readonly totals: object;
  readonly armed: object;
}

async function see(
  surface: Surface,
  pid: number,
  texts: readonly string[],
  options: { readonly countOnly: boolean; readonly userOnly: boolean },
  begin: () => void,
): Promise<Seen> {
  const session = await WatchSession.open({
    surface,
    target: { type: 'process', pid },
    requests: texts.map(parseWatchRequest),
    ...options,
  });
  const threads = surface.tasks?.threads(pid) ?? [];
  begin();
  const hits: string[] = [];
  for (let batch = await session.next(); batch !== undefined; batch = await session.next()) {
    const { columns } = batch;
    for (let row = 0; row < columns.length; row++) {
      const watch = columns.watch[row] ?? -1;
      const code = session.sites.access(columns.site[row] ?? 0, session.info.watches[watch]!, watch); // one a number
      hits.push(
        `${threads.indexOf(columns.tid[row] ?? 0)} ${watch} ${code.access} ${code.kernel ? 'kernel' : 'user'}`,
      );
    }
    session.recycle(batch);
  }
  const { info } = session;
  const seen = {
    hits,
    totals: {
      counts: session.counts().map((count) => count.hits),
      delivered: session.delivered,
      lost: session.lost(),
      reason: session.endReason,
    },
    armed: {
      threads: info.threads,
      kernelMode: info.kernelMode,
      notes: info.notes,
      watches: info.watches.map(({ lenBytes, access }) => [lenBytes, access]),
    },
  };
  session.close();
  return seen;
}

async function live(options: { readonly countOnly: boolean; readonly userOnly: boolean }): Promise<Seen> {
  const program = new Running(programs.build('turns'), []);
  const greeting = await program.line(/^pid/);
  const [pid = 0n, data = 0n, ...code] = [...greeting.matchAll(/(?:0x)?[0-9a-f]*\d[0-9a-f]*/g)].map(
    ([text]) => BigInt(text),
  );
  const texts = watches.map(({ place, offset, rest }) => {
    const base = place === 'data' ? data : (code[0] ?? 0n);
    return `0x${(base + BigInt(offset)).toString(16)}${rest}`;
  });
  const seen = await see(machineSurface(), Number(pid), texts, options, () => {
    program.write(
      acts.map(({ who, op, place, len, times }) => `${who} ${op} ${place} ${len} ${times}\n`).join(''),
    );
    program.endInput();
  });
  expect((await program.ended).status).toBe(0);
  return seen;
}

async function model(options: { readonly countOnly: boolean; readonly userOnly: boolean }): Promise<Seen> {
  const [parsed] = parseScenarios('turns', scenario);
  if (parsed === undefined) throw new Error('a scenario');
  const running = await ModelScenario.start(parsed, { verify: true });
  const texts = watches.map(({ place, offset, rest }) => `A.${place}+${offset}${rest}`);
  const pid = running.tasks[0]?.pid ?? 0;
  const seen = await see(running.surface, pid, texts, options, () => {});
  await Promise.resolve(); // the session gives its rings back
  running.close(); // fails on what is left
  return seen;
}

describeWith(['gcc', 'breakpoints', 'x86_64'], 'one session on both kernels', () => {
  const userOnly = lacking('root') !== undefined;

  test('sees the same hits in the same order, and the same totals', async () => {
    const options = { countOnly: false, userOnly };
    const [onLinux, onModel] = [await live(options), await model(options)];
    expect(onModel).toEqual(onLinux);
    expect(onLinux.hits.length).toBeGreaterThan(100);
    console.log(
      `both kernels: ${onLinux.hits.length} hits, the same: ${JSON.stringify(onLinux.totals, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))}`,
    );
  });

  test('counts the same', async () => {
    const options = { countOnly: true, userOnly };
    const [onLinux, onModel] = [await live(options), await model(options)];
    expect(onModel).toEqual(onLinux);
  });
});
