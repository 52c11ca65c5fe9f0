import { alignedPieces } from '../arch/x86/fitting.ts';
import { hex } from '../base/hex.ts';
import type { AddressSpace } from '../symbols/address-space.ts';
import { ElfError } from '../symbols/elf-error.ts';
import { evaluatePlace, type ThreadLocals } from '../symbols/expression/evaluator.ts';
import type { PlaceExpression } from '../symbols/expression/expression.ts';
import { ExpressionError } from '../symbols/expression/expression-error.ts';
import { parsePlaceExpression } from '../symbols/expression/parser.ts';
import type { FollowedPointer, ResolvedPlace } from '../symbols/expression/resolved-place.ts';
import { spellExpression } from '../symbols/expression/spell.ts';
import { variablesOf } from '../symbols/program-variables.ts';
import type { ResolvedSymbol } from '../symbols/resolution.ts';
import { type TypeDescription, unaliased } from '../symbols/types.ts';
import { requestError, type WatchError } from './errors.ts';
import type { WatchedSlice } from './slice-element.ts';

/** What evaluating an expression came to. */
export type ExpressionResult =
  | { readonly place: ResolvedPlace }
  | {
      readonly error: WatchError;
      /** It may come true when the program has begun: a library brings the name, a pointer is set. */
      readonly mayAppear: boolean;
      readonly isUnknownName: boolean;
      /** Where a pointer leads nowhere now: those that were read, it is the last. */
      readonly pointers?: readonly FollowedPointer[];
    };

/** The place that an expression means now. `text` is the whole request, for messages. */
export function evaluateRequest(
  text: string,
  expression: PlaceExpression,
  context: { readonly space: AddressSpace; readonly threadLocals?: ThreadLocals | undefined },
): ExpressionResult {
  try {
    return { place: evaluatePlace(expression, context) };
  } catch (error) {
    if (error instanceof ElfError) {
      return { error: requestError(`'${text}': ${error.message}`), mayAppear: false, isUnknownName: true };
    }
    if (!(error instanceof ExpressionError)) throw error;
    const { kind, pointers } = error;
    return {
      error: requestError(`'${text}': ${error.message}`, error.excerpt),
      mayAppear: kind === 'name' || kind === 'place',
      isUnknownName: kind === 'name',
      ...(kind === 'place' && pointers.length > 0 ? { pointers } : {}),
    };
  }
}

/** A name that is no symbol as an expression, if it is one: "counters.total", "ns::state". */
export function nameAsExpression(name: string, module: string | undefined): PlaceExpression | undefined {
  try {
    return parsePlaceExpression(module === undefined ? name : `${module}:${name}`);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    return undefined;
  }
}

/** The type of a variable that was found by its symbol, where debug information has one of it. */
export function typeOfSymbol({ symbol, module, address }: ResolvedSymbol): TypeDescription | undefined {
  if (symbol.kind !== 'object') return undefined;
  let variables: ReturnType<typeof variablesOf>;
  try {
    variables = variablesOf(module, { path: [symbol.name] });
  } catch (error) {
    if (error instanceof ElfError) return undefined; // the symbol table is good without
    throw error;
  }
  const own = variables.find(({ location }) => location.kind === 'address' && location.address === address);
  return (own ?? variables.find(({ declaration }) => declaration.kind === 'declared variable'))?.type;
}

/** One sentence on the pointers that a place depends on; `undefined` where there are none. */
export function pointerNote(
  text: string,
  { pointers }: Pick<ResolvedPlace, 'pointers'>,
  { follow }: { readonly follow: boolean },
): string | undefined {
  if (pointers.length === 0) return undefined;
  const then = follow
    ? 'the watch moves when a pointer changes, and misses what is done before it has moved'
    : 'the watch stays there if a pointer changes (--follow moves it)';
  return `'${text}' was followed when arming (${pointersText(pointers)}): ${then}`;
}

/** "p = 0x4010, p->next = 0x0". */
export function pointersText(pointers: readonly FollowedPointer[]): string {
  return pointers.map(({ text, value }) => `${text} = ${hex(value)}`).join(', ');
}

/** A part of a slice that one register holds. */
export interface SlicePiece {
  readonly address: bigint;
  readonly lenBytes: number;
  /** "a[2:4]", or "a[2]+8" of an element that takes several registers. */
  readonly text: string;
  readonly type: TypeDescription | undefined;
}

/** The slice that an expression is; `undefined` where it is none. */
export function sliceOf(expression: PlaceExpression, place: ResolvedPlace): WatchedSlice | undefined {
  const slice = expression.expression;
  if (slice.kind !== 'slice' || place.type === undefined) return undefined;
  const type = unaliased(place.type);
  if (type.kind !== 'array') return undefined;
  const { address, lenBytes } = place;
  return { of: spellExpression(slice.of), from: slice.from, address, lenBytes, type };
}

/** The aligned pieces of a slice in the order of addresses; `undefined` where the expression is no slice. */
export function slicePieces(expression: PlaceExpression, place: ResolvedPlace): SlicePiece[] | undefined {
  const slice = expression.expression;
  if (slice.kind !== 'slice' || place.type === undefined) return undefined;
  const whole = unaliased(place.type);
  if (whole.kind !== 'array' || place.lenBytes > mostSliceBytes) return undefined;
  const { element } = whole;
  const elementBytes = element.byteSize;
  const of = spellExpression(slice.of);
  return [...alignedPieces(place.address, BigInt(place.lenBytes))].map(({ address, lenBytes }) => {
    const into = Number(address - place.address);
    const first = slice.from + BigInt(Math.floor(into / elementBytes));
    if (into % elementBytes !== 0 || lenBytes % elementBytes !== 0) {
      return { address, lenBytes, text: `${of}[${first}]+${into % elementBytes}`, type: undefined };
    }
    const count = lenBytes / elementBytes;
    if (count === 1) return { address, lenBytes, text: `${of}[${first}]`, type: element };
    const type: TypeDescription = {
      kind: 'array',
      name: `${element.name}[${count}]`,
      byteSize: lenBytes,
      element,
      count,
      vector: false,
    };
    return { address, lenBytes, text: `${of}[${first}:${first + BigInt(count)}]`, type };
  });
}

/** Beyond what any machine's registers hold. */
const mostSliceBytes = 4096;
