import type { ValueEffect } from './value-effect.ts';

/** What an instruction does to a piece of memory. */
export type MemoryAccess = 'r' | 'w' | 'rw';

/** One piece of memory that an instruction reads or writes, named by an operand or implied by the instruction. */
export interface MemoryOperand {
  readonly access: MemoryAccess;
  /** Whether it may be left out: masked elements, iterations of a `rep` with count 0, a compare-exchange's store. */
  readonly conditional: boolean;
  /**
   * The linear address of the first byte where the instruction alone says it (RIP-relative and absolute operands);
   * `undefined` where it depends on registers, on the base of fs or gs, or on a bit index in a register.
   */
  readonly address: bigint | undefined;
  /** Bytes from there on; of one element for string, gather and scatter instructions. 0: not fixed (`xsave`, tiles). */
  readonly lenBytes: number;
  /** Base register, lower case ("rdi"). */
  readonly base: string | undefined;
  /** Index register; a vector register ("ymm0") for gather and scatter. */
  readonly index: string | undefined;
  readonly scale: number;
  /** Displacement as a u64; the whole address where there is no base and no index, RIP-relative operands included. */
  readonly displacement: bigint;
  /** A segment whose base is not 0. */
  readonly segment: 'fs' | 'gs' | undefined;
  /** `bt`, `bts`, `btr`, `btc` with the bit index in a register: the byte touched may lie far from the operand's own. */
  readonly bitIndexed: boolean;
}

/**
 * What runs next: `next` the instruction behind it, or also a branch target; `jump`, `call`, `return` another place;
 * `stop` nothing that the instruction itself says (`ud2`, `int3`, `int`, `hlt`).
 */
export type InstructionFlow = 'next' | 'jump' | 'call' | 'return' | 'stop';

/** One decoded instruction. */
export interface DecodedInstruction {
  readonly address: bigint;
  /** 1 to 15, prefixes included. */
  readonly lengthBytes: number;
  /** As the decoder's syntax writes it. */
  readonly text: string;
  readonly flow: InstructionFlow;
  /** Where a direct near jump or call goes. */
  readonly target: bigint | undefined;
  /** Whether a data breakpoint can be reported with ip at this very instruction, some of its accesses left to do: `rep` string instructions, gather, scatter. */
  readonly resumable: boolean;
  /** Every access to memory; empty for `lea`, `nop`, prefetches and the like. */
  readonly operands: readonly MemoryOperand[];
  /** What the registers after it tell of the value that it stored or read; `undefined` where they tell nothing. */
  readonly effect?: ValueEffect | undefined;
}

/** The instruction boundaries that decoding from one point finds. */
export interface InstructionScan {
  /** Offsets of the instructions, ascending. */
  readonly starts: Uint32Array;
  /** Offset after the last whole instruction. */
  readonly endOffset: number;
  /** `end`: ran to the end of the bytes, the last of which may be a part of an instruction. `invalid`: no instruction at `endOffset`. */
  readonly stopped: 'end' | 'invalid';
}

/** Decodes x86-64 machine code. Holds memory outside the JavaScript heap: close it. */
export interface InstructionDecoder {
  /** The instruction at the start of `code`, whose address is `address`; `undefined` if there is none or it is cut short. */
  decode(code: Uint8Array, address: bigint): DecodedInstruction | undefined;
  /** Decodes from the start of `code` to its end or to the first byte that begins no instruction. */
  scan(code: Uint8Array): InstructionScan;
  /** For every offset of `code` the length of the instruction that begins there, 0 where none does or it is cut short. */
  lengths(code: Uint8Array): Uint8Array;
  /** Gives the memory back; a second call does nothing. */
  close(): void;
  [Symbol.dispose](): void;
}

/** The longest instruction. Source: Intel SDM vol. 2, "Instruction Format". */
export const maxInstructionBytes = 15;
