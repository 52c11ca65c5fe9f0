/**
 * A register by its place in a sample: rax 0, rbx 1, rcx 2, rdx 3, rsi 4, rdi 5, rbp 6, rsp 7, flags 8, r8 to r15 9 to
 * 16. Source: `sampledRegisters` of src/ring/sample-layout.ts.
 */
export type RegisterNumber = number;

/** The number of the processor flags. */
export const flagsRegister: RegisterNumber = 8;

/** A number that is known after an instruction. */
export type Operand =
  /** The low bytes of a register, from bit 8 on for ah, bh, ch, dh. */
  | { readonly type: 'register'; readonly register: RegisterNumber; readonly shiftBits: 0 | 8 }
  /** The bytes of a register in reverse order (`movbe`). */
  | { readonly type: 'reversed'; readonly register: RegisterNumber }
  /** Sign-extended to 64 bits, as a u64. */
  | { readonly type: 'immediate'; readonly value: bigint }
  /** 0 or 1 by the flags: the condition as in the opcode (0 `o`, 1 `no`, 2 `b`, … 15 `g`). */
  | { readonly type: 'condition'; readonly condition: number }
  /** Two registers of `lenBytes / 2` bytes each. */
  | { readonly type: 'pair'; readonly low: RegisterNumber; readonly high: RegisterNumber };

/** Operations that compute the new contents from the old. */
export type UpdateOperation =
  | 'add'
  | 'sub'
  | 'and'
  | 'or'
  | 'xor'
  | 'not'
  | 'neg'
  | 'shl'
  | 'shr'
  | 'sar'
  | 'rol'
  | 'ror';

/** What the registers after an instruction tell of the memory that it accessed. */
export type ValueAction =
  /** It stored `value`. */
  | { readonly type: 'store'; readonly value: Operand }
  /** It read `value`, and stored nothing. */
  | { readonly type: 'load'; readonly value: Operand }
  /** It read `old` and stored what no register has any more (`xchg`, `xadd`). */
  | { readonly type: 'exchange'; readonly old: Operand }
  /** With the zero flag: it read `accumulator` and stored `replacement`; without, it read and stored `accumulator`. */
  | { readonly type: 'compareExchange'; readonly accumulator: Operand; readonly replacement: Operand }
  /** It stored what `operation` makes of the old contents and `source`; `setsFlags`: SF, ZF and PF tell of the result. */
  | {
      readonly type: 'update';
      readonly operation: UpdateOperation;
      readonly source: Operand;
      readonly setsFlags: boolean;
    };

/** Where the accessed memory begins, by the registers after the instruction. */
export interface EffectPlace {
  readonly base: RegisterNumber | undefined;
  readonly index: RegisterNumber | undefined;
  readonly scale: number;
  /** u64. */
  readonly displacement: bigint;
  /** The sum is cut to 32 bits (an address-size prefix). */
  readonly is32Bit: boolean;
  /** Relative to the base of fs, which a sample has not got. */
  readonly fs: boolean;
  /** A string instruction: it lies this many bytes before the base where strings go up, as many behind where down. */
  readonly stringStep: number;
}

/** What an instruction does to its one operand in memory, as far as the registers after it tell. */
export interface ValueEffect {
  readonly place: EffectPlace;
  /** Bytes accessed: 1, 2, 4, 8 or 16. */
  readonly lenBytes: number;
  readonly action: ValueAction;
}
