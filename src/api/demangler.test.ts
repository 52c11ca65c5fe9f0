import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createDemangler, longestDemangled } from './demangler.ts';

const demangle = createDemangler();

test.each([
  ['_ZN3foo3barEi', 'foo::bar(int)'],
  ['_ZNSt6vectorIiSaIiEE9push_backERKi', 'std::vector<int, std::allocator<int> >::push_back(int const&)'],
  ['_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE', 'core::fmt::Write::write_fmt'],
  ['_RNvCs1234_7mycrate3foo', 'mycrate::foo'],
  ['_ZTVN3foo3BarE', 'vtable for foo::Bar'],
  ['_ZTTN3foo3BarE', 'VTT for foo::Bar'],
  ['_Z11AfterColourB5cxx11', 'AfterColour[abi:cxx11]'],
  ['_ZN1aIJiEJEE1bE', 'a<int>::b'],
  ['_ZN3foo3barEi.part.0', 'foo::bar(int) [clone .part.0]'],
  ['main', 'main'],
  ['_ZN', '_ZN'],
  ['_Z', '_Z'],
  ['_R', '_R'],
  ['', ''],
])('%s is %s', (mangled, text) => {
  expect(demangle(mangled)).toBe(text);
});

test('a name that would become a gigabyte stays as it is, and the next one is read', () => {
  const substitution = (index: number): string =>
    index === 0 ? 'S_' : `S${(index - 1).toString(36).toUpperCase()}_`;
  let bomb = '_Z1f1AIiiE';
  for (let i = 0; i < 40; i++) bomb += `S_I${substitution(i + 1)}${substitution(i + 1)}E`;
  expect(demangle(bomb)).toBe(bomb);
  expect(demangle('_Z3fooi')).toBe('foo(int)');
});

test('any text is a name: what comes back is text of bounded length', () => {
  const part = fc.constantFrom(
    'N',
    'S_',
    'S0_',
    'I',
    'E',
    'T_',
    'P',
    'R',
    '3foo',
    'St',
    'Z',
    'v',
    'C1',
    'B_',
    'Cs',
    '_',
    'L',
    'X',
    'D',
  );
  fc.assert(
    fc.property(
      fc.constantFrom('_Z', '_R', '_ZN', '_RNv'),
      fc.oneof(
        fc.array(part, { maxLength: 200 }).map((parts) => parts.join('')),
        fc.string({ unit: 'binary', maxLength: 100 }),
      ),
      (prefix, rest) => {
        const text = demangle(prefix + rest);
        expect(text.length).toBeLessThanOrEqual(longestDemangled);
      },
    ),
    { numRuns: 2_000 },
  );
});

/** Without what c++filt adds to a function: its return type, and the hashes of Rust crates. */
function qualifiedNames(file: string): { mangled: string; expected: string }[] {
  const listed = execFileSync('nm', ['-D', '--defined-only', file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  const mangled = [...new Set([...listed.matchAll(/ (_Z[^\s@]+)/g)].flatMap((match) => match[1] ?? []))];
  const texts = execFileSync('c++filt', ['--no-params'], {
    input: mangled.join('\n'),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  }).split('\n');
  return mangled.map((name, i) => ({ mangled: name, expected: texts[i] ?? '' }));
}

const library = '/usr/lib/x86_64-linux-gnu/libstdc++.so.6';
const skip = ['/usr/bin/nm', '/usr/bin/c++filt', library].find((file) => !fs.existsSync(file));
if (skip !== undefined) console.log(`skipped: comparing with c++filt needs ${skip}`);

test.skipIf(skip !== undefined)('names of the C++ library read as c++filt writes them', () => {
  const names = qualifiedNames(library);
  expect(names.length).toBeGreaterThan(4_000);
  // The library spells the standard's short names out less: std::ostream for std::basic_ostream<char, …>.
  const short = (text: string): string =>
    text
      .replaceAll('std::basic_string<char, std::char_traits<char>, std::allocator<char> >', 'std::string')
      .replaceAll(/std::basic_([io]|io)stream<char, std::char_traits<char> >/g, 'std::$1stream')
      .replaceAll(/::basic_([io]|io)stream\b/g, '::$1stream')
      .replaceAll('::basic_string', '::string')
      .replaceAll(' ', '');
  const wrong = names.filter(
    ({ mangled, expected }) => !short(demangle(mangled)).startsWith(short(expected)),
  );
  const share = wrong.length / names.length;
  expect(
    share,
    wrong
      .slice(0, 5)
      .map(({ mangled, expected }) => `${demangle(mangled)}\n${expected}`)
      .join('\n'),
  ).toBeLessThan(0.02);
});
