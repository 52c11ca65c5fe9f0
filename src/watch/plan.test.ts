import { describe, expect, test } from 'vitest';
import { bytesSource } from '../base/byte-source.ts';
import { AddressSpace } from '../symbols/address-space.ts';
import { buildElf, type TestElf, type TestSymbol } from '../symbols/elf-builder.test-support.ts';
import { Kallsyms } from '../symbols/kallsyms.ts';
import type { Mapping } from '../symbols/maps.ts';
import { type NameSpace, type PlannedWatch, planWatch, type UnplannedRequest } from './plan.ts';
import { parseWatchRequest } from './watch-request.ts';

const programStart = 0x5555_0000_0000n;
const libraryStart = 0x7f00_0000_0000n;
const dataAt = 0x20_3000n;

const data = (name: string, value: bigint, sizeBytes = 4n, more: Partial<TestSymbol> = {}): TestSymbol => ({
  name,
  value: dataAt + value,
  sizeBytes,
  ...more,
});

const programSymbols: TestSymbol[] = [
  { name: 'main', value: 0x1100n, sizeBytes: 0x40n, type: 2, section: 1 },
  data('counter', 0x10n),
  data('total', 0x18n, 8n),
  data('config', 0x20n, 24n),
  data('huge', 0x100n, 0x400n),
  data('odd', 0x43n, 2n),
  data('sizeless', 0x48n, 0n),
  data('_ZN2ns5stateE', 0x50n),
  data('per_thread', 0n, 4n, { type: 6 }),
  data('elsewhere', 0n, 0n, { section: 0 }),
  { name: 'a.c', type: 4, binding: 0, section: 0xfff1, value: 0n, sizeBytes: 0n },
  data('twice', 0x60n, 4n, { binding: 0 }),
  { name: 'b.c', type: 4, binding: 0, section: 0xfff1, value: 0n, sizeBytes: 0n },
  data('twice', 0x68n, 4n, { binding: 0 }),
];

function mapped(
  elf: TestElf,
  path: string,
  start: bigint,
  inode: bigint,
): { mappings: Mapping[]; bytes: Uint8Array } {
  const one = (at: bigint, lengthBytes: bigint, more: Partial<Mapping>): Mapping => ({
    start: at,
    end: at + lengthBytes,
    readable: true,
    writable: false,
    executable: false,
    shared: false,
    offset: 0n,
    device: '08:01',
    inode,
    path,
    ...more,
  });
  return {
    mappings: [
      one(start, 0x3000n, { executable: true }),
      one(start + dataAt, 0x1000n, { writable: true, offset: 0x3000n }),
    ],
    bytes: buildElf(elf),
  };
}

function spaceOf(symbols: TestSymbol[] = programSymbols, options = { stripped: false }): NameSpace {
  const program = mapped(
    { pie: true, interpreter: '/lib/ld.so', ...(options.stripped ? {} : { symbols }) },
    '/opt/app/prog',
    programStart,
    1n,
  );
  const library = mapped({ symbols: [data('table', 0x10n, 8n)] }, '/usr/lib/libt.so.1', libraryStart, 2n);
  const space = new AddressSpace({
    mappings: () => [...program.mappings, ...library.mappings],
    openMapped: ({ path }) => bytesSource(path === '/opt/app/prog' ? program.bytes : library.bytes),
    openPath: () => undefined,
  });
  return { description: 'process 12 (prog)', space };
}

const kernelText = `ffffffff81000000 T _text
ffffffff81001000 t helper
ffffffff81002000 t helper
ffffffff82000000 D jiffies
`;
const kernel = (text: string | undefined): NameSpace => ({
  description: 'the kernel',
  kallsyms: () => (text === undefined ? undefined : Kallsyms.parse(text)),
});

function plan(text: string, names = spaceOf()): PlannedWatch | UnplannedRequest {
  return planWatch(parseWatchRequest(text), names);
}

function refusalOf(text: string, names = spaceOf()): { message: string; mayAppear: boolean } {
  const result = plan(text, names);
  if (!('error' in result)) throw new Error(`${text} was planned`);
  expect(result.error.kind).toBe('request');
  expect(result.error.message).not.toContain('\n');
  expect(result.error.message).toMatch(new RegExp(`^'${text.replaceAll('+', '[+]')}'( by its size)?: `));
  return { message: result.error.message, mayAppear: result.mayAppear };
}

