import fs from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ElfError } from '../elf-error.ts';
import type { StructType, TypeDescription } from '../types.ts';
import { Btf } from './btf.ts';
import { BtfWriter } from './btf-writer.test-support.ts';

function sample(): Uint8Array {
  const writer = new BtfWriter();
  writer
    .type('int', { kind: 1, size: 4, more: [0x0100_0020] }) // 1
    .type('unsigned char', { kind: 1, size: 1, more: [8] }) // 2
    .type('', { kind: 3, more: [1, 1, 4] }) // 3: int[4]
    .type('', { kind: 2, size: 3 }) // 4: int (*)[4]
    .type('', { kind: 10, size: 2 }) // 5: const unsigned char
    .type('', { kind: 2, size: 5 }) // 6: const unsigned char *
    .type('', { kind: 10, size: 6 }); // 7: const unsigned char *const
  const member = (name: string, type: number, place: number): number[] => [writer.name(name), type, place];
  writer
    .type('cfg', {
      kind: 4,
      count: 5,
      flag: true,
      size: 40,
      more: [
        ...member('limits', 3, 0),
        ...member('low', 1, (3 << 24) | 128),
        ...member('high', 1, (30 << 24) | 131),
        ...member('next', 9, 192),
        ...member('', 12, 256),
      ],
    }) // 8
    .type('', { kind: 2, size: 8 }) // 9: struct cfg *
    .type('cfg_t', { kind: 8, size: 8 }) // 10
    .type('mode', {
      kind: 6,
      count: 2,
      flag: true,
      size: 4,
      more: [writer.name('off'), 0xffff_ffff, writer.name('on'), 1],
    }) // 11
    .type('', { kind: 5, count: 1, size: 8, more: member('mode', 11, 0) }) // 12: union {...}
    .type('', { kind: 13, count: 2, size: 1, more: [0, 9, 0, 0] }) // 13: int (struct cfg *, ...)
    .type('', { kind: 2, size: 13 }) // 14
    .type('wide', { kind: 19, count: 1, size: 8, more: [writer.name('top'), 0, 0x8000_0000] }) // 15
    .type('counter', { kind: 14, size: 10, more: [1] }) // 16
    .type('.data..percpu', { kind: 15, count: 1, size: 64, more: [16, 24, 40] }) // 17
    .type('later', { kind: 7, flag: true }) // 18
    .type('', { kind: 18, size: 1 }) // 19: a tag on int
    .type('', { kind: 2, size: 19 }); // 20
  return writer.bytes();
}

describe('types', () => {
  const btf = Btf.parse(sample(), 'sample');
  test.each([
    [0, 'void'],
    [1, 'int'],
    [3, 'int[4]'],
    [4, 'int (*)[4]'],
    [6, 'const unsigned char *'],
    [7, 'const unsigned char * const'],
    [8, 'struct cfg'],
    [9, 'struct cfg *'],
    [10, 'cfg_t'],
    [11, 'enum mode'],
    [12, 'union {...}'],
    [14, 'int (*)(struct cfg *, ...)'],
    [18, 'union later'],
    [20, 'int *'],
  ])('type %i is %s', (id, name) => {
    expect(btf.type(id).name).toBe(name);
  });

  test('members have their places, bit-fields their storage units', () => {
    const cfg = btf.typeNamed('struct cfg');
    expect(cfg?.kind).toBe('struct');
    const { members } = cfg as StructType; // just seen
    expect(
      members.map(({ name, byteOffset, storageBytes, bits }) => [name, byteOffset, storageBytes, bits]),
    ).toEqual([
      ['limits', 0, 16, undefined],
      ['low', 16, 1, { offset: 0, size: 3 }],
      ['high', 16, 8, { offset: 3, size: 30 }],
      ['next', 24, 8, undefined],
      [undefined, 32, 8, undefined],
    ]);
    const next = members[3]?.type;
    expect(next?.kind === 'pointer' && next.target).toBe(cfg);
  });

  test('enumerators keep their sign and their 64 bits', () => {
    const mode = btf.typeNamed('enum mode');
    expect(mode?.kind === 'enum' && mode.enumerators).toEqual([
      { name: 'off', value: -1n },
      { name: 'on', value: 1n },
    ]);
    const wide = btf.typeNamed('enum wide');
    expect(wide?.kind === 'enum' && wide.enumerators).toEqual([{ name: 'top', value: 1n << 63n }]);
  });

  test('a typedef has the size of what it names', () => {
    expect(btf.typeNamed('cfg_t')).toMatchObject({ kind: 'alias', alias: 'typedef', byteSize: 40 });
    expect(btf.typeNamed('cfg')).toBeUndefined();
    expect(btf.typeNamed('struct nothing')).toBeUndefined();
  });

  test('a variable has its section, its place and its type', () => {
    expect(btf.variable('counter')).toMatchObject({ section: '.data..percpu', offset: 24, sizeBytes: 40 });
    expect(btf.variable('counter')?.type.name).toBe('cfg_t');
    expect(btf.variable('nothing')).toBeUndefined();
  });
});

