import type { Module } from '../module.ts';
import type { TypeDescription } from '../types.ts';

/** What an expression means in a process, or in a file. */
export interface ResolvedPlace {
  readonly address: bigint;
  /** 0 where nothing says how large it is. For a bit-field that of the storage unit. */
  readonly lenBytes: number;
  /** `undefined` where there is no debug information of it. */
  readonly type: TypeDescription | undefined;
  /** Of a bit-field, whose storage unit this is: `offset` bits above its lowest bit, `size` bits wide. */
  readonly bits: { readonly offset: number; readonly size: number } | undefined;
  readonly isFunction: boolean;
  /** The variable or function that the expression starts from; absent where it starts from a number. */
  readonly root:
    | {
        /** With the scopes that it is in: "ns::Class::member". */
        readonly name: string;
        readonly module: Module;
        /** The source file of its unit, where debug information tells. */
        readonly sourceFile: string | undefined;
      }
    | undefined;
  /** The pointers that were followed, outermost first: what the place depends on. */
  readonly pointers: readonly FollowedPointer[];
  /** For which thread, where the variable is thread-local. */
  readonly tid: number | undefined;
  /** How it was found: one line. */
  readonly how: string;
}

/** A pointer that was read to get to a place. */
export interface FollowedPointer {
  /** As an expression: "p->next". */
  readonly text: string;
  readonly address: bigint;
  readonly lenBytes: number;
  /** What it held. */
  readonly value: bigint;
}
