import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { symbolTools } from '../src/api/symbol-tools.ts';
import { bytesSource } from '../src/base/byte-source.ts';
import { AddressSpace } from '../src/symbols/address-space.ts';
import { ElfFile } from '../src/symbols/elf-file.ts';
import { evaluatePlace } from '../src/symbols/expression/evaluator.ts';
import { parsePlaceExpression } from '../src/symbols/expression/parser.ts';
import type { ResolvedPlace } from '../src/symbols/expression/resolved-place.ts';
import { fileImage } from '../src/symbols/file-image.ts';
import { type TypeDescription, unaliased } from '../src/symbols/types.ts';

// Address and size of every global, member and array element of programs, and the value of every bit-field, against
// what gdb says of the same expressions.

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-gdb-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

interface Program {
  readonly name: string;
  readonly file: string;
  readonly source: string;
  readonly builds: readonly (readonly string[])[];
  /** What is expanded to all its members and elements. */
  readonly roots: readonly string[];
  /** How gdb writes a root, where it is not as we do. */
  readonly inGdb?: (expression: string) => string;
  /** How many expressions there are to compare, at the least. */
  readonly atLeast: number;
}

const formats = ['-gdwarf-4', '-gdwarf-5'];
const levels = ['-O0', '-O2'];
const builds = (compilers: readonly string[], more: readonly string[] = []): string[][] =>
  compilers.flatMap((compiler) =>
    formats.flatMap((format) => levels.map((level) => [compiler, format, level, ...more])),
  );

