import fc from 'fast-check';
import { expect, test } from 'vitest';
import { siteWords } from './hit-columns.ts';
import { SiteTable, StackTable, WatchIds } from './interning.ts';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
/** Few different words, so that keys repeat and share parts. */
const fewWords = fc.constantFrom(0, 1, 2, 0x40_1000, 0xffff_ffff);

/** Words as they stand in a ring: `frames` from `start` on, around its end. */
function ringWith(frames: readonly number[], start: number, words = 64): Uint32Array {
  const ring = new Uint32Array(words).fill(0x5555_5555);
  for (const [i, word] of frames.entries()) ring[(start + i) & (words - 1)] = word;
  return ring;
}

function sitesOf(words: Uint32Array): number[][] {
  return Array.from({ length: words.length / siteWords }, (_, i) => [
    ...words.subarray(i * siteWords, (i + 1) * siteWords),
  ]);
}

test('sites get numbers in the order of their first appearance, the same one ever after', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fewWords, fewWords, fewWords), { maxLength: 60 }), (keys) => {
      const table = new SiteTable();
      const model: string[] = [];
      const taken: number[][] = [];
      for (const [i, [low, high, pid]] of keys.entries()) {
        const key = `${low} ${high} ${pid}`;
        if (!model.includes(key)) model.push(key);
        expect(table.intern(low, high, pid)).toBe(model.indexOf(key));
        if (i % 7 !== 0) continue;
        expect(table.firstNew).toBe(taken.length);
        taken.push(...sitesOf(table.takeNew()));
      }
      taken.push(...sitesOf(table.takeNew()));
      expect(taken.map((entry) => entry.join(' '))).toEqual(model);
      expect(table.size).toBe(model.length);
      expect(table.takeNew().length).toBe(0);
    }),
  );
});

test('a table of 20000 sites, grown many times, still knows all of them', () => {
  const table = new SiteTable();
  const intern = (i: number): number => table.intern(Math.imul(i, 64) >>> 0, i & 3, i % 5);
  const numbers = Array.from({ length: 20_000 }, (_, i) => intern(i));
  expect(numbers).toEqual(numbers.map((_, i) => i));
  for (let i = 0; i < 20_000; i++) expect(intern(i)).toBe(i);
  expect(table.takeNew().length).toBe(20_000 * siteWords);
});

test('stacks are told apart by their words, their length and their process, wherever they lie in the ring', () => {
  const stack = fc.record({
    frames: fc.array(fewWords, { maxLength: 8 }),
    pid: fc.constantFrom(1, 2),
    start: fc.integer({ min: 0, max: 63 }),
  });
  fc.assert(
    fc.property(fc.array(stack, { maxLength: 40 }), (stacks) => {
      const table = new StackTable();
      const model: string[] = [];
      const encoded: number[][] = [];
      for (const { frames, pid, start } of stacks) {
        const key = `${pid}: ${frames}`;
        const known = model.indexOf(key);
        const number = known < 0 ? model.push(key) - 1 : known;
        let encodes = 0;
        const got = table.intern(ringWith(frames, start), 63, start, frames.length, pid, (sites) => {
          encodes++;
          sites.push(number, 77, pid);
        });
        expect(got).toBe(number);
        expect(encodes).toBe(known < 0 ? 1 : 0);
      }
      expect(table.firstNew).toBe(0);
      const words = table.takeNew();
      for (let at = 0; at < words.length; at += 1 + words[at]!) {
        encoded.push([...words.subarray(at + 1, at + 1 + words[at]!)]);
      }
      expect(encoded).toEqual(model.map((key, i) => [i, 77, Number(key.split(':')[0])]));
      expect(table.firstNew).toBe(model.length);
      expect(table.takeNew().length).toBe(0);
    }),
  );
});

test('a table of 3000 stacks of 20 frames, grown many times, still knows all of them', () => {
  const table = new StackTable();
  const intern = (i: number): number => {
    const frames = Array.from({ length: 20 }, (_, frame) => (frame === 19 ? i : frame));
    return table.intern(ringWith(frames, i & 63), 63, i & 63, 20, 1, (sites) => sites.push(...frames));
  };
  for (let i = 0; i < 3000; i++) expect(intern(i)).toBe(i);
  for (let i = 0; i < 3000; i++) expect(intern(i)).toBe(i);
  expect(table.takeNew().length).toBe(3000 * 21);
});

test('an event id finds its watch; an unknown one finds none', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(u32, u32), { maxLength: 300, selector: ([low, high]) => `${low} ${high}` }),
      fc.tuple(u32, u32),
      (ids, other) => {
        const watches = new WatchIds();
        for (const [i, [low, high]] of ids.entries()) watches.add(low, high, i % 40);
        for (const [i, [low, high]] of ids.entries()) expect(watches.find(low, high)).toBe(i % 40);
        const index = ids.findIndex(([low, high]) => low === other[0] && high === other[1]);
        expect(watches.find(...other)).toBe(index < 0 ? -1 : index % 40);
      },
    ),
  );
});

test('ids that collide at every size of the table are all found', () => {
  // Of many ids, those with one home in a table of 64: the hash's low six bits are alike.
  const home = (low: number): number => {
    let h = Math.imul(low, 0x9e3779b1);
    h ^= h >>> 15;
    h = Math.imul(h, 0x2c1b3c6d);
    return (h ^ (h >>> 13)) & 63;
  };
  const alike = Array.from({ length: 4000 }, (_, i) => i).filter((low) => home(low) === 63);
  expect(alike.length).toBeGreaterThan(40);
  const watches = new WatchIds();
  for (const [i, low] of alike.entries()) watches.add(low, 0, i);
  for (const [i, low] of alike.entries()) expect(watches.find(low, 0)).toBe(i);
  for (let low = 0; low < 4000; low++) if (!alike.includes(low)) expect(watches.find(low, 0)).toBe(-1);
  expect(watches.find(alike[0]!, 1)).toBe(-1);
});

test('a watch that is removed has no ids any more, and others keep theirs', () => {
  const watches = new WatchIds();
  for (let id = 0; id < 500; id++) watches.add(id, 0, id % 5);
  watches.remove(3);
  for (let id = 0; id < 500; id++) expect(watches.find(id, 0)).toBe(id % 5 === 3 ? -1 : id % 5);
  for (let round = 0; round < 1000; round++) {
    watches.add(1000 + round, 0, 3);
    expect(watches.find(1000 + round, 0)).toBe(3);
    watches.remove(3);
  }
  expect(watches.find(1999, 0)).toBe(-1);
});

test('10000 consecutive ids, as a kernel gives them to 200 threads with many watches, are all found', () => {
  const watches = new WatchIds();
  for (let id = 1; id <= 10_000; id++) watches.add(id, 0, id & 3);
  for (let id = 1; id <= 10_000; id++) expect(watches.find(id, 0)).toBe(id & 3);
  expect(watches.find(10_001, 0)).toBe(-1);
  expect(watches.find(0, 0)).toBe(-1);
});
