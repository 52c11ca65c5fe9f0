import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bytesSource } from '../src/base/byte-source.ts';
import { DwarfFile } from '../src/symbols/dwarf/dwarf-file.ts';
import { elfDwarfSections } from '../src/symbols/dwarf/sections.ts';
import { ElfFile } from '../src/symbols/elf-file.ts';

// Every entry of real programs, in every layout that the compilers at hand make, against readelf.

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-dwarf-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

const source = `
  struct point { int x, y; unsigned flag : 3; };
  enum colour { red, green = 5 };
  struct point points[4];
  static enum colour shade;
  namespace_begin
  thread_local_word long counter = 3;
  namespace_end
  static int twice(int value) { static int calls; calls++; return value * 2 + calls; }
  int main(int argc, char **argv) { shade = green; points[1].x = twice(argc); return points[1].x + (int)counter; }
`;
const cases = ['gcc', 'g++', 'clang', 'clang++'].flatMap((compiler) =>
  [
    '-gdwarf-4',
    '-gdwarf-5',
    '-gdwarf-5 -fdebug-types-section',
    '-gdwarf-4 -fdebug-types-section',
    '-gdwarf64 -gdwarf-5',
  ].flatMap((format) => ['-O0', '-O2'].map((level) => ({ compiler, flags: [...format.split(' '), level] }))),
);
const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

describe('the entries of a program, against readelf', () => {
  beforeAll(() => {
    fs.writeFileSync(
      path.join(folder, 'p.c'),
      source.replace(/namespace_\w+/g, '').replace('thread_local_word', '_Thread_local'),
    );
    fs.writeFileSync(
      path.join(folder, 'p.cc'),
      source
        .replace('namespace_begin', 'namespace ns {')
        .replace('namespace_end', '} using ns::counter;')
        .replace('thread_local_word', 'thread_local'),
    );
  });

  for (const { compiler, flags } of cases) {
    test(`are all read with their tags and names: ${compiler} ${flags.join(' ')}`, (context) => {
      if (!has(compiler)) context.skip(`${compiler} is not installed`);
      if (!has('readelf')) context.skip('readelf is not installed');
      const program = path.join(folder, `${compiler}${flags.join('')}`);
      const file = path.join(folder, compiler.endsWith('++') ? 'p.cc' : 'p.c');
      const built = spawnSync(compiler, [...flags, '-o', program, file], { encoding: 'utf8' });
      if (built.status !== 0) context.skip(`${compiler} refuses: ${built.stderr.split('\n')[0]}`);
      const expected = readelfEntries(program);
      const found = ourEntries(program);
      expect(found.length).toBeGreaterThan(20);
      expect(found).toEqual(expected);
    });
  }
});

/** "depth tag name", the offset left out: readelf counts those of .debug_types from 0 again. */
function readelfEntries(program: string): string[] {
  const text = execFileSync('readelf', ['--debug-dump=info', '--wide', program], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const entries: string[] = [];
  for (const line of text.split('\n')) {
    const entry = /^\s*<(\w+)><(\w+)>: Abbrev Number: \d+ \((DW_TAG_\w+)\)/.exec(line);
    if (entry !== null) entries.push(`${Number.parseInt(entry[1] ?? '', 16)} ${entry[3]} -`);
    const name = /DW_AT_name\s*:\s*(?:\([^)]*\) )?(?:\([^)]*\): )?(.*?)\s*$/.exec(line);
    if (name !== null) entries.push(`${entries.pop()?.slice(0, -1)}${name[1]}`);
  }
  return entries.sort();
}

function ourEntries(program: string): string[] {
  const elf = ElfFile.open(bytesSource(fs.readFileSync(program)), program);
  const file = new DwarfFile(elfDwarfSections(elf));
  const entries: string[] = [];
  for (const unit of file.units()) {
    const reader = file.read(unit);
    while (reader.next()) {
      const name = reader.string(0x03) ?? '-';
      entries.push(`${reader.depth} ${tagName(reader.tag)} ${name}`);
    }
  }
  expect(file.problem).toBeUndefined();
  return entries.sort();
}

const tags = new Map<number, string>(
  Object.entries(await import('../src/symbols/dwarf/constants.ts')).flatMap(([name, value]) =>
    name.startsWith('DW_TAG_') && typeof value === 'number' ? [[value, name] as const] : [],
  ),
);
// Not read, but met.
for (const [value, name] of [
  [0x18, 'DW_TAG_unspecified_parameters'],
  [0x08, 'DW_TAG_imported_declaration'],
  [0x48, 'DW_TAG_call_site'],
  [0x49, 'DW_TAG_call_site_parameter'],
  [0x4109, 'DW_TAG_GNU_call_site'],
  [0x410a, 'DW_TAG_GNU_call_site_parameter'],
] as const) {
  tags.set(value, name);
}

function tagName(tag: number): string {
  return tags.get(tag) ?? `DW_TAG_${tag.toString(16)}`;
}
