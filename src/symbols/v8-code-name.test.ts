import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseV8CodeName } from './v8-code-name.ts';

test.each([
  [
    'JS:~writer file:///tmp/a b/s.js:12:20',
    { function: 'writer', file: 'file:///tmp/a b/s.js', line: 12, column: 20, tier: 'interpreted' },
  ],
  ['JS:*fn /path/x.js:3:5', { function: 'fn', file: '/path/x.js', line: 3, column: 5, tier: 'optimized' }],
  ["JS:*'fn /path/x.js:3:5", { function: 'fn', file: '/path/x.js', line: 3, column: 5, tier: 'optimized' }],
  ['JS:^m node:path:1208:10', { function: 'm', file: 'node:path', line: 1208, column: 10, tier: 'baseline' }],
  ['JS:+m /x.js:1:2', { function: 'm', file: '/x.js', line: 1, column: 2, tier: 'maglev' }],
  [
    'JS:~ /tmp/s.js:5:13',
    { function: '(anonymous)', file: '/tmp/s.js', line: 5, column: 13, tier: 'interpreted' },
  ],
  [
    'JS:~get value /tmp/s.js:2:20',
    { function: 'get value', file: '/tmp/s.js', line: 2, column: 20, tier: 'interpreted' },
  ],
  [
    'JS:^odd name:1:2 /tmp/s.js:2:49',
    { function: 'odd name:1:2', file: '/tmp/s.js', line: 2, column: 49, tier: 'baseline' },
  ],
  ['JS:~evald :1:16', { function: 'evald', line: 1, column: 16, tier: 'interpreted' }],
  ['JS:~f [eval]:1:10', { function: 'f', file: '[eval]', line: 1, column: 10, tier: 'interpreted' }],
  ['LazyCompile:*old /a.js:7', { function: 'old', file: '/a.js', line: 7, tier: 'optimized' }],
  ['Function:~old /a.js:7:1', { function: 'old', file: '/a.js', line: 7, column: 1, tier: 'interpreted' }],
  ['Script:~ /a.js:1:1', { function: '(anonymous)', file: '/a.js', line: 1, column: 1, tier: 'interpreted' }],
  [
    'Eval:~ /tmp/s.js:1:1',
    { function: '(anonymous)', file: '/tmp/s.js', line: 1, column: 1, tier: 'interpreted' },
  ],
  ['Builtin:ArrayPrototypePush', { function: 'ArrayPrototypePush', builtin: true }],
  ['BytecodeHandler:LdaNamed', { function: 'BytecodeHandler:LdaNamed', builtin: true }],
  ['RegExp:a+b(c|d)', { function: 'RegExp:a+b(c|d)' }],
  ['void Foo::bar(int)', { function: 'void Foo::bar(int)' }],
  ['', { function: '(anonymous)' }],
] as const)('%s', (name, expected) => {
  expect(parseV8CodeName(name)).toEqual(expected);
});

test('any text is a name of something', () => {
  const kinds = fc.constantFrom('JS:', 'JS:~', 'Builtin:', 'Eval:~', '');
  fc.assert(fc.property(kinds, fc.string(), (kind, rest) => parseV8CodeName(kind + rest).function !== ''));
});
