import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeUtf8 } from '../../base/text.ts';
import { ElfError } from '../elf-error.ts';
import { type TypeDescription, unaliased } from '../types.ts';
import { findDeclarations } from './declarations.ts';
import { DwarfFile } from './dwarf-file.ts';
import { evaluateLocation } from './location.ts';
import type { DwarfSectionName, DwarfSections } from './sections.ts';
import { TypeReader } from './type-reader.ts';

/** A small unit by hand: two variables, a struct with a pointer to itself, an array, an enum. */
function smallProgram(): Map<DwarfSectionName, Uint8Array> {
  const abbrev = [
    [1, 0x11, 1, 0x03, 0x08, 0x13, 0x0b, 0, 0], // compile_unit: name string, language data1
    [2, 0x34, 0, 0x03, 0x0e, 0x49, 0x13, 0x02, 0x18, 0x3f, 0x19, 0, 0], // variable: name strp, type ref4, location, external
    [3, 0x13, 1, 0x03, 0x08, 0x0b, 0x0b, 0x01, 0x13, 0, 0], // struct: name, byte_size, sibling ref4
    [4, 0x0d, 0, 0x03, 0x08, 0x49, 0x13, 0x38, 0x0b, 0, 0], // member: name, type, location
    [5, 0x0f, 0, 0x0b, 0x0b, 0x49, 0x13, 0, 0], // pointer: byte_size, type
    [6, 0x01, 1, 0x49, 0x13, 0, 0], // array: type
    [7, 0x21, 0, 0x2f, 0x0b, 0, 0], // subrange: upper_bound
    [8, 0x24, 0, 0x03, 0x08, 0x0b, 0x0b, 0x3e, 0x0b, 0, 0], // base type
    [9, 0x16, 0, 0x03, 0x08, 0x49, 0x13, 0, 0], // typedef
    [0],
  ].flat();
  const text = (value: string): number[] => [...encodeUtf8(value), 0];
  const u32 = (value: number): number[] => [
    value & 255,
    (value >> 8) & 255,
    (value >> 16) & 255,
    value >>> 24,
  ];
  const body: number[] = [];
  const at = (): number => 11 + body.length;
  const put = (...bytes: number[]): number => {
    const place = at();
    body.push(...bytes);
    return place;
  };
  put(1, ...text('a.c'), 0x0c);
  const base = put(8, ...text('int'), 4, 5);
  const struct = at();
  put(3, ...text('node'), 16, ...u32(0));
  const siblingAt = body.length - 4;
  put(4, ...text('count'), ...u32(base), 0);
  const nextTypeAt = at() + 6;
  put(4, ...text('next'), ...u32(0), 8);
  put(0);
  const pointer = put(5, 8, ...u32(struct));
  body.splice(siblingAt, 4, ...u32(pointer));
  body.splice(nextTypeAt - 11, 4, ...u32(pointer));
  const array = put(6, ...u32(struct), 7, 3, 0);
  const typedef = put(9, ...text('nodes'), ...u32(array));
  put(2, ...u32(1), ...u32(typedef), 9, 3, 0, 0x10, 0, 0, 0, 0, 0, 0);
  put(2, ...u32(7), ...u32(pointer), 9, 3, 0, 0x20, 0, 0, 0, 0, 0, 0);
  put(0);
  const info = [...u32(7 + body.length), 4, 0, ...u32(0), 8, ...body];
  return new Map<DwarfSectionName, Uint8Array>([
    ['abbrev', Uint8Array.from(abbrev)],
    ['info', Uint8Array.from(info)],
    ['str', Uint8Array.from([0, ...text('table'), ...text('list')])],
  ]);
}

function sectionsOf(parts: ReadonlyMap<DwarfSectionName, Uint8Array>): DwarfSections {
  const bytes = (section: DwarfSectionName): Uint8Array => parts.get(section) ?? new Uint8Array(0);
  return {
    file: 'hostile',
    sizeBytes: (section) => bytes(section).length,
    whole: bytes,
    range: (section, offset, lengthBytes) => bytes(section).subarray(offset, offset + lengthBytes),
  };
}