const programs: readonly Program[] = [
  {
    name: 'C',
    file: 'p.c',
    source: `
      #include <stdint.h>
      struct limits { int min, max; unsigned low : 3, mid : 9; unsigned long wide : 37; signed char sign : 2; };
      enum mode { off, on = 7, broken = -1 };
      union word { uint32_t whole; uint8_t bytes[4]; struct { uint16_t low, high; }; };
      struct __attribute__((packed)) packed { char c; int i; unsigned a : 3, b : 30, d : 7; short s; };
      struct cfg { const char *name; struct limits limits[3]; enum mode mode; union word w; struct { int inner; struct { long deep; }; };
                   struct cfg *next; int (*call)(int); int matrix[2][3]; struct packed packed; double ratio; _Bool flag; long double big; char text[8]; };
      struct cfg config = { .name = "x", .limits = { { 1, 2, 5, 300, 99999999999, -1 }, { 3, 4, 1, 7, 3, 1 } }, .mode = broken, .w.whole = 77,
                            .packed = { 'a', 3, 6, 123456789, 99, 9 }, .text = "hello" };
      static volatile struct limits table[4] = { { .mid = 17, .wide = 12 } };
      const volatile int constant = 4;
      typedef struct cfg cfg_t; cfg_t *volatile pointer = &config;
      volatile int vector __attribute__((vector_size(16)));
      int count(int by) { static int calls = 2; calls += by; { static long inner; inner += by; return calls + (int)inner; } }
      int main(int argc, char **argv) { table[1].max = argc; return count(argc) + config.limits[argc & 1].max + table[argc & 3].min + constant + vector[0] + (pointer != 0); }
    `,
    builds: [
      ...builds(['gcc', 'clang']),
      ['gcc', '-gdwarf-3', '-gstrict-dwarf', '-O0'],
      ['gcc', '-gdwarf-4', '-fdebug-types-section'],
      ['gcc', '-gdwarf-5', '-fdebug-types-section'],
      ['gcc', '-gdwarf-5', '-gsplit-dwarf'],
      ['clang', '-gdwarf-5', '-gsplit-dwarf'],
      ['gcc', '-gdwarf-5', '-gz'],
    ],
    roots: ['config', 'table', 'constant', 'pointer', 'vector', 'count::calls'],
    atLeast: 60,
  },
  {
    name: 'C++',
    file: 'p.cc',
    source: `
      #include <map>
      #include <memory>
      #include <string>
      #include <vector>
      #include <variant>
      struct Base { int id; virtual ~Base() {} };
      struct Left : Base { short left; };
      struct Mixed : Left { static int made; long own; union { int i; float f; }; unsigned bit : 5; };
      int Mixed::made = 3;
      namespace outer { inline namespace v1 { class Counter { public: int value[2]; struct Inner { char tag; int at; } inner; static long total; }; long Counter::total = 9; Counter counter; } }
      namespace { int hidden = 4; volatile struct Local { int x, y; } local_thing; }
      template <int N> struct Boxed { int items[N]; static int seen; }; template <int N> int Boxed<N>::seen = N;
      Boxed<3> boxed; Mixed mixed; std::vector<int> numbers; std::map<std::string, int> names; std::string text = "t";
      std::shared_ptr<int> shared; std::variant<int, double> either; int &reference = hidden;
      int work(int by) { static int calls; struct In { static int f() { static int deep; return ++deep; } }; calls += by + In::f(); return calls; }
      int main(int argc, char **) { hidden += argc; local_thing.y = argc; mixed.own = Mixed::made; boxed.items[argc & 1] = Boxed<3>::seen;
        outer::counter.value[0] = (int)outer::Counter::total; numbers.push_back(work(argc)); names["a"] = reference; return (int)numbers.size(); }
    `,
    builds: builds(['g++', 'clang++'], ['-std=c++17']),
    roots: [
      'mixed',
      'Mixed::made',
      'outer::v1::counter',
      'outer::v1::Counter::total',
      'hidden',
      'local_thing',
      'boxed',
      'numbers',
      'names',
      'text',
      'shared',
      'either',
      'work::calls',
    ],
    inGdb: (text) =>
      text
        .replace(/^(hidden|local_thing)/, "'(anonymous namespace)::$1'")
        .replace(/^work::calls/, "'work(int)'::calls"),
    atLeast: 60,
  },
  {
    name: 'Rust',
    file: 'p.rs',
    source: `
      use std::sync::atomic::{AtomicU32, Ordering};
      #[derive(Clone, Copy)] pub struct Limits { pub min: i32, pub max: u64, pub pair: (u8, u16) }
      pub enum Mode { Off, On(u32), Both { a: u8, b: u64 } }
      pub mod inner { use super::*; pub static COUNTER: AtomicU32 = AtomicU32::new(3); pub static mut LIMITS: [Limits; 3] = [Limits { min: 1, max: 2, pair: (3, 4) }; 3]; }
      pub static mut MODE: Mode = Mode::Both { a: 1, b: 2 };
      static NAMES: [&str; 2] = ["a", "b"];
      static mut NUMBERS: &[u16] = &[1, 2, 3];
      fn main() { unsafe { inner::COUNTER.fetch_add(1, Ordering::SeqCst); inner::LIMITS[1].max += std::env::args().count() as u64;
        MODE = if inner::LIMITS[1].max > 3 { Mode::On(4) } else { Mode::Off };
        let n = std::ptr::read_volatile(std::ptr::addr_of!(NUMBERS)); println!("{} {} {}", NAMES[n.len() & 1], inner::LIMITS[1].max, matches!(std::ptr::read_volatile(std::ptr::addr_of!(MODE)), Mode::Off)); } }
    `,
    builds: [
      ['rustc', '-g', '-C', 'opt-level=0'],
      ['rustc', '-g', '-C', 'opt-level=2', '-C', 'codegen-units=1'],
    ],
    roots: ['p::inner::COUNTER', 'p::inner::LIMITS', 'p::MODE', 'p::NAMES', 'p::NUMBERS'],
    atLeast: 20,
  },
];

const has = (program: string): boolean => spawnSync(program, ['--version']).status === 0;

