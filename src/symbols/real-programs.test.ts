import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { type ByteSource, bytesSource } from '../base/byte-source.ts';
import { hex } from '../base/hex.ts';
import { AddressSpace } from './address-space.ts';
import { ElfError } from './elf-error.ts';
import { ElfFile } from './elf-file.ts';
import { parseMaps } from './maps.ts';
import type { Resolution } from './resolution.ts';

const closers: (() => void)[] = [];
afterAll(() => {
  for (const close of closers.reverse()) close();
});

function fileSource(path: string): ByteSource {
  const fd = openSync(path, 'r');
  closers.push(() => closeSync(fd));
  const sizeBytes = fstatSync(fd).size;
  return {
    sizeBytes,
    read(offset, lengthBytes) {
      const bytes = new Uint8Array(Math.max(0, Math.min(lengthBytes, sizeBytes - offset)));
      return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, offset));
    },
  };
}

function spaceOfProcess(pid: number | 'self'): AddressSpace {
  const open = (path: string): ByteSource | undefined => {
    try {
      return fileSource(path);
    } catch {
      return undefined;
    }
  };
  return new AddressSpace({
    mappings: () => parseMaps(readFileSync(`/proc/${pid}/maps`, 'utf8')),
    openMapped: ({ path }) => open(`/proc/${pid}/root${path}`),
    openPath: (path) => open(`/proc/${pid}/root${path}`),
    readMemory(address, lengthBytes) {
      const fd = openSync(`/proc/${pid}/mem`, 'r');
      try {
        const bytes = new Uint8Array(lengthBytes);
        return bytes.subarray(0, readSync(fd, bytes, 0, lengthBytes, address));
      } catch {
        return undefined;
      } finally {
        closeSync(fd);
      }
    },
  });
}

/** What nm says: symbols with an address, as [vaddr, size, type, name]. */
function nm(
  path: string,
  ...options: string[]
): { value: bigint; size: bigint; type: string; name: string }[] {
  const text = execFileSync('nm', ['-S', ...options, path], { encoding: 'utf8', maxBuffer: 1 << 28 });
  return text.split('\n').flatMap((line) => {
    const fields = /^([0-9a-f]{16}) ([0-9a-f]{16}) (\S) (.+)$/.exec(line);
    if (fields === null) return [];
    const [, value = '', size = '', type = '', name = ''] = fields;
    return [{ value: BigInt(`0x${value}`), size: BigInt(`0x${size}`), type, name }];
  });
}

const hasTools = ['gcc', 'nm', 'readelf', 'objcopy', 'strip'].every(
  (tool) => spawnSync(tool, ['--version']).status === 0,
);
if (!hasTools) console.log('skipped: real programs need gcc, nm, readelf, objcopy and strip');

const librarySource = `
int lib_counter = 7; static int hidden = 1; int shared_name = 1;
int *lib_hidden(void) { return &hidden; }
__attribute__((noinline)) void *lib_work(int n) { lib_counter += n; return __builtin_return_address(0); }
`;
const programSource = `
#include <stdio.h>
#include <stdlib.h>
#ifdef USE_LIBRARY
extern int lib_counter; int *lib_hidden(void); void *lib_work(int);
#else
int lib_counter; static int hidden; static int *lib_hidden(void) { return &hidden; }
__attribute__((noinline)) static void *lib_work(int n) { lib_counter += n; return __builtin_return_address(0); }
#endif
int counter = 5; long zeroed[10]; static short state; __thread int per_thread; int shared_name = 2;
__attribute__((noinline)) void *work(int n) { counter += n; return lib_work(n); }
int main(void) {
  per_thread = 1; state = 2;
  printf("counter %p\\nzeroed %p\\nstate %p\\nlib_counter %p\\nhidden %p\\nmain %p\\nwork %p\\nshared_name %p\\nshared_name_size %zu\\nstdout %p\\nreturn %p\\n",
         (void *)&counter, (void *)zeroed, (void *)&state, (void *)&lib_counter, (void *)lib_hidden(), (void *)main,
         (void *)work, (void *)&shared_name, sizeof shared_name, (void *)&stdout, work(1));
  fflush(stdout);
  getchar();
  return 0;
}
`;

