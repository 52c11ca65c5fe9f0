import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { decompress } from '../../api/decompress.ts';
import { createDemangler } from '../../api/demangler.ts';
import type { ByteSource } from '../../base/byte-source.ts';
import { openDebugInfo } from '../debug-info.ts';
import { ElfFile } from '../elf-file.ts';
import { type CodeFrame, CodeFrames } from './code-frames.ts';

// Programs of several compilers, and what llvm-symbolizer says of every third byte of their code.

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'trapline-frames-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));
const demangle = createDemangler();

const sources = {
  'h.h': `static inline int mini(int a, int b) { return a < b ? a : b; }
static inline int maxi(int a, int b) { return a > b ? a : b; }
static inline int clampi(int v, int lo, int hi) { return mini(maxi(v, lo), hi); }
int second(int);
`,
  'a.c': `#include <stdio.h>
#include "h.h"
static volatile int g;
static int cold(int x) { g += x; for (int i = 0; i < x; i++) g ^= i * clampi(i, 0, 7); return g; }
__attribute__((noinline)) int worker(int n) {
  int s = 0;
  for (int i = 0; i < n; i++) { s += clampi(i, 1, 100); if (s > 1000) s = cold(s & 15); }
  return s;
}
int dropped(int q) { return q * clampi(q, 1, 2) + cold(q); }
int main(int c, char **v) { int r = worker(c * 1000); printf("%d %d\\n", r, second(r)); return 0; }
`,
  'b.c': `#include "h.h"
extern int rand(void);
int second(int x) { int k = 0; while (x-- > 0 && k < 1000) { k += clampi(rand(), x, x + 9); } return k; }
`,
  'p.cc': `#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>
namespace app {
struct Limits { int max; std::string name; Limits(int m, const char *n) : max(m), name(n) {} void set(int v) { max = v > 0 ? v : -v; } };
class Registry {
  std::map<std::string, std::unique_ptr<Limits>> m;
public:
  void put(const char *k, int v) { m[k] = std::make_unique<Limits>(v, k); }
  int sum() const { int s = 0; for (auto &[k, v] : m) s += v->max; return s; }
  template <class F> void each(F f) { for (auto &[k, v] : m) f(*v); }
};
namespace { int helper(std::vector<int> &v) { std::sort(v.begin(), v.end(), [](int a, int b) { return a > b; }); return v.empty() ? 0 : v[0]; } }
}
static int fact(int n) { return n < 2 ? 1 : n * fact(n - 1); }
int main(int c, char **) {
  app::Registry r;
  for (int i = 0; i < c * 4; i++) r.put(("k" + std::to_string(i)).c_str(), i * 3);
  r.each([&](app::Limits &l) { l.set(l.max - fact(c)); });
  std::vector<int> v;
  for (int i = 0; i < c * 9; i++) v.push_back((i * 7919) % 31);
  std::cout << r.sum() + app::helper(v) << "\\n";
}
`,
  'm.rs': `use std::collections::HashMap;
struct Cfg { max: u32, name: String }
trait Shape { fn area(&self) -> f64; }
struct Square(f64);
impl Shape for Square { fn area(&self) -> f64 { self.0 * self.0 } }
fn total(v: &[Box<dyn Shape>]) -> f64 { v.iter().map(|s| s.area()).sum() }
fn main() {
    let mut m: HashMap<String, Cfg> = HashMap::new();
    for i in 0..std::env::args().count() as u32 * 5 { m.insert(format!("k{}", i), Cfg { max: i, name: "n".repeat(i as usize) }); }
    let mut v: Vec<_> = m.values().collect();
    v.sort_by_key(|c| c.max);
    println!("{:?} {}", v.iter().map(|c| c.max as usize + c.name.len()).max(), total(&[Box::new(Square(v.len() as f64))]));
}
`,
};
for (const [name, text] of Object.entries(sources)) fs.writeFileSync(path.join(folder, name), text);

const c = 'a.c b.c';
/** Built once for the program and its package, which is made last and takes the parts away. */
function splitBuild(compiler: string, version: number): string {
  const name = `split-${compiler}-${version}`;
  return `( test -f ${name} || ( ${compiler} -std=c++17 -O2 -g -gdwarf-${version} -gsplit-dwarf -c p.cc -o ${name}.o && ${compiler} ${name}.o -o ${name} ) )`;
}

function pack(tool: string, compiler: string, version: number): string {
  const [from, to] = [`split-${compiler}-${version}`, `package-${compiler}-${version}`];
  return `cp ${from} ${to} && ${tool} -e ${to} -o ${to}.dwp && rm ${from}.dwo`;
}

