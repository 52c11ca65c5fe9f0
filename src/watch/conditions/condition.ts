import {
  type BinaryOperator,
  conditionError,
  parseCondition,
  type Syntax,
  type UnaryOperator,
} from './condition-syntax.ts';

/** A number of C: its size and sign, or a float (of 64 bits once it is computed with). */
export type NumberType =
  | { readonly kind: 'integer'; readonly bits: 8 | 16 | 32 | 64; readonly signed: boolean }
  | { readonly kind: 'float'; readonly bits: 32 | 64 };

/** What a name in a condition means. */
export type NameMeaning =
  | {
      readonly type: 'variable';
      readonly address: bigint;
      readonly number: NumberType;
      readonly bits?: BitField;
    }
  /** An enumerator. */
  | { readonly type: 'constant'; readonly value: bigint }
  /** Why it means nothing. */
  | { readonly type: 'error'; readonly why: string };

/** Of a bit-field: `offset` bits above the lowest bit of its storage unit, `size` bits wide. */
export interface BitField {
  readonly offset: number;
  readonly size: number;
}

/** What a condition is written over: one watch and its process. */
export interface ConditionScope {
  /** The watched value; a text: why it is no number. */
  readonly value: { readonly number: NumberType; readonly bits?: BitField | undefined } | string;
  /** Other names. */
  resolve(text: string): NameMeaning;
}

/** Facts of a hit that a condition may use besides values. */
export type HitFact = 'tid' | 'pid' | 'cpu';

/** A condition with types: integers are of 32 or 64 bits after C's promotions, truth is an int of 0 or 1. */
export type Expression =
  | { readonly node: 'integer'; readonly type: ComputedType; readonly value: bigint }
  | { readonly node: 'float'; readonly type: ComputedType; readonly value: number }
  /** The watched value after or before the hit, as its own type reads it, promoted. */
  | {
      readonly node: 'value';
      readonly type: ComputedType;
      readonly which: 'new' | 'old';
      readonly number: NumberType;
      readonly bits?: BitField | undefined;
    }
  | {
      readonly node: 'variable';
      readonly type: ComputedType;
      readonly name: string;
      readonly address: bigint;
      readonly number: NumberType;
      readonly bits?: BitField | undefined;
    }
  | { readonly node: 'fact'; readonly type: ComputedType; readonly fact: HitFact }
  /** `comm == "text"`; `equal` false: `!=`. */
  | { readonly node: 'comm'; readonly type: ComputedType; readonly text: string; readonly equal: boolean }
  | {
      readonly node: 'unary';
      readonly type: ComputedType;
      readonly operator: UnaryOperator;
      readonly operand: Expression;
    }
  /** Both sides have the type `side` (of a shift each its own). */
  | {
      readonly node: 'binary';
      readonly type: ComputedType;
      readonly operator: BinaryOperator;
      readonly side: ComputedType;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly node: 'convert'; readonly type: ComputedType; readonly operand: Expression };

/** What is computed with: C's int, unsigned, long, unsigned long, double. */
export type ComputedType =
  | { readonly kind: 'integer'; readonly bits: 32 | 64; readonly signed: boolean }
  | { readonly kind: 'float'; readonly bits: 64 };

const int: ComputedType = { kind: 'integer', bits: 32, signed: true };
const unsigned: ComputedType = { kind: 'integer', bits: 32, signed: false };
const long: ComputedType = { kind: 'integer', bits: 64, signed: true };
const unsignedLong: ComputedType = { kind: 'integer', bits: 64, signed: false };
const double: ComputedType = { kind: 'float', bits: 64 };

/** A condition of one watch, ready to be evaluated or compiled. */
export interface Condition {
  readonly text: string;
  readonly expression: Expression;
}

/**
 * Parses and types a condition of one watch. Throws `WatchError` of kind `request` with a caret under the place: what does
 * not parse, unknown names, operators on what is no number.
 */
export function makeCondition(text: string, scope: ConditionScope): Condition {
  return { text, expression: new Typer(text, scope).typed(parseCondition(text)) };
}

/** Visits an expression and everything in it. */
export function visit(expression: Expression, look: (each: Expression) => void): void {
  look(expression);
  switch (expression.node) {
    case 'unary':
    case 'convert':
      visit(expression.operand, look);
      break;
    case 'binary':
      visit(expression.left, look);
      visit(expression.right, look);
      break;
  }
}

class Typer {
  readonly #text: string;
  readonly #scope: ConditionScope;

  constructor(text: string, scope: ConditionScope) {
    this.#text = text;
    this.#scope = scope;
  }

  #fail(at: number, why: string): never {
    throw conditionError(this.#text, at, why);
  }

