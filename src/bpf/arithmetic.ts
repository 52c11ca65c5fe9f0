import { unreachable } from '../base/assert.ts';
import {
  BPF_ADD,
  BPF_AND,
  BPF_ARSH,
  BPF_DIV,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JNE,
  BPF_JSET,
  BPF_JSGE,
  BPF_JSGT,
  BPF_JSLE,
  BPF_JSLT,
  BPF_LSH,
  BPF_MOD,
  BPF_MOV,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RSH,
  BPF_SUB,
  BPF_XOR,
} from '../uapi/bpf.ts';

/** Operations of {@link compute}: all of ALU but byte swaps. */
export const aluOperations: readonly number[] = [
  BPF_ADD,
  BPF_SUB,
  BPF_MUL,
  BPF_DIV,
  BPF_OR,
  BPF_AND,
  BPF_LSH,
  BPF_RSH,
  BPF_NEG,
  BPF_MOD,
  BPF_XOR,
  BPF_MOV,
  BPF_ARSH,
];

/**
 * `dst OPERATION src` in `bits` bits, unsigned. Division by 0 gives 0, the remainder by 0 the dividend; a shift counts
 * modulo `bits`. `signed` is for DIV and MOD; the smallest number divided by -1 is itself. Source: RFC 9669.
 */
export function compute(
  operation: number,
  dst: bigint,
  src: bigint,
  options: { readonly bits: 32 | 64; readonly signed?: boolean },
): bigint {
  const { bits } = options;
  const wrap = (value: bigint): bigint => BigInt.asUintN(bits, value);
  const a = wrap(dst);
  const b = wrap(src);
  const shift = b & BigInt(bits - 1);
  switch (operation) {
    case BPF_ADD:
      return wrap(a + b);
    case BPF_SUB:
      return wrap(a - b);
    case BPF_MUL:
      return wrap(a * b);
    case BPF_DIV:
      if (b === 0n) return 0n;
      return options.signed === true ? wrap(BigInt.asIntN(bits, a) / BigInt.asIntN(bits, b)) : a / b;
    case BPF_MOD:
      if (b === 0n) return a;
      return options.signed === true ? wrap(BigInt.asIntN(bits, a) % BigInt.asIntN(bits, b)) : a % b;
    case BPF_OR:
      return a | b;
    case BPF_AND:
      return a & b;
    case BPF_XOR:
      return a ^ b;
    case BPF_LSH:
      return wrap(a << shift);
    case BPF_RSH:
      return a >> shift;
    case BPF_ARSH:
      return wrap(BigInt.asIntN(bits, a) >> shift);
    case BPF_NEG:
      return wrap(-a);
    case BPF_MOV:
      return b;
    default:
      return unreachable(operation as never); // the checker lets no other through
  }
}

/** Whether `dst OPERATION src` holds in `bits` bits. */
export function compare(operation: number, dst: bigint, src: bigint, bits: 32 | 64): boolean {
  const a = BigInt.asUintN(bits, dst);
  const b = BigInt.asUintN(bits, src);
  const signedA = (): bigint => BigInt.asIntN(bits, a);
  const signedB = (): bigint => BigInt.asIntN(bits, b);
  switch (operation) {
    case BPF_JEQ:
      return a === b;
    case BPF_JNE:
      return a !== b;
    case BPF_JGT:
      return a > b;
    case BPF_JGE:
      return a >= b;
    case BPF_JLT:
      return a < b;
    case BPF_JLE:
      return a <= b;
    case BPF_JSET:
      return (a & b) !== 0n;
    case BPF_JSGT:
      return signedA() > signedB();
    case BPF_JSGE:
      return signedA() >= signedB();
    case BPF_JSLT:
      return signedA() < signedB();
    case BPF_JSLE:
      return signedA() <= signedB();
    default:
      return unreachable(operation as never); // the checker lets no other through
  }
}

/** The low `bits` bits of `value` with their bytes in the other order. */
export function swapBytes(value: bigint, bits: number): bigint {
  let swapped = 0n;
  for (let at = 0; at < bits; at += 8) swapped = (swapped << 8n) | ((value >> BigInt(at)) & 0xffn);
  return swapped;
}
