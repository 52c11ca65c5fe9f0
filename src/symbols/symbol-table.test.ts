import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesSource } from '../base/byte-source.ts';
import { buildElf, type TestElf, type TestSymbol } from './elf-builder.test-support.ts';
import { ElfFile } from './elf-file.ts';
import { SymbolTable } from './symbol-table.ts';

const tableOf = (options: TestElf): SymbolTable =>
  ElfFile.open(bytesSource(buildElf(options)), 'f').symbols();
const fn = (name: string, value: bigint, sizeBytes: bigint, more: Partial<TestSymbol> = {}): TestSymbol => ({
  name,
  value,
  sizeBytes,
  type: 2,
  section: 1,
  ...more,
});
const local = 0;
const weak = 2;
const nameAt = (table: SymbolTable, vaddr: bigint): string | undefined => {
  const at = table.at(vaddr);
  return at === undefined ? undefined : `${at.symbol.name}+${at.offset}`;
};

test('a symbol of both tables is given once, the full one', () => {
  const table = tableOf({
    symbols: [{ name: 'counter', value: 0x20_3000n, sizeBytes: 4n }],
    dynamicSymbols: [
      { name: 'counter', value: 0x20_3000n },
      { name: 'other', value: 0x20_3008n },
    ],
  });
  expect(table.find('counter')).toMatchObject([{ sizeBytes: 4n }]);
  expect(table.find('other')).toHaveLength(1);
  expect(table.find('count')).toEqual([]);
  expect(table.find('')).toEqual([]);
});

test('a versioned name is found without its version, the default version first', () => {
  const table = tableOf({
    symbols: [
      { name: 'foo@OLD_1', value: 1n },
      { name: 'foo@@NEW_2', value: 2n },
    ],
  });
  expect(table.find('foo')).toMatchObject([
    { name: 'foo', value: 2n, defaultVersion: true },
    { name: 'foo', value: 1n, defaultVersion: false },
  ]);
  expect(table.find('foo@OLD_1')).toMatchObject([{ name: 'foo', value: 1n }]);
});

test('file statics of one name come with the source file of each', () => {
  const file = (name: string): TestSymbol => ({ name, type: 4, binding: local, section: 0xfff1 });
  const table = tableOf({
    symbols: [
      file('a.c'),
      { name: 'state', value: 0x20_3000n, binding: local },
      file('b.c'),
      { name: 'state', value: 0x20_3004n, binding: local },
      file(''),
      { name: 'state', value: 0x20_3008n, binding: local },
    ],
  });
  expect(table.find('state').map((symbol) => symbol.sourceFile)).toEqual(['a.c', 'b.c', undefined]);
  expect(table.find('a.c')).toEqual([]);
});

test('kinds, bindings and definedness are told', () => {
  const table = tableOf({
    symbols: [
      { name: 'tls', type: 6 },
      { name: 'ifunc', type: 10, section: 1, binding: weak },
      { name: 'common', section: 0xfff2 },
      { name: 'wanted', type: 0, section: 0 },
      { name: 'absolute', type: 0, section: 0xfff1 },
    ],
  });
  expect(table.find('tls')).toMatchObject([{ kind: 'tls', binding: 'global', defined: true }]);
  expect(table.find('ifunc')).toMatchObject([{ kind: 'function', ifunc: true, binding: 'weak' }]);
  expect(table.find('common')).toMatchObject([{ kind: 'common' }]);
  expect(table.find('wanted')).toMatchObject([{ kind: 'notype', defined: false }]);
  expect(table.find('absolute')).toMatchObject([{ absolute: true }]);
});

test('an address is in the function that contains it', () => {
  const table = tableOf({ symbols: [fn('b', 0x1100n, 0x10n), fn('a', 0x1000n, 0x80n)] });
  expect(nameAt(table, 0xfffn)).toBeUndefined();
  expect(nameAt(table, 0x1000n)).toBe('a+0');
  expect(nameAt(table, 0x107fn)).toBe('a+127');
  expect(nameAt(table, 0x1080n)).toBeUndefined();
  expect(nameAt(table, 0x110fn)).toBe('b+15');
  expect(nameAt(table, 0x1110n)).toBeUndefined();
  expect(nameAt(table, 0xffff_ffff_ffff_ffffn)).toBeUndefined();
});

test('a label without a size reaches to the next symbol, or to the end of its section', () => {
  const table = tableOf({
    symbols: [
      fn('label', 0x1800n, 0n, { type: 0 }),
      fn('next', 0x1900n, 0n, { type: 0 }),
      fn('f', 0x1000n, 0x10n),
    ],
  });
  expect(nameAt(table, 0x18ffn)).toBe('label+255');
  expect(nameAt(table, 0x1fffn)).toBe('next+1791');
  expect(nameAt(table, 0x2000n)).toBeUndefined();
});

test('a label inside a function does not hide the function', () => {
  const table = tableOf({ symbols: [fn('f', 0x1000n, 0x100n), fn('inner', 0x1080n, 0n, { type: 0 })] });
  expect(nameAt(table, 0x1090n)).toBe('f+144');
});

test('of nested functions the inner one counts, and behind it the outer again', () => {
  const table = tableOf({ symbols: [fn('outer', 0x1000n, 0x100n), fn('inner', 0x1040n, 0x10n)] });
  expect(nameAt(table, 0x1045n)).toBe('inner+5');
  expect(nameAt(table, 0x1050n)).toBe('outer+80');
});

