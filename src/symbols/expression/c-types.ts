import type { BaseEncoding, TypeDescription } from '../types.ts';

/**
 * The types that need no debug information to be known, in the spellings that people use: C's, those of stdint.h and
 * Rust's. Sizes are those of 64-bit Linux (LP64). `undefined` for another.
 */
export function plainType(path: readonly string[], keyword: string | undefined): TypeDescription | undefined {
  const [name, more] = path;
  if (name === undefined || more !== undefined || keyword !== undefined) return undefined;
  if (name === 'void') return { kind: 'void', name, byteSize: 0 };
  const fixed = /^(u?)int(8|16|32|64)_t$/.exec(name) ?? /^([ui])(8|16|32|64|128)$/.exec(name);
  if (fixed !== null) return base(name, Number(fixed[2]) / 8, fixed[1] === 'u' ? 'unsigned' : 'signed');
  const known = others.get(name);
  if (known !== undefined) return base(name, ...known);
  const words = name.split(' ');
  const count = (word: string): number => words.filter((one) => one === word).length;
  const sign = count('unsigned') > 0 ? 'unsigned' : 'signed';
  if (!words.every((word) => integerWords.has(word))) return undefined;
  if (count('char') > 0) return base(name, 1, sign === 'unsigned' ? 'unsigned-char' : 'signed-char');
  if (count('short') > 0) return base(name, 2, sign);
  return base(name, count('long') > 0 ? 8 : 4, sign);
}

const integerWords = new Set(['unsigned', 'signed', 'long', 'short', 'int', 'char']);
const others: ReadonlyMap<string, readonly [number, BaseEncoding]> = new Map([
  ['float', [4, 'float']],
  ['double', [8, 'float']],
  ['long double', [16, 'float']],
  ['_Bool', [1, 'boolean']],
  ['bool', [1, 'boolean']],
  ['size_t', [8, 'unsigned']],
  ['ssize_t', [8, 'signed']],
  ['uintptr_t', [8, 'unsigned']],
  ['intptr_t', [8, 'signed']],
  ['usize', [8, 'unsigned']],
  ['isize', [8, 'signed']],
  ['f32', [4, 'float']],
  ['f64', [8, 'float']],
]);

function base(name: string, byteSize: number, encoding: BaseEncoding): TypeDescription {
  return { kind: 'base', name, byteSize, encoding };
}
