import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CodeReader } from './code-reader.ts';
import { type AccessQuery, findAccessingInstruction } from './find-accessing-instruction.ts';
import { FunctionSweeps } from './function-sweeps.ts';
import { createIcedDecoder, type IcedModule } from './iced-decoder.ts';

/** Loops, stores of all widths, calls, atomics, string instructions, vectors and a switch. */
const program = `
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <stdio.h>
struct node { struct node *next; uint64_t key; uint16_t tag; uint8_t flags[6]; };
volatile uint32_t counter; uint64_t table[256]; static _Thread_local int mine; struct node *list;
float samples[1024], sums[1024]; char text[512]; long (*hook)(long);
__attribute__((noinline)) void insert(uint64_t key) {
  struct node *n = malloc(sizeof *n); if (!n) abort();
  n->next = list; n->key = key; n->tag = key ^ 7; memset(n->flags, (int)key, sizeof n->flags); list = n; counter++;
}
__attribute__((noinline)) void add(int count) { for (int i = 0; i < count; i++) sums[i] += samples[i] * 2.5f; }
__attribute__((noinline)) long pick(int what, long value) {
  switch (what) { case 0: table[value & 255] = value; return 1; case 1: table[1] += value; return 2;
    case 2: __atomic_fetch_add(&counter, 1, __ATOMIC_SEQ_CST); return 3; case 3: mine = value; return 4;
    case 4: return __sync_val_compare_and_swap(&table[3], value, value + 1); case 5: return hook(value);
    case 6: table[4] = table[5] ^ table[6]; return 7; default: return __atomic_exchange_n(&table[7], value, __ATOMIC_SEQ_CST); }
}
__attribute__((noinline)) void fill(char *to, unsigned long count) { __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0) : "memory"); }
__attribute__((noinline)) long many(long a, long b, long c, long d, long e, long f, long g, struct node by) {
  table[8] = a + g; return pick(a, b) + pick(c, d) + pick(e, f) + by.key;
}
static int compare(const void *a, const void *b) { counter++; return *(const int *)a - *(const int *)b; }
int main(int argc, char **argv) {
  int numbers[64]; for (int i = 0; i < 64; i++) numbers[i] = (i * 37) ^ argc;
  qsort(numbers, 64, sizeof(int), compare); for (int i = 0; i < argc; i++) insert(numbers[i]);
  add(1024); fill(text, sizeof text); snprintf(text, sizeof text, "%d %s", numbers[3], argv[0]);
  struct node by = { list, 4, 2, {1} }; return (int)many(1, 2, 3, 4, 5, 6, argc, by);
}`;

interface Line {
  readonly address: bigint;
  readonly lengthBytes: number;
  readonly text: string;
}
interface Listing {
  readonly functionStart: bigint;
  readonly lines: Line[];
}

