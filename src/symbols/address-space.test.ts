import { expect, test } from 'vitest';
import { type ByteSource, bytesSource } from '../base/byte-source.ts';
import { AddressSpace } from './address-space.ts';
import { crc32 } from './crc32.ts';
import { buildElf, type TestElf, type TestSymbol } from './elf-builder.test-support.ts';
import type { Mapping } from './maps.ts';
import type { ProcessImage } from './process-image.ts';

/** A file and where it is loaded, as GNU ld.so does it: code, then data, then .bss. */
interface Loaded {
  readonly path: string;
  readonly elf: TestElf;
  readonly start: bigint;
}

const fn = (name: string, value: bigint, more: Partial<TestSymbol> = {}): TestSymbol => ({
  name,
  value,
  sizeBytes: 0x40n,
  type: 2,
  section: 1,
  ...more,
});
const data = (name: string, value: bigint, more: Partial<TestSymbol> = {}): TestSymbol => ({
  name,
  value,
  sizeBytes: 4n,
  ...more,
});
const local = { binding: 0 };

function mapping(start: bigint, lengthBytes: bigint, more: Partial<Mapping> = {}): Mapping {
  return {
    start,
    end: start + lengthBytes,
    readable: true,
    writable: false,
    executable: false,
    shared: false,
    offset: 0n,
    device: '08:01',
    inode: 0n,
    path: '',
    ...more,
  };
}

function mappingsOf(loaded: Loaded, index: number): Mapping[] {
  const of = { inode: BigInt(index + 1), path: loaded.path };
  const dataStart = loaded.start + 0x20_3000n;
  return [
    mapping(loaded.start, 0x3000n, { ...of, executable: true }),
    mapping(dataStart, 0x1000n, { ...of, writable: true, offset: 0x3000n }),
    mapping(dataStart + 0x1000n, 0x1000n, { writable: true }),
  ];
}

function spaceOf(
  loaded: readonly Loaded[],
  more: Partial<ProcessImage> & { extra?: Mapping[] } = {},
): AddressSpace {
  const mappings = [...loaded.flatMap(mappingsOf), ...(more.extra ?? [])];
  return new AddressSpace({
    mappings: () => mappings,
    openMapped: ({ path }) => {
      const one = loaded.find((candidate) => candidate.path === path);
      return one === undefined ? undefined : bytesSource(buildElf(one.elf));
    },
    openPath: () => undefined,
    ...more,
  });
}

const programStart = 0x5555_0000_0000n;
const libraryStart = 0x7f00_0000_0000n;
const otherStart = 0x7f10_0000_0000n;
const program = (symbols: TestSymbol[]): Loaded => ({
  path: '/opt/app/prog',
  elf: { pie: true, interpreter: '/lib/ld.so', symbols },
  start: programStart,
});
const library = (symbols: TestSymbol[]): Loaded => ({
  path: '/usr/lib/libfoo.so.1.2',
  elf: { symbols },
  start: libraryStart,
});
const other = (symbols: TestSymbol[]): Loaded => ({
  path: '/usr/lib/libbar.so',
  elf: { symbols },
  start: otherStart,
});

test('a variable of a position-independent program has its address moved', () => {
  const space = spaceOf([program([data('counter', 0x20_3010n)])]);
  expect(space.resolve({ name: 'counter' })).toMatchObject({
    kind: 'found',
    address: programStart + 0x20_3010n,
    sizeBytes: 4n,
    module: { name: 'prog', bias: programStart },
  });
});

test('a program that cannot be moved has a bias of 0', () => {
  const space = spaceOf([
    {
      path: '/p',
      elf: { type: 2, base: 0x40_0000n, symbols: [data('counter', 0x60_3010n)] },
      start: 0x40_0000n,
    },
  ]);
  expect(space.modules()).toMatchObject([{ bias: 0n, loadAddress: 0x40_0000n, end: 0x60_5000n }]);
  expect(space.resolve({ name: 'counter' })).toMatchObject({ kind: 'found', address: 0x60_3010n });
  expect(space.locate(0x40_1234n).moduleOffset).toBe(0x1234n);
  expect(space.moduleOffset('p', 0x1234n)).toBe(0x40_1234n);
});

test('the program comes first, wherever it is mapped', () => {
  const high = { ...program([data('x', 0x20_3000n)]), start: 0x7fff_0000_0000n };
  expect(
    spaceOf([library([]), high])
      .modules()
      .map((module) => module.name),
  ).toEqual(['prog', 'libfoo.so.1.2']);
  const told = spaceOf([library([]), high], { executablePath: () => '/usr/lib/libfoo.so.1.2' });
  expect(told.modules()[0]?.name).toBe('libfoo.so.1.2');
});

