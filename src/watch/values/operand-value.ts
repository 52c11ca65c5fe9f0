import { flagsWord, type OperandRecipe } from './value-recipe.ts';

/** Bits of the processor flags. Source: Intel SDM vol. 1, "EFLAGS Register". */
const carry = 1;
const parity = 1 << 2;
const zero = 1 << 6;
const sign = 1 << 7;
const overflow = 1 << 11;

/**
 * The low word of an operand of `lenBytes` bytes, of its upper eight where `upper` (of sixteen). What lies beyond its
 * length is not masked. `at`: the first word of the row's registers.
 */
export function operandLow(
  operand: OperandRecipe,
  registers: Uint32Array,
  at: number,
  lenBytes: number,
  upper: boolean,
): number {
  switch (operand.type) {
    case 'register':
      return registers[at + operand.word]! >>> operand.shiftBits; // a word of the row, like all below
    case 'immediate':
      return operand.low;
    case 'condition':
      return holds(operand.condition, registers[at + flagsWord]!) ? 1 : 0;
    case 'pair':
      return registers[at + (upper ? operand.highWord : operand.word)]!;
    case 'reversed':
      if (lenBytes === 8) return reverse(registers[at + operand.word + 1]!);
      return reverse(registers[at + operand.word]!) >>> (lenBytes === 2 ? 16 : 0);
  }
}

/** The high word likewise. */
export function operandHigh(
  operand: OperandRecipe,
  registers: Uint32Array,
  at: number,
  lenBytes: number,
  upper: boolean,
): number {
  switch (operand.type) {
    case 'register':
      return operand.shiftBits === 0 ? registers[at + operand.word + 1]! : 0; // a word of the row, like all below
    case 'immediate':
      return operand.high;
    case 'condition':
      return 0;
    case 'pair':
      if (lenBytes === 8) return registers[at + operand.highWord]!;
      return registers[at + (upper ? operand.highWord : operand.word) + 1]!;
    case 'reversed':
      return lenBytes === 8 ? reverse(registers[at + operand.word]!) : 0;
  }
}

/** Whether the zero flag is set. */
export function isZero(flags: number): boolean {
  return (flags & zero) !== 0;
}

/** Whether a condition holds, by its number in opcodes. Source: Intel SDM vol. 1, "EFLAGS Condition Codes". */
export function holds(condition: number, flags: number): boolean {
  const less = ((flags & sign) !== 0) !== ((flags & overflow) !== 0);
  let is: boolean;
  switch (condition >> 1) {
    case 0:
      is = (flags & overflow) !== 0;
      break;
    case 1:
      is = (flags & carry) !== 0;
      break;
    case 2:
      is = (flags & zero) !== 0;
      break;
    case 3:
      is = (flags & (carry | zero)) !== 0;
      break;
    case 4:
      is = (flags & sign) !== 0;
      break;
    case 5:
      is = (flags & parity) !== 0;
      break;
    case 6:
      is = less;
      break;
    default:
      is = less || (flags & zero) !== 0;
  }
  return is === ((condition & 1) === 0);
}

/** Whether SF, ZF and PF are those of a result of `lenBytes` bytes (masked). */
export function flagsFit(flags: number, low: number, high: number, lenBytes: number): boolean {
  const isNegative = lenBytes === 8 ? high >>> 31 === 1 : ((low >>> (8 * lenBytes - 1)) & 1) === 1;
  let bits = low & 0xff;
  bits ^= bits >> 4;
  const isEven = ((0x6996 >> (bits & 15)) & 1) === 0;
  return (
    ((flags & sign) !== 0) === isNegative &&
    ((flags & zero) !== 0) === (low === 0 && high === 0) &&
    ((flags & parity) !== 0) === isEven
  );
}

/** The four bytes in reverse order. */
function reverse(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