describe('a name of the program', () => {
  const counter = programStart + dataAt + 0x10n;
  test.each([
    ['counter', { address: counter, lenBytes: 4, access: 'rw', symbol: 'counter', module: 'prog' }],
    ['counter:w', { address: counter, lenBytes: 4, access: 'w' }],
    ['counter/1:w', { address: counter, lenBytes: 1, access: 'w' }],
    ['total', { address: counter + 8n, lenBytes: 8, access: 'rw' }],
    ['sizeless', { address: programStart + dataAt + 0x48n, lenBytes: 4, access: 'rw' }],
    ['main', { address: programStart + 0x1100n, lenBytes: 8, access: 'x' }],
    ['config+8', { address: counter + 0x18n, lenBytes: 4, access: 'rw' }],
    ['config+16/8:w', { address: counter + 0x20n, lenBytes: 8, access: 'w' }],
    ['total-8/4:w', { address: counter, lenBytes: 4, access: 'w', symbol: 'total' }],
    ['prog:counter/4:w', { address: counter, lenBytes: 4, access: 'w' }],
    ['libt.so.1:table/8:w', { address: libraryStart + dataAt + 0x10n, lenBytes: 8, module: 'libt.so.1' }],
    ['libt.so:table', { address: libraryStart + dataAt + 0x10n, lenBytes: 8 }],
    ['table', { address: libraryStart + dataAt + 0x10n, lenBytes: 8, module: 'libt.so.1' }],
    ['a.c:twice', { address: programStart + dataAt + 0x60n, lenBytes: 4 }],
    ['b.c:twice', { address: programStart + dataAt + 0x68n, lenBytes: 4 }],
    ['prog+0x203010/4:w', { address: counter, lenBytes: 4, module: 'prog' }],
    ['0x404028', { address: 0x40_4028n, lenBytes: 4, access: 'rw' }],
    ['mem:0x404028/8:w:u', { address: 0x40_4028n, lenBytes: 8, access: 'w', only: 'user' }],
  ] as const)('%s becomes a watch', (text, expected) => {
    expect(plan(text)).toMatchObject({ text, ...expected });
  });

  test('that no register can hold is refused with the pieces that fit', () => {
    expect(refusalOf('config:w').message).toMatch(
      /by its size: 24 bytes .*; pieces that fit: config\/8 config\+8\/8 config\+16\/8$/,
    );
    expect(refusalOf('odd:w').message).toMatch(/not aligned.*pieces that fit: odd\/1 odd\+1\/1$/);
    expect(refusalOf('counter/3:w').message).toMatch(/3 bytes.*pieces that fit: counter\/2 counter\+2\/1$/);
    expect(refusalOf('config+4/8:w').message).toContain('pieces that fit: config+4/4 config+8/4');
    expect(refusalOf('huge:w').message).toContain('(128 in all)');
    expect(refusalOf('counter/0:w').message).toContain('length 0');
    expect(refusalOf('0x404029/4:w').message).toContain('not aligned');
  });

  test('watched for reads alone is refused: x86 has none', () => {
    expect(refusalOf('counter:r').message).toContain('x86 has no read-only watch');
  });

  test('with a length for an execute watch says which one works', () => {
    expect(refusalOf('main/4:x').message).toContain('it is always 8');
  });

  test('that is nowhere names what may have been meant, and may yet come with a library', () => {
    const { message, mayAppear } = refusalOf('countr:w');
    expect(message).toContain("no variable or function 'countr' in process 12 (prog)");
    expect(message).toContain('did you mean counter');
    expect(mayAppear).toBe(true);
  });

  test('of a module that is not there names those that are', () => {
    const { message, mayAppear } = refusalOf('libnone.so:var/4:w');
    expect(message).toContain("no module 'libnone.so' in process 12 (prog); mapped are prog, libt.so.1");
    expect(mayAppear).toBe(true);
  });

  test('that each thread has its own of, or nobody defines, has no address', () => {
    expect(refusalOf('per_thread:w')).toMatchObject({ mayAppear: false });
    expect(refusalOf('per_thread:w').message).toContain('thread-local');
    expect(refusalOf('elsewhere:w')).toMatchObject({ mayAppear: true });
    expect(refusalOf('elsewhere:w').message).toContain('no module of process 12 (prog) defines it');
  });

  test('that two files have is refused with both addresses and files', () => {
    const { message, mayAppear } = refusalOf('twice:w');
    expect(message).toContain('2 variables have this name');
    expect(message).toContain('0x555500203060/4 (prog of a.c)');
    expect(message).toContain('0x555500203068/4 (prog of b.c)');
    expect(mayAppear).toBe(false);
  });

  test('of a stripped program says so, and what works instead', () => {
    const { message } = refusalOf('counter:w', spaceOf(undefined, { stripped: true }));
    expect(message).toContain('prog is stripped');
    expect(message).toContain('prog+0xOFFSET');
  });

  test.each(['counter+0xffffffffffffffff', 'counter+0xffffaaaaffffffff/1:w', 'counter-0xffffffffffff/1:w'])(
    '%s leaves the address space: refused, not wrapped around to another place',
    (text) => {
      expect(refusalOf(text).message).toMatch(/address space|offset/);
    },
  );
});

describe('a name of the kernel', () => {
  test('is looked up in kallsyms', () => {
    expect(plan('jiffies/8:w', kernel(kernelText))).toMatchObject({
      address: 0xffff_ffff_8200_0000n,
      lenBytes: 8,
      access: 'w',
      symbol: 'jiffies',
      module: 'kernel',
    });
    expect(plan('jiffies+8/8:w', kernel(kernelText))).toMatchObject({ address: 0xffff_ffff_8200_0008n });
    expect(plan('_text', kernel(kernelText))).toMatchObject({ access: 'x', lenBytes: 8 });
    expect(plan('0xffffffff82000000/4:w', kernel(undefined))).toMatchObject({ lenBytes: 4 });
  });

  test('that cannot be looked up says why', () => {
    expect(refusalOf('jiffies:w', kernel(undefined)).message).toContain('names need a process');
    expect(refusalOf('jiffie:w', kernel(kernelText)).message).toContain("no kernel symbol 'jiffie'");
    expect(refusalOf('helper:x', kernel(kernelText)).message).toMatch(
      /2 kernel symbols .* 0xffffffff81001000 0xffffffff81002000/,
    );
    const hidden = kernelText.replaceAll(/^[0-9a-f]{16}/gm, '0000000000000000');
    expect(refusalOf('jiffies:w', kernel(hidden)).message).toContain('kptr_restrict');
    expect(refusalOf('jiffies:w', kernel(hidden)).mayAppear).toBe(false);
  });

  test.each(['jiffies+0xffffffffffffffff', 'jiffies-0xffffffffffffffff'])(
    '%s leaves the address space: refused, no crash',
    (text) => {
      expect(refusalOf(text, kernel(kernelText)).message).toMatch(/address space|offset/);
    },
  );
});