test('the program hides a library, a global hides locals of others', () => {
  const x = data('x', 0x20_3000n);
  expect(spaceOf([program([x]), library([x])]).resolve({ name: 'x' })).toMatchObject({
    module: { name: 'prog' },
  });
  const behindLocal = spaceOf([program([{ ...x, ...local }]), library([x])]);
  expect(behindLocal.resolve({ name: 'x' })).toMatchObject({
    kind: 'found',
    module: { name: 'libfoo.so.1.2' },
  });
  const behindWanted = spaceOf([program([{ name: 'x', section: 0, type: 0 }]), library([x])]);
  expect(behindWanted.resolve({ name: 'x' })).toMatchObject({
    kind: 'found',
    module: { name: 'libfoo.so.1.2' },
  });
});

test("a program's static variable is not hidden by a library's function of its name", () => {
  const space = spaceOf([program([data('index', 0x20_3000n, local)]), library([fn('index', 0x1000n)])]);
  expect(space.resolve({ name: 'index' })).toMatchObject({ kind: 'found', module: { name: 'prog' } });
  expect(space.resolve({ name: 'index', module: 'libfoo.so' })).toMatchObject({
    symbol: { kind: 'function' },
  });
});

test('several locals of one name are ambiguous, with their source files', () => {
  const file = (name: string): TestSymbol => ({ name, type: 4, section: 0xfff1, ...local });
  const space = spaceOf([
    program([file('a.c'), data('state', 0x20_3000n, local), file('b.c'), data('state', 0x20_3004n, local)]),
  ]);
  expect(space.resolve({ name: 'state' })).toMatchObject({
    kind: 'ambiguous',
    candidates: [
      { address: programStart + 0x20_3000n, symbol: { sourceFile: 'a.c' } },
      { address: programStart + 0x20_3004n, symbol: { sourceFile: 'b.c' } },
    ],
  });
  const inSecond = space.resolve({ name: 'state', module: 'b.c' });
  expect(inSecond).toMatchObject({ kind: 'found', address: programStart + 0x20_3004n });
  expect(space.resolve({ name: 'state', module: 'c.c' })).toMatchObject({
    kind: 'unknown',
    moduleKnown: false,
  });
});

test('locals of several libraries are ambiguous unless the program has one', () => {
  const x = data('x', 0x20_3000n, local);
  const both = spaceOf([program([]), library([x]), other([x])]);
  expect(both.resolve({ name: 'x' })).toMatchObject({ kind: 'ambiguous' });
  expect(both.resolve({ name: 'x', module: 'libbar.so' })).toMatchObject({
    kind: 'found',
    module: { name: 'libbar.so' },
  });
  const withProgram = spaceOf([program([x]), library([x])]);
  expect(withProgram.resolve({ name: 'x' })).toMatchObject({ kind: 'found', module: { name: 'prog' } });
});

test('a module is named by base name, name without version, path or end of path', () => {
  const space = spaceOf([program([]), library([data('x', 0x20_3000n)])]);
  for (const module of [
    'libfoo.so.1.2',
    'libfoo.so',
    'libfoo.so.1',
    '/usr/lib/libfoo.so.1.2',
    'lib/libfoo.so',
    'usr/lib/libfoo.so.1.2',
  ]) {
    expect([module, space.resolve({ name: 'x', module }).kind]).toEqual([module, 'found']);
  }
  for (const module of ['libfo', 'foo.so', 'ib/libfoo.so', 'nowhere/libfoo.so.1.2', '', 'prog.1']) {
    expect(space.resolve({ name: 'x', module })).toMatchObject({ kind: 'unknown', moduleKnown: false });
  }
});

test('names without an address say why', () => {
  const space = spaceOf([
    program([
      { name: 'wanted', type: 0, section: 0 },
      { name: 'per_thread', type: 6 },
      { name: 'shared', section: 0xfff2 },
    ]),
  ]);
  expect(space.resolve({ name: 'wanted' })).toMatchObject({ kind: 'unmapped', reason: 'undefined' });
  expect(space.resolve({ name: 'per_thread' })).toMatchObject({ kind: 'unmapped', reason: 'thread-local' });
  expect(space.resolve({ name: 'shared' })).toMatchObject({ kind: 'unmapped', reason: 'common' });
});

