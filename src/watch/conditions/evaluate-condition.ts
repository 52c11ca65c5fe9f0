import type { BitField, ComputedType, Expression, HitFact, NumberType } from './condition.ts';

/** A hit as a condition sees it. Values are the low bytes of a u64, as in memory. */
export interface HitFacts {
  /** The watched bytes after and before; `undefined`: not known. */
  readonly new: bigint | undefined;
  readonly old: bigint | undefined;
  readonly tid: number;
  readonly pid: number;
  readonly cpu: number;
  readonly comm: string;
  /** Bytes at an address of the hit's process as a number, little endian; `undefined`: they cannot be read. */
  read(address: bigint, lenBytes: number): bigint | undefined;
}

/** What a condition says of a hit; `unknown`: something that it needs is not known. */
export type Verdict = boolean | 'unknown';

/** Whether a condition holds. A division by 0 makes it false; what && and || do not need is not looked at. */
export function evaluateCondition(expression: Expression, hit: HitFacts): Verdict {
  try {
    return isTrue(evaluate(expression, hit));
  } catch (error) {
    if (error === unknown) return 'unknown';
    if (error === dividedByZero) return false;
    throw error;
  }
}

const unknown = new Error('not known');
const dividedByZero = new Error('division by 0');

function isTrue(value: bigint | number): boolean {
  return typeof value === 'bigint' ? value !== 0n : value !== 0;
}

/** Integers are bigints that are in the range of their type. */
function evaluate(expression: Expression, hit: HitFacts): bigint | number {
  switch (expression.node) {
    case 'integer':
      return wrap(expression.value, expression.type);
    case 'float':
      return expression.value;
    case 'value': {
      const bits = expression.which === 'new' ? hit.new : hit.old;
      if (bits === undefined) throw unknown;
      return numberOf(bits, expression.number, expression.bits);
    }
    case 'variable': {
      const bits = hit.read(expression.address, expression.number.bits / 8);
      if (bits === undefined) throw unknown;
      return numberOf(bits, expression.number, expression.bits);
    }
    case 'fact':
      return BigInt(factOf(expression.fact, hit));
    case 'comm':
      return (hit.comm === expression.text) === expression.equal ? 1n : 0n;
    case 'convert': {
      const value = evaluate(expression.operand, hit);
      if (expression.type.kind === 'float') return Number(value);
      return typeof value === 'bigint' ? wrap(value, expression.type) : value;
    }
    case 'unary':
      return unary(expression, evaluate(expression.operand, hit));
    case 'binary':
      return binary(expression, hit);
  }
}

function factOf(fact: HitFact, hit: HitFacts): number {
  return hit[fact];
}

/** The bytes of a number as its type reads them. */
export function numberOf(memory: bigint, type: NumberType, bits?: BitField): bigint | number {
  if (type.kind === 'float') {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, memory, true);
    return type.bits === 32 ? view.getFloat32(0, true) : view.getFloat64(0, true);
  }
  const size = bits?.size ?? type.bits;
  const part = bits === undefined ? memory : memory >> BigInt(bits.offset);
  return type.signed ? BigInt.asIntN(size, part) : BigInt.asUintN(size, part);
}

function wrap(value: bigint, type: ComputedType): bigint {
  if (type.kind === 'float') return value;
  return type.signed ? BigInt.asIntN(type.bits, value) : BigInt.asUintN(type.bits, value);
}

function unary(expression: Expression & { readonly node: 'unary' }, value: bigint | number): bigint | number {
  switch (expression.operator) {
    case '!':
      return isTrue(value) ? 0n : 1n;
    case '+':
      return value;
    case '-':
      return typeof value === 'bigint' ? wrap(-value, expression.type) : -value;
    case '~':
      return typeof value === 'bigint' ? wrap(~value, expression.type) : value;
  }
}

function binary(expression: Expression & { readonly node: 'binary' }, hit: HitFacts): bigint | number {
  const { operator, type } = expression;
  if (operator === '&&' || operator === '||') {
    const left = evaluateTruth(expression.left, hit);
    // What decides alone decides, whichever side it is on: the other may not be known.
    if (left !== 'unknown') {
      if (left === (operator === '||')) return left ? 1n : 0n;
      return isTrue(evaluate(expression.right, hit)) ? 1n : 0n;
    }
    const right = isTrue(evaluate(expression.right, hit));
    if (right === (operator === '||')) return right ? 1n : 0n;
    throw unknown;
  }
  const left = evaluate(expression.left, hit);
  const right = evaluate(expression.right, hit);
  const isTruth = compareNumbers(operator, left, right);
  if (isTruth !== undefined) return isTruth ? 1n : 0n;
  if (typeof left === 'bigint' && typeof right === 'bigint')
    return wrap(integers(operator, left, right, type), type);
  return floats(operator, Number(left), Number(right));
}

function evaluateTruth(expression: Expression, hit: HitFacts): Verdict {
  try {
    return isTrue(evaluate(expression, hit));
  } catch (error) {
    if (error === unknown) return 'unknown';
    throw error;
  }
}

/** Both sides have one type: bigints and numbers compare alike. */
function compareNumbers(
  operator: string,
  left: bigint | number,
  right: bigint | number,
): boolean | undefined {
  switch (operator) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
    default:
      return undefined;
  }
}

function integers(operator: string, left: bigint, right: bigint, type: ComputedType): bigint {
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      if (right === 0n) throw dividedByZero;
      return left / right;
    case '%':
      if (right === 0n) throw dividedByZero;
      return left % right;
    case '&':
      return left & right;
    case '|':
      return left | right;
    case '^':
      return left ^ right;
    case '<<':
      return left << (right & BigInt(type.bits - 1));
    default: // >>
      return left >> (right & BigInt(type.bits - 1));
  }
}

function floats(operator: string, left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    default: // /
      return left / right;
  }
}