/** Reads all of it; what is thrown must be an ElfError. Looks at no more than `steps` types. */
function exercise(parts: ReadonlyMap<DwarfSectionName, Uint8Array>): 'found' | 'read' | 'refused' {
  try {
    const file = new DwarfFile(sectionsOf(parts));
    const types = new TypeReader((_place, name) => {
      const found = findDeclarations(file, name).find(({ kind }) => kind === 'type');
      return found === undefined ? undefined : { file, offset: found.offset };
    });
    let found = false;
    for (const name of ['table', 'list', 'node', 't', '']) {
      for (const declaration of findDeclarations(file, name).slice(0, 16)) {
        if (declaration.kind === 'type') continue;
        found = true;
        look(types.typeOf(file.entry(declaration.declaredAt)), 0);
      }
    }
    for (const unit of file.units()) {
      const entry = file.read(unit);
      for (let i = 0; entry.next() && i < 10_000; i++) {
        entry.string(0x03);
        const location = entry.block(0x02);
        if (location !== undefined) {
          evaluateLocation(location, {
            file: 'hostile',
            addressBytes: 8,
            offsetBytes: 4,
            addressAt: () => 0n,
          });
        }
      }
    }
    return found ? 'found' : 'read';
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return 'refused';
  }
}

function look(type: TypeDescription, depth: number): void {
  expect(typeof type.name).toBe('string');
  expect(type.byteSize).toBeGreaterThanOrEqual(0);
  if (depth > 4) return;
  const inner = unaliased(type);
  if (inner.kind === 'pointer') look(inner.target, depth + 1);
  if (inner.kind === 'array') look(inner.element, depth + 1);
  if (inner.kind === 'struct') for (const member of inner.members.slice(0, 8)) look(member.type, depth + 1);
}

test('the small program is read: so what follows changes something that works', () => {
  expect(exercise(smallProgram())).toBe('found');
  const file = new DwarfFile(sectionsOf(smallProgram()));
  const [table] = findDeclarations(file, 'table');
  const type = new TypeReader().typeOf(file.entry(table?.offset ?? 0));
  expect(type.byteSize).toBe(64);
  expect(unaliased(type).name).toBe('struct node[4]');
});

const mutation = fc.record({
  section: fc.constantFrom<DwarfSectionName>('info', 'info', 'info', 'abbrev', 'str'),
  place: fc.nat(400),
  value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
});

test('mutated debug information is read or refused, never anything else', () => {
  const counts = { found: 0, read: 0, refused: 0 };
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 8 }), (mutations) => {
      const parts = smallProgram();
      for (const { section, place, value } of mutations) {
        const bytes = parts.get(section);
        if (bytes !== undefined && bytes.length > 0) bytes[place % bytes.length] = value;
      }
      counts[exercise(parts)]++;
    }),
    { numRuns: 20_000 },
  );
  console.log(`mutated debug information: ${JSON.stringify(counts)}`);
  expect(counts.found).toBeGreaterThan(1_000);
  expect(counts.refused).toBeGreaterThan(100);
});

test('debug information cut anywhere is read or refused', () => {
  for (const section of ['info', 'abbrev', 'str'] as const) {
    const whole = smallProgram().get(section) ?? new Uint8Array(0);
    for (let length = 0; length < whole.length; length++) {
      exercise(new Map([...smallProgram(), [section, whole.subarray(0, length)]]));
    }
  }
});

test('random locations end', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        evaluateLocation(bytes, {
          file: 'hostile',
          addressBytes: 8,
          offsetBytes: 4,
          addressAt: () => 1n,
          readMemory: (_address, lengthBytes) => new Uint8Array(lengthBytes),
        });
      } catch (error) {
        if (!(error instanceof ElfError)) throw error;
      }
    }),
    { numRuns: 20_000 },
  );
});

test('many units whose abbreviation tables overlap are refused before they take the size squared', () => {
  const count = 4_000;
  const tables = new Uint8Array(200_000).fill(1);
  for (let at = 0; at + 5 < tables.length; at += 5) tables.set([1, 0x24, 0, 0, 0], at);
  const info: number[] = [];
  for (let i = 0; i < count; i++) {
    info.push(8, 0, 0, 0, 4, 0, (i * 5) & 255, ((i * 5) >> 8) & 255, ((i * 5) >> 16) & 255, 0, 8, 1);
  }
  const parts = new Map<DwarfSectionName, Uint8Array>([
    ['abbrev', tables],
    ['info', Uint8Array.from(info)],
    ['str', encodeUtf8('table\0')],
  ]);
  const file = new DwarfFile(sectionsOf(parts));
  let refused = 0;
  for (const unit of file.units()) {
    try {
      file.load(unit);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(count / 2);
});
