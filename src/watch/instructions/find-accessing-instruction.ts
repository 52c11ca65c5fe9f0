import { voteOnBoundary } from './boundary-vote.ts';
import { type CodeReader, readSome } from './code-reader.ts';
import { FunctionSweeps } from './function-sweeps.ts';
import {
  type DecodedInstruction,
  type InstructionDecoder,
  type MemoryAccess,
  type MemoryOperand,
  maxInstructionBytes,
} from './instruction-decoder.ts';
import type { ValueEffect } from './value-effect.ts';

/** A hit whose instruction is wanted. */
export interface AccessQuery {
  /** The ip that the hit was reported with. */
  readonly ip: bigint;
  /** Start of the function that ip lies in; `undefined` in stripped code. Any earlier instruction boundary will do. */
  readonly functionStart: bigint | undefined;
  /** The watch that was hit: `access` as it was armed, length in bytes. */
  readonly watch: { readonly address: bigint; readonly lenBytes: number; readonly access: 'w' | 'rw' | 'x' };
}

/** The instruction that hit a watch. */
export interface AccessingInstruction {
  readonly address: bigint;
  /** 1 to 15. */
  readonly lengthBytes: number;
  /** As the decoder's syntax writes it. */
  readonly text: string;
  /** What it does to the memory that may overlap the watched block; `x` for an execute watch. */
  readonly access: MemoryAccess | 'x';
  /**
   * Whether the instruction itself proves it: an operand with a known address overlaps the watched block (for an
   * execute watch: the instruction begins at the watched address). Otherwise it is the instruction before ip, of the
   * right kind, and wrong only if a jump, call or return through memory, from elsewhere, led to ip.
   */
  readonly certain: boolean;
  /** The accesses that can have hit the watch. */
  readonly operands: readonly MemoryOperand[];
  /** What registers after it tell of the value, where they tell anything. */
  readonly effect: ValueEffect | undefined;
}

/**
 * Which instruction made the access that an x86 watch reported with `query.ip`.
 *
 * A data breakpoint is a trap: ip is the instruction that runs next. So the answer is the one that ends at ip, or,
 * for `rep` strings, gathers and scatters with work left, the one at ip. It must access memory in the way that the
 * watch reports, and an operand whose address is known must overlap the watched block. After a call, a jump or a
 * return through memory ip is far from the instruction and nothing in the code leads back: `undefined`, as it is
 * where the code cannot be read or does not decode, and the caller shows ip itself. An execute breakpoint is a
 * fault: the answer is the instruction at ip.
 *
 * `sweeps` keeps the instruction boundaries of functions between calls, for one address space; without it each call
 * decodes the function anew. Source: Intel SDM vol. 3, "Debug Exceptions", "Data Breakpoint Exception Conditions".
 */
export function findAccessingInstruction(
  query: AccessQuery,
  reader: CodeReader,
  decoder: InstructionDecoder,
  sweeps: FunctionSweeps = new FunctionSweeps(reader, decoder),
): AccessingInstruction | undefined {
  const { ip, watch } = query;
  const atIp = decodeAt(ip, reader, decoder);
  if (watch.access === 'x') {
    if (atIp === undefined) return undefined;
    return report(atIp, { access: 'x', certain: ip === watch.address, operands: [] });
  }
  const before = instructionBefore(query, reader, decoder, sweeps);
  const byBefore = before !== undefined && leadsTo(before, ip) ? match(before.operands, watch) : undefined;
  const byAtIp = atIp?.resumable === true ? match(atIp.operands, watch) : undefined;
  // At the start of a function ip was reached by a call, or by falling in from code above it (assembly with labels
  // inside): the instruction above needs proof.
  const isEnough = byBefore?.certain === true || (byAtIp === undefined && ip !== query.functionStart);
  if (before !== undefined && byBefore !== undefined && isEnough) return report(before, byBefore);
  // Both fit: a repeated instruction touches many addresses, one after the other, and is the likelier.
  return atIp !== undefined && byAtIp !== undefined ? report(atIp, byAtIp) : undefined;
}