  typed(syntax: Syntax): Expression {
    switch (syntax.type) {
      case 'integer':
        return { node: 'integer', type: literalType(syntax.value, syntax.decimal), value: syntax.value };
      case 'float':
        return { node: 'float', type: double, value: syntax.value };
      case 'string':
        return this.#fail(syntax.at, 'a text can only be compared with comm, by == or !=');
      case 'name':
        return this.#name(syntax);
      case 'unary':
        return this.#unary(syntax.operator, this.typed(syntax.operand), syntax.at);
      case 'binary':
        return this.#comm(syntax) ?? this.#binary(syntax);
    }
  }

  #name({ text, at }: { readonly text: string; readonly at: number }): Expression {
    switch (text) {
      case 'new':
      case 'old':
        return this.#value(text, at);
      case 'changed': {
        const fields = { operator: '!=', side: this.#value('new', at).type, type: int } as const;
        return { node: 'binary', ...fields, left: this.#value('new', at), right: this.#value('old', at) };
      }
      case 'tid':
      case 'pid':
      case 'cpu':
        return { node: 'fact', type: int, fact: text };
      case 'comm':
        return this.#fail(at, 'comm is a text: compare it with a text, by == or !=');
    }
    const meaning = this.#scope.resolve(text);
    switch (meaning.type) {
      case 'error':
        return this.#fail(at, meaning.why);
      case 'constant':
        return {
          node: 'integer',
          type: literalType(meaning.value, true),
          value: BigInt.asUintN(64, meaning.value),
        };
      case 'variable': {
        const { address, number, bits } = meaning;
        return { node: 'variable', type: promoted(number, bits), name: text, address, number, bits };
      }
    }
  }

  #value(which: 'new' | 'old', at: number): Expression {
    const { value } = this.#scope;
    if (typeof value === 'string') return this.#fail(at, value);
    return { node: 'value', type: promoted(value.number, value.bits), which, ...value };
  }

  #unary(operator: UnaryOperator, operand: Expression, at: number): Expression {
    if (operator === '!') return { node: 'unary', type: int, operator, operand };
    if (operator === '~' && operand.type.kind === 'float') this.#fail(at, "'~' is for integers");
    return { node: 'unary', type: operand.type, operator, operand };
  }

  /** `comm == "text"`, either way round. */
  #comm(syntax: Syntax & { readonly type: 'binary' }): Expression | undefined {
    const { left, right, operator, at } = syntax;
    const isComm = (side: Syntax): boolean => side.type === 'name' && side.text === 'comm';
    const text = left.type === 'string' ? left : right.type === 'string' ? right : undefined;
    if (text?.type !== 'string' || !(isComm(left) || isComm(right))) return undefined;
    if (operator !== '==' && operator !== '!=') this.#fail(at, `comm has no '${operator}': == and != only`);
    return { node: 'comm', type: int, text: text.value, equal: operator === '==' };
  }

  #binary({ operator, left: l, right: r, at }: Syntax & { readonly type: 'binary' }): Expression {
    const left = this.typed(l);
    const right = this.typed(r);
    const isFloat = left.type.kind === 'float' || right.type.kind === 'float';
    switch (operator) {
      case '&&':
      case '||':
        return { node: 'binary', type: int, operator, side: int, left, right };
      case '<<':
      case '>>':
        if (isFloat) this.#fail(at, `'${operator}' is for integers`);
        return { node: 'binary', type: left.type, operator, side: left.type, left, right };
      case '%':
      case '&':
      case '|':
      case '^':
        if (isFloat) this.#fail(at, `'${operator}' is for integers`);
    }
    const side = commonType(left.type, right.type);
    const isTruth = ['==', '!=', '<', '<=', '>', '>='].includes(operator);
    return {
      node: 'binary',
      type: isTruth ? int : side,
      operator,
      side,
      left: converted(left, side),
      right: converted(right, side),
    };
  }
}

/** The type of an integer as C has it: a decimal one is signed where it fits, others by their size. */
function literalType(value: bigint, decimal: boolean): ComputedType {
  if (value < 0n) return value >= -(1n << 31n) ? int : long;
  if (value < 1n << 31n) return int;
  if (!decimal && value < 1n << 32n) return unsigned;
  return value < 1n << 63n ? long : unsignedLong;
}

/** C's integer promotions; a float is computed with as a double. */
function promoted(number: NumberType, bits?: BitField): ComputedType {
  if (number.kind === 'float') return double;
  const width = bits?.size ?? number.bits;
  if (width < 32) return int;
  if (width === 32) return number.signed ? int : unsigned;
  return number.signed ? long : unsignedLong;
}

/** C's usual arithmetic conversions. */
function commonType(a: ComputedType, b: ComputedType): ComputedType {
  if (a.kind === 'float' || b.kind === 'float') return double;
  if (a.bits === b.bits) return a.signed ? b : a;
  return a.bits > b.bits ? a : b;
}

function converted(operand: Expression, type: ComputedType): Expression {
  const same =
    operand.type.kind === type.kind &&
    operand.type.bits === type.bits &&
    (operand.type.kind === 'float' || type.kind === 'float' || operand.type.signed === type.signed);
  return same ? operand : { node: 'convert', type, operand };
}
