import { expect } from 'vitest';
import { type Running, start } from './process.ts';

// The lines of `trapline watch --json`, checked for their order on the way.

export interface FrameFields {
  readonly ip: string;
  readonly symbol: string | null;
  readonly offset: string | null;
  readonly module: string | null;
  readonly moduleOffset?: string;
}

export interface ArmedLine {
  readonly type: 'armed';
  readonly timeNs: string;
  readonly pid: number | null;
  readonly kernelMode: boolean;
  readonly notes: readonly string[];
  readonly watches: readonly {
    readonly watch: string;
    readonly address: string;
    readonly lenBytes: number;
    readonly access: string;
    readonly symbol: string | null;
    readonly module: string | null;
  }[];
}

export interface HitLine extends FrameFields {
  readonly type: 'hit';
  readonly timeNs: string;
  readonly pid: number;
  readonly tid: number;
  readonly comm: string;
  readonly cpu: number;
  readonly watch: string;
  readonly address: string;
  readonly access: string;
  readonly kernel: boolean;
  readonly asm?: string;
  readonly stack: readonly FrameFields[];
  readonly count?: number;
}

export interface MovedLine {
  readonly type: 'moved';
  readonly timeNs: string;
  readonly watch: string;
  readonly places: readonly { readonly address: string; readonly lenBytes: number }[];
  readonly pointers: readonly { readonly pointer: string; readonly value: string }[];
  readonly why?: string;
}

export interface EndedLine {
  readonly type: 'ended';
  readonly timeNs: string;
  readonly reason: string;
  readonly pid?: number;
  readonly comm?: string;
}

export interface SummaryLine {
  readonly type: 'summary';
  readonly hits: number;
  readonly lost: number;
  readonly sites: readonly (FrameFields & {
    readonly watch: string;
    readonly access: string;
    readonly kernel: boolean;
    readonly hits: number;
    readonly share: number;
    readonly threads: readonly { readonly tid: number; readonly comm: string }[];
  })[];
}

export interface WatchOutput {
  readonly armed: ArmedLine;
  readonly hits: readonly HitLine[];
  readonly user: readonly HitLine[];
  readonly kernel: readonly HitLine[];
  readonly moved: readonly MovedLine[];
  /** All `ended` lines; the last is the session's. */
  readonly ended: readonly EndedLine[];
  readonly summary: SummaryLine;
  /** Lines that are no JSON: the watched program's. */
  readonly others: readonly string[];
}

/** How many hits lines stand for. */
export function total(hits: readonly HitLine[]): number {
  return hits.reduce((sum, hit) => sum + (hit.count ?? 1), 0);
}

/** How many hits, by a key of each. */
export function totalsBy(hits: readonly HitLine[], key: (hit: HitLine) => string): Record<string, number> {
  const totals: Record<string, number> = {};
  for (const hit of hits) totals[key(hit)] = (totals[key(hit)] ?? 0) + (hit.count ?? 1);
  return totals;
}

const hex = /^0x[0-9a-f]+$/;

/** Parses the output of `watch --json`, and checks what holds for all of it. */
export function readWatch(text: string, options: { readonly otherLines?: boolean } = {}): WatchOutput {
  expect(text.endsWith('\n'), 'the output ends with a newline').toBe(true);
  const texts = text.slice(0, -1).split('\n');
  const isOurs = (line: string): boolean => line.startsWith('{"type":');
  const others = texts.filter((line) => !isOurs(line));
  if (options.otherLines !== true) expect(others, 'lines that are no JSON').toEqual([]);
  const lines = texts.filter(isOurs).map((line) => JSON.parse(line) as { type: string; timeNs?: string });
  const types = lines.map((line) => line.type);
  expect(types[0], 'the first line').toBe('armed');
  expect(types.slice(-2), 'the last two lines').toEqual(['ended', 'summary']);
  expect(types.filter((type) => type === 'armed' || type === 'summary')).toEqual(['armed', 'summary']);
  for (const type of types) expect(['armed', 'hit', 'moved', 'lost', 'ended', 'summary']).toContain(type);
  let last = 0n;
  for (const line of lines) {
    if (line.timeNs === undefined || line.type === 'armed') continue; // the armed line: output.test.ts
    expect(line.timeNs).toMatch(/^\d+$/);
    const time = BigInt(line.timeNs);
    expect(time >= last, `times ascend: ${time} of a line '${line.type}' after ${last}`).toBe(true);
    last = time;
  }
  // The fields were looked at above as far as all lines have them; the tests look at the rest.
  const hits = lines.filter((line) => line.type === 'hit') as unknown as HitLine[];
  const summary = lines.at(-1) as unknown as SummaryLine;
  for (const hit of hits) {
    expect(hit.address).toMatch(hex);
    expect(hit.ip).toMatch(hex);
    expect(Number.isInteger(hit.pid) && Number.isInteger(hit.tid) && Number.isInteger(hit.cpu)).toBe(true);
    expect(['r', 'w', 'rw', 'x']).toContain(hit.access);
    expect(hit.count === undefined || hit.count > 1, 'count is there where it is above 1').toBe(true);
  }
  expect(summary.hits, "the summary's hits").toBe(total(hits));
  expect(
    summary.sites.reduce((sum, site) => sum + site.hits, 0),
    'hits of the sites',
  ).toBe(summary.hits);
  return {
    armed: lines[0] as unknown as ArmedLine,
    hits,
    user: hits.filter((hit) => !hit.kernel),
    kernel: hits.filter((hit) => hit.kernel),
    moved: lines.filter((line) => line.type === 'moved') as unknown as MovedLine[],
    ended: lines.filter((line) => line.type === 'ended') as unknown as EndedLine[],
    summary,
    others,
  };
}

/** `trapline watch --json ARGS`, started, and armed. */
export async function startWatch(args: readonly string[]): Promise<Running> {
  const watching = start(['watch', '--json', ...args]);
  await watching.line(/^\{"type":"armed"/);
  return watching;
}

/** Interrupts a watch, and reads what it has written. */
export async function finishWatch(watching: Running): Promise<WatchOutput> {
  watching.signal('SIGINT');
  return endedWatch(watching);
}

/** Waits until a watch ends by itself with status 0 and nothing on standard error, and reads what it has written. */
export async function endedWatch(watching: Running): Promise<WatchOutput> {
  const result = await watching.ended;
  expect(result.stderr).toBe('');
  expect(result.status).toBe(0);
  return readWatch(result.stdout);
}
