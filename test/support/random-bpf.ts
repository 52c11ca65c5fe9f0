import type { SeededRandom } from '../../src/base/random.ts';
import {
  type AluOperation,
  type AssembledProgram,
  Assembler,
  type AtomicOperation,
  type JumpOperation,
  type Register,
} from '../../src/bpf/assembler.ts';
import {
  BPF_ALU,
  BPF_ALU64,
  BPF_END,
  BPF_FUNC_map_lookup_elem,
  BPF_LDX,
  BPF_MEMSX,
  BPF_MOV,
  BPF_X,
} from '../../src/uapi/bpf.ts';

/** Registers that a random program computes with, and 8 bytes each of them in the map at the end. */
export const randomRegisters: readonly Register[] = [6, 7, 8, 9];

const aluOperations: readonly AluOperation[] = [
  ...(['add', 'sub', 'mul', 'div', 'or', 'and', 'lsh', 'rsh', 'mod', 'xor', 'mov', 'arsh'] as const),
  ...(['sdiv', 'smod'] as const),
];
const jumpOperations: readonly JumpOperation[] = [
  ...(['eq', 'gt', 'ge', 'set', 'ne', 'sgt', 'sge', 'lt', 'le', 'slt', 'sle'] as const),
];
const atomicOperations: readonly AtomicOperation[] = [
  ...(['add', 'or', 'and', 'xor', 'fetchAdd', 'fetchOr', 'fetchAnd', 'fetchXor', 'xchg', 'cmpxchg'] as const),
];

/** 64 random bits, small and extreme values among them. */
export function random64(random: SeededRandom): bigint {
  const edges = [
    0n,
    1n,
    2n,
    0x7fffffffn,
    0x80000000n,
    0xffffffffn,
    1n << 63n,
    (1n << 63n) - 1n,
    (1n << 64n) - 1n,
  ];
  if (random.below(3) === 0) return edges[random.below(edges.length)] ?? 0n;
  return (BigInt(random.next()) << 32n) | BigInt(random.next());
}

/**
 * A program of `length` random instructions over four registers and the stack, whose registers end up in the one
 * element (32 bytes) of the array map "out". Takes any context, returns 0.
 * @param options.bits newer instructions: signed division, sign-extending moves and loads, unconditional swaps.
 */
export function randomProgram(
  random: SeededRandom,
  options: { readonly length: number; readonly newer: boolean },
): AssembledProgram {
  const asm = new Assembler();
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)]!; // not empty
  for (const register of randomRegisters) asm.load64(register, random64(random));
  for (let slot = -8; slot >= -32; slot -= 8) asm.store(8, 10, slot, { reg: pick(randomRegisters) });
  for (let n = 0; n < options.length; n++) {
    const dst = pick(randomRegisters);
    const src = pick(randomRegisters);
    const imm = random.below(2) === 0 ? random.below(64) : random.next() | 0;
    const wide = random.below(2) === 0;
    switch (random.below(10)) {
      case 0:
        asm.neg(dst);
        break;
      case 1: {
        const swaps = random.below(2) === 0;
        const bits = pick([16, 32, 64]);
        const newSwap = options.newer && random.below(2) === 0;
        const opcode = newSwap ? BPF_ALU64 | BPF_END : BPF_ALU | BPF_END | (swaps ? BPF_X : 0);
        asm.raw({ opcode, dst, src: 0, offset: 0, imm: bits });
        break;
      }
      case 2:
        asm.store(
          pick([1, 2, 4, 8]),
          10,
          -8 * (1 + random.below(4)),
          random.below(2) === 0 ? imm : { reg: src },
        );
        break;
      case 3:
        asm.load(pick([1, 2, 4, 8]), dst, 10, -8 * (1 + random.below(4)));
        break;
      case 4: {
        const bytes = pick([4, 8] as const);
        const operation = pick(atomicOperations);
        if (operation === 'cmpxchg') asm.mov(0, { reg: dst });
        asm.atomic(operation, bytes, 10, -8 * (1 + random.below(4)), src);
        if (operation === 'cmpxchg') asm.mov(dst, { reg: 0 });
        break;
      }
      case 5: {
        const over = asm.label('over');
        const operand = random.below(2) === 0 ? imm : { reg: src };
        if (wide) asm.jumpIf(pick(jumpOperations), dst, operand, over);
        else asm.jumpIf32(pick(jumpOperations), dst, operand, over);
        asm.alu('xor', dst, imm).at(over);
        break;
      }
      case 6:
        if (!options.newer) break;
        if (random.below(2) === 0)
          asm.raw({
            opcode: BPF_LDX | BPF_MEMSX | pick([0x00, 0x08, 0x10]),
            dst,
            src: 10,
            offset: -8,
            imm: 0,
          });
        else
          asm.raw({
            opcode: (wide ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X,
            dst,
            src,
            offset: pick(wide ? [8, 16, 32] : [8, 16]),
            imm: 0,
          });
        break;
      default: {
        const operation = pick(options.newer ? aluOperations : aluOperations.slice(0, 12));
        const shifts = operation === 'lsh' || operation === 'rsh' || operation === 'arsh';
        const divides = ['div', 'mod', 'sdiv', 'smod'].includes(operation);
        const fitting = shifts ? random.below(wide ? 64 : 32) : divides && imm === 0 ? 1 : imm;
        const operand = random.below(2) === 0 ? fitting : { reg: src };
        if (wide) asm.alu(operation, dst, operand);
        else asm.alu32(operation, dst, operand);
      }
    }
  }
  const none = asm.label('none');
  asm.store(4, 10, -36, 0).loadMap(1, 'out').mov(2, { reg: 10 }).alu('add', 2, -36);
  asm.call(BPF_FUNC_map_lookup_elem).jumpIf('eq', 0, 0, none);
  for (const [index, register] of randomRegisters.entries()) asm.store(8, 0, 8 * index, { reg: register });
  return asm.at(none).mov(0, 0).exit().assemble();
}