/** What is built, by commands separated with "&&"; `llvm`: what the other tool is given, where it cannot read the program itself. */
const programs: readonly { name: string; commands: string; llvm?: string }[] = [
  ...[4, 5].flatMap((version) => [
    { name: `gcc-${version}`, commands: `gcc -O2 -g -gdwarf-${version} ${c} -o gcc-${version}` },
    {
      name: `dropped-${version}`,
      commands: `gcc -O2 -g -gdwarf-${version} -ffunction-sections -Wl,--gc-sections ${c} -o dropped-${version}`,
    },
    { name: `clang-${version}`, commands: `clang -O2 -g -gdwarf-${version} ${c} -o clang-${version}` },
    { name: `g++-${version}`, commands: `g++ -std=c++17 -O2 -g -gdwarf-${version} p.cc -o g++-${version}` },
    {
      name: `clang++-${version}`,
      commands: `clang++ -std=c++17 -O2 -g -gdwarf-${version} p.cc -o clang++-${version}`,
    },
    { name: `split-g++-${version}`, commands: splitBuild('g++', version) },
    { name: `split-clang++-${version}`, commands: splitBuild('clang++', version) },
    {
      name: `package-clang++-${version}`,
      commands: `${splitBuild('clang++', version)} && ${pack('llvm-dwp', 'clang++', version)}`,
    },
  ]),
  { name: 'package-g++-4', commands: `${splitBuild('g++', 4)} && ${pack('dwp', 'g++', 4)}` },
  { name: 'zlib', commands: `gcc -O2 -g -gz=zlib ${c} -o zlib` },
  { name: 'zlib-gnu', commands: `gcc -O2 -g -gz=zlib-gnu ${c} -o zlib-gnu` },
  {
    name: 'zstd',
    commands: `gcc -O2 -g ${c} -o plain && objcopy --compress-debug-sections=zstd plain zstd`,
    llvm: 'plain',
  },
  {
    name: 'linked',
    commands: `gcc -O2 -g ${c} -o linked && objcopy --only-keep-debug linked linked.debug && strip -g linked && objcopy --add-gnu-debuglink=linked.debug linked`,
  },
  {
    name: 'dwz-1',
    commands:
      'g++ -std=c++17 -O2 -g p.cc -o dwz-plain && cp dwz-plain dwz-1 && cp dwz-plain dwz-2 && dwz -m dwz-common dwz-1 dwz-2',
    llvm: 'dwz-plain',
  },
  { name: 'lld', commands: `clang -O2 -g -fuse-ld=lld -ffunction-sections -Wl,--gc-sections ${c} -o lld` },
  { name: 'rust', commands: 'rustc -g -O m.rs -o rust' },
  { name: 'rust-plain', commands: 'rustc -g m.rs -o rust-plain' },
];

function open(file: string): ByteSource | undefined {
  if (!fs.existsSync(file)) return undefined;
  const bytes = fs.readFileSync(file);
  return {
    sizeBytes: bytes.length,
    read: (at, lengthBytes) => new Uint8Array(bytes.subarray(at, at + Math.max(0, lengthBytes))),
  };
}

function framesOf(file: string): { frames: CodeFrames; problem: string | undefined } {
  const source = open(file);
  if (source === undefined) throw new Error(`${file} was not built`);
  const access = { openPath: open, decompress };
  const { info, problem } = openDebugInfo(ElfFile.open(source, file, decompress), file, access);
  if (info === undefined) throw new Error(problem ?? 'no debug information');
  return { frames: new CodeFrames(info), problem };
}

/** Why a program cannot be built here. */
function missingTool(commands: string): string | undefined {
  const tools = commands
    .replace(/test -f \S+ \|\|/g, '')
    .split(' && ')
    .map((command) => command.split(' ').find((word) => /^[a-z]/.test(word) && word !== 'test') ?? '');
  for (const tool of [...tools, 'llvm-symbolizer', 'nm', ...(commands.includes('lld') ? ['ld.lld'] : [])]) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    } catch {
      return tool;
    }
  }
  return undefined;
}

function build(commands: string): void {
  execFileSync('sh', ['-c', commands], { cwd: folder, stdio: 'pipe' });
}