for (const program of programs) {
  describe(`the variables of a program in ${program.name}, against gdb`, () => {
    for (const [i, build] of program.builds.entries()) {
      const [compiler = '', ...flags] = build;
      test(`have the same addresses, sizes and bits: ${build.join(' ')}`, { timeout: 120_000 }, (context) => {
        for (const needed of [compiler, 'gdb']) if (!has(needed)) context.skip(`${needed} is not installed`);
        const own = path.join(folder, `${program.name}${i}`);
        fs.mkdirSync(own);
        fs.writeFileSync(path.join(own, program.file), program.source);
        const built = spawnSync(compiler, [...flags, '-o', path.join(own, 'p'), program.file], {
          cwd: own,
          encoding: 'utf8',
        });
        expect(built.stderr.includes('error') ? built.stderr : '').toBe('');
        compare(program, path.join(own, 'p'));
      });
    }
  });
}

function compare(program: Program, file: string): void {
  const bytes = fs.readFileSync(file);
  const elf = ElfFile.open(bytesSource(bytes), file);
  const open = (name: string) => (fs.existsSync(name) ? bytesSource(fs.readFileSync(name)) : undefined);
  const space = new AddressSpace(
    fileImage({
      path: file,
      source: bytesSource(bytes),
      openPath: open,
      resources: { tools: symbolTools() },
    }),
  );
  const places = new Map<string, ResolvedPlace>();
  for (const root of program.roots) {
    const place = evaluatePlace(parsePlaceExpression(root), { space });
    places.set(root, place);
    if (place.type !== undefined) expand(root, place.type, 0, places, space);
  }
  expect(places.size).toBeGreaterThanOrEqual(program.atLeast);
  const lines: string[] = [];
  const expected: string[] = [];
  for (const [text, place] of places) {
    const spelled = program.inGdb?.(text) ?? text;
    if (place.bits === undefined) {
      lines.push(
        `printf "${text} %lu %lu\\n", (unsigned long)&(${spelled}), (unsigned long)sizeof(${spelled})`,
      );
      expected.push(`${text} ${place.address} ${place.lenBytes}`);
    } else {
      lines.push(`printf "${text} %ld\\n", (long)(${spelled})`);
      expected.push(`${text} ${bitsIn(elf, place)}`);
    }
  }
  expect(askGdb(file, program.name === 'C' ? 'c' : 'c++', lines)).toEqual(expected);
}

// gdb 13 does not find the locations that link-time optimisation leaves in another unit than the names: nm does.
test('statics of a program compiled with -flto have the addresses of their symbols', (context) => {
  if (!has('gcc') || !has('nm')) context.skip('gcc or nm is not installed');
  const [c] = programs;
  const file = path.join(folder, 'lto');
  fs.writeFileSync(`${file}.c`, c?.source ?? '');
  execFileSync('gcc', ['-g', '-O2', '-flto', '-o', file, `${file}.c`], { stdio: 'ignore' });
  const symbols = execFileSync('nm', [file], { encoding: 'utf8' });
  const bytes = bytesSource(fs.readFileSync(file));
  const space = new AddressSpace(fileImage({ path: file, source: bytes, openPath: () => undefined }));
  for (const [expression, symbol] of [
    ['table', 'table'],
    ['count::calls', String.raw`calls\.\d+`],
    ['config', 'config'],
  ] as const) {
    const place = evaluatePlace(parsePlaceExpression(expression), { space });
    const address = new RegExp(`^([0-9a-f]+) \\w ${symbol}$`, 'm').exec(symbols)?.[1];
    expect([expression, place.address]).toEqual([expression, BigInt(`0x${address}`)]);
  }
});