test("a module's types stand on its kernel's", () => {
  const base = Btf.parse(sample(), 'vmlinux');
  const stringBytes = new DataView(sample().buffer).getUint32(20, true);
  const writer = new BtfWriter(stringBytes);
  const bytes = writer
    .type('own', { kind: 4, count: 1, size: 40, more: [writer.name('inner'), 8, 0] })
    .bytes();
  const module = Btf.parse(bytes, 'module', base);
  const own = module.typeNamed('struct own');
  expect(own?.kind === 'struct' && own.members[0]).toMatchObject({
    name: 'inner',
    byteOffset: 0,
    storageBytes: 40,
  });
  expect(own?.kind === 'struct' && own.members[0]?.type.name).toBe('struct cfg');
  expect(module.typeNamed('int')?.name).toBe('int');
  expect(module.variable('counter')?.offset).toBe(24);
});

/** Looks at everything, not further than a few steps. */
function walk(type: TypeDescription, depth: number): void {
  if (depth > 4) return;
  switch (type.kind) {
    case 'pointer':
    case 'alias':
      walk(type.target, depth + 1);
      return;
    case 'array':
      walk(type.element, depth + 1);
      return;
    case 'struct':
      for (const member of type.members.slice(0, 8)) walk(member.type, depth + 1);
      return;
    case 'enum':
      void type.enumerators.length;
      return;
    default:
      return;
  }
}

test('mutated BTF is read or refused, never anything else', () => {
  const original = sample();
  let read = 0;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
      fc.nat(original.length),
      fc.boolean(),
      (changes, cut, isCut) => {
        const bytes = isCut ? original.slice(0, cut) : original.slice();
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        try {
          const btf = Btf.parse(bytes, 'hostile');
          for (let id = 0; id <= btf.typeCount; id++) walk(btf.type(id), 0);
          btf.variables();
          btf.typeNamed('struct cfg');
          read++;
        } catch (error) {
          if (!(error instanceof ElfError)) throw error;
        }
      },
    ),
    { numRuns: 3_000 },
  );
  expect(read).toBeGreaterThan(100);
});

const kernelFile = '/sys/kernel/btf/vmlinux';
const skip = fs.existsSync(kernelFile) ? undefined : `${kernelFile} is not there`;
if (skip !== undefined) console.log(`skipped: the running kernel's types: ${skip}`);

describe.skipIf(skip !== undefined)("the running kernel's types", () => {
  const btf = skip === undefined ? Btf.parse(fs.readFileSync(kernelFile), kernelFile) : undefined;

  test('every type can be described and looked into', () => {
    let structs = 0;
    for (let id = 0; id < (btf?.typeCount ?? 0); id++) {
      const type = btf?.type(id);
      if (type === undefined) continue;
      if (type.kind === 'other') expect(type.name).not.toMatch(/^type \d/);
      if (type.kind !== 'struct' || type.incomplete) continue;
      structs++;
      for (const { byteOffset, storageBytes, bits } of type.members) {
        // A bit-field's unit may end behind a packed struct; its bits do not.
        const endBits =
          bits === undefined ? (byteOffset + storageBytes) * 8 : byteOffset * 8 + bits.offset + bits.size;
        expect(endBits, type.name).toBeLessThanOrEqual(type.byteSize * 8);
      }
    }
    expect(structs).toBeGreaterThan(1_000);
  });

  test('what every kernel has is there', () => {
    const task = btf?.typeNamed('struct task_struct');
    const comm = task?.kind === 'struct' ? task.members.find((member) => member.name === 'comm') : undefined;
    expect(comm?.type).toMatchObject({ kind: 'array', count: 16, byteSize: 16 });
    expect(btf?.typeNamed('u64')).toMatchObject({ kind: 'alias', byteSize: 8 });
  });

  test('per-CPU variables lie in their section', () => {
    const variables = [...(btf?.variables().values() ?? [])].filter(
      ({ section }) => section === '.data..percpu',
    );
    expect(variables.length).toBeGreaterThan(50);
    for (const { type, sizeBytes } of variables) expect(type.byteSize).toBe(sizeBytes);
  });
});
