import { ByteCursor } from './byte-cursor.ts';
import { DwarfError } from './dwarf-error.ts';

/** Where a location expression says that something is. */
export type Location =
  | { readonly kind: 'address'; readonly address: bigint }
  /** In the block of its module that every thread has: `offset` bytes into it. */
  | { readonly kind: 'thread-local'; readonly offset: bigint }
  /** Nowhere in memory: the compiler knows what it is. */
  | { readonly kind: 'value' }
  /** In a register, or found through one: different in every call. */
  | { readonly kind: 'frame' }
  /** In several places. */
  | { readonly kind: 'pieces' }
  | { readonly kind: 'optimised out' }
  /** It takes memory to tell, which could not be read. */
  | { readonly kind: 'unreadable' }
  | { readonly kind: 'unknown'; readonly operation: number };

/** What an expression is evaluated in. */
export interface LocationContext {
  /** For messages. */
  readonly file: string;
  readonly addressBytes: number;
  readonly offsetBytes: 4 | 8;
  /** The address of an address in the file; without it they are taken as they are. */
  readonly relocate?: (vaddr: bigint) => bigint;
  /** Entries of .debug_addr, by index. */
  readonly addressAt: (index: number) => bigint;
  /** What lies on the stack at first: the object's address, where a member is located in it. */
  readonly initial?: bigint;
  /** Memory at an address, in the process. */
  readonly readMemory?: ((address: bigint, lengthBytes: number) => Uint8Array | undefined) | undefined;
}

/**
 * Evaluates a location expression: a program of a stack machine. One byte of operation, then its operands; what is on
 * top at the end is the address. Source: DWARF Version 5, section 2.5 "DWARF Expressions".
 *
 * @throws {DwarfError} for one that takes from an empty stack, does not end, or is cut.
 */
export function evaluateLocation(expression: Uint8Array, context: LocationContext): Location {
  if (expression.length === 0) return { kind: 'optimised out' };
  const { file, addressBytes } = context;
  const cursor = new ByteCursor(expression, { file });
  const stack: bigint[] = context.initial === undefined ? [] : [context.initial];
  const relocate = context.relocate ?? ((vaddr: bigint) => vaddr);
  const pop = (): bigint => {
    const value = stack.pop();
    if (value === undefined) throw new DwarfError(file, 'a location takes from an empty stack');
    return value;
  };
  const push = (value: bigint): void => {
    if (stack.length >= mostStack) throw new DwarfError(file, 'a location fills its stack');
    stack.push(BigInt.asUintN(64, value));
  };
  const pick = (depth: number): bigint => {
    const value = stack[stack.length - 1 - depth];
    if (value === undefined) throw new DwarfError(file, 'a location reads below its stack');
    return value;
  };
  for (let steps = 0; !cursor.atEnd; steps++) {
    if (steps === mostSteps) throw new DwarfError(file, 'a location does not end');
    const operation = cursor.u8();
    if (operation >= DW_OP_lit0 && operation < DW_OP_lit0 + 32) {
      push(BigInt(operation - DW_OP_lit0));
      continue;
    }
    if (operation >= DW_OP_reg0 && operation < DW_OP_breg0 + 32) return { kind: 'frame' };
    switch (operation) {
      case 0x03: // addr
        push(relocate(cursor.unsigned(addressBytes)));
        break;
      case 0xa1: // addrx
      case 0xfb: // GNU_addr_index
        push(relocate(context.addressAt(cursor.uleb())));
        break;
      case 0xa2: // constx
      case 0xfc: // GNU_const_index
        push(context.addressAt(cursor.uleb()));
        break;
      case 0x06: // deref
      case 0x94: {
        // deref_size
        const sizeBytes = operation === 0x06 ? addressBytes : cursor.u8();
        const bytes = context.readMemory?.(pop(), sizeBytes);
        if (bytes === undefined || bytes.length < sizeBytes) return { kind: 'unreadable' };
        push(new ByteCursor(bytes, { file }).unsigned(sizeBytes));
        break;
      }
      case 0x08: // const1u
        push(BigInt(cursor.u8()));
        break;
      case 0x09: // const1s
        push(BigInt.asIntN(8, BigInt(cursor.u8())));
        break;
      case 0x0a: // const2u
        push(BigInt(cursor.u16()));
        break;
      case 0x0b: // const2s
        push(BigInt.asIntN(16, BigInt(cursor.u16())));
        break;
      case 0x0c: // const4u
        push(BigInt(cursor.u32()));
        break;
      case 0x0d: // const4s
        push(BigInt.asIntN(32, BigInt(cursor.u32())));
        break;
      case 0x0e: // const8u
      case 0x0f: // const8s
        push(cursor.u64());
        break;
      case 0x10: // constu
        push(cursor.ulebBig());
        break;
      case 0x11: // consts
        push(cursor.slebBig());
        break;
      case 0x12: // dup
        push(pick(0));
        break;
      case 0x13: // drop
        pop();
        break;
      case 0x14: // over
        push(pick(1));
        break;
      case 0x15: // pick
        push(pick(cursor.u8()));
        break;
      case 0x16: {
        // swap
        const top = pop();
        const below = pop();
        push(top);
        push(below);
        break;
      }
      case 0x17: {
        // rot
        const first = pop();
        const second = pop();
        const third = pop();
        push(first);
        push(third);
        push(second);
        break;
      }
      case 0x19: {
        // abs
        const value = BigInt.asIntN(64, pop());
        push(value < 0n ? -value : value);
        break;
      }
      case 0x1f: // neg
        push(-pop());
        break;
      case 0x20: // not
        push(~pop());
        break;
      case 0x23: // plus_uconst
        push(pop() + cursor.ulebBig());
        break;
      case 0x28: {
        // bra
        const distance = Number(BigInt.asIntN(16, BigInt(cursor.u16())));
        if (pop() !== 0n) jump(cursor, distance, file);
        break;
      }
      case 0x2f: // skip
        jump(cursor, Number(BigInt.asIntN(16, BigInt(cursor.u16()))), file);
        break;
      case 0x96: // nop
        break;
      case 0x90: // regx
      case 0x91: // fbreg
      case 0x92: // bregx
      case 0x9c: // call_frame_cfa
      case 0xa3: // entry_value
      case 0xf3: // GNU_entry_value
      case 0xa5: // regval_type
      case 0xf5: // GNU_regval_type
        return { kind: 'frame' };
      case 0x93: // piece
      case 0x9d: // bit_piece
        return { kind: 'pieces' };
      case 0x9b: // form_tls_address
      case 0xe0: // GNU_push_tls_address
        return { kind: 'thread-local', offset: pop() };
      case 0x9f: // stack_value
      case 0x9e: // implicit_value
      case 0xa0: // implicit_pointer
      case 0xf2: // GNU_implicit_pointer
        return { kind: 'value' };
      default: {
        const result = binary(operation, stack);
        if (result === undefined) return { kind: 'unknown', operation };
        if (result === 'empty') throw new DwarfError(file, 'a location takes from an empty stack');
        stack.length -= 2;
        push(result);
      }
    }
  }
  return { kind: 'address', address: pop() };
}