describe.skipIf(!hasTools)('real programs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trapline-symbols-'));
  closers.push(() => rmSync(folder, { recursive: true }));
  const source = join(folder, 'prog.c');
  const library = join(folder, 'libwork.so.1');
  writeFileSync(source, programSource);
  writeFileSync(join(folder, 'lib.c'), librarySource);
  const gcc = (...options: string[]): void => {
    execFileSync('gcc', ['-O1', '-g', ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
  };
  gcc('-shared', '-fPIC', '-o', library, join(folder, 'lib.c'));
  const withLibrary = ['-DUSE_LIBRARY', library, `-Wl,-rpath,${folder}`];
  const kinds: Record<string, string[]> = {
    pie: ['-pie', '-fPIE', ...withLibrary],
    'non-pie': ['-no-pie', '-fno-pie', ...withLibrary],
    static: ['-static'],
    'static-pie': ['-static-pie', '-fPIE'],
    'no build id': ['-pie', '-fPIE', '-Wl,--build-id=none', ...withLibrary],
    'one segment': ['-pie', '-fPIE', '-Wl,-z,noseparate-code', ...withLibrary],
    'sysv hash': ['-pie', '-fPIE', '-rdynamic', '-Wl,--hash-style=sysv', ...withLibrary],
  };
  const built = new Map<string, string>();
  for (const [kind, options] of Object.entries(kinds)) {
    const path = join(folder, kind.replaceAll(' ', '-'));
    try {
      gcc('-o', path, source, ...options);
      built.set(kind, path);
    } catch (error) {
      console.log(`skipped: gcc cannot build "${kind}" here: ${String(error).split('\n')[1] ?? error}`);
    }
  }

  /** Starts it, and takes what it prints as its own word for its addresses. */
  async function start(path: string): Promise<{ child: ChildProcess; printed: Map<string, bigint> }> {
    const child = spawn(path, { stdio: ['pipe', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let text = '';
    while (!text.includes('return 0x')) {
      const [chunk] = await Promise.race([once(child.stdout, 'data'), exited.then(() => [''])]);
      if (chunk === '') throw new Error(`${path} ended before it had printed: ${text}`);
      text += String(chunk);
    }
    const lines = text
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    return { child, printed: new Map(lines.map(([name = '', value = '']) => [name, BigInt(value)])) };
  }

  async function stop(child: ChildProcess): Promise<void> {
    const exited = once(child, 'exit');
    child.stdin?.end('\n');
    await exited;
  }

  /** In a static program, libc's file statics may have the name too: then the source file tells. */
  function resolveOwn(space: AddressSpace, name: string): Resolution {
    const result = space.resolve({ name });
    return result.kind === 'ambiguous' ? space.resolve({ name, module: 'prog.c' }) : result;
  }

  /** What the program printed must be what the address space says. */
  function expectAddresses(space: AddressSpace, printed: Map<string, bigint>, path: string): void {
    for (const name of [
      'counter',
      'zeroed',
      'state',
      'lib_counter',
      'hidden',
      'main',
      'work',
      'shared_name',
      'stdout',
    ]) {
      const result = resolveOwn(space, name);
      expect([name, result.kind === 'found' ? hex(result.address) : result.kind]).toEqual([
        name,
        hex(printed.get(name)!),
      ]);
    }
    expect(space.resolve({ name: 'zeroed' })).toMatchObject({ sizeBytes: 80n });
    expect(space.resolve({ name: 'per_thread' })).toMatchObject({ kind: 'unmapped', reason: 'thread-local' });
    const inWork = space.locate(printed.get('return')!);
    expect(inWork.symbol).toMatch(/^work$|^main$/);
    expect(inWork.modulePath).toBe(path);
    expect(space.moduleOffset(inWork.module!, inWork.moduleOffset!)).toBe(printed.get('return'));
    expect(space.locate(printed.get('zeroed')! + 5n)).toMatchObject({ symbol: 'zeroed', offset: 5n });
    const code = space.code(printed.get('main')!, 16);
    expect(code).toEqual(
      space.modules()[0]?.file?.read(space.modules()[0]!.vaddrOf(printed.get('main')!), 16),
    );
  }

  for (const [kind, path] of built) {
    test(`${kind}: names are at the addresses that the program prints`, async () => {
      const { child, printed } = await start(path);
      try {
        const space = spaceOfProcess(child.pid!);
        expect(space.modules()[0]?.path).toBe(path);
        expectAddresses(space, printed, path);
        if (kind.startsWith('static')) {
          expect(space.modules()).toHaveLength(1);
          return;
        }
        expect(space.resolve({ name: 'shared_name', module: 'libwork.so' })).toMatchObject({
          kind: 'found',
          module: { path: library },
        });
        const libWork = space.resolve({ name: 'lib_work' });
        expect(libWork.kind === 'found' && space.locate(libWork.address + 1n)).toMatchObject({
          module: 'libwork.so.1',
          symbol: 'lib_work',
          offset: 1n,
        });
      } finally {
        await stop(child);
      }
    });

    test(`${kind}: every symbol is what nm says`, () => {
      const file = ElfFile.open(fileSource(path), path);
      const table = file.symbols();
      const expected = nm(path);
      expect(expected.length).toBeGreaterThan(10);
      for (const { name, value, size, type } of expected) {
        const symbols = table.find(name.replace(/@.*$/, ''));
        expect(symbols.map((symbol) => [symbol.value, symbol.sizeBytes])).toContainEqual([value, size]);
        if (!/[tTiW]/.test(type) || size === 0n) continue;
        const at = table.at(value + size - 1n);
        expect(at?.symbol.value).toBeLessThanOrEqual(value + size - 1n);
        expect(at!.symbol.value + at!.symbol.sizeBytes).toBeGreaterThan(value + size - 1n);
      }
      const notes = execFileSync('readelf', ['-n', path], { encoding: 'utf8' });
      expect(file.buildId).toBe(/Build ID: ([0-9a-f]+)/.exec(notes)?.[1]);
      const header = execFileSync('readelf', ['-hW', path], { encoding: 'utf8' });
      expect(file.entry).toBe(BigInt(/Entry point address:\s+(0x[0-9a-f]+)/.exec(header)?.[1] ?? -1));
      expect(file.isStatic).toBe(kind.startsWith('static'));
    });
  }

  test('a stripped program has its dynamic symbols only, and says that it is stripped', async () => {
    const path = join(folder, 'stripped');
    execFileSync('strip', ['-o', path, built.get('pie')!]);
    const { child, printed } = await start(path);
    try {
      const space = spaceOfProcess(child.pid!);
      const unknown = space.resolve({ name: 'counter' });
      expect(unknown.kind === 'unknown' && unknown.strippedModules[0]?.path).toBe(path);
      expect(space.resolve({ name: 'lib_counter' })).toMatchObject({
        kind: 'found',
        address: printed.get('lib_counter'),
      });
      expect(space.locate(printed.get('main')!)).toMatchObject({ module: 'stripped' });
      expect(space.locate(printed.get('main')!).symbol).toBeUndefined();
    } finally {
      await stop(child);
    }
  });

  for (const kind of ['pie', 'non-pie', 'no build id']) {
    test(`${kind}, stripped: the names come from the separate debug file`, async () => {
      const original = built.get(kind)!;
      const own = join(folder, `split ${kind}`);
      mkdirSync(join(own, '.debug'), { recursive: true });
      const path = join(own, 'prog');
      const debugPath = join(own, '.debug', 'prog.debug');
      execFileSync('objcopy', ['--only-keep-debug', original, debugPath]);
      execFileSync('objcopy', ['--strip-all', `--add-gnu-debuglink=${debugPath}`, original, path]);
      expect(ElfFile.open(fileSource(path), path)).toMatchObject({
        stripped: true,
        debugLink: { name: 'prog.debug' },
      });
      const { child, printed } = await start(path);
      try {
        const space = spaceOfProcess(child.pid!);
        expectAddresses(space, printed, path);
        expect(space.modules()[0]).toMatchObject({ debugPath, stripped: false });
      } finally {
        await stop(child);
      }
    });
  }

  test('a mutated real program is read or refused, and nothing else', () => {
    const good = new Uint8Array(readFileSync(built.get('pie')!));
    const place = fc.oneof(
      fc.nat(1024),
      fc.integer({ min: good.length - 4096, max: good.length - 1 }),
      fc.nat(good.length - 1),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 12 }), (changes) => {
        const bytes = good.slice();
        for (const [at, value] of changes) bytes[at] = value;
        try {
          const table = ElfFile.open(bytesSource(bytes), 'mutated').symbols();
          table.find('counter');
          table.at(0x1200n);
          table.nearMisses('conter', { most: 5 });
        } catch (error) {
          if (!(error instanceof ElfError)) throw error;
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('without section headers the dynamic symbols are those that readelf lists', () => {
    for (const path of [library, ...['pie', 'sysv hash'].flatMap((kind) => built.get(kind) ?? [])]) {
      const bytes = new Uint8Array(readFileSync(path));
      const view = new DataView(bytes.buffer);
      view.setBigUint64(40, 0n, true);
      view.setUint16(58, 0, true);
      view.setUint16(60, 0, true);
      view.setUint16(62, 0, true);
      const cut = join(folder, 'cut');
      writeFileSync(cut, bytes);
      const file = ElfFile.open(fileSource(cut), cut);
      const expected = nm(path, '-D', '--defined-only');
      for (const { name, value, size } of expected) {
        expect(file.symbols().find(name.replace(/@.*$/, ''))).toMatchObject([{ value, sizeBytes: size }]);
      }
      const listed = execFileSync('readelf', ['--dyn-syms', '-W', path], { encoding: 'utf8' });
      expect(file.symbols().count).toBe(Number(/contains (\d+) entr/.exec(listed)?.[1]));
    }
  });
});

test('this process: code, the vdso and libraries are located, and names go there and back', (context) => {
  if (spawnSync('nm', ['--version']).status !== 0) {
    console.log('skipped: nm is missing');
    return context.skip('nm is missing');
  }
  const path = process.execPath;
  const file = ElfFile.open(fileSource(path), path);
  const lap = (start: number): string => `${(performance.now() - start).toFixed(1)} ms`;
  let start = performance.now();
  const table = file.symbols();
  const times = [`node, ${table.count} symbols: read ${lap(start)}`];
  start = performance.now();
  table.find('no_such_symbol_here');
  times.push(`find ${lap(start)}`);
  start = performance.now();
  table.at(0x1000n);
  times.push(`first at ${lap(start)}`);
  start = performance.now();
  table.nearMisses('uv_lop_init', { most: 5 });
  times.push(`near misses ${lap(start)}`);
  console.log(times.join(', '));
  const space = spaceOfProcess('self');
  const bias = space.modules()[0]!.bias;
  const all = nm(path, '--defined-only').filter(({ size, name }) => size > 0n && !name.includes(' '));
  const sample = all.filter((_, i) => i % Math.ceil(all.length / 200) === 0);
  for (const { name, value, size, type } of sample) {
    const symbols = table.find(name.replace(/@.*$/, ''));
    expect(symbols.map((symbol) => [symbol.value, symbol.sizeBytes])).toContainEqual([value, size]);
    if (!/[tTwW]/.test(type)) continue;
    const located = space.locate(value + bias + size - 1n);
    expect(located.modulePath).toBe(path);
    expect(located.functionStart! - bias).toBeGreaterThanOrEqual(value);
  }
  console.log(`${sample.length} of node's ${all.length} symbols compared with nm`);
  const vdso = space.mappings().find((mapping) => mapping.path === '[vdso]');
  if (vdso === undefined) console.log('skipped: this process has no vdso');
  else {
    const names = new Set<string | undefined>();
    for (let at = vdso.start; at < vdso.end; at += 16n) names.add(space.locate(at).symbol);
    expect([...names].join(' ')).toContain('clock_gettime');
  }
  const malloc = space.resolve({ name: 'malloc' });
  expect(malloc).toMatchObject({
    kind: 'found',
    module: { name: expect.stringMatching(/libc|node|jemalloc/) },
  });
});
