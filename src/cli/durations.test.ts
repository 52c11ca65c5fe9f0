import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCount, parseCpus, parseDuration } from './durations.ts';
import { UsageError } from './errors.ts';

function refused(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return error instanceof Error ? error.message : '';
  }
  throw new Error('it was taken');
}

describe('a duration', () => {
  test.each([
    ['500ms', 500],
    ['2s', 2000],
    ['2', 2000],
    ['0.5', 500],
    ['1.5m', 90_000],
    ['1h', 3_600_000],
    ['100h', 360_000_000],
    ['2147483.647', 2_147_483_647],
  ])('%s is %i ms', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  test.each([
    '',
    ' ',
    '0',
    '0s',
    '0.0ms',
    '-1s',
    '+1s',
    '1 s',
    '1S',
    '1d',
    '.5s',
    '5.',
    '1e3',
    '1s1s',
    's',
    'ms',
    '1,5s',
    '0x10',
    '600h',
    '2147483.648',
  ])('%j is refused, quoted', (text) => {
    expect(refused(() => parseDuration(text))).toContain(`'${text}' is no duration`);
  });

  test('of any number and unit is their product', () => {
    const units = fc.constantFrom(['ms', 1], ['s', 1000], ['m', 60_000], ['h', 3_600_000], [
      '',
      1000,
    ] as const);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), units, (count, [unit, each]) => {
        expect(parseDuration(`${count}${unit}`)).toBe(count * Number(each));
      }),
    );
  });
});

describe('a count', () => {
  test.each([
    ['1', 1],
    ['007', 7],
    ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%s is taken', (text, value) => {
    expect(parseCount(text, 'number of hits')).toBe(value);
  });

  test.each(['', '0', '-1', '1.5', '1e3', '0x10', ' 1', 'ten', '9007199254740992', '1'.repeat(400)])(
    '%j is refused by its name',
    (text) => {
      expect(refused(() => parseCount(text, 'number of hits'))).toContain('is no number of hits');
    },
  );
});

describe('a list of CPUs', () => {
  test('is the set of the numbers and ranges in it, ascending', () => {
    const part = fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 8 }));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
        const text = parts
          .map(([first, more]) => (more === 0 ? `${first}` : `${first}-${first + more}`))
          .join(',');
        const expected = new Set<number>();
        for (const [first, more] of parts) for (let i = first; i <= first + more; i++) expected.add(i);
        expect(parseCpus(text)).toEqual([...expected].sort((a, b) => a - b));
      }),
    );
  });

  test.each(['', ',', '0,', ',1', '1-', '-1', '3-1', 'a', '0 1', '0, 1', '1-2-3', '0x1', '1.5', '1234567'])(
    '%j is refused, quoted',
    (text) => {
      expect(refused(() => parseCpus(text))).toContain(`'${text}' is no list of CPUs`);
    },
  );
});
