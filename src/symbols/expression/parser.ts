import { parseUnsigned } from '../../base/hex.ts';
import type { Expression, NameExpression, PlaceExpression, TypeName } from './expression.ts';
import { ExpressionError } from './expression-error.ts';

/**
 * Parses a place.
 *
 *     place    = unary [ "@" tid ]
 *     unary    = "*" unary | "(" type ")" unary | postfix
 *     postfix  = primary { "." name | "->" name | "[" number "]" | "[" number ":" number "]" }
 *     primary  = [ within ( ":" | "!" ) ] path | number | "(" unary ")"
 *     path     = [ "::" ] segment { "::" segment }
 *     segment  = word [ "<" … ">" ] | "(anonymous namespace)" | "operator" …
 *     within   = a module or a source file: anything without blanks, ":" and "!", that has a "." or "/"; or in quotes
 *     type     = [ "struct" | "union" | "class" | "enum" ] path { "*" } | words of C ("unsigned long") { "*" }
 *     number   = decimal or 0x hexadecimal, with "-" before an index
 *
 * `(name)` in front of what may begin an operand is a cast, as in C. Throws {@link ExpressionError} of kind `syntax`.
 */
export function parsePlaceExpression(text: string): PlaceExpression {
  return new Parser(text).place();
}

/** Names of C's types that are several words. */
const typeWords = new Set([
  ...['unsigned', 'signed', 'long', 'short', 'int', 'char', 'double', 'float', '_Bool', '_Complex'],
]);
const tagWords = new Set(['struct', 'union', 'class', 'enum'] as const);
type TagWord = 'struct' | 'union' | 'class' | 'enum';

/** How deep brackets and stars may nest. */
const mostDepth = 64;

class Parser {
  readonly #text: string;
  #at: number = 0;
  #depth: number = 0;

  constructor(text: string) {
    this.#text = text;
  }

