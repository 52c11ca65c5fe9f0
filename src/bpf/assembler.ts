import { assert } from '../base/assert.ts';
import {
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_AND,
  BPF_ARSH,
  BPF_ATOMIC,
  BPF_B,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_DIV,
  BPF_DW,
  BPF_EXIT,
  BPF_FETCH,
  BPF_H,
  BPF_JA,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JMP,
  BPF_JMP32,
  BPF_JNE,
  BPF_JSET,
  BPF_JSGE,
  BPF_JSGT,
  BPF_JSLE,
  BPF_JSLT,
  BPF_K,
  BPF_LDX,
  BPF_LSH,
  BPF_MEM,
  BPF_MOD,
  BPF_MOV,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_PSEUDO_MAP_FD,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_W,
  BPF_X,
  BPF_XCHG,
  BPF_XOR,
} from '../uapi/bpf.ts';
import { type BpfInstruction, encodeInstructions, wideLoad } from './instruction.ts';

/** A register: 0 holds results, 1 to 5 arguments (lost by a call), 6 to 9 are kept, 10 is the end of the stack. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

/** The second operand: a register, or an immediate of 32 signed bits that is extended. */
export type Operand = { readonly reg: Register } | number;

/** Operations of an ALU instruction. `sdiv` and `smod` are signed (Linux 6.6). */
export type AluOperation =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'or'
  | 'and'
  | 'lsh'
  | 'rsh'
  | 'mod'
  | 'xor'
  | 'mov'
  | 'arsh'
  | 'sdiv'
  | 'smod';
const aluOperations: Readonly<Record<AluOperation, number>> = {
  add: BPF_ADD,
  sub: BPF_SUB,
  mul: BPF_MUL,
  /** Unsigned; by 0 gives 0. */
  div: BPF_DIV,
  or: BPF_OR,
  and: BPF_AND,
  lsh: BPF_LSH,
  rsh: BPF_RSH,
  /** Unsigned; by 0 gives the dividend. */
  mod: BPF_MOD,
  xor: BPF_XOR,
  mov: BPF_MOV,
  arsh: BPF_ARSH,
  /** Signed; Linux 6.6. */
  sdiv: BPF_DIV,
  smod: BPF_MOD,
};

/** Conditions of a jump; `s…` are signed, `set`: a bit in common. */
export type JumpOperation = 'eq' | 'gt' | 'ge' | 'set' | 'ne' | 'sgt' | 'sge' | 'lt' | 'le' | 'slt' | 'sle';
const jumpOperations: Readonly<Record<JumpOperation, number>> = {
  eq: BPF_JEQ,
  gt: BPF_JGT,
  ge: BPF_JGE,
  set: BPF_JSET,
  ne: BPF_JNE,
  sgt: BPF_JSGT,
  sge: BPF_JSGE,
  lt: BPF_JLT,
  le: BPF_JLE,
  slt: BPF_JSLT,
  sle: BPF_JSLE,
};

/** Bytes of a load or store. */
export type AccessBytes = 1 | 2 | 4 | 8;
const sizes: Readonly<Record<AccessBytes, number>> = { 1: BPF_B, 2: BPF_H, 4: BPF_W, 8: BPF_DW };

/** Operations on memory; those that fetch give the old value in the source register. */
export type AtomicOperation =
  | 'add'
  | 'or'
  | 'and'
  | 'xor'
  | 'fetchAdd'
  | 'fetchOr'
  | 'fetchAnd'
  | 'fetchXor'
  | 'xchg'
  | 'cmpxchg';
const atomicOperations: Readonly<Record<AtomicOperation, number>> = {
  add: BPF_ADD,
  or: BPF_OR,
  and: BPF_AND,
  xor: BPF_XOR,
  fetchAdd: BPF_ADD | BPF_FETCH,
  fetchOr: BPF_OR | BPF_FETCH,
  fetchAnd: BPF_AND | BPF_FETCH,
  fetchXor: BPF_XOR | BPF_FETCH,
  /** The source register gets the old value. */
  xchg: BPF_XCHG,
  /** Stores the source if the old value is that of register 0, which gets the old value. */
  cmpxchg: BPF_CMPXCHG,
};

/** A place to jump to; made by {@link Assembler.label}, set once by {@link Assembler.at}. */
export interface Label {
  readonly name: string;
}

/** A finished program; the maps are put in when it is loaded. */
export interface AssembledProgram {
  /** Instructions of 8 bytes. */
  readonly bytes: Uint8Array;
  /** By map name: indices of the instructions whose immediate becomes the map's fd. */
  readonly mapUses: ReadonlyMap<string, readonly number[]>;
}

interface Jump {
  readonly at: number;
  readonly to: Label;
}

/** Builds a bpf program instruction by instruction. Jumps forward and back are to labels. */
export class Assembler {
  readonly #instructions: BpfInstruction[] = [];
  readonly #jumps: Jump[] = [];
  readonly #places: Map<Label, number> = new Map();
  readonly #mapUses: Map<string, number[]> = new Map();

  /** Instructions so far. */
  get length(): number {
    return this.#instructions.length;
  }

  label(name = 'label'): Label {
    return { name };
  }

