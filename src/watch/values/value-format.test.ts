import { describe, expect, it } from 'vitest';
import { highWord, lowWord } from '../../base/pair.ts';
import type { BaseEncoding, BaseType, StructType, TypeDescription } from '../../symbols/types.ts';
import { type ValueFormatOptions, type ValueShape, valueFormat } from './value-format.ts';

/** Text and JSON of a value. */
function written(shape: ValueShape, value: bigint, options: ValueFormatOptions = {}): [string, unknown] {
  const words = { low: lowWord(value), high: highWord(value) };
  const format = valueFormat(shape, options);
  return [format.text(words), JSON.parse(format.json(words))];
}

function base(byteSize: number, encoding: BaseEncoding, name: string = encoding): BaseType {
  return { kind: 'base', name, byteSize, encoding };
}

function typed(type: TypeDescription): ValueShape {
  return { lenBytes: type.byteSize, type };
}

const bitsOf = (value: number, size: 4 | 8): bigint => {
  const view = new DataView(new ArrayBuffer(8));
  if (size === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return view.getBigUint64(0, true);
};

describe('integers', () => {
  it.each([
    [1, 0xffn, '-1', -1],
    [2, 0x8000n, '-32768', -32768],
    [4, 0xffff_ffffn, '-1', -1],
    [8, 2n ** 64n - 5n, '-5', -5],
    [8, 2n ** 63n, '-9223372036854775808', '-0x8000000000000000'],
    [8, 2n ** 53n, '9007199254740992', 2 ** 53],
    [8, 2n ** 53n + 1n, '9007199254740993', '0x20000000000001'],
  ])('signed, %i bytes', (size, value, text, json) => {
    expect(written(typed(base(size, 'signed')), value)).toEqual([text, json]);
  });

  it('unsigned, of 4 and 8 bytes', () => {
    expect(written(typed(base(4, 'unsigned')), 0xffff_ffffn)).toEqual(['4294967295', 4294967295]);
    expect(written(typed(base(8, 'unsigned')), 2n ** 64n - 1n)).toEqual([
      '18446744073709551615',
      '0xffffffffffffffff',
    ]);
  });

  it('without a type: decimal to 4 bytes, hexadecimal of 8', () => {
    expect(written({ lenBytes: 4 }, 0xffff_ffffn)).toEqual(['4294967295', 4294967295]);
    expect(written({ lenBytes: 8 }, 70n)).toEqual(['0x46', 70]);
  });

  it('a type of another size is not used', () => {
    expect(written({ lenBytes: 2, type: base(4, 'signed') }, 0xffffn)).toEqual(['65535', 65535]);
  });
});

describe('other scalars', () => {
  it('floats, as short as they are', () => {
    const float = typed(base(4, 'float'));
    expect(written(float, bitsOf(0.1, 4))).toEqual(['0.1', 0.1]);
    expect(written(float, bitsOf(-0, 4))).toEqual(['-0', -0]);
    expect(written(float, bitsOf(Number.NaN, 4))).toEqual(['nan', 'nan']);
    expect(written(float, bitsOf(Number.NEGATIVE_INFINITY, 4))).toEqual(['-inf', '-inf']);
    expect(written(typed(base(8, 'float')), bitsOf(Math.fround(0.1), 8))).toEqual([
      '0.10000000149011612',
      0.10000000149011612,
    ]);
    expect(written(typed(base(2, 'float')), 0x3e00n)).toEqual(['1.5', 1.5]);
    expect(written(typed(base(2, 'float')), 0x0001n)[1]).toBeCloseTo(2 ** -24, 12);
  });

  it('booleans and characters', () => {
    expect(written(typed(base(1, 'boolean')), 1n)).toEqual(['true', 1]);
    expect(written(typed(base(1, 'boolean')), 3n)).toEqual(['3', 3]);
    expect(written(typed(base(1, 'signed-char')), 0x41n)).toEqual(["65 'A'", 65]);
    expect(written(typed(base(1, 'signed-char')), 0xffn)).toEqual(["-1 '\\xff'", -1]);
    expect(written(typed(base(1, 'unsigned-char')), 0n)).toEqual(["0 '\\0'", 0]);
    expect(written(typed(base(4, 'utf')), 0x1f600n)).toEqual(["128512 '\u{1f600}'", 128512]);
  });

  it('enumerators by name, other numbers as numbers', () => {
    const enumerators = [
      { name: 'OPEN', value: 1n },
      { name: 'BAD', value: -1n },
    ];
    const type: TypeDescription = {
      kind: 'enum',
      name: 'enum state',
      byteSize: 4,
      signed: true,
      enumerators,
    };
    expect(written(typed(type), 1n)).toEqual(['OPEN', 'OPEN']);
    expect(written(typed(type), 0xffff_ffffn)).toEqual(['BAD', 'BAD']);
    expect(written(typed(type), 0xffff_fffen)).toEqual(['-2', -2]);
  });

  it('pointers with what they point to', () => {
    const type: TypeDescription = {
      kind: 'pointer',
      name: 'int *',
      byteSize: 8,
      reference: false,
      target: base(4, 'signed'),
    };
    const nameOf = (address: bigint): string => `table+0x${(address - 0x1000n).toString(16)}`;
    expect(written(typed(type), 0x1008n, { nameOf })).toEqual(['0x1008 <table+0x8>', '0x1008']);
    expect(written(typed(type), 0n, { nameOf })).toEqual(['0x0', '0x0']);
  });

  it('a typedef as what it names', () => {
    const type: TypeDescription = {
      kind: 'alias',
      name: 'count_t',
      byteSize: 2,
      alias: 'typedef',
      target: base(2, 'signed'),
    };
    expect(written(typed(type), 0xfffen)).toEqual(['-2', -2]);
    expect(valueFormat(typed(type)).typeName).toBe('count_t');
  });
});

describe('bit-fields, structs and arrays', () => {
  it('a signed bit-field from the middle of its unit', () => {
    const shape: ValueShape = { lenBytes: 4, type: base(4, 'signed'), bits: { offset: 5, size: 3 } };
    expect(written(shape, 0b1010_0000n)).toEqual(['-3', -3]);
    expect(written({ ...shape, type: base(4, 'unsigned') }, 0xffff_ffa0n)).toEqual(['5', 5]);
  });

  it('a struct by members, bit-fields and anonymous unions among them', () => {
    const member = { byteOffset: 0, storageBytes: 2, isBaseClass: false, isVirtual: false };
    const type: StructType = {
      kind: 'struct',
      name: 'struct cfg',
      keyword: 'struct',
      byteSize: 8,
      incomplete: false,
      members: [
        { ...member, name: 'min', type: base(2, 'signed') },
        { ...member, name: 'on', type: base(1, 'boolean'), byteOffset: 2, bits: { offset: 3, size: 1 } },
        {
          ...member,
          name: undefined,
          byteOffset: 4,
          type: {
            kind: 'struct',
            name: '',
            keyword: 'union',
            byteSize: 4,
            incomplete: false,
            members: [{ ...member, name: 'max', type: base(4, 'unsigned') }],
          },
        },
      ],
    };
    expect(written(typed(type), 0x0000_0007_0008_fffen)).toEqual(
      new Array(2).fill('{min = -2, on = true, {max = 7}}'),
    );
  });

  it('arrays, also a piece of one, and text', () => {
    const array = (element: BaseType, count: number): TypeDescription => ({
      kind: 'array',
      name: `${element.name}[${count}]`,
      byteSize: element.byteSize * count,
      element,
      count,
      vector: false,
    });
    expect(written(typed(array(base(2, 'signed'), 4)), 0x0004_0003_0002_ffffn)[0]).toBe('{-1, 2, 3, 4}');
    expect(written({ lenBytes: 8, type: array(base(4, 'unsigned'), 100) }, 0x2_0000_0001n)[0]).toBe('{1, 2}');
    expect(written(typed(array(base(1, 'signed-char'), 8)), 0x00_41_0a_22_68n)[0]).toBe('"h\\"\\nA"');
  });

  it('a struct that contains itself ends', () => {
    const members: StructType['members'][number][] = [];
    const type: StructType = {
      kind: 'struct',
      name: 'struct loop',
      keyword: 'struct',
      byteSize: 8,
      incomplete: false,
      members,
    };
    members.push({
      name: 'self',
      type,
      byteOffset: 0,
      storageBytes: 8,
      isBaseClass: false,
      isVirtual: false,
    });
    expect(written(typed(type), 1n)[0].length).toBeLessThan(200);
  });

  it('raw: the bytes in the order of memory', () => {
    expect(written(typed(base(4, 'float')), 0x0102_0304n, { raw: true })).toEqual(
      new Array(2).fill('04 03 02 01'),
    );
  });
});