/** Every third byte of every function, at most `most` addresses, each with the names of the functions there. */
function codeAddresses(file: string, most: number): [address: number, names: Set<string>][] {
  const addresses = new Map<number, Set<string>>();
  for (const line of execFileSync('nm', ['-S', '--defined-only', file], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  }).split('\n')) {
    const [, start = '', size = '', name = ''] = /^([0-9a-f]+) ([0-9a-f]+) [tTwW] (.*)/.exec(line) ?? [];
    if (start === '') continue;
    for (let i = 0; i < Number.parseInt(size, 16); i += 3) {
      const address = Number.parseInt(start, 16) + i;
      addresses.set(address, (addresses.get(address) ?? new Set()).add(name));
    }
  }
  const all = [...addresses];
  const step = Math.ceil(all.length / most);
  return all.filter((_, i) => i % step === 0);
}

interface LlvmFrame {
  readonly FunctionName: string;
  readonly FileName: string;
  readonly Line: number;
  readonly Column: number;
}

function llvmFrames(file: string, addresses: readonly number[]): LlvmFrame[][] {
  const output = execFileSync(
    'llvm-symbolizer',
    [`--obj=${file}`, '--inlines', '--output-style=JSON', '--no-demangle'],
    {
      cwd: folder,
      input: addresses.map((address) => `0x${address.toString(16)}\n`).join(''),
      encoding: 'utf8',
      maxBuffer: 1 << 30,
      stdio: ['pipe', 'pipe', 'ignore'],
    },
  );
  // One object a line, or (older) an array of one; the tool's own JSON.
  return output
    .trim()
    .split('\n')
    .map((line) => {
      const parsed = JSON.parse(line) as { Symbol: LlvmFrame[] } | { Symbol: LlvmFrame[] }[];
      return (Array.isArray(parsed) ? parsed[0]?.Symbol : parsed.Symbol) ?? [];
    });
}

/** As text, the place without "." and "x/..", which are left in by the other tool; no column where there is no line. */
function placeText(file: string | undefined, line: number, column: number): string {
  return `${file === undefined || file === '' ? '' : path.posix.normalize(file)}:${line}:${line === 0 ? 0 : column}`;
}

function difference(
  ours: readonly CodeFrame[],
  theirs: readonly LlvmFrame[],
  symbols: ReadonlySet<string>,
): string | undefined {
  const ourText = ours.map((frame) => placeText(frame.file, frame.line ?? 0, frame.column ?? 0)).join(' < ');
  const theirText = theirs.map((frame) => placeText(frame.FileName, frame.Line, frame.Column)).join(' < ');
  if (ourText !== theirText) return `${ourText}\n${theirText}`;
  for (const [i, frame] of ours.entries()) {
    const their = theirs[i]?.FunctionName ?? '';
    const name = frame.function ?? '';
    if (name === their) continue;
    // The outermost one it names by the symbol table: clones have endings, and nameless ones their mangled name.
    // Of identical functions that were made one, it names any.
    const isLast = i === ours.length - 1;
    if (isLast && symbols.has(name) && symbols.has(their)) continue;
    const plain = /^~?\w+/.exec(name)?.[0] ?? name;
    if (isLast && (their.startsWith(`${name}.`) || demangle(their).includes(plain))) continue;
    return `${name}\n${their}`;
  }
  return undefined;
}

describe.each(programs)('$name', ({ name, commands, llvm }) => {
  const missing = missingTool(commands);
  if (missing !== undefined) console.log(`skipped: frames of ${name}: ${missing} is not there`);

  test.skipIf(missing !== undefined)(
    'functions, lines and inlined frames are those of llvm-symbolizer',
    { timeout: 60_000 },
    () => {
      build(commands);
      const file = path.join(folder, name);
      const addresses = codeAddresses(path.join(folder, llvm ?? name), 4_000);
      expect(addresses.length).toBeGreaterThan(50);
      const { frames, problem } = framesOf(file);
      expect(problem).toBeUndefined();
      const theirs = llvmFrames(
        path.join(folder, llvm ?? name),
        addresses.map(([address]) => address),
      );
      const wrong: string[] = [];
      let compared = 0;
      let inlined = 0;
      for (const [i, [address, symbols]] of addresses.entries()) {
        const ours = frames.at(BigInt(address));
        const their = theirs[i] ?? [];
        // Where there are no lines it makes a frame of the symbol table.
        if (ours.length === 0 && their.every((frame) => frame.Line === 0)) continue;
        compared++;
        if (ours.length > 1) inlined++;
        const text = difference(ours, their, symbols);
        if (text !== undefined) wrong.push(`0x${address.toString(16)}\n${text}`);
      }
      expect(frames.problem).toBeUndefined();
      expect(wrong.slice(0, 3), `${wrong.length} of ${compared}`).toEqual([]);
      expect(compared).toBeGreaterThan(addresses.length / 2);
      if (name !== 'rust-plain') expect(inlined).toBeGreaterThan(10);
    },
  );
});
