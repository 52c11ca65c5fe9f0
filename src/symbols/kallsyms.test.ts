import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Kallsyms } from './kallsyms.ts';

const text = `0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 t local_alias
ffffffff81000000 W weak_alias
ffffffff81000200 T do_thing
ffffffff81000100 t helper
ffffffffc0001000 t helper\t[my_mod]
ffffffffc0002000 d my_data\t[my_mod]
`;

test('an address is in the last symbol at or below it', () => {
  const symbols = Kallsyms.parse(text);
  expect(symbols).toMatchObject({ count: 8, hidden: false });
  expect(symbols.at(0xffffffff81000010n)).toEqual({
    symbol: { name: '_stext', address: 0xffffffff81000000n, type: 'T' },
    offset: 0x10n,
  });
  expect(symbols.at(0xffffffff810001ffn)).toMatchObject({ symbol: { name: 'helper' }, offset: 0xffn });
  expect(symbols.at(0xffffffffc0001004n)).toMatchObject({ symbol: { name: 'helper', module: 'my_mod' } });
  expect(symbols.at(0xffffffff80ffffffn)).toBeUndefined();
  expect(symbols.at(0x7fff_0000_0000n)).toBeUndefined();
});

test('a name gives all its symbols, whole names only', () => {
  const symbols = Kallsyms.parse(text);
  expect(symbols.find('helper').map((symbol) => symbol.address)).toEqual([
    0xffffffff81000100n,
    0xffffffffc0001000n,
  ]);
  expect(symbols.find('my_data')).toEqual([
    { name: 'my_data', address: 0xffffffffc0002000n, type: 'd', module: 'my_mod' },
  ]);
  for (const name of ['help', 'elper', 't', 'my_mod', '', 'T _stext']) expect(symbols.find(name)).toEqual([]);
});

test('hidden addresses are recognised', () => {
  const hidden = Kallsyms.parse('0000000000000000 T a\n0000000000000000 t b\t[m]\n');
  expect(hidden).toMatchObject({ hidden: true, count: 2 });
  expect(hidden.at(0xffffffff81000000n)).toBeUndefined();
  expect(hidden.find('b')).toMatchObject([{ module: 'm', address: 0n }]);
  expect(Kallsyms.parse('')).toMatchObject({ hidden: false, count: 0 });
});

test('any text is a symbol list', () => {
  fc.assert(
    fc.property(fc.string(), (rest) => {
      const symbols = Kallsyms.parse(`${text}${rest}`);
      symbols.at(0xffffffff81000000n);
      return symbols.find('do_thing').length >= 1;
    }),
  );
});

test("this kernel's symbols are read", () => {
  let live: string;
  try {
    live = readFileSync('/proc/kallsyms', 'latin1');
  } catch (error) {
    console.log(`skipped: /proc/kallsyms cannot be read: ${String(error)}`);
    return;
  }
  const before = performance.now();
  const symbols = Kallsyms.parse(live);
  const parsed = performance.now();
  const lines = live.split('\n').filter((line) => line !== '');
  expect(symbols.count).toBe(lines.length);
  if (symbols.hidden) {
    console.log('skipped the rest: kernel addresses are hidden from this user');
    return;
  }
  const found = symbols.find('vfs_read')[0];
  const looked = performance.now();
  expect(found).toBeDefined();
  expect(symbols.at(found!.address + 1n)).toMatchObject({ symbol: { name: 'vfs_read' }, offset: 1n });
  console.log(
    `kallsyms, ${symbols.count} lines: parse ${(parsed - before).toFixed(1)} ms, find ${(looked - parsed).toFixed(1)} ms, first at ${(performance.now() - looked).toFixed(1)} ms`,
  );
});
