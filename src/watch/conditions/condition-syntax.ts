import { requestError, type WatchError } from '../errors.ts';

/** Operators of two sides, loosest first; those of one line bind alike and from the left, as in C. */
const levels = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '<=', '>', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
] as const;

/** An operator of two sides. */
export type BinaryOperator = (typeof levels)[number][number];
/** An operator of one. */
export type UnaryOperator = '!' | '-' | '~' | '+';

/** An expression as it was written. `at` is where it stands in the text, for messages. */
export type Syntax =
  | { readonly type: 'integer'; readonly at: number; readonly value: bigint; readonly decimal: boolean }
  | { readonly type: 'float'; readonly at: number; readonly value: number }
  | { readonly type: 'string'; readonly at: number; readonly value: string }
  /** A name, or a path to a member: "cfg->limits[2].max". */
  | { readonly type: 'name'; readonly at: number; readonly text: string }
  | {
      readonly type: 'unary';
      readonly at: number;
      readonly operator: UnaryOperator;
      readonly operand: Syntax;
    }
  | {
      readonly type: 'binary';
      readonly at: number;
      readonly operator: BinaryOperator;
      readonly left: Syntax;
      readonly right: Syntax;
    };

/** No condition that anybody writes is nested so deep; more is refused instead of overflowing the stack. */
const mostNested = 64;
const largest = (1n << 64n) - 1n;

/** An error with the text and a caret under the place. */
export function conditionError(text: string, at: number, why: string): WatchError {
  return requestError(`--when: ${why}`, [text.replace(/\s/g, ' '), `${' '.repeat(at)}^`]);
}

/**
 * Parses a condition.
 *
 *     expression = unary { operator unary }                      operators and what binds how: as in C
 *     unary      = { "!" | "-" | "~" | "+" } primary
 *     primary    = number | character | string | path | "(" expression ")"
 *     path       = name { "::" name } { "." name | "->" name | "[" number "]" }
 *     number     = decimal, 0x hexadecimal, or a decimal fraction with "." or "e"
 *
 * Throws {@link WatchError} of kind `request` with a caret under the place.
 */
export function parseCondition(text: string): Syntax {
  return new Parser(text).parse();
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Syntax {
    const expression = this.#binary(0);
    this.#skip();
    if (this.#at < this.#text.length)
      this.#fail(this.#at, `expected an operator or the end, not '${this.#text[this.#at]}'`);
    return expression;
  }

  #fail(at: number, why: string): never {
    throw conditionError(this.#text, at, why);
  }

  #skip(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  /** Takes what matches here. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0];
    if (match !== undefined) this.#at += match.length;
    return match;
  }

  /** The operator of a level that stands here. */
  #operator(level: number): BinaryOperator | undefined {
    this.#skip();
    const found = /(?:\|\||&&|==|!=|<=|>=|<<|>>|[|^&<>+\-*/%=])/y;
    found.lastIndex = this.#at;
    const [word] = found.exec(this.#text) ?? [];
    if (word === '=') this.#fail(this.#at, "'=' assigns in C, and a condition only looks: write '=='");
    const operator = levels[level]?.find((each) => each === word);
    if (operator !== undefined) this.#at += operator.length;
    return operator;
  }

  #binary(level: number): Syntax {
    if (level === levels.length) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      this.#skip();
      const at = this.#at;
      const operator = this.#operator(level);
      if (operator === undefined) return left;
      const chained = left.type === 'binary' && (level === 5 || level === 6) && isComparison(left.operator);
      if (chained && this.#text[left.at - 1] !== '(' && !this.#parenthesised.has(left))
        this.#fail(at, "comparisons do not chain: join them with '&&'");
      left = { type: 'binary', at, operator, left, right: this.#binary(level + 1) };
      this.#nest();
    }
  }

  readonly #parenthesised: Set<Syntax> = new Set();

  /** A long chain of operators is as deep a tree as one of parentheses. */
  #nest(): void {
    if (++this.#depth > 16 * mostNested) this.#fail(this.#at, 'it is too long');
  }

  #unary(): Syntax {
    this.#skip();
    const at = this.#at;
    const operator = this.#take(/[!\-~+](?!=)/y);
    if (operator === undefined) return this.#primary();
    this.#deeper(at);
    const operand = this.#unary();
    this.#level--;
    return { type: 'unary', at, operator: operator as UnaryOperator, operand }; // one of the pattern's
  }

  #level = 0;

  #deeper(at: number): void {
    if (++this.#level > mostNested) this.#fail(at, 'it is nested too deep');
  }

  #primary(): Syntax {
    const at = this.#at;
    if (this.#take(/\(/y) !== undefined) {
      this.#deeper(at);
      const inner = this.#binary(0);
      this.#level--;
      this.#skip();
      if (this.#take(/\)/y) === undefined) this.#fail(at, "this '(' is not closed");
      this.#parenthesised.add(inner);
      return inner;
    }
    if (/[0-9]/.test(this.#text[at] ?? '')) return this.#number(at);
    const string = this.#take(/"(?:[^"\\]|\\.)*"/y);
    if (string !== undefined) return { type: 'string', at, value: unescaped(string.slice(1, -1)) };
    const character = this.#take(/'(?:[^'\\]|\\.)'/y);
    if (character !== undefined) {
      const value = BigInt(unescaped(character.slice(1, -1)).codePointAt(0) ?? 0);
      return { type: 'integer', at, value, decimal: true };
    }
    const path = this.#take(
      /[A-Za-z_]\w*(?:::[A-Za-z_]\w*)*(?:\s*(?:->|\.)\s*[A-Za-z_]\w*|\s*\[\s*\d+\s*\])*/y,
    );
    if (path !== undefined) return { type: 'name', at, text: path.replace(/\s+/g, '') };
    const found = this.#text[at];
    return this.#fail(
      at,
      found === undefined
        ? 'something is missing at its end'
        : `expected a number, a name or '(', not '${found}'`,
    );
  }

  #number(at: number): Syntax {
    const word = this.#take(/(?:0[xX][0-9a-fA-F]+|\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+)\w*/y) ?? '';
    if (/^0[xX][0-9a-fA-F]+$/.test(word) || /^\d+$/.test(word)) {
      const value = BigInt(word);
      if (value > largest) this.#fail(at, `${word} does not fit 64 bits`);
      return { type: 'integer', at, value, decimal: !/^0[xX]/.test(word) };
    }
    if (!/^\d+(?:\.\d*)?(?:[eE][+-]?\d+)?$/.test(word)) this.#fail(at, `'${word}' is no number`);
    return { type: 'float', at, value: Number(word) };
  }
}

function isComparison(operator: BinaryOperator): boolean {
  return ['==', '!=', '<', '<=', '>', '>='].includes(operator);
}

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '0': '\0' };

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, letter: string) => escapes[letter] ?? letter);
}
