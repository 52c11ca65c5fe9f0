import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { describeWith } from './support/machine.ts';
import { root, run } from './support/process.ts';
import { programs } from './support/programs.ts';

const dist = (file: string): string => JSON.stringify(pathToFileURL(path.join(root, 'dist/api', file)).href);

/** A hit as the script below prints it. */
interface PrintedHit {
  readonly watch: string;
  readonly tid: number;
  readonly cpu: number;
  readonly symbol: string;
  readonly kernel: boolean;
  /** Hexadecimal. */
  readonly before: string | undefined;
  readonly after: string | undefined;
  readonly from: string | undefined;
  readonly exact: boolean;
  readonly gap: boolean;
}

/** Watches a command through the API with values, on a surface with or without bpf. */
async function hitsOf(
  what: readonly string[],
  command: readonly string[],
  options: { readonly bpf: boolean },
): Promise<{ hits: PrintedHit[]; others: string[] }> {
  const script = path.join(programs.folder, 'values.mjs');
  fs.writeFileSync(
    script,
    `import { watch } from ${dist('index.js')};
import { machineSurface } from ${dist('machine-surface.js')};
const [bpf, what, ...command] = process.argv.slice(2);
const { bpf: programs, ...rest } = machineSurface();
const surface = bpf === 'bpf' ? machineSurface() : rest;
const hex = (words) => words === undefined ? undefined : (BigInt(words.high) << 32n | BigInt(words.low)).toString(16);
for await (const batch of watch({ surface, command, what: what.split(' '), values: true }))
  for (const { watch: { text }, tid, cpu, code, value } of batch.hits()) {
    const { before, after, from, exact, gap } = value;
    console.log('HIT ' + JSON.stringify({ watch: text, tid, cpu, symbol: code.location.symbol, kernel: code.kernel,
      before: hex(before), after: hex(after), from, exact, gap }));
  }
`,
  );
  const result = await run(process.execPath, [
    script,
    options.bpf ? 'bpf' : 'registers',
    what.join(' '),
    ...command,
  ]);
  expect(result.stderr).toBe('');
  const lines = result.stdout.trimEnd().split('\n');
  return {
    // The script above prints this shape.
    hits: lines
      .filter((line) => line.startsWith('HIT '))
      .map((line) => JSON.parse(line.slice(4)) as PrintedHit),
    others: lines.filter((line) => !line.startsWith('HIT ')),
  };
}

/** A line of instructions.c. */
interface Instruction {
  readonly name: string;
  readonly offset: number;
  readonly lenBytes: number;
  readonly before: bigint;
  readonly after: bigint;
}

function parseInstruction(line: string): Instruction {
  const [name = '', offset, lenBytes, before, after] = line.split('\t');
  return {
    name,
    offset: Number(offset),
    lenBytes: Number(lenBytes),
    before: BigInt(`0x${before}`),
    after: BigInt(`0x${after}`),
  };
}

const pieces = [
  { what: 'place+16/8', offset: 0, lenBytes: 8 },
  { what: 'place+20/4', offset: 4, lenBytes: 4 },
  { what: 'place+18/2', offset: 2, lenBytes: 2 },
  { what: 'place+17/1', offset: 1, lenBytes: 1 },
];

type Piece = (typeof pieces)[number];

/** The piece's part of the slot. */
function part(slot: bigint, piece: { readonly offset: number; readonly lenBytes: number }): string {
  return BigInt.asUintN(8 * piece.lenBytes, slot >> BigInt(8 * piece.offset)).toString(16);
}

/** Checks the hits of one piece against what the program saw; gives how many were checked. */
function checkPiece(
  piece: Piece,
  hits: readonly PrintedHit[],
  instructions: readonly Instruction[],
  options: { readonly isKnown: (instruction: Instruction, piece: Piece) => boolean },
): number {
  let next = 0;
  for (const instruction of instructions) {
    const { name, offset, lenBytes } = instruction;
    const label = `${name} at ${piece.what}`;
    expect(hits[next++], `the store before ${label}`).toMatchObject({
      after: part(instruction.before, piece),
      from: 'stored',
      exact: true,
    });
    if (offset >= piece.offset + piece.lenBytes || piece.offset >= offset + lenBytes) continue;
    if (name.startsWith('?rep')) return next; // a hit an element or so: the last instruction
    const hit = hits[next++];
    const before = part(instruction.before, piece);
    const after = part(instruction.after, piece);
    expect(hit, label).toMatchObject({ before, gap: false });
    if (options.isKnown(instruction, piece)) expect(hit, label).toMatchObject({ after, exact: true });
    else if (hit?.from !== undefined)
      expect(hit, `${label}: not by registers`).toMatchObject({ from: 'later', exact: false });
  }
  expect(hits.length).toBe(next);
  return next;
}

