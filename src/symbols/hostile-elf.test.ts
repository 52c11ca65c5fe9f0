import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type ByteSource, bytesSource } from '../base/byte-source.ts';
import { AddressSpace } from './address-space.ts';
import { buildElf } from './elf-builder.test-support.ts';
import { ElfError } from './elf-error.ts';
import { ElfFile } from './elf-file.ts';
import type { Mapping } from './maps.ts';

const symbols = [
  { name: 'a.c', type: 4, binding: 0, section: 0xfff1 },
  { name: 'state', value: 0x20_3000n, sizeBytes: 4n, binding: 0 },
  { name: 'main', value: 0x1000n, sizeBytes: 0x40n, type: 2, section: 1 },
  { name: 'label', value: 0x1800n, type: 0, section: 1 },
  { name: 'counter@@V1', value: 0x20_3010n, sizeBytes: 8n },
];
const dynamicSymbols = [{ name: 'counter', value: 0x20_3010n, sizeBytes: 8n, version: 2 }];
const common = { interpreter: '/lib/ld.so', buildId: new Uint8Array(20), pie: true, dynamicSymbols } as const;
const files = [
  buildElf({ ...common, symbols, hash: 'gnu', debugLink: { name: 'x.debug', crc32: 1 } }),
  buildElf({ ...common, hash: 'gnu', sections: false }),
  buildElf({ ...common, hash: 'sysv', sections: false }),
  buildElf({ ...common, symbols, extendedNumbering: true }),
];

/** Refuses to hand out more than there is: what asks for that has believed a size field. */
function strictSource(bytes: Uint8Array): ByteSource {
  const source = bytesSource(bytes);
  return {
    sizeBytes: source.sizeBytes,
    read(offset, lengthBytes) {
      expect(Number.isSafeInteger(offset) && offset >= 0 && lengthBytes >= 0).toBe(true);
      expect(lengthBytes).toBeLessThanOrEqual(64 * 1024 * 1024);
      return source.read(offset, lengthBytes);
    },
  };
}

/** Uses all of a file. What is thrown must be an ElfError; what comes back is returned for a look. */
function exercise(bytes: Uint8Array): 'read' | 'refused' {
  try {
    const file = ElfFile.open(strictSource(bytes), 'hostile');
    const table = file.symbols();
    for (const name of ['counter', 'main', 'state', 'a']) table.find(name);
    for (const segment of file.segments.slice(0, 8)) {
      table.at(segment.vaddr);
      file.read(segment.vaddr, 64);
    }
    for (const vaddr of [0n, 0x1004n, 0x1900n, 0x20_3010n, 1n << 63n, 0xffff_ffff_ffff_ffffn])
      table.at(vaddr);
    table.nearMisses('countr', { most: 5 });
    return 'read';
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return 'refused';
  }
}

const interesting = [
  0n,
  1n,
  0xffn,
  0xffffn,
  0x7fff_ffffn,
  0xffff_ffffn,
  1n << 53n,
  1n << 63n,
  (1n << 64n) - 1n,
  (1n << 64n) - 64n,
];
const mutation = fc.record({
  // Most fields that matter are in the headers and in the last two kilobytes.
  place: fc.oneof(fc.nat(512), fc.nat(0x3800), fc.integer({ min: -2048, max: -1 })),
  width: fc.constantFrom(1, 2, 4, 8),
  value: fc.oneof(fc.constantFrom(...interesting), fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })),
});

test('a mutated ELF file is read or refused, never anything else', () => {
  let read = 0;
  let refused = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...files),
      fc.array(mutation, { minLength: 1, maxLength: 8 }),
      (file, mutations) => {
        const bytes = file.slice();
        for (const { place, width, value } of mutations) {
          const at = place < 0 ? bytes.length + place : place;
          for (let i = 0; i < width && at + i < bytes.length; i++)
            bytes[at + i] = Number((value >> BigInt(i * 8)) & 255n);
        }
        if (exercise(bytes) === 'read') read++;
        else refused++;
      },
    ),
    { numRuns: 3_000 },
  );
  console.log(`mutated ELF files: ${read} read, ${refused} refused`);
});

test('an ELF file cut anywhere is read or refused', () => {
  for (const file of files) {
    for (let length = 0; length < file.length; length += length < 700 ? 1 : 97)
      exercise(file.subarray(0, length));
  }
});

test('random bytes behind an ELF header are read or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (rest) => {
      const bytes = new Uint8Array(7 + rest.length);
      bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
      bytes.set(rest, 7);
      exercise(bytes);
    }),
    { numRuns: 2_000 },
  );
});

test('every 8-byte field of the headers, set to every interesting value, is read or refused', () => {
  for (const file of files) {
    const fields = [
      ...Array.from({ length: 60 }, (_, i) => i * 8),
      ...Array.from({ length: 120 }, (_, i) => file.length - 8 - i * 8),
    ];
    for (const at of fields) {
      for (const value of interesting) {
        const bytes = file.slice();
        new DataView(bytes.buffer).setBigUint64(at, value, true);
        exercise(bytes);
      }
    }
  }
});

test('a hostile file among the mappings leaves the others usable', () => {
  const good = buildElf({ symbols });
  const mapping = (start: bigint, inode: bigint, path: string): Mapping => ({
    start,
    end: start + 0x2000n,
    readable: true,
    writable: false,
    executable: true,
    shared: false,
    offset: 0n,
    device: '08:01',
    inode,
    path,
  });
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 6 }), (mutations) => {
      const bad = good.slice();
      for (const { place, value } of mutations)
        bad[place < 0 ? bad.length + place : place] = Number(value & 255n);
      const space = new AddressSpace({
        mappings: () => [mapping(0x5000_0000n, 1n, '/good'), mapping(0x6000_0000n, 2n, '/bad')],
        openMapped: ({ inode }) => bytesSource(inode === 1n ? good : bad),
        openPath: () => undefined,
      });
      expect(space.resolve({ name: 'main' })).toMatchObject({ kind: 'found' });
      expect(space.locate(0x5000_1004n)).toMatchObject({ symbol: 'main', offset: 4n });
      space.locate(0x6000_1004n);
      expect(space.resolve({ name: 'nowhere' }).kind).toBe('unknown');
    }),
    { numRuns: 500 },
  );
});
