import { tableFromIPC } from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesSource } from '../base/byte-source.ts';
import { testHeader, testRecording } from './recording.test-support.ts';
import { parseEntry } from './recording-entries.ts';
import { RecordingError } from './recording-error.ts';
import { readRecording } from './recording-reader.ts';
import { summarize } from './recording-summary.ts';

describe('a recording', () => {
  it('is read as it was written', () => {
    const values: number[] = [];
    const result = readRecording(bytesSource(testRecording(1000, { flushEvery: 77 }).bytes()), {
      rows: (rows) => {
        for (let row = 0; row < rows.length; row++) values.push(rows.new[2 * row] ?? -1);
      },
    });
    expect(values).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1));
    expect(result).toMatchObject({ hits: 1000, lost: 0, reason: 'target ended', missing: undefined });
    expect(result.header).toEqual(testHeader);
    expect(result.stacks).toEqual([[0, 1]]);
    expect(result.sites[0]?.code).toMatchObject({ ip: 0x401131n, location: { function: 'store', line: 12 } });
  });

  it('takes at most 30 bytes a hit', () => {
    const size = testRecording(200_000).bytes().length;
    expect((size - testRecording(0).bytes().length) / 200_000).toBeLessThan(30);
  });

  it('is an Arrow stream that apache-arrow reads, with what each hit means in its dictionary', () => {
    const table = tableFromIPC(testRecording(1000, { flushEvery: 99 }).bytes());
    expect(table.numRows).toBe(1000);
    expect(table.schema.fields.map((field) => field.name)).toEqual([
      'timeNs',
      'access',
      'old',
      'new',
      'flags',
    ]);
    expect(table.get(999)?.toJSON()).toMatchObject({ timeNs: 5_001_000_000n, old: 999n, new: 1000n });
    expect(parseEntry(String(table.get(999)?.toJSON().access))).toMatchObject({
      type: 'access',
      tid: 101,
      comm: 'worker',
    });
  });

  it('is counted by code, thread, value, stack and over time', () => {
    const summary = summarize(bytesSource(testRecording(1001).bytes()));
    expect(summary.byCode).toEqual([{ site: 0, hits: 1001, tids: [100, 101] }]);
    expect(summary.byThread).toEqual([
      { pid: 100, tid: 100, comm: 'prog', hits: 501 },
      { pid: 100, tid: 101, comm: 'worker', hits: 500 },
    ]);
    expect(summary.byValue).toHaveLength(1001);
    expect(summary.byStack).toEqual([{ stack: 1, site: 0, hits: 500 }]);
    expect(summary.times[0]?.changes.used().reduce((sum, each) => sum + each, 0)).toBe(1001);
  });

  it('whatever its length, reads up to where it is cut off and says what is missing', () => {
    const sink = testRecording(400, { flushEvery: 50 });
    const bytes = sink.bytes();
    const ends: number[] = [];
    for (const write of sink.writes) ends.push((ends.at(-1) ?? 0) + write.length);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: bytes.length }), (cut) => {
        const flushed = ends.filter((end) => end <= cut).length;
        const read = () => readRecording(bytesSource(bytes.subarray(0, cut)), {});
        if (flushed === 0) {
          try {
            expect(read().hits).toBeLessThanOrEqual(50);
          } catch (error) {
            expect(error).toBeInstanceOf(RecordingError);
          }
          return;
        }
        const result = read();
        expect(result.hits).toBeGreaterThanOrEqual(Math.min(400, 50 * flushed));
        expect(result.hits).toBeLessThanOrEqual(Math.min(400, 50 * (flushed + 1)));
        if (result.reason === undefined) expect(result.missing).toContain(`its first ${result.hits} hits`);
        else expect(result.hits).toBe(400);
      }),
      { numRuns: 400 },
    );
  });

  it('without an end says that it is incomplete', () => {
    const result = readRecording(bytesSource(testRecording(100, { end: false }).bytes()), {});
    expect(result.hits).toBe(100);
    expect(result.missing).toMatch(/incomplete .*end is not there/);
  });

  it('of a newer version is refused, with both versions', () => {
    const bytes = testRecording(10).bytes();
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, 1024);
    // The only string of one character "1" among the strings of the schema.
    const version = text.indexOf('\x01\x00\x00\x001\x00', 0, 'latin1') + 4;
    text[version] = '9'.charCodeAt(0);
    expect(() => readRecording(bytesSource(bytes), {})).toThrow(/version 9 .* up to 1/);
  });

  it.each([
    ['an empty file', new Uint8Array(0)],
    ['text', new TextEncoder().encode('#!/bin/sh\necho this is no recording\n')],
    ['zeros', new Uint8Array(4096)],
    ['ones', new Uint8Array(4096).fill(255)],
    ['a perf.data', new TextEncoder().encode(`PERFILE2${'\0'.repeat(100)}`)],
  ])('is not %s: refused by a RecordingError', (_, bytes) => {
    expect(() => readRecording(bytesSource(bytes), {})).toThrow(RecordingError);
  });

  it('that is damaged in any bytes never makes the reader crash, hang, or make up rows', () => {
    const bytes = testRecording(300, { flushEvery: 60 }).bytes();
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 8,
        }),
        (changes) => {
          const hostile = bytes.slice();
          for (const [at, byte] of changes) hostile[at] = byte;
          try {
            expect(summarize(bytesSource(hostile)).hits).toBeLessThanOrEqual(2 * 65_536);
          } catch (error) {
            expect(error).toBeInstanceOf(RecordingError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