/** The operations that take two values. */
function binary(operation: number, stack: readonly bigint[]): bigint | 'empty' | undefined {
  const b = stack[stack.length - 1];
  const a = stack[stack.length - 2];
  const isBinary = (operation >= 0x1a && operation <= 0x27) || (operation >= 0x29 && operation <= 0x2e);
  if (!isBinary) return undefined;
  if (a === undefined || b === undefined) return 'empty';
  const signedA = BigInt.asIntN(64, a);
  const signedB = BigInt.asIntN(64, b);
  switch (operation) {
    case 0x1a:
      return a & b;
    case 0x1b:
      return b === 0n ? 0n : signedA / signedB;
    case 0x1c:
      return a - b;
    case 0x1d:
      return b === 0n ? 0n : a % b;
    case 0x1e:
      return a * b;
    case 0x21:
      return a | b;
    case 0x22:
      return a + b;
    case 0x24:
      return b > 63n ? 0n : a << b;
    case 0x25:
      return b > 63n ? 0n : a >> b;
    case 0x26:
      return signedA >> (b > 63n ? 63n : b);
    case 0x27:
      return a ^ b;
    case 0x29:
      return a === b ? 1n : 0n;
    case 0x2a:
      return signedA >= signedB ? 1n : 0n;
    case 0x2b:
      return signedA > signedB ? 1n : 0n;
    case 0x2c:
      return signedA <= signedB ? 1n : 0n;
    case 0x2d:
      return signedA < signedB ? 1n : 0n;
    case 0x2e:
      return a !== b ? 1n : 0n;
    default:
      return undefined;
  }
}

function jump(cursor: ByteCursor, distance: number, file: string): void {
  const to = cursor.at + distance;
  if (to < 0 || to > cursor.end) throw new DwarfError(file, 'a location jumps out of itself');
  cursor.at = to;
}

const DW_OP_lit0 = 0x30;
const DW_OP_reg0 = 0x50;
const DW_OP_breg0 = 0x70;
// Compilers need three of the stack and some ten steps.
const mostStack = 256;
const mostSteps = 10_000;