test('of symbols at one address: global before local before weak, then fewer underscores', () => {
  const table = tableOf({
    symbols: [
      fn('weak', 0x1000n, 8n, { binding: weak }),
      fn('local', 0x1000n, 8n, { binding: local }),
      fn('__global', 0x1000n, 8n),
      fn('global', 0x1000n, 8n),
    ],
  });
  expect(nameAt(table, 0x1001n)).toBe('global+1');
});

test('mapping symbols, files, sections, thread-locals and absolute symbols have no addresses', () => {
  const table = tableOf({
    symbols: [
      fn('f', 0x1000n, 0n),
      fn('$x', 0x1010n, 0n, { type: 0, binding: local }),
      fn('$d.7', 0x1014n, 0n, { type: 0, binding: local }),
      fn('section', 0x1018n, 0n, { type: 3 }),
      fn('tls', 0x101cn, 4n, { type: 6 }),
      fn('absolute', 0x1020n, 4n, { section: 0xfff1 }),
    ],
  });
  expect(nameAt(table, 0x1030n)).toBe('f+48');
});

test('kernel-half addresses work', () => {
  const table = tableOf({
    base: 0xffff_ffff_8100_0000n,
    symbols: [fn('start', 0xffff_ffff_8100_1000n, 0x10n)],
  });
  expect(nameAt(table, 0xffff_ffff_8100_1004n)).toBe('start+4');
});

test('the symbol at every address is what a search of all symbols gives', () => {
  const symbol = fc.record({
    value: fc.integer({ min: 0x1000, max: 0x1060 }),
    size: fc.integer({ min: 0, max: 0x20 }),
    type: fc.constantFrom(1, 2),
    binding: fc.constantFrom(0, 1, 2),
  });
  fc.assert(
    fc.property(fc.array(symbol, { maxLength: 12 }), (symbols) => {
      const named = symbols.map((one, i) => ({ ...one, name: `s${i}` }));
      const table = tableOf({
        symbols: named.map(({ name, value, size, type, binding }) =>
          fn(name, BigInt(value), BigInt(size), { type, binding }),
        ),
      });
      for (let address = 0xff8; address < 0x1090; address++) {
        expect(table.at(BigInt(address))?.symbol.name).toBe(naiveAt(named, address));
      }
    }),
    { numRuns: 300 },
  );
});

interface NaiveSymbol {
  readonly name: string;
  readonly value: number;
  readonly size: number;
  readonly type: number;
  readonly binding: number;
}

function naiveAt(symbols: readonly NaiveSymbol[], address: number): string | undefined {
  const rank = (one: NaiveSymbol): number => (one.type === 2 ? 0 : 10) + [1, 0, 2][one.binding]!;
  const best = (some: readonly NaiveSymbol[]): NaiveSymbol | undefined =>
    [...some].sort((a, b) => b.value - a.value || rank(a) - rank(b))[0];
  const sized = symbols.filter(
    (one) => one.size > 0 && one.value <= address && address < one.value + one.size,
  );
  // At each start only the best and the longest symbol are told apart: see the table's documentation.
  const kept = sized.filter((one) => {
    const rivals = symbols.filter((other) => other.size > 0 && other.value === one.value);
    const longest = Math.max(...rivals.map((other) => other.size));
    const top = best(rivals);
    return one === top || one === rivals.find((other) => other.size === longest);
  });
  const innermost = best(kept);
  if (innermost !== undefined) return innermost.name;
  const before = symbols.filter((one) => one.value <= address);
  const lastStart = Math.max(...before.map((one) => one.value));
  const atLast = before.filter((one) => one.value === lastStart);
  if (atLast.length === 0 || atLast.some((one) => one.size > 0)) return undefined;
  // A label inside a sized symbol is hidden for good.
  if (symbols.some((one) => one.size > 0 && one.value < lastStart && lastStart < one.value + one.size))
    return undefined;
  return best(atLast)?.name;
}

test('near misses: case, edits, affixes and parts, data before functions', () => {
  const table = tableOf({
    symbols: [
      { name: 'g_counter' },
      { name: 'Counter' },
      { name: 'cuonter' },
      { name: 'zebra' },
      { name: 'undefined_counter', section: 0 },
      fn('count_er', 0x1000n, 1n),
      fn('counter', 0x1000n, 1n),
    ],
  });
  const names = table.nearMisses('counter', { most: 5 }).map((symbol) => symbol.name);
  expect(names).toEqual(['Counter', 'cuonter', 'g_counter', 'counter', 'count_er']);
  expect(table.nearMisses('counter', { most: 2 })).toHaveLength(2);
  expect(table.nearMisses('', { most: 5 })).toEqual([]);
  expect(table.nearMisses('qqqqqq', { most: 5 })).toEqual([]);
});

test('a table of one name 100,000 times is searched at once and cut', () => {
  const count = 100_000;
  const words = new Uint32Array(count * 6);
  for (let i = 0; i < count; i++) words.set([1, 0x1_0001, i * 16, 0, 8, 0], i * 6);
  const table = new SymbolTable([{ count, words, strings: new Uint8Array([0, 0x61, 0]) }]);
  expect(table.find('a')).toHaveLength(4_096);
  expect(table.at(BigInt((count - 1) * 16))?.symbol.name).toBe('a');
});
