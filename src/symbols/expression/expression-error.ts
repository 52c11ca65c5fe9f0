import type { FollowedPointer } from './resolved-place.ts';

/** Why an expression does not become a place, and where in its text. The message is one line. */
export class ExpressionError extends Error {
  /** The whole expression. */
  readonly text: string;
  /** Index in `text` of what is wrong. */
  readonly at: number;
  /**
   * `syntax`: it does not parse. `name`: a name is not there (yet: a library may bring it). `ambiguous`: a name means
   * several things. `type`: what is asked cannot be done with what it is. `place`: it cannot be reached now.
   */
  readonly kind: 'syntax' | 'name' | 'ambiguous' | 'type' | 'place';
  /** The pointers that were read until then, outermost first; the last may be null or lead nowhere. */
  readonly pointers: readonly FollowedPointer[];

  constructor(
    kind: ExpressionError['kind'],
    message: string,
    where: { text: string; at: number; pointers?: readonly FollowedPointer[] },
  ) {
    super(message);
    this.name = 'ExpressionError';
    this.kind = kind;
    this.text = where.text;
    this.at = where.at;
    this.pointers = where.pointers ?? [];
  }

  /** The expression, and under it a caret where it is wrong. */
  get excerpt(): readonly [string, string] {
    // A tab is one column here, whatever the terminal makes of it.
    const line = this.text.replace(/\s/g, ' ');
    return [line, `${' '.repeat(Math.min(this.at, line.length))}^`];
  }
}