/** The functions of `objdump -d --show-raw-insn -w` output. */
function parseListing(output: string): Listing[] {
  const functions: Listing[] = [];
  for (const row of output.split('\n')) {
    const head = /^([0-9a-f]+) <.*>:$/.exec(row);
    if (head !== null) functions.push({ functionStart: BigInt(`0x${head[1]}`), lines: [] });
    const line = /^\s*([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t(.*)$/.exec(row);
    if (line === null) continue;
    functions.at(-1)?.lines.push({
      address: BigInt(`0x${line[1]}`),
      lengthBytes: (line[2] ?? '').trim().split(' ').length,
      text: (line[3] ?? '').trim(),
    });
  }
  return functions;
}

/**
 * Whether objdump's text shows a store, judged by the text alone: pushes, string stores, and a last operand in memory
 * of an instruction that is not known to only read it. Calls and jumps are no question here.
 */
function storesByText(text: string): boolean {
  const plain = text
    .replace(/\s*(?:#|<).*$/, '')
    .replace(/^(?:(?:lock|repn?z?|data16|notrack|cs|bnd|xacquire|xrelease)\s+)+/, '');
  const mnemonic = plain.split(/\s+/)[0] ?? '';
  if (/^push/.test(mnemonic) || /^(?:stos|movs[bwlq]? )/.test(plain)) return true;
  if (
    /^(?:call|j|cmp|test|lea|nop|bt[wlq]?$|prefetch|ret|ucomis|comis|v?u?comis|div|idiv|mul|imul$|leave|pop|endbr|scas|lods|cmps)/.test(
      mnemonic,
    )
  )
    return false;
  const last = /(?:^|[\s,])((?:%[a-z]s:)?(?:-?0x[0-9a-f]+)?(?:\([^)]*\))?)$/.exec(plain)?.[1] ?? '';
  const hasMemory = last.includes('(') || /^(?:%[fg]s:|0x)/.test(last);
  if (!hasMemory) return false;
  // One operand in memory: inc, dec, not, neg, set… store it; floating-point loads do not.
  if (!plain.includes(','))
    return /^(?:inc|dec|not|neg|set|fst|fist|fnst|sh|sa|ro|movnt|xsave|fxsave)/.test(mnemonic);
  return true;
}

/** Whether objdump's text shows an instruction that only moves values between registers. */
function touchesNoMemory(text: string): boolean {
  return (
    /^(?:mov|add|sub|xor|and|or|cmp|test|shl|shr|sar|inc|dec|imul|lea|nop|xchg|movslq|movz.l|cmov..?|set..?)[bwlq]? +(?:\$?[^()]*,)?%[a-z0-9]+$/.test(
      text,
    ) && !/%[fg]s:|(?:^|[ ,])0x/.test(text)
  );
}

function perSite(timeNs: bigint, sites: number): string {
  return (Number(timeNs) / Math.max(1, sites) / 1000).toFixed(1);
}

function hasTool(name: string): boolean {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** The bytes of the loadable segments of an ELF64 file at their own addresses. */
function fileReader(path: string): CodeReader {
  const file = readFileSync(path);
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const segments: { address: bigint; bytes: Uint8Array }[] = [];
  const table = Number(view.getBigUint64(32, true));
  for (let i = 0; i < view.getUint16(56, true); i++) {
    const at = table + i * view.getUint16(54, true);
    if (view.getUint32(at, true) !== 1) continue;
    const offset = Number(view.getBigUint64(at + 8, true));
    const sizeBytes = Number(view.getBigUint64(at + 32, true));
    segments.push({
      address: view.getBigUint64(at + 16, true),
      bytes: file.subarray(offset, offset + sizeBytes),
    });
  }
  return {
    code(address, lengthBytes) {
      for (const segment of segments) {
        const offset = address - segment.address;
        if (offset < 0n || offset >= BigInt(segment.bytes.length)) continue;
        return segment.bytes.subarray(Number(offset), Number(offset) + lengthBytes);
      }
      return undefined;
    },
  };
}

const iced: IcedModule = createRequire(import.meta.url)('iced-x86');
const missing = ['gcc', 'objdump'].filter((tool) => !hasTool(tool));
if (process.arch !== 'x64') missing.push('an x86-64 machine');
if (missing.length > 0) console.log(`skipped: compiled code against objdump needs ${missing.join(', ')}`);

/** The watched block that `instruction` would hit: where its operand is known, there; else anywhere. */
function watchFor(
  decoder: ReturnType<typeof createIcedDecoder>,
  reader: CodeReader,
  line: Line,
): AccessQuery['watch'] {
  const code = reader.code(line.address, line.lengthBytes);
  const stores =
    code && decoder.decode(code, line.address)?.operands.find((operand) => operand.access !== 'r');
  return { address: stores?.address ?? 0x7000_0000n, lenBytes: 1, access: 'w' };
}

describe.skipIf(missing.length > 0)('compiled code, against objdump', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trapline-instructions-'));
  const decoder = createIcedDecoder(iced);
  beforeAll(() => writeFileSync(join(folder, 'program.c'), program));
  afterAll(() => {
    decoder.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const builds: [name: string, flags: string[]][] = [
    ['-O2', ['-O2']],
    ['-O3 with AVX2', ['-O3', '-mavx2', '-ftree-vectorize']],
    ['-O2 static', ['-O2', '-static']],
  ];
  for (const [name, flags] of builds) {
    it(`names every store of a program built with ${name}`, (context) => {
      const path = join(folder, name.replaceAll(' ', '_'));
      try {
        execFileSync('gcc', [...flags, '-o', path, join(folder, 'program.c'), '-pthread'], { stdio: 'pipe' });
      } catch (error) {
        console.log(`skipped ${name}: gcc cannot build it (${String(error).split('\n')[1] ?? ''})`);
        return context.skip();
      }
      const output = execFileSync('objdump', ['-d', '--show-raw-insn', '-w', '-j', '.text', path], {
        encoding: 'utf8',
        maxBuffer: 1 << 28,
      });
      const listings = parseListing(output);
      const reader = fileReader(path);
      const sweeps = new FunctionSweeps(reader, decoder);
      let stores = 0;
      let proven = 0;
      let repAtIp = 0;
      let registersOnly = 0;
      const wronglyNamed: string[] = [];
      let votedRight = 0;
      let votedWrong = 0;
      let votesAsked = 0;
      let sweepNs = 0n;
      let knownNs = 0n;
      let voteNs = 0n;
      const unnamed: string[] = [];
      for (const { functionStart, lines } of listings) {
        for (const line of lines) {
          const ip = line.address + BigInt(line.lengthBytes);
          if (touchesNoMemory(line.text)) {
            registersOnly++;
            const query: AccessQuery = {
              ip,
              functionStart,
              watch: { address: 0x7000_0000n, lenBytes: 8, access: 'rw' },
            };
            const found = findAccessingInstruction(query, reader, decoder, sweeps);
            if (found !== undefined && found.address !== ip)
              wronglyNamed.push(`${line.text} -> ${found.text}`);
          }
          if (!storesByText(line.text)) continue;
          stores++;
          const watch = watchFor(decoder, reader, line);
          const before = process.hrtime.bigint();
          const found = findAccessingInstruction({ ip, functionStart, watch }, reader, decoder, sweeps);
          const between = process.hrtime.bigint();
          sweepNs += between - before;
          findAccessingInstruction({ ip, functionStart, watch }, reader, decoder, sweeps);
          knownNs += process.hrtime.bigint() - between;
          if (found?.certain === true) proven++;
          // Where a rep instruction stands at ip, it is taken for the likelier.
          const isRepAtIp = found?.address === ip && found.text.startsWith('rep');
          if (isRepAtIp) repAtIp++;
          if (found?.address !== line.address && !isRepAtIp)
            unnamed.push(`${line.address.toString(16)} ${line.text} -> ${found?.text}`);
          if (found !== undefined && found.address === line.address) expect(found.access).not.toBe('r');
          if (stores % 7 !== 0) continue;
          votesAsked++;
          const voteFrom = process.hrtime.bigint();
          const voted = findAccessingInstruction({ ip, functionStart: undefined, watch }, reader, decoder);
          voteNs += process.hrtime.bigint() - voteFrom;
          if (voted?.address === line.address) votedRight++;
          else if (voted !== undefined && voted.address !== ip) votedWrong++;
        }
      }
      console.log(
        `${name}: ${stores - unnamed.length} of ${stores} stores named in ${listings.length} functions, ${proven} proven, ${repAtIp} taken for the rep behind; ` +
          `${wronglyNamed.length} of ${registersOnly} instructions without memory named; ` +
          `without function starts ${votedRight} of ${votesAsked} named, ${votedWrong} wrongly; µs a site: ` +
          `${perSite(sweepNs, stores)} first time, ${perSite(knownNs, stores)} function known, ${perSite(voteNs, votesAsked)} by vote`,
      );
      expect(stores).toBeGreaterThan(20);
      expect(wronglyNamed.slice(0, 40)).toEqual([]);
      expect(unnamed.slice(0, 40)).toEqual([]);
      expect(votedWrong * 100).toBeLessThanOrEqual(votesAsked);
    });
  }
});
