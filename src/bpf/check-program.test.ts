import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exit, lookup, refusedPrograms } from '../../test/support/refused-bpf.ts';
import { isKernelError } from '../base/kernel-error.ts';
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_RINGBUF } from '../uapi/bpf.ts';
import { Assembler } from './assembler.ts';
import type { BpfWorld } from './helper.ts';
import { decodeInstructions, encodeInstructions, wideLoad } from './instruction.ts';
import { InterpretedMap } from './map.ts';
import { InterpretedProgram } from './program.ts';
import { runProgram } from './run-program.ts';

const array = new InterpretedMap(
  { type: BPF_MAP_TYPE_ARRAY, keyBytes: 4, valueBytes: 8, maxEntries: 1 },
  { cpus: 1 },
);
const ring = new InterpretedMap(
  { type: BPF_MAP_TYPE_RINGBUF, keyBytes: 0, valueBytes: 0, maxEntries: 4096 },
  { cpus: 1 },
);
const mapOf = (fd: number): InterpretedMap | undefined => (fd === 0 ? array : fd === 1 ? ring : undefined);

function errnoOf(bytes: Uint8Array): string {
  try {
    InterpretedProgram.load(bytes, mapOf);
    return 'loaded';
  } catch (error) {
    if (isKernelError(error)) return error.code;
    throw error;
  }
}

function bytesOf(build: (asm: Assembler) => Assembler): Uint8Array {
  const { bytes, mapUses } = build(new Assembler()).assemble();
  const instructions = decodeInstructions(bytes);
  for (const [name, uses] of mapUses)
    for (const at of uses) instructions[at] = { ...instructions[at]!, imm: name === 'array' ? 0 : 1 };
  return encodeInstructions(instructions);
}

describe('checking a program', () => {
  it.each(refusedPrograms)('refuses $why with $errno', ({ errno, build }) => {
    expect(errnoOf(bytesOf(build))).toBe(errno);
  });

  it('refuses a jump back, and a map that is none', () => {
    const asm = new Assembler();
    const again = asm.label();
    expect(errnoOf(asm.mov(0, 0).at(again).jump(again).assemble().bytes)).toBe('EINVAL');
    const load = { opcode: wideLoad, dst: 1, src: 1, offset: 0, imm: 77 };
    expect(errnoOf(encodeInstructions([load, { ...load, opcode: 0, dst: 0, src: 0, imm: 0 }, exit]))).toBe(
      'EBADF',
    );
  });

  it('knows a value on the path where it is not null, also after it lay on the stack', () => {
    const build = (asm: Assembler): Assembler => {
      const none = asm.label();
      lookup(asm).store(8, 10, -16, { reg: 0 }).jumpIf('eq', 0, 0, none).load(8, 6, 10, -16).load(8, 0, 6, 0);
      return asm.exit().at(none).exit();
    };
    expect(errnoOf(bytesOf(build))).toBe('loaded');
  });

  it('lets nothing through that a run could stumble over', () => {
    const world: BpfWorld = {
      cpu: 0,
      nowNs: () => 1n,
      pid: 1,
      tid: 1,
      comm: 'x',
      readUser: () => undefined,
      readKernel: () => undefined,
      sendSignal: () => 0,
    };
    const instruction = fc.record({
      opcode: fc.oneof(
        fc.constantFrom(
          0x07,
          0x0f,
          0xb7,
          0xbf,
          0xb4,
          0x79,
          0x61,
          0x7b,
          0x63,
          0x7a,
          0x15,
          0x55,
          0x1d,
          0xdb,
          0xc3,
          0x85,
          0x95,
          0x18,
          0xd4,
        ),
        fc.integer({ min: 0, max: 255 }),
      ),
      dst: fc.integer({ min: 0, max: 10 }),
      src: fc.integer({ min: 0, max: 10 }),
      offset: fc.oneof(fc.constantFrom(0, 0, 0, 1, -8, -16), fc.integer({ min: -40, max: 40 })),
      imm: fc.oneof(fc.constantFrom(0, 0, 1, -8, 16, 64), fc.integer({ min: -20, max: 200 })),
    });
    let ran = 0;
    fc.assert(
      fc.property(fc.array(instruction, { maxLength: 5 }), (middle) => {
        const start = decodeInstructions(bytesOf((asm) => lookup(asm)));
        const bytes = encodeInstructions([...start, ...middle, exit]);
        if (errnoOf(bytes) !== 'loaded') return;
        ran++;
        runProgram(InterpretedProgram.load(bytes, mapOf), new Uint8Array(184), world);
      }),
      { numRuns: 20_000 },
    );
    expect(ran).toBeGreaterThan(200);
  });
});
