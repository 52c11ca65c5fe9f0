/** A place in a program, as a person writes it. `at` is where in the text it stands, for messages. */
export type Expression =
  | NameExpression
  | { readonly kind: 'number'; readonly value: bigint; readonly at: number }
  /** `of.name`, and `of->name`. */
  | {
      readonly kind: 'member';
      readonly of: Expression;
      readonly name: string;
      readonly arrow: boolean;
      readonly at: number;
    }
  | { readonly kind: 'index'; readonly of: Expression; readonly index: bigint; readonly at: number }
  /** The elements from `from` to the one before `to`. */
  | {
      readonly kind: 'slice';
      readonly of: Expression;
      readonly from: bigint;
      readonly to: bigint;
      readonly at: number;
    }
  | { readonly kind: 'deref'; readonly of: Expression; readonly at: number }
  | { readonly kind: 'cast'; readonly type: TypeName; readonly of: Expression; readonly at: number };

/** A variable or function. */
export interface NameExpression {
  readonly kind: 'name';
  /** `ns::Class::member` and `function::variable`: the last part is the name, those before the scopes it is in. */
  readonly path: readonly string[];
  /** What stands before a single ":" or "!": a module, else a source file. */
  readonly within: string | undefined;
  readonly at: number;
}

/** A type that a cast names. */
export interface TypeName {
  /** The word before the name, if any: `struct`. */
  readonly keyword: 'struct' | 'union' | 'class' | 'enum' | undefined;
  readonly path: readonly string[];
  /** How many `*` are behind it. */
  readonly pointers: number;
  readonly at: number;
}

/** An expression and the thread in which it is meant. */
export interface PlaceExpression {
  readonly text: string;
  readonly expression: Expression;
  /** `@TID`: which thread's, of a thread-local variable. */
  readonly tid: number | undefined;
}
