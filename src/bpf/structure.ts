import { errnoValues } from '../base/errno.ts';
import { KernelError } from '../base/kernel-error.ts';
import {
  BPF_ALU,
  BPF_ALU64,
  BPF_ARSH,
  BPF_ATOMIC,
  BPF_B,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_DIV,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_FETCH,
  BPF_H,
  BPF_JA,
  BPF_JMP,
  BPF_JMP32,
  BPF_JSLE,
  BPF_LDX,
  BPF_LSH,
  BPF_MEM,
  BPF_MEMSX,
  BPF_MOD,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_MAP_FD,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_W,
  BPF_X,
  BPF_XCHG,
} from '../uapi/bpf.ts';
import { aluOperations } from './arithmetic.ts';
import { type BpfInstruction, wideLoad } from './instruction.ts';

/** Instructions of a program at most. */
export const mostInstructions: number = 1_000_000;

/** Throws what BPF_PROG_LOAD answers for a program that is refused; `hint` is the line that says why. */
export function refuseProgram(errno: 'EINVAL' | 'EACCES' | 'E2BIG' | 'EBADF', hint: string): never {
  throw new KernelError({ errno: errnoValues[errno], operation: 'BPF_PROG_LOAD', hint });
}

/** Class of an opcode. */
export function classOf(opcode: number): number {
  return opcode & 7;
}

/** Bytes that a load or store of this opcode accesses. */
export function accessBytesOf(opcode: number): 1 | 2 | 4 | 8 {
  switch (opcode & 0x18) {
    case BPF_B:
      return 1;
    case BPF_H:
      return 2;
    case BPF_W:
      return 4;
    default:
      return 8;
  }
}

/** Where a jump at `at` leads. */
export function jumpTarget(instruction: BpfInstruction, at: number): number {
  const far = instruction.opcode === (BPF_JMP32 | BPF_JA);
  return at + 1 + (far ? instruction.imm : instruction.offset);
}

/** Whether an instruction is a jump with a target. */
export function isJump({ opcode }: BpfInstruction): boolean {
  const operation = opcode & 0xf0;
  const code = classOf(opcode);
  return code === BPF_JMP32 || (code === BPF_JMP && operation !== BPF_CALL && operation !== BPF_EXIT);
}

/**
 * Checks every instruction by itself and where jumps lead. Throws `KernelError`: E2BIG (no instruction, or too many),
 * EINVAL (an instruction that does not exist, a jump out of the program or back, code that is never reached).
 * A jump back is refused here although Linux takes a loop that it can prove to end.
 */
export function checkStructure(instructions: readonly BpfInstruction[]): void {
  const count = instructions.length;
  if (count === 0 || count > mostInstructions) refuseProgram('E2BIG', `${count} instructions`);
  const second = new Set<number>();
  for (const [at, instruction] of instructions.entries()) {
    if (second.has(at)) continue;
    checkInstruction(instruction, at);
    if (instruction.opcode !== wideLoad) continue;
    const next = instructions[at + 1];
    if (next === undefined || next.opcode !== 0 || next.dst !== 0 || next.src !== 0 || next.offset !== 0)
      refuseProgram('EINVAL', `invalid bpf_ld_imm64 insn at ${at}`);
    second.add(at + 1);
  }
  const reached = new Uint8Array(count);
  reached[0] = 1;
  for (const [at, instruction] of instructions.entries()) {
    if (second.has(at)) continue;
    if (reached[at] === 0) refuseProgram('EINVAL', `unreachable insn ${at}`);
    const next = at + (instruction.opcode === wideLoad ? 2 : 1);
    const code = classOf(instruction.opcode);
    const operation = instruction.opcode & 0xf0;
    const jumps = isJump(instruction);
    if (jumps) {
      const to = jumpTarget(instruction, at);
      if (to < 0 || to >= count) refuseProgram('EINVAL', `jump out of range from insn ${at} to ${to}`);
      if (second.has(to)) refuseProgram('EINVAL', `jump into the middle of ldimm64 insn ${to}`);
      if (to <= at) refuseProgram('EINVAL', `back-edge from insn ${at} to ${to}`);
      reached[to] = 1;
    }
    if (code === BPF_JMP && operation === BPF_EXIT) continue;
    if (jumps && operation === BPF_JA) continue;
    if (next >= count) refuseProgram('EINVAL', 'last insn is not an exit or jmp');
    reached[next] = 1;
  }
}