/** What a match says about an instruction. */
interface Match {
  readonly access: MemoryAccess | 'x';
  readonly certain: boolean;
  readonly operands: readonly MemoryOperand[];
}

function report(instruction: DecodedInstruction, found: Match): AccessingInstruction {
  const { address, lengthBytes, text, effect } = instruction;
  return { address, lengthBytes, text, effect: found.access === 'x' ? undefined : effect, ...found };
}

function decodeAt(
  address: bigint,
  reader: CodeReader,
  decoder: InstructionDecoder,
): DecodedInstruction | undefined {
  const code = readSome(reader, address, maxInstructionBytes);
  return code === undefined ? undefined : decoder.decode(code, address);
}

/** The instruction that ends at ip in the order of addresses. */
function instructionBefore(
  query: AccessQuery,
  reader: CodeReader,
  decoder: InstructionDecoder,
  sweeps: FunctionSweeps,
): DecodedInstruction | undefined {
  const { ip, functionStart } = query;
  if (functionStart !== undefined) {
    // A second try: code that was replaced since the first sweep no longer fits it.
    for (let attempt = 0; attempt < 2; attempt++) {
      const boundary = sweeps.boundaryBefore(functionStart, ip);
      if (boundary.kind !== 'after') break;
      const instruction = endingAt(ip, boundary.start, reader, decoder);
      if (instruction !== undefined) return instruction;
      sweeps.forget(functionStart);
    }
  }
  const start = voteOnBoundary(ip, reader, decoder);
  return start === undefined ? undefined : endingAt(ip, start, reader, decoder);
}

function endingAt(
  ip: bigint,
  start: bigint,
  reader: CodeReader,
  decoder: InstructionDecoder,
): DecodedInstruction | undefined {
  const instruction = decodeAt(start, reader, decoder);
  return instruction !== undefined && start + BigInt(instruction.lengthBytes) === ip
    ? instruction
    : undefined;
}

/** Whether `ip`, the address after `instruction`, is where it goes. A `call` to there (`call .+5`) does. */
function leadsTo(instruction: DecodedInstruction, ip: bigint): boolean {
  return instruction.flow === 'next' || instruction.target === ip;
}

/** Which of `operands` can have hit the watch, or `undefined` if none can. */
function match(operands: readonly MemoryOperand[], watch: AccessQuery['watch']): Match | undefined {
  const possible: MemoryOperand[] = [];
  const proven: MemoryOperand[] = [];
  for (const operand of operands) {
    if (watch.access === 'w' && operand.access === 'r') continue;
    const overlap = overlapOf(operand, watch.address, watch.lenBytes);
    if (overlap === 'yes') proven.push(operand);
    if (overlap !== 'no') possible.push(operand);
  }
  if (possible.length === 0) return undefined;
  const used = proven.length > 0 ? proven : possible;
  return { access: unionOf(used), certain: proven.length > 0, operands: used };
}

function overlapOf(
  operand: MemoryOperand,
  watchAddress: bigint,
  watchLenBytes: number,
): 'yes' | 'no' | 'unknown' {
  const { address, lenBytes } = operand;
  if (address === undefined) return 'unknown';
  const isFixed = lenBytes > 0;
  const end = address + BigInt(isFixed ? lenBytes : largestAreaBytes);
  if (address >= watchAddress + BigInt(watchLenBytes) || watchAddress >= end) return 'no';
  return isFixed ? 'yes' : 'unknown';
}

function unionOf(operands: readonly MemoryOperand[]): MemoryAccess {
  const reads = operands.some((operand) => operand.access !== 'w');
  const writes = operands.some((operand) => operand.access !== 'r');
  return reads && writes ? 'rw' : writes ? 'w' : 'r';
}

/** More than any area whose size the instruction does not say: `xsave` with AMX state has some 11 KiB. */
const largestAreaBytes = 1 << 14;