// No gdb for arm64 here: the linker's symbols tell addresses and sizes of whole variables.
test('variables of a program for arm64 have the addresses and sizes of their symbols', (context) => {
  const prefix = 'aarch64-linux-gnu-';
  if (!has(`${prefix}gcc`)) context.skip(`${prefix}gcc is not installed`);
  const [c] = programs;
  const file = path.join(folder, 'arm64');
  fs.writeFileSync(`${file}.c`, (c?.source ?? '').replace('long double big', 'double big'));
  for (const format of formats) {
    const flags = [
      '-g',
      format,
      '-O1',
      '-nostdlib',
      '-nostartfiles',
      '-ffreestanding',
      '-static',
      '-Wl,-e,main',
    ];
    execFileSync(`${prefix}gcc`, [...flags, '-o', file, `${file}.c`], { stdio: 'ignore' });
    const symbols = execFileSync(`${prefix}nm`, ['-S', file], { encoding: 'utf8' });
    const bytes = bytesSource(fs.readFileSync(file));
    const space = new AddressSpace(fileImage({ path: file, source: bytes, openPath: () => undefined }));
    expect(space.modules()[0]?.file?.machine).toBe('arm64');
    for (const name of ['config', 'table', 'constant', 'pointer', 'vector']) {
      const place = evaluatePlace(parsePlaceExpression(name), { space });
      const [, address, size] = new RegExp(`^([0-9a-f]+) ([0-9a-f]+) \\w ${name}$`, 'm').exec(symbols) ?? [];
      expect([name, place.address, place.lenBytes]).toEqual([
        name,
        BigInt(`0x${address}`),
        Number(`0x${size}`),
      ]);
    }
    const first = evaluatePlace(parsePlaceExpression('table'), { space }).address;
    expect(evaluatePlace(parsePlaceExpression('table[2].max'), { space })).toMatchObject({
      address: first + 36n,
      lenBytes: 4,
    });
  }
});

/** What gdb prints for each command; an error of one does not end the others. */
function askGdb(file: string, language: string, commands: readonly string[]): string[] {
  const script = `${file}.py`;
  fs.writeFileSync(
    script,
    `import gdb\ngdb.execute("set language ${language}")\nfor line in ${JSON.stringify(commands)}:\n  try:\n    print(gdb.execute(line, to_string=True).rstrip())\n  except gdb.error as e:\n    print(line + ": " + str(e))\n`,
  );
  const out = execFileSync('gdb', ['-nx', '-batch', '-iex', 'set auto-load off', '-x', script, file], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return out.split('\n').filter((line) => line !== '');
}

/** A bit-field as the file holds it before the program runs. */
function bitsIn(elf: ElfFile, { address, lenBytes, bits, type }: ResolvedPlace): bigint {
  const bytes = elf.read(address, lenBytes);
  let value = 0n;
  for (let i = lenBytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] ?? 0);
  const field = BigInt.asUintN(bits?.size ?? 0, value >> BigInt(bits?.offset ?? 0));
  const base = type === undefined ? undefined : unaliased(type);
  const signed = base?.kind === 'base' && base.encoding.startsWith('signed');
  return signed ? BigInt.asIntN(bits?.size ?? 0, field) : field;
}

/** All members and elements below `text`, as expressions; pointers are not followed. */
function expand(
  text: string,
  type: TypeDescription,
  depth: number,
  places: Map<string, ResolvedPlace>,
  space: AddressSpace,
): void {
  if (depth > 6 || places.size > 1_500) return;
  const inner = unaliased(type);
  const add = (expression: string, part: TypeDescription): void => {
    places.set(expression, evaluatePlace(parsePlaceExpression(expression), { space }));
    expand(expression, part, depth + 1, places, space);
  };
  if (inner.kind === 'array' && !inner.vector) {
    for (let i = 0; i < Math.min(inner.count ?? 0, 4); i++) add(`${text}[${i}]`, inner.element);
  }
  if (inner.kind !== 'struct') return;
  const names = new Set<string>();
  const addMembers = (struct: TypeDescription): void => {
    const of = unaliased(struct);
    if (of.kind !== 'struct') return;
    for (const member of of.members) {
      if (member.isBaseClass || member.name === undefined) addMembers(member.type);
      else if (!names.has(member.name) && member.name !== '' && !member.name.startsWith('_vptr')) {
        names.add(member.name);
        // Empty members have no place of their own for gdb.
        if (member.storageBytes > 0) add(`${text}.${member.name}`, member.type);
      }
    }
  };
  addMembers(inner);
}