  place(): PlaceExpression {
    const expression = this.#unary();
    let tid: number | undefined;
    if (this.#accept('@')) {
      const at = this.#at;
      const number = this.#number();
      if (number === undefined || number > 0x7fff_ffffn) throw this.#error('a thread id is a number', at);
      tid = Number(number);
    }
    this.#blanks();
    if (this.#at < this.#text.length) {
      throw this.#error(`'${this.#rest()}' is left over; expected '.', '->', '[' or the end`);
    }
    return { text: this.#text, expression, tid };
  }

  #unary(): Expression {
    if (++this.#depth > mostDepth) throw this.#error('nested too deep');
    try {
      this.#blanks();
      const at = this.#at;
      if (this.#accept('*')) return { kind: 'deref', of: this.#unary(), at };
      const type = this.#castType();
      if (type !== undefined) return { kind: 'cast', type, of: this.#unary(), at };
      return this.#postfix(this.#primary());
    } finally {
      this.#depth--;
    }
  }

  #postfix(primary: Expression): Expression {
    let of = primary;
    for (let count = 0; ; count++) {
      if (count > mostDepth * 4) throw this.#error('too long');
      this.#blanks();
      const at = this.#at;
      if (this.#accept('->')) of = { kind: 'member', of, name: this.#memberName(), arrow: true, at };
      else if (this.#accept('.')) of = { kind: 'member', of, name: this.#memberName(), arrow: false, at };
      else if (this.#accept('[')) {
        const from = this.#index();
        if (this.#accept(':')) {
          const to = this.#index();
          if (to <= from)
            throw this.#error(`a slice [${from}:${to}] is empty: it ends before its second number`, at);
          of = { kind: 'slice', of, from, to, at };
        } else of = { kind: 'index', of, index: from, at };
        if (!this.#accept(']')) throw this.#error("expected ']'");
      } else return of;
    }
  }

  #primary(): Expression {
    this.#blanks();
    const at = this.#at;
    const number = this.#number();
    if (number !== undefined) return { kind: 'number', value: number, at };
    if (this.#text.startsWith('(', at) && !this.#text.startsWith(anonymous, at)) {
      this.#at++;
      const inner = this.#unary();
      if (!this.#accept(')')) throw this.#error("expected ')'");
      return inner;
    }
    return this.#name();
  }

  #name(): NameExpression {
    const at = this.#at;
    const within = this.#within();
    const path = this.#path();
    if (path === undefined) {
      throw this.#error(
        this.#at >= this.#text.length
          ? 'it ends where a name is expected'
          : `a name is expected, not '${this.#rest()}'`,
      );
    }
    return { kind: 'name', path, within, at };
  }

  /** "file.c:", "libfoo.so.1!", "'a name':". */
  #within(): string | undefined {
    const match = /^(?:'([^']*)'|([^\s:!'()[\]*@<>]+))\s*(?:!|::?)/.exec(this.#text.slice(this.#at));
    if (match === null) return undefined;
    const [all, quoted, plain] = match;
    // A scope is followed by "::"; so is a source file, in gdb's spelling and in quotes.
    if (all.endsWith('::') && quoted === undefined) return undefined;
    this.#at += all.length;
    return quoted ?? plain;
  }

  #path(): string[] | undefined {
    const path: string[] = [];
    this.#accept('::');
    for (;;) {
      const segment = this.#segment();
      if (segment === undefined) {
        if (path.length > 0) throw this.#error("a name is expected behind '::'");
        return undefined;
      }
      path.push(segment);
      if (!this.#accept('::')) return path;
    }
  }

  #segment(): string | undefined {
    this.#blanks();
    const start = this.#at;
    if (this.#text.startsWith(anonymous, start)) {
      this.#at += anonymous.length;
      return '';
    }
    // Rust: {impl#0}, {closure_env#0}.
    const word = /^(?:\{[^{}]*\}|[\p{L}_$][\p{L}\p{N}_$]*)/u.exec(this.#text.slice(start))?.[0];
    if (word === undefined) return undefined;
    this.#at += word.length;
    const left = this.#text[this.#at];
    if (left === '<') this.#templateArguments();
    return this.#text.slice(start, this.#at);
  }

  /** Passes over "<…>" with its brackets balanced. */
  #templateArguments(): void {
    const start = this.#at;
    let open = 0;
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at];
      const isArrow = character === '>' && this.#text[this.#at - 1] === '-';
      if (character === '<') open++;
      else if (character === '>' && !isArrow && --open === 0) {
        this.#at++;
        return;
      }
    }
    this.#at = start;
    throw this.#error("this '<' has no '>'");
  }

  /** The type of a cast, if there is one here; else nothing is taken. */
  #castType(): TypeName | undefined {
    const start = this.#at;
    if (!this.#text.startsWith('(', start) || this.#text.startsWith(anonymous, start)) return undefined;
    this.#at++;
    this.#blanks();
    const type = this.#typeName();
    const closed = type !== undefined && this.#accept(')');
    this.#blanks();
    // "(a).b" and "(a)" are no casts; "(a)b", "(a *)b", "(a)(b)" and "(a)*b" are.
    const next = this.#text[this.#at];
    const isOperand = next !== undefined && /[\p{L}\p{N}_$(*:']/u.test(next);
    if (type !== undefined && closed && isOperand) return type;
    if (type !== undefined && closed && (type.keyword !== undefined || type.pointers > 0)) {
      throw this.#error('what is to be cast is expected');
    }
    this.#at = start;
    return undefined;
  }

  #typeName(): TypeName | undefined {
    const at = this.#at;
    const words: string[] = [];
    let keyword: TagWord | undefined;
    let path: string[] | undefined;
    for (;;) {
      this.#blanks();
      const word = /^[\p{L}_][\p{L}\p{N}_]*/u.exec(this.#text.slice(this.#at))?.[0];
      if (word === undefined) break;
      if (word === 'const' || word === 'volatile') this.#at += word.length;
      else if (isTagWord(word) && keyword === undefined && words.length === 0) {
        keyword = word;
        this.#at += word.length;
      } else if (typeWords.has(word) && path === undefined) {
        words.push(word);
        this.#at += word.length;
      } else if (path === undefined && words.length === 0) path = this.#path();
      else break;
    }
    if (words.length > 0) path = [words.join(' ')];
    if (path === undefined) return undefined;
    let pointers = 0;
    while (this.#accept('*')) pointers++;
    return { keyword, path, pointers, at };
  }

  #memberName(): string {
    this.#blanks();
    const match = /^[\p{L}\p{N}_$]+/u.exec(this.#text.slice(this.#at));
    if (match === null) throw this.#error("a member's name is expected");
    this.#at += match[0].length;
    return match[0];
  }

  #index(): bigint {
    this.#blanks();
    const at = this.#at;
    const negative = this.#accept('-');
    const number = this.#number();
    if (number === undefined) throw this.#error('an index is a number, decimal or 0x hexadecimal', at);
    return negative ? -number : number;
  }

  #number(): bigint | undefined {
    this.#blanks();
    const word = /^[0-9][0-9a-zA-Z_]*/.exec(this.#text.slice(this.#at))?.[0];
    if (word === undefined) return undefined;
    const value = parseUnsigned(word);
    if (value === undefined)
      throw this.#error(`'${word}' is no number of 64 bits, decimal or 0x hexadecimal`);
    this.#at += word.length;
    return value;
  }

  #accept(token: string): boolean {
    this.#blanks();
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #blanks(): void {
    while (/\s/.test(this.#text[this.#at] ?? 'x')) this.#at++;
  }

  #rest(): string {
    const rest = this.#text.slice(this.#at).trim();
    return rest.length > 20 ? `${rest.slice(0, 20)}…` : rest;
  }

  #error(message: string, at: number = this.#at): ExpressionError {
    return new ExpressionError('syntax', message, { text: this.#text, at });
  }
}

const anonymous = '(anonymous namespace)';

function isTagWord(word: string): word is TagWord {
  return (tagWords as ReadonlySet<string>).has(word); // a wider type, only to look
}