function checkInstruction(instruction: BpfInstruction, at: number): void {
  const { opcode, dst, src, offset, imm } = instruction;
  const bad = (): never => refuseProgram('EINVAL', `unknown opcode ${opcode.toString(16)} at ${at}`);
  const reserved = (): never => refuseProgram('EINVAL', `reserved fields at ${at}`);
  if (dst > 10 || src > 10) refuseProgram('EINVAL', `R${Math.max(dst, src)} is invalid`);
  const isRegister = (opcode & BPF_X) !== 0;
  switch (classOf(opcode)) {
    case BPF_ALU:
    case BPF_ALU64:
      checkAlu(instruction, { bad, reserved });
      return;
    case BPF_JMP:
    case BPF_JMP32: {
      const operation = opcode & 0xf0;
      const wide = classOf(opcode) === BPF_JMP;
      if (operation === BPF_CALL || operation === BPF_EXIT) {
        if (!wide || isRegister) bad();
        if (dst !== 0 || offset !== 0 || src !== 0 || (operation === BPF_EXIT && imm !== 0)) reserved();
      } else if (operation === BPF_JA) {
        if (isRegister) bad();
        if (dst !== 0 || src !== 0 || (wide ? imm !== 0 : offset !== 0)) reserved();
      } else if (operation > BPF_JSLE) bad();
      else if (isRegister ? imm !== 0 : src !== 0) reserved();
      return;
    }
    case BPF_LDX: {
      const mode = opcode & 0xe0;
      if (mode === BPF_MEMSX ? (opcode & 0x18) === BPF_DW : mode !== BPF_MEM) bad();
      if (imm !== 0) reserved();
      return;
    }
    case BPF_ST:
      if ((opcode & 0xe0) !== BPF_MEM) bad();
      if (src !== 0) reserved();
      return;
    case BPF_STX:
      if ((opcode & 0xe0) === BPF_ATOMIC) {
        if (accessBytesOf(opcode) < 4 || !isAtomic(imm)) bad();
      } else if ((opcode & 0xe0) !== BPF_MEM) bad();
      else if (imm !== 0) reserved();
      return;
    default: // BPF_LD
      if (opcode !== wideLoad || (src !== 0 && src !== BPF_PSEUDO_MAP_FD)) bad();
      if (offset !== 0) reserved();
  }
}

function isAtomic(imm: number): boolean {
  const operation = imm & ~BPF_FETCH;
  return (
    imm === BPF_XCHG || imm === BPF_CMPXCHG || [0x00, 0x40, 0x50, 0xa0].includes(operation) // ADD, OR, AND, XOR
  );
}

function checkAlu(
  { opcode, src, offset, imm }: BpfInstruction,
  { bad, reserved }: { readonly bad: () => never; readonly reserved: () => never },
): void {
  const wide = classOf(opcode) === BPF_ALU64;
  const isRegister = (opcode & BPF_X) !== 0;
  const operation = opcode & 0xf0;
  if (operation === BPF_END) {
    if (wide && isRegister) bad();
    if (src !== 0 || offset !== 0 || (imm !== 16 && imm !== 32 && imm !== 64)) reserved();
    return;
  }
  if (!aluOperations.includes(operation)) bad();
  if (operation === BPF_NEG) {
    if (isRegister || src !== 0 || offset !== 0 || imm !== 0) reserved();
    return;
  }
  if (isRegister ? imm !== 0 : src !== 0) reserved();
  if (operation === BPF_MOV) {
    const widths = wide ? [0, 8, 16, 32] : [0, 8, 16];
    if (isRegister ? !widths.includes(offset) : offset !== 0) reserved();
  } else if (operation === BPF_DIV || operation === BPF_MOD) {
    if (offset !== 0 && offset !== 1) reserved();
    if (!isRegister && imm === 0) refuseProgram('EINVAL', 'div by zero');
  } else if (offset !== 0) reserved();
  if ((operation === BPF_LSH || operation === BPF_RSH || operation === BPF_ARSH) && !isRegister)
    if (imm < 0 || imm >= (wide ? 64 : 32)) refuseProgram('EINVAL', `invalid shift ${imm}`);
}
