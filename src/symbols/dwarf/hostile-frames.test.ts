import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { decompress } from '../../api/decompress.ts';
import { type ByteSource, bytesSource } from '../../base/byte-source.ts';
import { openDebugInfo } from '../debug-info.ts';
import { ElfError } from '../elf-error.ts';
import { ElfFile } from '../elf-file.ts';
import { CodeFrames } from './code-frames.ts';

// Real programs with bytes of their debug information changed: whatever they say then, every address is answered.

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-hostile-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

fs.writeFileSync(
  path.join(folder, 'a.c'),
  `static inline int low(int a, int b) { return a < b ? a : b; }
static inline int clamp(int v, int a, int b) { return low(v < a ? a : v, b); }
volatile int g;
__attribute__((noinline)) int worker(int n) { int s = 0; for (int i = 0; i < n; i++) s += clamp(i, 1, 100); return s; }
int main(int c, char **v) { g = worker(c) + clamp(c, 2, 9); return 0; }
`,
);

const programs = [
  { name: 'gcc-5', command: 'gcc -O2 -g -gdwarf-5 a.c -o gcc-5' },
  { name: 'gcc-4', command: 'gcc -O2 -g -gdwarf-4 -ffunction-sections a.c -o gcc-4' },
  { name: 'clang-5', command: 'clang -O2 -g -gdwarf-5 a.c -o clang-5' },
  {
    name: 'split-5',
    command: 'clang -O2 -g -gdwarf-5 -gsplit-dwarf -c a.c -o split.o && clang split.o -o split-5',
    part: 'split.dwo',
  },
  {
    name: 'split-4',
    command: 'gcc -O2 -g -gdwarf-4 -gsplit-dwarf -c a.c -o split4.o && gcc split4.o -o split-4',
    part: 'split4.dwo',
  },
  { name: 'packed', command: 'gcc -O2 -g -gz a.c -o packed' },
];

const debugSections = [
  'info',
  'abbrev',
  'line',
  'aranges',
  'rnglists',
  'ranges',
  'addr',
  'str_offsets',
  'line_str',
];

/** Where the debug sections are in the file: what is changed. */
function debugRanges(bytes: Uint8Array, file: ElfFile): { start: number; end: number }[] {
  const names = debugSections.flatMap((name) => [`.debug_${name}`, `.debug_${name}.dwo`]);
  const ranges: { start: number; end: number }[] = [];
  for (const name of names) {
    const section = file.section(name);
    if (section === undefined || section.sizeBytes === 0) continue;
    const start = Buffer.from(bytes).indexOf(section.read(0, section.sizeBytes));
    if (start >= 0) ranges.push({ start, end: start + section.sizeBytes });
  }
  // Compressed ones are not to be found as they are: then anything behind the code.
  return ranges.length > 0 ? ranges : [{ start: 0x3000, end: bytes.length }];
}

const change = fc.record({
  section: fc.nat(),
  place: fc.nat(),
  width: fc.constantFrom(1, 1, 2, 4, 8),
  value: fc.oneof(
    fc.constantFrom(0n, 1n, 0x7fn, 0xffn, 0xffff_ffffn, 0xffff_fff0n, 1n << 31n, (1n << 64n) - 1n),
    fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  ),
});

describe.each(programs)('$name', ({ name, command, part }) => {
  const compiler = command.split(' ')[0] ?? '';
  const isThere = ['/usr/bin', '/usr/local/bin', '/bin'].some((bin) => fs.existsSync(`${bin}/${compiler}`));
  if (!isThere) console.log(`skipped: changed debug information of ${name}: ${compiler} is not there`);

  test.skipIf(!isThere)('with any bytes changed answers every address', { timeout: 60_000 }, () => {
    execFileSync('sh', ['-c', command], { cwd: folder, stdio: 'pipe' });
    const programPath = path.join(folder, name);
    const partPath = part === undefined ? programPath : path.join(folder, part);
    const program = new Uint8Array(fs.readFileSync(programPath));
    const original = new Uint8Array(fs.readFileSync(partPath));
    const ranges = debugRanges(original, ElfFile.open(bytesSource(original), name, decompress));
    const symbols = ElfFile.open(bytesSource(program), name).symbols();
    const [main] = symbols.find('main');
    const [worker] = symbols.find('worker');
    if (main === undefined || worker === undefined) throw new Error('no symbols');
    let answered = 0;
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
        const bytes = original.slice();
        for (const { section, place, width, value } of changes) {
          const { start, end } = ranges[section % ranges.length] ?? { start: 0, end: 1 };
          const at = start + (place % (end - start));
          for (let i = 0; i < width && at + i < bytes.length; i++)
            bytes[at + i] = Number((value >> BigInt(i * 8)) & 255n);
        }
        const files = new Map<string, ByteSource>([[partPath, bytesSource(bytes)]]);
        const opened = bytesSource(part === undefined ? bytes : program);
        const access = { openPath: (file: string) => files.get(path.normalize(file)), decompress };
        try {
          const { info } = openDebugInfo(ElfFile.open(opened, programPath, decompress), programPath, access);
          if (info !== undefined) {
            const frames = new CodeFrames(info);
            for (const symbol of [main, worker]) {
              for (let i = 0n; i < 40n; i++) answered += frames.at(symbol.value + i).length > 0 ? 1 : 0;
            }
            for (const address of [0n, 1n, 0x40_0000n, 1n << 47n, 1n << 63n, (1n << 64n) - 1n])
              frames.at(address);
          }
        } catch (error) {
          if (!(error instanceof ElfError)) throw error;
        }
      }),
      { numRuns: 600 },
    );
    // Most changes leave most answers.
    expect(answered).toBeGreaterThan(1_000);
  });
});