test('an unknown name comes with near misses, stripped and unreadable modules', () => {
  const extra = [mapping(0x7f30_0000_0000n, 0x1000n, { executable: true, inode: 99n, path: '/gone.so' })];
  const stripped = { path: '/usr/lib/libs.so', elf: {}, start: otherStart };
  const space = spaceOf(
    [program([data('counter', 0x20_3000n)]), library([data('countre', 0x20_3000n)]), stripped],
    { extra },
  );
  const result = space.resolve({ name: 'couner' });
  expect(result).toMatchObject({
    kind: 'unknown',
    moduleKnown: true,
    nearMisses: [{ symbol: { name: 'counter' }, module: { name: 'prog' } }, { symbol: { name: 'countre' } }],
    strippedModules: [{ name: 'libs.so' }],
    unreadableModules: [{ name: 'gone.so', error: { message: '/gone.so: cannot be opened' } }],
  });
});

test('an address is located by symbol, and without one by the offset that moduleOffset takes', () => {
  const space = spaceOf([
    program([fn('work', 0x1100n), data('counter', 0x20_3010n), data('big', 0x20_4000n)]),
  ]);
  expect(space.locate(programStart + 0x1104n)).toEqual({
    address: programStart + 0x1104n,
    module: 'prog',
    modulePath: '/opt/app/prog',
    moduleOffset: 0x1104n,
    symbol: 'work',
    offset: 4n,
    functionStart: programStart + 0x1100n,
    functionBytes: 0x40,
  });
  const bare = space.locate(programStart + 0x2004n);
  expect(bare).toEqual({
    address: programStart + 0x2004n,
    module: 'prog',
    modulePath: '/opt/app/prog',
    moduleOffset: 0x2004n,
  });
  expect(space.moduleOffset('prog', bare.moduleOffset!)).toBe(bare.address);
  // .bss is anonymous memory behind the file's.
  expect(space.locate(programStart + 0x20_4002n)).toMatchObject({
    symbol: 'big',
    offset: 2n,
    module: 'prog',
  });
  expect(space.moduleOffset('nothing', 0n)).toBeUndefined();
  expect(space.locate(0x10n)).toEqual({ address: 0x10n });
});

test('a file that is also mapped as data, and one loaded twice, are told apart', () => {
  const twice = { ...library([data('x', 0x20_3000n)]) };
  const space = spaceOf([program([]), twice], {
    extra: [
      mapping(0x10_0000n, 0x5000n, { inode: 2n, path: twice.path }),
      mapping(otherStart, 0x3000n, { inode: 2n, path: twice.path, executable: true }),
    ],
  });
  const libraries = space.modules().slice(1);
  expect(libraries.map((module) => module.bias)).toEqual([libraryStart, otherStart]);
  expect(space.locate(otherStart + 0x1000n)).toMatchObject({
    module: 'libfoo.so.1.2',
    moduleOffset: 0x1000n,
  });
  expect(space.locate(0x10_0010n)).toMatchObject({ module: 'libfoo.so.1.2', moduleOffset: 0x10n });
});

test('code that no file holds is found in the JIT map, read again when it may have grown', () => {
  let text = '7e0000000100 40 JS:*fn /x.js:3:5\n';
  let reads = 0;
  const space = spaceOf([program([])], {
    extra: [mapping(0x7e00_0000_0000n, 0x1000n, { executable: true })],
    jitMap: () => {
      reads++;
      return text;
    },
  });
  expect(space.locate(0x7e00_0000_0104n)).toEqual({
    address: 0x7e00_0000_0104n,
    symbol: 'fn',
    offset: 4n,
    functionStart: 0x7e00_0000_0100n,
    functionBytes: 0x40,
    file: '/x.js',
    line: 3,
    jit: true,
  });
  text += '7e0000000200 40 JS:^later /x.js:9:1\n';
  expect(space.locate(0x7e00_0000_0204n)).toEqual({ address: 0x7e00_0000_0204n });
  expect(reads).toBe(1);
  space.refreshJitMap();
  expect(space.locate(0x7e00_0000_0204n)).toMatchObject({ symbol: 'later', line: 9 });
  expect(reads).toBe(2);
});

test('the vdso is read from memory; other regions have their name', () => {
  const vdso = buildElf({ symbols: [fn('__vdso_time', 0x1100n)] });
  const extra = [
    mapping(0x7ffd_0000_0000n, 0x8000n, { executable: true, path: '[vdso]' }),
    mapping(0x5655_0000_0000n, 0x8000n, { writable: true, path: '[heap]' }),
  ];
  const space = spaceOf([program([])], {
    extra,
    readMemory: (address, lengthBytes) => {
      const from = Number(address - 0x7ffd_0000_0000n);
      return vdso.subarray(from, from + lengthBytes);
    },
  });
  expect(space.locate(0x7ffd_0000_1108n)).toMatchObject({
    module: '[vdso]',
    symbol: '__vdso_time',
    offset: 8n,
  });
  expect(spaceOf([], { extra }).locate(0x7ffd_0000_1108n)).toEqual({
    address: 0x7ffd_0000_1108n,
    module: '[vdso]',
    moduleOffset: 0x1108n,
  });
  expect(space.locate(0x5655_0000_0010n)).toMatchObject({ module: '[heap]', moduleOffset: 0x10n });
  expect(space.moduleOffset('[heap]', 0x10n)).toBe(0x5655_0000_0010n);
  expect(space.moduleOffset('[vdso]', 0x1108n)).toBe(0x7ffd_0000_1108n);
  expect(space.moduleOffset('[heap]', 0x8000n)).toBeUndefined();
});

