import { expect, test } from 'vitest';
import type { ArrayType, TypeDescription } from '../symbols/types.ts';
import type { PlannedWatch } from './plan.ts';
import { sliceElement, type WatchedSlice } from './slice-element.ts';

const int: TypeDescription = { kind: 'base', name: 'int', byteSize: 4, encoding: 'signed' };
const type: ArrayType = {
  kind: 'array',
  name: 'int[4]',
  byteSize: 16,
  element: int,
  count: 4,
  vector: false,
};
const slice: WatchedSlice = { of: 'a', address: 0x1000n, lenBytes: 16, from: 2n, type };
const watch: PlannedWatch = { text: 'a[4:6]', address: 0x1008n, lenBytes: 8, access: 'w', slice };
const value = {
  ...{ before: { low: 1, high: 2 }, after: { low: 1, high: 9 } },
  ...{ from: 'stored' as const, exact: false, gap: false },
};

test('an access to one element has its value, certain where the whole element was accessed', () => {
  expect(sliceElement(watch, slice, value, { from: 4, to: 8, exact: true })).toEqual({
    element: { text: 'a[5]', address: 0x100cn, lenBytes: 4, type: int },
    value: { ...value, before: { low: 2, high: 0 }, after: { low: 9, high: 0 }, exact: true },
  });
  expect(sliceElement(watch, slice, value, { from: 5, to: 6, exact: true })).toMatchObject({
    element: { text: 'a[5]' },
    value: { exact: false },
  });
});

test('an access that begins before the register or ends behind it is cut', () => {
  expect(sliceElement(watch, slice, value, { from: -8, to: 4, exact: true }).element.text).toBe('a[4]');
  expect(sliceElement(watch, slice, value, { from: 4, to: 20, exact: true }).element.text).toBe('a[5]');
  expect(sliceElement(watch, slice, value, { from: 0, to: 16, exact: true }).element.text).toBe('a[4:6]');
});

test('without the access, what changed tells; without a change, all that the register holds', () => {
  expect(sliceElement(watch, slice, value, undefined).element.text).toBe('a[5]');
  expect(sliceElement(watch, slice, { ...value, after: value.before }, undefined)).toEqual({
    element: { text: 'a[4:6]', address: 0x1008n, lenBytes: 8, type: undefined },
    value: { ...value, after: value.before },
  });
  expect(sliceElement(watch, slice, undefined, undefined).element.text).toBe('a[4:6]');
});
