import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JitMap } from './jit-map.ts';

test('an address gives name, start and offset', () => {
  const map = JitMap.parse('7f0010 20 JS:*fn /x y.js:3:5\n7f0100 10 Builtin:Add\n');
  expect(map.at(0x7f0014n)).toEqual({
    name: 'JS:*fn /x y.js:3:5',
    function: 'fn',
    file: '/x y.js',
    line: 3,
    column: 5,
    tier: 'optimized',
    start: 0x7f0010n,
    sizeBytes: 0x20,
    offset: 4,
  });
  expect(map.at(0x7f0030n)).toBeUndefined();
  expect(map.at(0x7f000fn)).toBeUndefined();
  expect(map.at(0x7f010fn)).toMatchObject({ function: 'Add', builtin: true, offset: 15 });
  expect(map.at(0xffff_ffff_ffff_ffffn)).toBeUndefined();
});

test('lines that are no entries are left out, the half-written last one too', () => {
  const map = JitMap.parse('xyz\n10 10 a\n\n20\n30 0 empty\n40 ffffffffffffffff huge\n10 10 half');
  expect(map.count).toBe(1);
  expect(map.at(0x18n)?.function).toBe('a');
});

test('of overlapping entries the latest has the address', () => {
  const entry = fc.record({ start: fc.nat(60), size: fc.integer({ min: 1, max: 20 }) });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 20 }), (entries) => {
      const text = entries
        .map(({ start, size }, i) => `${start.toString(16)} ${size.toString(16)} f${i}\n`)
        .join('');
      const map = JitMap.parse(text);
      for (let address = 0; address < 84; address++) {
        const last = entries.findLastIndex(({ start, size }) => start <= address && address < start + size);
        expect(map.at(BigInt(address))?.function).toBe(last < 0 ? undefined : `f${last}`);
      }
    }),
  );
});

test('any text is a map', () => {
  fc.assert(fc.property(fc.string(), (text) => JitMap.parse(`${text}\n`).at(16n) !== null));
});

test('a big map is read in reasonable time', () => {
  const lines: string[] = [];
  for (let i = 0; i < 500_000; i++) {
    lines.push(
      `${(0x7f0000000000 + (i % 300_000) * 256).toString(16)} e0 JS:*someFunction${i} file:///srv/app/lib/some-module.js:${i}:7\n`,
    );
  }
  const text = lines.join('');
  const before = performance.now();
  const map = JitMap.parse(text);
  const parsed = performance.now();
  expect(map.at(0x7f0000000010n)?.function).toBe('someFunction300000');
  expect(map.at(0x7f0000000010n + 299_999n * 256n)?.function).toBe('someFunction299999');
  const looked = performance.now();
  console.log(
    `JIT map of ${text.length >> 20} MiB: parse ${(parsed - before).toFixed(0)} ms, first at ${(looked - parsed).toFixed(0)} ms`,
  );
});

test('the map that V8 writes is understood', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trapline-jit-'));
  try {
    const script = join(folder, 'a script.js');
    writeFileSync(
      script,
      'function writer(n) { let s = 0; for (let i = 0; i < n; i++) s += i; return s; }\nlet t = 0;\nfor (let i = 0; i < 50000; i++) t += ((x) => writer(x))(7);\n',
    );
    const flags = ['--perf-basic-prof', '--interpreted-frames-native-stack'];
    // In the folder, because V8 leaves an isolate-*.log where it runs.
    const run = spawnSync(process.execPath, [...flags, script], { encoding: 'utf8', cwd: folder });
    expect(run.status).toBe(0);
    const path = `/tmp/perf-${run.pid}.map`;
    const text = readFileSync(path, 'latin1');
    rmSync(path);
    const map = JitMap.parse(text);
    expect(map.count).toBe(text.split('\n').length - 1);
    const line = text.split('\n').find((one) => / JS:\*writer /.test(one)) ?? '';
    const start = BigInt(`0x${line.split(' ')[0]}`);
    expect(map.at(start + 1n)).toMatchObject({
      function: 'writer',
      file: script,
      line: 1,
      column: 16,
      tier: 'optimized',
    });
    const anonymous = text.split('\n').find((one) => one.includes(`JS:~ ${script}:3:`)) ?? '';
    expect(map.at(BigInt(`0x${anonymous.split(' ')[0]}`))).toMatchObject({
      function: '(anonymous)',
      line: 3,
      file: script,
    });
    const interpreted = text.split('\n').filter((one) => / JS:~writer /.test(one));
    // Once its own copy of the interpreter's entry, once its bytecode.
    expect(interpreted.length).toBe(2);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
