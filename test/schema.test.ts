import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { armedJson, endedJson, HitJson, lostJson, summaryJson } from '../src/cli/json-lines.ts';
import type { CodeAccess } from '../src/watch/code-sites.ts';
import type { Hit } from '../src/watch/hit-reader.ts';
import type { WatchSession } from '../src/watch/watch-session.ts';

const schema: unknown = JSON.parse(
  fs.readFileSync(new URL('../docs/hit.schema.json', import.meta.url), 'utf8'),
);
const validate = new Ajv2020({
  allErrors: true,
  strict: true,
  strictRequired: false,
  strictTypes: false,
}).compile(
  schema as object, // a JSON file that is an object
);

/** The first complaint about a line, or undefined. */
function complaint(line: string): string | undefined {
  const value: unknown = JSON.parse(line);
  return validate(value) ? undefined : `${line}: ${JSON.stringify(validate.errors?.slice(0, 3))}`;
}

const code: CodeAccess = {
  sampleIp: 0x401006n,
  ip: 0x401000n,
  instructionFound: true,
  location: { address: 0x401000n, module: 'prog', moduleOffset: 0x1000n, symbol: 'worker', offset: 0n },
  kernel: false,
  access: 'w',
  text: 'mov %eax,0x404028',
};

// What the line builders use of a session; the rest of its members is not touched by them.
const session = {
  info: {
    kernel: 'Linux 6.1 x86_64',
    watches: [{ text: 'counter:w', address: 0x404028n, lenBytes: 4, access: 'w' }],
    pid: undefined,
    comm: '',
    sinceNs: 1n,
    threads: 0,
    cpus: [0],
    kernelMode: true,
    notes: ['a "note"'],
  },
  sites: {
    access: () => code,
    frames: (stack: number) =>
      stack === 0 ? [] : [{ address: 0xffffffff81000000n, kernel: true, location: { address: 1n } }],
  },
  lost: () => 3,
} as unknown as WatchSession;

const hit: Hit = {
  timeNs: 12n,
  pid: 7,
  tid: 8,
  comm: 'odd "name"\n\u0001',
  cpu: 0,
  watch: session.info.watches[0]!, // one watch above
  watchNumber: 0,
  code,
  stack: 0,
  count: 1,
};

describe('docs/hit.schema.json', () => {
  it('accepts every kind of line that the builders make', () => {
    const builder = new HitJson(session, { asm: true });
    const lines = [
      armedJson(session.info),
      builder.line(hit),
      builder.line({ ...hit, count: 4, stack: 1 }),
      new HitJson(session, { asm: false }).line({
        ...hit,
        code: { ...code, kernel: true, location: { address: 5n }, text: undefined },
      }),
      builder.line({
        ...hit,
        value: {
          before: { low: 1, high: 0 },
          after: { low: 2, high: 0 },
          from: 'stored',
          exact: true,
          gap: true,
        },
      }),
      builder.line({
        ...hit,
        value: { before: undefined, after: undefined, from: undefined, exact: false, gap: false },
      }),
      lostJson(5n, 2),
      endedJson(5n, { reason: 'exec', pid: 7, comm: 'true' }),
      endedJson(5n, { reason: 'target ended' }),
      summaryJson({
        session,
        hits: 4,
        sites: [{ site: 0, watch: 0, hits: 4, tids: [8] }],
        names: new Map([[8, 'a']]),
      }),
    ];
    expect(lines.map(complaint)).toEqual(lines.map(() => undefined));
  });

  it('refuses lines that are not of it', () => {
    const good: Record<string, unknown> = JSON.parse(new HitJson(session, { asm: false }).line(hit));
    expect(complaint(JSON.stringify(good))).toBeUndefined();
    for (const bad of [
      { ...good, timeNs: 12 },
      { ...good, address: '404028' },
      { ...good, unknown: 1 },
      { ...good, count: 1 },
      { ...good, access: 'q' },
      { ...good, old: true },
      { ...good, valueFrom: 'memory' },
      { ...good, gap: false },
      { ...good, stack: [{}] },
      Object.fromEntries(Object.entries(good).filter(([key]) => key !== 'symbol')),
      { type: 'summary' },
      {},
    ]) {
      expect(complaint(JSON.stringify(bad)), JSON.stringify(bad)).toBeDefined();
    }
  });

  it('accepts what a real count prints, where this machine has breakpoints', (ctx) => {
    for (const flags of [[], ['--per-thread']]) {
      const run = spawnSync(
        process.execPath,
        [cli, 'stat', '--json', ...flags, 'main:x', 'environ:rw', '--', process.execPath, '-e', '0'],
        { encoding: 'utf8' },
      );
      if (run.status !== 0) {
        console.log(`skipped: trapline stat says: ${run.stderr.trim()}`);
        ctx.skip(run.stderr.trim());
      }
      const lines = run.stdout.trim().split('\n');
      expect(lines.map(complaint)).toEqual([undefined, undefined]);
      expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)).toEqual(['armed', 'counts']);
    }
  });

  it('accepts what a real session prints, where this machine has breakpoints', (ctx) => {
    const run = spawnSync(
      process.execPath,
      [cli, 'watch', '--json', '--asm', '-s', 'main:x', 'environ:rw', '--', process.execPath, '-e', '0'],
      { encoding: 'utf8' },
    );
    if (run.status !== 0) {
      console.log(`skipped: trapline watch says: ${run.stderr.trim()}`);
      ctx.skip(run.stderr.trim());
    }
    const lines = run.stdout.trim().split('\n');
    expect(lines.map(complaint).filter((each) => each !== undefined)).toEqual([]);
    const types = lines.map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types[0]).toBe('armed');
    expect(types.at(-1)).toBe('summary');
    expect(types.filter((type) => type === 'hit').length).toBeGreaterThan(0);
  });
});

const cli = new URL('../dist/cli/main.js', import.meta.url).pathname;
