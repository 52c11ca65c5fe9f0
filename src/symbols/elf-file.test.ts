import { expect, test } from 'vitest';
import { bytesSource } from '../base/byte-source.ts';
import { buildElf, type TestElf } from './elf-builder.test-support.ts';
import { ElfError } from './elf-error.ts';
import { ElfFile } from './elf-file.ts';

const open = (options: TestElf = {}): ElfFile => ElfFile.open(bytesSource(buildElf(options)), '/bin/prog');
const buildId = Uint8Array.from({ length: 20 }, (_, i) => i * 11);
const buildIdText = [...buildId].map((byte) => byte.toString(16).padStart(2, '0')).join('');

test('the headers say machine, type, entry and segments', () => {
  const file = open({ type: 2, base: 0x40_0000n, machine: 183, interpreter: '/lib/ld.so' });
  expect(file).toMatchObject({ bits: 64, machine: 'arm64', type: 'executable', entry: 0x40_1000n });
  expect(file).toMatchObject({ interpreter: '/lib/ld.so', isStatic: false, isProgram: true, stripped: true });
  expect(file.segments).toEqual([
    {
      vaddr: 0x40_0000n,
      offset: 0n,
      fileBytes: 0x2800n,
      memBytes: 0x2800n,
      readable: true,
      writable: false,
      executable: true,
    },
    {
      vaddr: 0x60_3000n,
      offset: 0x3000n,
      fileBytes: 0x800n,
      memBytes: 0x2000n,
      readable: true,
      writable: true,
      executable: false,
    },
  ]);
});

test('a static program is one that no interpreter loads; a library is none', () => {
  expect(open({ type: 2 }).isStatic).toBe(true);
  expect(open({ type: 3, pie: true }).isStatic).toBe(true);
  expect(open({ type: 3, pie: true, interpreter: '/lib/ld.so' }).isStatic).toBe(false);
  expect(open({ type: 3 })).toMatchObject({ isStatic: false, isProgram: false });
});

test('the build id is found through the section and through the segment', () => {
  expect(open({ buildId }).buildId).toBe(buildIdText);
  expect(open({ buildId, sections: false }).buildId).toBe(buildIdText);
  expect(open().buildId).toBeUndefined();
});

test('the debug link has name and checksum', () => {
  const debugLink = { name: 'prog.debug', crc32: 0xdead_beef };
  expect(open({ debugLink }).debugLink).toEqual(debugLink);
});

test('symbols are found with extended section numbering', () => {
  const file = open({
    symbols: [{ name: 'counter', value: 0x20_3010n, sizeBytes: 4n }],
    extendedNumbering: true,
  });
  expect(file.stripped).toBe(false);
  expect(file.symbols().find('counter')).toMatchObject([
    { value: 0x20_3010n, sizeBytes: 4n, kind: 'object' },
  ]);
});

for (const hash of ['sysv', 'gnu', undefined] as const) {
  test(`dynamic symbols are found without section headers (hash table: ${hash ?? 'none'})`, () => {
    const dynamicSymbols = [
      { name: 'alpha', value: 0x20_3000n },
      { name: 'omega', value: 0x20_3008n, version: 0x8002 },
    ];
    const file = open({ dynamicSymbols, ...(hash === undefined ? {} : { hash }), sections: false });
    expect(file.stripped).toBe(true);
    expect(file.symbols().find('alpha')).toMatchObject([{ value: 0x20_3000n, defaultVersion: true }]);
    expect(file.symbols().find('omega')).toMatchObject([{ value: 0x20_3008n, defaultVersion: false }]);
  });
}

test('a 32-bit file is recognised, and its symbols refused', () => {
  const bytes = new Uint8Array(84);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  const view = new DataView(bytes.buffer);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(24, 0x804_8000, true);
  view.setUint32(28, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  view.setUint32(52, 1, true);
  view.setUint32(60, 0x804_8000, true);
  const file = ElfFile.open(bytesSource(bytes), '/bin/old');
  expect(file).toMatchObject({ bits: 32, machine: 'i386', type: 'executable', entry: 0x804_8000n });
  expect(file.segments).toHaveLength(1);
  expect(() => file.symbols()).toThrow('/bin/old: a 32-bit file: its symbols are not read');
});

test('every bad file is refused with its name and what is wrong', () => {
  const good = buildElf({ symbols: [{ name: 'counter' }] });
  const changed = (change: (view: DataView) => void): Uint8Array => {
    const bytes = good.slice();
    change(new DataView(bytes.buffer));
    return bytes;
  };
  const openBytes = (bytes: Uint8Array) => () => ElfFile.open(bytesSource(bytes), 'f').symbols();
  expect(openBytes(new Uint8Array(0))).toThrow('f: not an ELF file: it is empty');
  expect(openBytes(new Uint8Array(100))).toThrow('f: not an ELF file');
  expect(openBytes(good.subarray(0, 40))).toThrow(
    'f: truncated: the ELF header ends at byte 64, the file has 40',
  );
  expect(openBytes(good.subarray(0, good.length - 1))).toThrow(
    `f: truncated: the section header table ends at byte ${good.length}, the file has ${good.length - 1}`,
  );
  expect(openBytes(changed((view) => view.setUint8(5, 2)))).toThrow(
    'f: big-endian ELF files are not supported',
  );
  expect(openBytes(changed((view) => view.setUint8(4, 9)))).toThrow('f: unknown ELF class 9');
  expect(openBytes(changed((view) => view.setUint16(54, 55, true)))).toThrow(
    'f: program headers of 55 bytes',
  );
  expect(openBytes(changed((view) => view.setUint16(58, 63, true)))).toThrow(
    'f: section headers of 63 bytes',
  );
  expect(openBytes(changed((view) => view.setBigUint64(40, 1n << 63n, true)))).toThrow(
    'f: truncated: the section',
  );
  expect(openBytes(buildElf({ symbols: [], compressedSymbols: true }))).toThrow(
    'f: the symbol table is compressed, which is not supported',
  );
  expect(openBytes(new Uint8Array(0))).toThrow(ElfError);
});

test('initial memory is read from the segments', () => {
  const bytes = buildElf({ type: 2, base: 0x40_0000n });
  bytes.set([1, 2, 3, 4], 0x3000);
  const file = ElfFile.open(bytesSource(bytes), 'f');
  expect([...file.read(0x60_3001n, 3)]).toEqual([2, 3, 4]);
  expect(file.read(0x60_37ffn, 8)).toHaveLength(1);
  expect(file.read(0x60_3800n, 8)).toHaveLength(0);
  expect(file.read(0n, 8)).toHaveLength(0);
});