test('code comes from the file, from memory where it may have been written', () => {
  const space = spaceOf([program([])], { readMemory: () => Uint8Array.of(0xcc, 0xcc) });
  expect([...(space.code(programStart, 4) ?? [])]).toEqual([0x7f, 0x45, 0x4c, 0x46]);
  expect([...(space.code(programStart + 0x2fffn, 4) ?? [])]).toHaveLength(1);
  expect([...(space.code(programStart + 0x20_3000n, 2) ?? [])]).toEqual([0xcc, 0xcc]);
  expect(spaceOf([]).code(0n, 4)).toBeUndefined();
});

test('a mapping learned from a record stands in for a refresh, and outlives the process', () => {
  let gone = false;
  const loaded = library([data('x', 0x20_3000n), fn('f', 0x1000n)]);
  const all = mappingsOf(program([]), 0);
  const elf = (path: string): ByteSource =>
    bytesSource(buildElf(path === loaded.path ? loaded.elf : program([]).elf));
  const space = new AddressSpace({
    mappings: () => (gone ? [] : all),
    openMapped: ({ path }) => elf(path),
    openPath: () => undefined,
  });
  expect(space.resolve({ name: 'x' }).kind).toBe('unknown');
  const code = mapping(libraryStart, 0x3000n, { inode: 2n, path: loaded.path, executable: true });
  space.addMapping(code);
  expect(space.resolve({ name: 'x' })).toMatchObject({ kind: 'found', address: libraryStart + 0x20_3000n });
  gone = true;
  expect(space.refresh()).toBe(false);
  expect(space.locate(libraryStart + 0x1001n)).toMatchObject({ symbol: 'f', offset: 1n });
  // Another file is mapped over the middle of it.
  space.addMapping(mapping(libraryStart + 0x1000n, 0x1000n, { inode: 7n, path: '/new', executable: true }));
  expect(space.mappings().filter((one) => one.path === loaded.path)).toMatchObject([
    { start: libraryStart, end: libraryStart + 0x1000n, offset: 0n },
    { start: libraryStart + 0x2000n, end: libraryStart + 0x3000n, offset: 0x2000n },
  ]);
});

test('a stripped module takes its symbols from a debug file that is really its own', () => {
  const id = new Uint8Array(20).fill(0xab);
  const debugPath = `/usr/lib/debug/.build-id/ab/${'ab'.repeat(19)}.debug`;
  const stripped = { path: '/opt/app/prog', elf: { pie: true, buildId: id }, start: programStart };
  const spaceWith = (debug: TestElf): AddressSpace =>
    spaceOf([stripped], {
      openPath: (path) => (path === debugPath ? bytesSource(buildElf(debug)) : undefined),
    });
  const symbols = [data('counter', 0x20_3010n)];
  const space = spaceWith({ buildId: id, symbols });
  expect(space.resolve({ name: 'counter' })).toMatchObject({
    kind: 'found',
    address: programStart + 0x20_3010n,
  });
  expect(space.modules()).toMatchObject([{ debugPath, stripped: false }]);
  const wrong = spaceWith({ buildId: new Uint8Array(20), symbols });
  expect(wrong.resolve({ name: 'counter' })).toMatchObject({
    kind: 'unknown',
    strippedModules: [{ name: 'prog' }],
  });
});

test('without a build id the checksum of the debug link decides', () => {
  const debug = buildElf({ symbols: [data('counter', 0x20_3010n)] });
  const spaceWith = (sum: number): AddressSpace =>
    spaceOf(
      [
        {
          path: '/opt/prog',
          elf: { pie: true, debugLink: { name: 'prog.dbg', crc32: sum } },
          start: programStart,
        },
      ],
      {
        openPath: (path) => (path === '/opt/.debug/prog.dbg' ? bytesSource(debug) : undefined),
      },
    );
  expect(spaceWith(crc32(bytesSource(debug))).resolve({ name: 'counter' }).kind).toBe('found');
  expect(spaceWith(1).resolve({ name: 'counter' }).kind).toBe('unknown');
});
