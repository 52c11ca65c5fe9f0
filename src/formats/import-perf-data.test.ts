import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesSource } from '../base/byte-source.ts';
import { importPerfData } from './import-perf-data.ts';
import { writePerfData } from './perf-data.ts';
import { MemorySink, testRecording } from './recording.test-support.ts';
import { RecordingError } from './recording-error.ts';
import { summarize } from './recording-summary.ts';

const place = { openPath: () => undefined, symbols: {}, tool: 'trapline test', command: [] };

function perfData(hits: number): Uint8Array {
  const sink = new MemorySink();
  writePerfData(bytesSource(testRecording(hits).bytes()), sink);
  return sink.bytes();
}

function imported(bytes: Uint8Array): ReturnType<typeof summarize> {
  const sink = new MemorySink();
  importPerfData(bytesSource(bytes), sink, place);
  return summarize(bytesSource(sink.bytes()));
}

describe('an imported perf.data', () => {
  it('has the hits, threads, stacks and watches that were exported', () => {
    const summary = imported(perfData(1000));
    expect(summary).toMatchObject({ hits: 1000, lost: 0, missing: undefined });
    expect(summary.byThread).toEqual([
      { pid: 100, tid: 100, comm: 'prog', hits: 500 },
      { pid: 100, tid: 101, comm: 'worker', hits: 500 },
    ]);
    expect(summary.header.watches).toEqual([
      { text: 'mem:0x404040/4:w', address: 0x404040n, lenBytes: 4, access: 'w' },
    ]);
    expect(summary.byCode.map(({ site }) => summary.sites[site]?.code.sampleIp)).toEqual([0x401137n]);
    expect(summary.byStack.map(({ hits, stack }) => [hits, summary.stacks[stack - 1]?.length])).toEqual([
      [500, 1],
      [500, 2],
    ]);
  });

  it('that is cut off is imported up to the cut', () => {
    const bytes = perfData(1000);
    const { hits } = imported(bytes.subarray(0, bytes.length >> 1));
    expect(hits).toBeGreaterThan(400);
    expect(hits).toBeLessThan(600);
  });

  it('that is none is refused', () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(4096), testRecording(3).bytes()])
      expect(() => imported(bytes)).toThrow(RecordingError);
  });

  it('that is damaged in any bytes never makes the reader crash or hang', () => {
    const bytes = perfData(60);
    const change = fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const hostile = bytes.slice();
        for (const [at, byte] of changes) hostile[at] = byte;
        try {
          expect(imported(hostile).hits).toBeLessThanOrEqual(120);
        } catch (error) {
          expect(error).toBeInstanceOf(RecordingError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
