import type { Names } from '../../surface/names.ts';
import type { AddressSpace } from '../../symbols/address-space.ts';
import { ElfError } from '../../symbols/elf-error.ts';
import { evaluatePlace } from '../../symbols/expression/evaluator.ts';
import { ExpressionError } from '../../symbols/expression/expression-error.ts';
import { parsePlaceExpression } from '../../symbols/expression/parser.ts';
import { type TypeDescription, unaliased } from '../../symbols/types.ts';
import type { PlannedWatch } from '../plan.ts';
import type { BitField, ConditionScope, NameMeaning, NumberType } from './condition.ts';

/** Where the names of a condition are looked up. */
export interface ConditionNames {
  /** The watched process's; absent for whole CPUs. */
  readonly space?: AddressSpace | undefined;
  /** A kernel that knows names itself. */
  readonly known?: Names | undefined;
}

/** What a condition of `watch` is written over. */
export function conditionScope(watch: PlannedWatch, names: ConditionNames): ConditionScope {
  return {
    value: watchedNumber(watch),
    resolve: (text) => enumerator(watch.type, text) ?? variable(text, names),
  };
}

/** What the watched bytes are as a number, or why they are none. */
function watchedNumber(watch: PlannedWatch): ConditionScope['value'] {
  if (watch.access === 'x') return `'${watch.text}' watches execution: there is no value`;
  const { type, bits, lenBytes } = watch;
  if (type !== undefined && (bits !== undefined || unaliased(type).byteSize === lenBytes)) {
    const number = numberTypeOf(type);
    if (number !== undefined) return { number, bits };
    return `'${watch.text}' is ${type.name ?? unaliased(type).kind}, which is no number of C`;
  }
  const bytes = unsignedOf(lenBytes);
  return bytes === undefined ? `'${watch.text}' has ${lenBytes} bytes: that is no number` : { number: bytes };
}

/** A type as a number: integers, characters, booleans, enumerations, pointers, floats of 4 and 8 bytes. */
export function numberTypeOf(type: TypeDescription): NumberType | undefined {
  const bare = unaliased(type);
  switch (bare.kind) {
    case 'enum':
      return integerOf(bare.byteSize, bare.signed);
    case 'pointer':
      return integerOf(bare.byteSize, false);
    case 'base':
      switch (bare.encoding) {
        case 'float':
          if (bare.byteSize !== 4 && bare.byteSize !== 8) return undefined;
          return { kind: 'float', bits: bare.byteSize === 4 ? 32 : 64 };
        case 'complex':
          return undefined;
        default:
          return integerOf(bare.byteSize, bare.encoding === 'signed' || bare.encoding === 'signed-char');
      }
    default:
      return undefined;
  }
}

function integerOf(byteSize: number, signed: boolean): NumberType | undefined {
  if (byteSize !== 1 && byteSize !== 2 && byteSize !== 4 && byteSize !== 8) return undefined;
  const bits = { 1: 8, 2: 16, 4: 32, 8: 64 } as const;
  return { kind: 'integer', bits: bits[byteSize], signed };
}

function unsignedOf(byteSize: number): NumberType | undefined {
  return integerOf(byteSize, false);
}

/** An enumerator of the watched type. */
function enumerator(type: TypeDescription | undefined, text: string): NameMeaning | undefined {
  if (type === undefined) return undefined;
  const bare = unaliased(type);
  const found = bare.kind === 'enum' ? bare.enumerators.find(({ name }) => name === text) : undefined;
  return found === undefined ? undefined : { type: 'constant', value: found.value };
}

function variable(text: string, { space, known }: ConditionNames): NameMeaning {
  if (known !== undefined) {
    const place = known.find(text);
    if (place === undefined) return { type: 'error', why: `there is no '${text}'; ${known.hint}` };
    return { type: 'variable', address: place.address, number: { kind: 'integer', bits: 64, signed: false } };
  }
  if (space === undefined)
    return { type: 'error', why: `'${text}': names need a process (-p, -t or a command)` };
  try {
    const place = evaluatePlace(parsePlaceExpression(text), { space });
    if (place.isFunction) return { type: 'error', why: `'${text}' is a function: it has no value` };
    const number = place.type === undefined ? unsignedOf(place.lenBytes) : numberTypeOf(place.type);
    if (number === undefined) return { type: 'error', why: `'${text}' is no number of C` };
    const bits: BitField | undefined = place.bits;
    if (bits === undefined) return { type: 'variable', address: place.address, number };
    // The storage unit is read, whatever the field's own type is.
    const unit = unsignedOf(place.lenBytes);
    if (unit?.kind !== 'integer') return { type: 'error', why: `'${text}' crosses its storage unit` };
    const signed = number.kind === 'integer' && number.signed;
    return { type: 'variable', address: place.address, number: { ...unit, signed }, bits };
  } catch (error) {
    if (error instanceof ExpressionError || error instanceof ElfError)
      return { type: 'error', why: error.message };
    throw error;
  }
}
