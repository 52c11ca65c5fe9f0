import { highWord, lowWord } from '../../base/pair.ts';
import {
  flagsRegister,
  type Operand,
  type ValueAction,
  type ValueEffect,
} from '../instructions/value-effect.ts';

/** How to get an operand from the registers of a row. Numbers of registers are word offsets (2 words a register). */
export interface OperandRecipe {
  readonly type: Operand['type'];
  /** Word offset of the register, or of the low half of a pair. */
  readonly word: number;
  /** Word offset of the high half of a pair. */
  readonly highWord: number;
  readonly shiftBits: number;
  /** An immediate. */
  readonly low: number;
  readonly high: number;
  /** Of `setcc`. */
  readonly condition: number;
}

/**
 * What the registers of hits at one code address tell of the watched bytes: a {@link ValueEffect} made ready for one
 * watch, in u32 words.
 */
export interface ValueRecipe {
  /** Word offsets of base and index, -1 for none. */
  readonly base: number;
  readonly index: number;
  readonly scale: number;
  readonly displacementLow: number;
  readonly displacementHigh: number;
  readonly is32Bit: boolean;
  readonly fs: boolean;
  readonly stringStep: number;
  /** Bytes accessed, 1 to 16. */
  readonly lenBytes: number;
  readonly watchLow: number;
  readonly watchHigh: number;
  readonly watchLenBytes: number;
  readonly type: ValueAction['type'];
  /** Stored, read, or the source of an update; the accumulator of a compare-exchange. */
  readonly value: OperandRecipe;
  /** What a compare-exchange stores. */
  readonly replacement: OperandRecipe;
  readonly operation: Extract<ValueAction, { type: 'update' }>['operation'] | undefined;
  readonly setsFlags: boolean;
}

/** The recipe of `effect` for a watch of `lenBytes` (1 to 8) bytes at `address`. */
export function compileRecipe(
  effect: ValueEffect,
  watch: { readonly address: bigint; readonly lenBytes: number },
): ValueRecipe {
  const { place, lenBytes, action } = effect;
  const word = (register: number | undefined): number => (register === undefined ? -1 : 2 * register);
  return {
    base: word(place.base),
    index: word(place.index),
    scale: place.scale,
    displacementLow: lowWord(place.displacement),
    displacementHigh: highWord(place.displacement),
    is32Bit: place.is32Bit,
    fs: place.fs,
    stringStep: place.stringStep,
    lenBytes,
    watchLow: lowWord(watch.address),
    watchHigh: highWord(watch.address),
    watchLenBytes: watch.lenBytes,
    type: action.type,
    value: operandRecipe(operandOf(action)),
    replacement: operandRecipe(action.type === 'compareExchange' ? action.replacement : zero),
    operation: action.type === 'update' ? action.operation : undefined,
    setsFlags: action.type === 'update' && action.setsFlags,
  };
}

const zero: Operand = { type: 'immediate', value: 0n };

function operandOf(action: ValueAction): Operand {
  switch (action.type) {
    case 'store':
    case 'load':
      return action.value;
    case 'exchange':
      return action.old;
    case 'compareExchange':
      return action.accumulator;
    case 'update':
      return action.source;
  }
}

function operandRecipe(operand: Operand): OperandRecipe {
  const recipe = { type: operand.type, word: -1, highWord: -1, shiftBits: 0, low: 0, high: 0, condition: 0 };
  switch (operand.type) {
    case 'register':
      return { ...recipe, word: 2 * operand.register, shiftBits: operand.shiftBits };
    case 'reversed':
      return { ...recipe, word: 2 * operand.register };
    case 'pair':
      return { ...recipe, word: 2 * operand.low, highWord: 2 * operand.high };
    case 'immediate':
      return { ...recipe, low: lowWord(operand.value), high: highWord(operand.value) };
    case 'condition':
      return { ...recipe, condition: operand.condition };
  }
}

/** Word of the processor flags in a row's registers. */
export const flagsWord: number = 2 * flagsRegister;

/** No overlap: the accessing instruction is another one than was found. */
export const noOverlap: number = 0x7fff_ffff;

const strictlyBelow = 0x1_0000_0000;
const directionFlag = 1 << 10;

/**
 * Where the access of a hit begins, in bytes from the watched address (negative: before it), or {@link noOverlap}.
 * `at` is the first word of the row's registers.
 *
 * The base of fs is not known. It is a multiple of 8 (the ABI wants the thread's own address there), so an access that
 * stays within 8 aligned bytes can only be the one within those of the watch.
 */
export function offsetOf(recipe: ValueRecipe, registers: Uint32Array, at: number): number {
  let low = recipe.displacementLow;
  let high = recipe.displacementHigh;
  if (recipe.base >= 0) {
    low += registers[at + recipe.base]!; // a word of the row, like all below
    high += registers[at + recipe.base + 1]!;
  }
  if (recipe.index >= 0) {
    low += registers[at + recipe.index]! * recipe.scale;
    high += registers[at + recipe.index + 1]! * recipe.scale;
  }
  if (recipe.stringStep !== 0)
    low += (registers[at + flagsWord]! & directionFlag) === 0 ? -recipe.stringStep : recipe.stringStep;
  const carry = Math.floor(low / strictlyBelow);
  if (recipe.fs) {
    const phase = low & 7;
    const offset = phase - (recipe.watchLow & 7);
    if (phase + recipe.lenBytes > 8) return noOverlap;
    return offset < recipe.watchLenBytes && offset > -recipe.lenBytes ? offset : noOverlap;
  }
  const highDifference = recipe.is32Bit ? -recipe.watchHigh : (high + carry - recipe.watchHigh) | 0;
  const offset = low - carry * strictlyBelow - recipe.watchLow + highDifference * strictlyBelow;
  return offset < recipe.watchLenBytes && offset > -recipe.lenBytes ? offset : noOverlap;
}
