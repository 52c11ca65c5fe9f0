import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testRecording } from '../src/formats/recording.test-support.ts';

// A recording of 1000 hits by two threads, exported to every format and read back by a program or library that reads it.

const hits = 1000;
const cli = new URL('../dist/cli/main.js', import.meta.url).pathname;
let folder = '';
let recording = '';

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-exports-'));
  recording = path.join(folder, 'a.trapline');
  fs.writeFileSync(recording, testRecording(hits, { flushEvery: 300 }).bytes());
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

/** The exported file. */
function exported(format: string): string {
  const file = path.join(folder, `out.${format}`);
  const { status, stderr } = spawnSync(
    process.execPath,
    [cli, 'export', '--as', format, '-o', file, recording],
    {
      encoding: 'utf8',
    },
  );
  expect(stderr).toBe(`${hits} hits exported\n`);
  expect(status).toBe(0);
  return file;
}

describe('an exported recording', () => {
  it('as pprof is read by pprof-format: hits, changes, functions, lines and labels', async () => {
    const { Profile } = await import('pprof-format');
    const { gunzipSync } = await import('node:zlib');
    const profile = Profile.decode(gunzipSync(fs.readFileSync(exported('pprof'))));
    const text = (index: number | bigint): string | undefined => profile.stringTable.strings[Number(index)];
    expect(profile.sampleType.map(({ type, unit }) => [text(type), text(unit)])).toEqual([
      ['hits', 'count'],
      ['changes', 'count'],
    ]);
    const totals = profile.sample.map(({ value }) => value.map(Number));
    expect(totals).toEqual([
      [500, 500],
      [500, 500],
    ]);
    expect(profile.sample.map(({ locationId }) => locationId.length)).toEqual([1, 2]);
    expect(profile.function.map(({ name, filename }) => [text(name), text(filename)])).toEqual([
      ['store', '/src/prog.c'],
      ['main', '/src/prog.c'],
    ]);
    expect(profile.location.map(({ line, address }) => [Number(address), Number(line[0]?.line)])).toEqual([
      [0x401131, 12],
      [0x401155, 30],
    ]);
    const labels = profile.sample[1]?.label.map(({ key, str, num }) => [text(key), text(str) || Number(num)]);
    expect(labels).toEqual([
      ['thread', 'worker'],
      ['watch', 'counter'],
      ['access', 'w'],
      ['tid', 101],
    ]);
    expect(text(profile.mapping[0]?.filename ?? 0)).toBe('/bin/prog');
  });

  it('as CSV is read by DuckDB: rows, types and sums', async (context) => {
    let duckdb: typeof import('@duckdb/node-api');
    try {
      duckdb = await import('@duckdb/node-api');
    } catch (error) {
      console.log(`skipped: DuckDB cannot be loaded here: ${String(error)}`);
      return context.skip();
    }
    const instance = await duckdb.DuckDBInstance.create(':memory:');
    const connection = await instance.connect();
    const reader = await connection.runAndReadAll(
      `select count(*)::int, sum(new)::int, min(old)::int, count(distinct tid)::int, max(time_ns)::bigint, any_value("function"), any_value(line)::int from read_csv('${exported('csv')}')`,
    );
    expect(reader.getRows()[0]).toEqual([hits, (hits * (hits + 1)) / 2, 0, 2, 5_001_000_000n, 'store', 12]);
    connection.closeSync();
  });

  it('as the text of perf script has the lines that speedscope and Firefox Profiler look for', () => {
    const script = fs.readFileSync(exported('script'), 'utf8');
    // speedscope's importer is inside a bundle for browsers; these are the lines that it looks for.
    const events = script.split('\n\n').filter((block) => block.trim() !== '');
    expect(events).toHaveLength(hits);
    for (const event of events) {
      const [head = '', ...frames] = event.split('\n');
      expect(head).toMatch(/^(\S.+?)\s+(\d+)(?:\/?(\d+))?\s+/);
      expect(frames.length).toBeGreaterThan(0);
      for (const frame of frames) expect(frame).toMatch(/^\s*(\w+)\s*(.+) \((\S*)\)$/);
    }
    // Firefox Profiler's test for such a file, and for its lines (import/linux-perf.ts).
    expect(script.slice(0, 200)).toMatch(/^\S.*?\s+(?:\d+\/)?\d+\s+(?:\[\d+\]\s+)?[\d.]+:/);
    const collapsed = fs.readFileSync(exported('collapsed'), 'utf8');
    expect(collapsed).toBe('prog;store 500\nworker;main;store 500\n');
  });

  it('as perf.data is read by perf: report, script, evlist and convert to JSON', (context) => {
    if (spawnSync('perf', ['--version']).error !== undefined) {
      console.log('skipped: perf is not installed');
      return context.skip();
    }
    const data = exported('perf');
    const perf = (...args: string[]): string => {
      const { status, stdout, stderr } = spawnSync('perf', args, { encoding: 'utf8', cwd: folder });
      expect(status, `perf ${args.join(' ')}: ${stderr}`).toBe(0);
      return stdout;
    };
    expect(perf('report', '--stats', '-i', data)).toMatch(/SAMPLE events: +1000 /);
    const report = perf(
      'report',
      '--stdio',
      '-n',
      '--no-children',
      '--sort',
      'comm',
      '-g',
      'none',
      '-i',
      data,
    );
    expect([...report.matchAll(/^ +50\.00% +500 +(\w+)/gm)].map((match) => match[1]).sort()).toEqual([
      'prog',
      'worker',
    ]);
    const script = perf('script', '-F', 'comm,pid,tid,cpu,time,event,ip,addr', '-i', data);
    expect([...script.matchAll(/mem:0x404040\/4:w: +404040/g)]).toHaveLength(hits);
    expect(script).toMatch(/worker +100\/101 +\[001\] +5\.001000:/);
    expect(perf('evlist', '-v', '-i', data)).toMatch(
      /^mem:0x404040\/4:w: type: 5,.*bp_type: 2, .*0x404040.*0x4/,
    );
    perf('data', 'convert', '-i', data, '--to-json', 'out.json');
    const json = JSON.parse(fs.readFileSync(path.join(folder, 'out.json'), 'utf8')) as { samples: unknown[] };
    expect(json.samples).toHaveLength(hits);
  });

  it('as a Perfetto trace has an instant and a counter value a hit, by the numbers of the published protos', () => {
    const packets = messages(fs.readFileSync(exported('perfetto')))[1] ?? [];
    let instants = 0;
    const counters: number[] = [];
    const tracks: string[] = [];
    for (const bytes of packets) {
      const packet = messages(bytes as Uint8Array);
      const text = (value: unknown): string => Buffer.from(value as Uint8Array).toString();
      for (const descriptor of packet[60] ?? []) {
        const { 2: name = [], 3: process = [], 4: thread = [] } = messages(descriptor as Uint8Array);
        if (name.length > 0) tracks.push(text(name[0]));
        for (const each of process) tracks.push(`process ${messages(each as Uint8Array)[1]?.join()}`);
        for (const each of thread) {
          const { 2: tid = [], 5: comm = [] } = messages(each as Uint8Array);
          tracks.push(`thread ${tid.join()} ${text(comm[0])}`);
        }
      }
      for (const event of packet[11] ?? []) {
        expect(packet[58]).toEqual([3n]);
        const { 9: type = [], 30: value = [] } = messages(event as Uint8Array);
        if (type[0] === 3n) instants++;
        if (type[0] === 4n) counters.push(Number(value[0]));
      }
    }
    expect(instants).toBe(hits);
    expect(counters).toEqual(Array.from({ length: hits }, (_, i) => i + 1));
    expect(tracks).toEqual(['counter', 'process 100', 'thread 100 prog', 'thread 101 worker']);
  });

  it('as JSON lines follows the schema of watch --json, in the order of time', async () => {
    const { Ajv2020 } = await import('ajv/dist/2020.js');
    const schema: unknown = JSON.parse(
      fs.readFileSync(new URL('../docs/hit.schema.json', import.meta.url), 'utf8'),
    );
    const validate = new Ajv2020({ allowUnionTypes: true, strict: false }).compile(schema as object);
    const lines = fs
      .readFileSync(exported('jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const line of lines) expect(validate(line), JSON.stringify([line, validate.errors])).toBe(true);
    expect(lines.map(({ type }) => type)).toEqual(['armed', ...Array<string>(hits).fill('hit'), 'ended']);
    expect(lines[hits]).toMatchObject({
      old: hits - 1,
      new: hits,
      valueType: 'int',
      function: 'store',
      line: 12,
    });
  });

  it('as a Firefox profile has tables whose columns agree, a sample a hit and a marker a change', () => {
    const profile = JSON.parse(fs.readFileSync(exported('firefox'), 'utf8')) as FirefoxProfile;
    expect(profile.meta.preprocessedProfileVersion).toBe(47);
    let samples = 0;
    let markers = 0;
    for (const thread of profile.threads) {
      for (const table of [
        'samples',
        'markers',
        'stackTable',
        'frameTable',
        'funcTable',
        'resourceTable',
        'nativeSymbols',
      ] as const) {
        const { length, ...columns } = thread[table];
        for (const [name, column] of Object.entries(columns))
          if (Array.isArray(column)) expect(column.length, `${table}.${name}`).toBe(length);
      }
      const below = (column: unknown, limit: number): void => {
        for (const each of column as (number | null)[])
          if (each !== null) expect(each >= 0 && each < limit).toBe(true);
      };
      below(thread.samples.stack, thread.stackTable.length);
      below(thread.stackTable.frame, thread.frameTable.length);
      below(thread.frameTable.func, thread.funcTable.length);
      below(thread.funcTable.name, thread.stringArray.length);
      for (const [i, prefix] of (thread.stackTable.prefix as (number | null)[]).entries())
        if (prefix !== null) expect(prefix).toBeLessThan(i);
      expect(thread.markers.data).toContainEqual(expect.objectContaining({ type: 'change' }));
      samples += thread.samples.length;
      markers += thread.markers.length;
    }
    expect([samples, markers]).toEqual([hits, hits]);
    expect(profile.threads.map(({ name, tid, pid }) => [name, tid, pid])).toEqual([
      ['prog', 100, '100'],
      ['worker', 101, '100'],
    ]);
    expect(profile.meta.markerSchema[0]?.name).toBe('change');
  });
});

/** The fields of a protocol buffer message by number: bigints, and the bytes of what has a length. */
function messages(bytes: Uint8Array): Record<number, (bigint | Uint8Array)[]> {
  const fields: Record<number, (bigint | Uint8Array)[]> = {};
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('a message is cut off');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    let value: bigint | Uint8Array;
    if ((tag & 7) === 0) value = varint();
    else if ((tag & 7) === 2) {
      const length = Number(varint());
      value = bytes.subarray(at, at + length);
      if (value.length < length) throw new Error('a message is cut off');
      at += length;
    } else throw new Error(`kind ${tag & 7} is not expected here`);
    const number = tag >> 3;
    const values = fields[number] ?? [];
    values.push(value);
    fields[number] = values;
  }
  return fields;
}

interface FirefoxTable {
  readonly length: number;
  readonly [column: string]: unknown;
}
type FirefoxThread = Record<
  'samples' | 'markers' | 'stackTable' | 'frameTable' | 'funcTable' | 'resourceTable' | 'nativeSymbols',
  FirefoxTable
> & {
  readonly stringArray: readonly string[];
  readonly name: string;
  readonly tid: number;
  readonly pid: string;
};
interface FirefoxProfile {
  readonly meta: {
    readonly preprocessedProfileVersion: number;
    readonly markerSchema: readonly { readonly name: string }[];
  };
  readonly threads: readonly FirefoxThread[];
}