  /** `label` is here. */
  at(label: Label): this {
    assert(!this.#places.has(label), `label ${label.name} is set twice`);
    this.#places.set(label, this.#instructions.length);
    return this;
  }

  /** `dst = dst OP operand` in 64 bits. */
  alu(operation: AluOperation, dst: Register, operand: Operand): this {
    return this.#alu(BPF_ALU64, operation, dst, operand);
  }

  /** The same in 32 bits; the upper half becomes 0. */
  alu32(operation: AluOperation, dst: Register, operand: Operand): this {
    return this.#alu(BPF_ALU, operation, dst, operand);
  }

  mov(dst: Register, operand: Operand): this {
    return this.alu('mov', dst, operand);
  }

  neg(dst: Register): this {
    return this.#emit({ opcode: BPF_ALU64 | BPF_NEG, dst, src: 0, offset: 0, imm: 0 });
  }

  /** Any 64-bit value, by the shortest instruction. */
  load64(dst: Register, value: bigint): this {
    const signed = BigInt.asIntN(64, value);
    if (signed === BigInt.asIntN(32, signed)) return this.mov(dst, Number(signed));
    this.#emit({ opcode: wideLoad, dst, src: 0, offset: 0, imm: Number(BigInt.asIntN(32, signed)) });
    return this.#emit({
      opcode: 0,
      dst: 0,
      src: 0,
      offset: 0,
      imm: Number(BigInt.asIntN(32, signed >> 32n)),
    });
  }

  /** The address of a map. */
  loadMap(dst: Register, map: string): this {
    const uses = this.#mapUses.get(map) ?? [];
    uses.push(this.#instructions.length);
    this.#mapUses.set(map, uses);
    this.#emit({ opcode: wideLoad, dst, src: BPF_PSEUDO_MAP_FD, offset: 0, imm: 0 });
    return this.#emit({ opcode: 0, dst: 0, src: 0, offset: 0, imm: 0 });
  }

  /** `dst = *(u<bytes> *)(src + offset)`. */
  load(bytes: AccessBytes, dst: Register, src: Register, offset = 0): this {
    return this.#emit({ opcode: BPF_LDX | BPF_MEM | sizes[bytes], dst, src, offset, imm: 0 });
  }

  /** `*(u<bytes> *)(dst + offset) = operand`. */
  store(bytes: AccessBytes, dst: Register, offset: number, operand: Operand): this {
    if (typeof operand === 'number')
      return this.#emit({ opcode: BPF_ST | BPF_MEM | sizes[bytes], dst, src: 0, offset, imm: operand });
    return this.#emit({ opcode: BPF_STX | BPF_MEM | sizes[bytes], dst, src: operand.reg, offset, imm: 0 });
  }

  /** An atomic operation on `*(u<bytes> *)(dst + offset)`. */
  atomic(operation: AtomicOperation, bytes: 4 | 8, dst: Register, offset: number, src: Register): this {
    const opcode = BPF_STX | BPF_ATOMIC | sizes[bytes];
    return this.#emit({ opcode, dst, src, offset, imm: atomicOperations[operation] });
  }

  jump(to: Label): this {
    this.#jumps.push({ at: this.#instructions.length, to });
    return this.#emit({ opcode: BPF_JMP | BPF_JA, dst: 0, src: 0, offset: 0, imm: 0 });
  }

  /** Jumps if `dst OP operand` holds in 64 bits; `s…` are signed, `set`: a bit in common. */
  jumpIf(operation: JumpOperation, dst: Register, operand: Operand, to: Label): this {
    return this.#jumpIf(BPF_JMP, operation, dst, operand, to);
  }

  /** The same on the lower 32 bits. */
  jumpIf32(operation: JumpOperation, dst: Register, operand: Operand, to: Label): this {
    return this.#jumpIf(BPF_JMP32, operation, dst, operand, to);
  }

  /** Calls a helper (`BPF_FUNC_…`): arguments in 1 to 5, which are lost; the result is in 0. */
  call(helper: number): this {
    return this.#emit({ opcode: BPF_JMP | BPF_CALL, dst: 0, src: 0, offset: 0, imm: helper });
  }

  exit(): this {
    return this.#emit({ opcode: BPF_JMP | BPF_EXIT, dst: 0, src: 0, offset: 0, imm: 0 });
  }

  /** Any instruction, as it is. */
  raw(instruction: BpfInstruction): this {
    return this.#emit(instruction);
  }

  /** The program, its jumps resolved. */
  assemble(): AssembledProgram {
    const instructions = [...this.#instructions];
    for (const { at, to } of this.#jumps) {
      const place = this.#places.get(to);
      assert(place !== undefined, `label ${to.name} is nowhere`);
      const offset = place - at - 1;
      assert(offset >= -0x8000 && offset <= 0x7fff, `label ${to.name} is too far away`);
      const jump = instructions[at];
      assert(jump !== undefined, 'a jump is an instruction');
      instructions[at] = { ...jump, offset };
    }
    return { bytes: encodeInstructions(instructions), mapUses: this.#mapUses };
  }

  #alu(code: number, operation: AluOperation, dst: Register, operand: Operand): this {
    const offset = operation === 'sdiv' || operation === 'smod' ? 1 : 0;
    const opcode = code | aluOperations[operation];
    if (typeof operand === 'number')
      return this.#emit({ opcode: opcode | BPF_K, dst, src: 0, offset, imm: signed32(operand) });
    return this.#emit({ opcode: opcode | BPF_X, dst, src: operand.reg, offset, imm: 0 });
  }

  #jumpIf(code: number, operation: JumpOperation, dst: Register, operand: Operand, to: Label): this {
    this.#jumps.push({ at: this.#instructions.length, to });
    const opcode = code | jumpOperations[operation];
    if (typeof operand === 'number')
      return this.#emit({ opcode: opcode | BPF_K, dst, src: 0, offset: 0, imm: signed32(operand) });
    return this.#emit({ opcode: opcode | BPF_X, dst, src: operand.reg, offset: 0, imm: 0 });
  }

  #emit(instruction: BpfInstruction): this {
    this.#instructions.push(instruction);
    return this;
  }
}

function signed32(value: number): number {
  assert((value | 0) === value, `${value} is no signed 32-bit immediate`);
  return value;
}