/** Whether registers and the piece's own contents tell: not where bits come from bytes that are not watched. */
function isToldByRegisters({ name, offset, lenBytes }: Instruction, piece: Piece): boolean {
  const [operation = ''] = name.split(' ');
  if (operation.startsWith('?')) return false;
  const isWithin = offset >= piece.offset && offset + lenBytes <= piece.offset + piece.lenBytes;
  if (['shr', 'sar', 'rol', 'ror'].includes(operation)) return isWithin;
  if (['inc', 'dec', 'add', 'sub', 'neg', 'shl'].includes(operation)) return offset >= piece.offset;
  return true;
}

describeWith(['gcc', 'breakpoints', 'kernel mode', 'x86_64'], 'the value of every instruction', () => {
  const program = (): string => programs.build('instructions', { flags: ['-mno-red-zone'] });

  test('stores: by registers alone, exact for all that registers tell', async () => {
    const what = pieces.map((piece) => `${piece.what}:w`);
    const { hits, others } = await hitsOf(what, [program(), 'stores'], { bpf: false });
    const instructions = others.map(parseInstruction);
    expect(instructions.length).toBeGreaterThan(70);
    let checked = 0;
    for (const [i, piece] of pieces.entries()) {
      const own = hits.filter((hit) => hit.watch === what[i] && !hit.kernel);
      checked += checkPiece(piece, own, instructions, { isKnown: isToldByRegisters });
    }
    expect(checked).toBeGreaterThan(400);
  });

  test('loads: what was read', async () => {
    const what = pieces.map((piece) => `${piece.what}:rw`);
    const { hits, others } = await hitsOf(what, [program(), 'loads'], { bpf: false });
    const instructions = others.map(parseInstruction);
    expect(instructions).toHaveLength(12);
    for (const [i, piece] of pieces.entries()) {
      const own = hits.filter((hit) => hit.watch === what[i] && !hit.kernel);
      checkPiece(piece, own, instructions, { isKnown: () => true });
    }
  });
});

describeWith(['gcc', 'breakpoints', 'root', 'x86_64'], 'the value of every instruction, with bpf', () => {
  test('stores: exact for all', async () => {
    const what = pieces.map((piece) => `${piece.what}:w`);
    const command = [programs.build('instructions', { flags: ['-mno-red-zone'] }), 'stores'];
    const { hits, others } = await hitsOf(what, command, { bpf: true });
    const instructions = others.map(parseInstruction);
    for (const [i, piece] of pieces.entries()) {
      const own = hits.filter((hit) => hit.watch === what[i] && !hit.kernel);
      checkPiece(piece, own, instructions, { isKnown: () => true });
    }
  });
});

describeWith(
  ['gcc', 'breakpoints', 'two cpus', 'x86_64'],
  'two threads that store to one variable on two CPUs',
  () => {
    for (const bpf of [false, true]) {
      test(`every exact value is the own thread's, ${bpf ? 'with' : 'without'} bpf`, async () => {
        const times = 5000;
        const { hits, others } = await hitsOf(
          ['shared/4:w'],
          [programs.build('two-storers'), String(times)],
          {
            bpf,
          },
        );
        const tids = (others.at(-1) ?? '').split(' ').map(Number);
        const user = hits.filter((hit) => !hit.kernel);
        expect(user).toHaveLength(2 * times);
        let foreign = 0;
        const next = [0, 0];
        for (const hit of user) {
          const thread = tids.indexOf(hit.tid);
          expect(thread).toBeGreaterThanOrEqual(0);
          expect(hit).toMatchObject({ from: 'stored', exact: true });
          const value = BigInt(`0x${hit.after}`);
          const i = next[thread]!++; // one of two
          const own = BigInt((thread + 1) * 0x1000_0000 + i);
          // Every third is a compare-exchange, which stores the old value again where it fails.
          if (i % 3 !== 2) expect(value).toBe(own);
          else if (value !== own) {
            expect(hit.after).toBe(hit.before);
            foreign++;
          }
        }
        expect(next).toEqual([times, times]);
        console.log(
          `${bpf ? 'bpf' : 'registers'}: ${2 * times} exact values, ${foreign} compare-exchanges failed, ${user.filter((hit) => hit.gap).length} gaps`,
        );
      });
    }
  },
);
