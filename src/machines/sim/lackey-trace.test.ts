import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { testModel, W } from '../../../test/support/model.ts';
import { openEvent } from '../../kernel/perf/open.ts';
import { type AccessTrace, accessKinds } from './access-trace.ts';
import { LackeyTraceParser, parseLackeyTrace, TraceSyntaxError } from './lackey-trace.ts';
import { replayProgram } from './operation.ts';

const good =
  '==7== Lackey\nI  0401ab70,3\n S 1ffefffe78,8\n L 04222c18,8\n\n M ffffffff81000000,16\n==7== Exit code: 0\n';

describe('reading a trace of lackey', () => {
  it('takes instructions, loads, stores and modifications, and passes messages over', () => {
    const trace = parseLackeyTrace(good);
    expect([...trace.shape].map((shape) => [shape >>> 14, shape & 0x3fff])).toEqual([
      [accessKinds.instruction, 3],
      [accessKinds.store, 8],
      [accessKinds.load, 8],
      [accessKinds.modify, 16],
    ]);
    expect([trace.addressHigh[1], trace.addressLow[1], trace.addressHigh[3], trace.addressLow[3]]).toEqual([
      0x1f, 0xfefffe78, 0xffffffff, 0x81000000,
    ]);
    expect(trace.maxBytes).toBe(16);
  });

  it('gives the same whatever the pieces', () => {
    for (let size = 1; size < 12; size++) {
      const parser = new LackeyTraceParser();
      for (let at = 0; at < good.length; at += size) parser.push(good.slice(at, at + size));
      expect(parser.finish()).toEqual(parseLackeyTrace(good));
    }
  });

  it.each([
    ['a text that is no trace', 'hello\n', /^line 1: expected "I {2}addr,size".*got "hello"/],
    ['a bad kind', 'I  10,3\n X 10,3\n', /^line 2: expected/],
    ['no size', 'I  10,3\n L 10,\n', /^line 2: expected/],
    ['a size of 0', ' L 10,0\n', /^line 1: expected/],
    ['a size beyond sense', ' L 10,99999\n', /^line 1: expected/],
    ['an address of 17 digits', ' L 12345678123456781,8\n', /^line 1: expected/],
    ['something after the size', ' L 10,8 \n', /^line 1: expected/],
    ['an end in the middle of a line', 'I  10,3\n L 0422', /^line 2: the trace ends in the middle of a line/],
    ['no access at all', '==7== Lackey\n', /^line 1: no access in the whole text/],
    ['an empty text', '', /^line 0: no access/],
  ])('refuses %s with the line', (_what, text, message) => {
    expect(() => parseLackeyTrace(text)).toThrow(TraceSyntaxError);
    expect(() => parseLackeyTrace(text)).toThrow(message);
  });
});

/** Hits of a watch for writing, counted instruction by instruction and byte by byte. */
function naiveHits(trace: AccessTrace, address: number, len: number): number {
  let hits = 0;
  let hit = false;
  for (let i = 0; i < trace.length; i++) {
    const kind = (trace.shape[i] ?? 0) >>> 14;
    if (kind === accessKinds.instruction) hit = false;
    if (kind < accessKinds.store) continue;
    const at = (trace.addressHigh[i] ?? 0) * 2 ** 32 + (trace.addressLow[i] ?? 0);
    for (let byte = at; byte < at + ((trace.shape[i] ?? 0) & 0x3fff); byte++) {
      if (byte < address || byte >= address + len || hit) continue;
      hit = true;
      hits++;
    }
  }
  return hits;
}

describe('replaying what a real program did', () => {
  const file = join(import.meta.dirname, '..', '..', '..', 'examples', 'model', 'true.lackey.gz');
  const trace = parseLackeyTrace(gunzipSync(readFileSync(file)).toString('latin1'));

  it('counts what a naive walk counts, alone and among other tasks', () => {
    const addresses = [0x1fff000070, 0x1fff000074, 0x1ffefffe78, 0x4037b00].map(
      (address) => address - (address % 8),
    );
    const model = testModel({ kernel: { verify: false } });
    const task = model.machine.spawn({ name: 'replayed', program: replayProgram(trace) });
    model.machine.spawn({ name: 'other', program: replayProgram(trace), cpu: task.home.number });
    const events = [...new Set(addresses)].map((address) =>
      openEvent(model.kernel, {
        attr: { type: 5, bpType: W, bpAddr: BigInt(address), bpLen: 8n },
        caller: model.self,
        pid: task.tid,
        cpu: -1,
      }),
    );
    model.machine.run();
    const counts = events.map((event) => model.kernel.control.totals(event).value);
    expect(counts).toEqual([...new Set(addresses)].map((address) => naiveHits(trace, address, 8)));
    expect(counts[0]).toBeGreaterThan(100);
    // The other task went through the same addresses and did not count.
    expect(task.alive).toBe(true);
  });
});
