import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileSymbolCache, symbolCacheFolder } from './file-symbol-cache.ts';

let folder: string;
beforeEach(() => {
  folder = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-cache-')), 'names');
});
afterEach(() => fs.rmSync(path.dirname(folder), { recursive: true, force: true }));

const key = (name: string, identity = 'aa') => ({ identity, name });
const bytes = (text: string) => new TextEncoder().encode(text);

test('gives back what was put under the same file and name, and nothing else', () => {
  const cache = new FileSymbolCache(folder);
  expect(cache.get(key('x'))).toBeUndefined();
  cache.put(key('x'), bytes('one'));
  cache.put(key('../../y'), bytes('two'));
  expect(Buffer.from(cache.get(key('x')) ?? []).toString()).toBe('one');
  expect(Buffer.from(cache.get(key('../../y')) ?? []).toString()).toBe('two');
  expect(cache.get(key('x', 'ab'))).toBeUndefined();
  expect(fs.readdirSync(folder)).toHaveLength(2);
  expect(fs.readdirSync(path.dirname(folder))).toEqual(['names']);
});

test('stays below its bounds and keeps what was used last', () => {
  const cache = new FileSymbolCache(folder, { mostFiles: 10, mostBytes: 10_000 });
  for (let i = 0; i < 50; i++) {
    cache.put(key(`n${i}`), bytes('x'.repeat(100)));
    expect(fs.readdirSync(folder).length).toBeLessThanOrEqual(10);
  }
  expect(cache.get(key('n49'))).toBeDefined();
  cache.put(key('large'), bytes('x'.repeat(9_000)));
  expect(cache.get(key('large'))).toBeUndefined();
});

test('a folder that cannot be written is as good as none', () => {
  fs.writeFileSync(folder, 'a file');
  const cache = new FileSymbolCache(path.join(folder, 'below'));
  cache.put(key('x'), bytes('one'));
  expect(cache.get(key('x'))).toBeUndefined();
});

test('lies where the environment says', () => {
  expect(symbolCacheFolder({ XDG_CACHE_HOME: '/c', HOME: '/h' })).toBe('/c/trapline/names');
  expect(symbolCacheFolder({ XDG_CACHE_HOME: 'relative', HOME: '/h' })).toBe('/h/.cache/trapline/names');
  expect(symbolCacheFolder({})).toBeUndefined();
});
