import { parseUnsigned } from '../base/hex.ts';
import type { PlaceExpression } from '../symbols/expression/expression.ts';
import { ExpressionError } from '../symbols/expression/expression-error.ts';
import { parsePlaceExpression } from '../symbols/expression/parser.ts';
import { requestError } from './errors.ts';

/** Which accesses a watch is for. `r` alone is a request that some machines refuse. */
export type WatchAccess = 'r' | 'w' | 'rw' | 'x';

/** Where a request points. */
export type WatchLocation =
  | { readonly type: 'address'; readonly address: bigint }
  /**
   * `name` (+ `offset`) of `module` or of any module. Without `module`, a name that is no symbol but a module's file
   * name means that module's byte at `offset`.
   */
  | { readonly type: 'name'; readonly name: string; readonly module?: string; readonly offset: bigint }
  /** What debug information is needed for. */
  | { readonly type: 'expression'; readonly place: PlaceExpression };

/** One WHAT of the command line, parsed. */
export interface WatchRequest {
  /** As it was written. */
  readonly text: string;
  readonly location: WatchLocation;
  /** Absent: the symbol's size, or what the access's default is. */
  readonly lenBytes?: bigint;
  /** Absent: `x` for a function, `rw` otherwise, as perf's. */
  readonly access?: WatchAccess;
  /** Leave out hits in one mode (perf's modifiers `u` and `k`). */
  readonly only?: 'user' | 'kernel' | undefined;
}

/** The default length in bytes of a data watch without a symbol, as perf's. */
export const defaultLenBytes = 4n;
/** sizeof(long): the length of every execute watch. */
export const executeLenBytes = 8n;

/**
 * Parses one WHAT.
 *
 *     what     = [ "mem:" ] place [ "/" length ] [ ":" access ] [ ":" modifiers ]      modifiers with "mem:" only
 *     place    = address | [ module ":" ] name [ ( "+" | "-" ) number ] | expression (see parsePlaceExpression)
 *     access   = one to three of r, w, x, each once
 *     modifiers= one or more of u, k, p, each once
 *     number   = decimal or 0x hexadecimal
 *
 * With "mem:" the place is an address and the grammar is perf's (docs/spec 03, section 14). A C++ name may contain
 * "::"; a single ":" ends the module's name or the place. Throws {@link WatchError} of kind `request`.
 */
export function parseWatchRequest(text: string): WatchRequest {
  const bad = (why: string): never => {
    throw requestError(`'${text}': ${why}`);
  };
  const isMem = text.startsWith('mem:');
  let rest = isMem ? text.slice(4) : text;
  if (rest === '')
    bad('nothing to watch; expected NAME, NAME+OFFSET, FILE:NAME, MODULE+0xOFFSET or 0xADDRESS');

  let only: WatchRequest['only'];
  let access: WatchAccess | undefined;
  // With mem: there may be modifiers behind the access; otherwise what stands before is a place, and may hold a ":".
  const suffix = (isMem ? /:([a-zA-Z]*)(?::([a-zA-Z]*))?$/ : /(?<!:):([a-zA-Z]*)$/).exec(rest);
  if (suffix !== null && !isInBrackets(rest, suffix.index)) {
    const [, first = '', second] = suffix;
    if (second !== undefined && isMem) {
      access =
        parseAccess(first) ?? bad(`'${first}' is no access; expected letters out of r, w, x, each once`);
      const modifiers =
        modifiersOf(second) ??
        bad(`'${second}' are no modifiers; expected letters out of u, k, p, each once`);
      only = modifiers.only;
      rest = rest.slice(0, suffix.index);
    } else if (second === undefined) {
      const parsed = parseAccess(first);
      const place = rest.slice(0, suffix.index);
      // "lib.so:rw" could be a variable named rw: an access may only follow a place, and a module needs a name.
      if (parsed !== undefined && (isMem || !looksLikeModule(place))) {
        access = parsed;
        rest = place;
      } else if (isMem && modifiersOf(first) !== undefined) {
        only = modifiersOf(first)?.only;
        rest = place;
      } else if (isMem || first === '' || (/^[rwx]+$/i.test(first) && !looksLikeModule(place))) {
        bad(`'${first}' is no access; expected :r, :w, :rw or :x`);
      }
    }
  }

  let lenBytes: bigint | undefined;
  const slash = rest.lastIndexOf('/');
  const lengthText = slash < 0 ? undefined : rest.slice(slash + 1);
  if (lengthText !== undefined && (isMem || /^[0-9]/.test(lengthText) || lengthText === '')) {
    lenBytes = parseUnsigned(lengthText) ?? bad(`'${lengthText}' is no length in bytes`);
    rest = rest.slice(0, slash);
  }

  const fields = {
    text,
    ...(lenBytes === undefined ? {} : { lenBytes }),
    ...(access === undefined ? {} : { access }),
    ...(only === undefined ? {} : { only }),
  };
  const address = parseUnsigned(rest);
  if (address !== undefined) return { ...fields, location: { type: 'address', address } };
  if (/^[0-9]/.test(rest))
    bad(`'${rest}' is no address; expected a number, decimal or 0x hexadecimal, of 64 bits at most`);
  if (isMem) bad(`'${rest}' is no address; mem: takes an address (leave mem: away to give a name)`);
  return { ...fields, location: parsePlace(rest, bad) };
}

function parsePlace(place: string, bad: (why: string) => never): WatchLocation {
  if (isExpression.test(place) && !/\p{Cc}/u.test(place))
    return { type: 'expression', place: parseExpression(place) };
  const match = /^(?:(.*[^:]):(?!:))?(.+?)(?:([+-])([0-9][0-9a-zA-Z]*))?$/.exec(place);
  if (match === null) return bad('expected NAME, NAME+OFFSET, FILE:NAME, MODULE+0xOFFSET or 0xADDRESS');
  const [, module, name = '', sign, offsetText] = match;
  let offset = 0n;
  if (offsetText !== undefined) {
    const parsed = parseUnsigned(offsetText);
    if (parsed === undefined)
      return bad(`'${offsetText}' is no offset; expected a number, decimal or 0x hexadecimal`);
    offset = sign === '-' ? -parsed : parsed;
  }
  if (/[+\s]$/.test(name)) return bad(`'${name}' is no name`);
  return module === undefined ? { type: 'name', name, offset } : { type: 'name', name, module, offset };
}

/** Whether a bracket is open at `at`: the ":" there is a slice's. */
function isInBrackets(text: string, at: number): boolean {
  const before = text.slice(0, at);
  return before.lastIndexOf('[') > before.lastIndexOf(']');
}

/**
 * What can be nothing but an expression. `a.b`, `ns::x` and `file.c:x` can be symbols and files too ("counter.0"): they
 * are looked up as such first. "[heap]" is a mapping.
 */
const isExpression = /->|[\w\])]\s*\[|^\s*[*(]|@\s*[0-9]+$|[\w'.]!['\w:]/;

/** Throws {@link WatchError} with a caret under the place that does not parse. */
function parseExpression(text: string): PlaceExpression {
  try {
    return parsePlaceExpression(text);
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error;
    throw requestError(`'${text}': ${error.message}`, error.excerpt);
  }
}

/** Whether `text` is a file name rather than a variable's: "libfoo.so", "libfoo.so.1", a path. */
function looksLikeModule(text: string): boolean {
  if (/(?<!:):(?!:)/.test(text)) return false; // a module and a name
  return /\.so(?:\.[0-9.]+)?$/.test(text) || (text.includes('/') && !/\/[0-9]/.test(text));
}

function parseAccess(text: string): WatchAccess | undefined {
  const letters = [...text].sort().join('');
  switch (letters) {
    case 'r':
      return 'r';
    case 'w':
      return 'w';
    case 'rw':
      return 'rw';
    case 'x':
      return 'x';
    default:
      return undefined;
  }
}

/** Which mode perf's modifiers leave; `undefined` if the letters are none. `p` (precise) changes nothing here. */
function modifiersOf(text: string): { readonly only?: 'user' | 'kernel' } | undefined {
  if (!/^[ukp]+$/.test(text) || new Set(text).size !== text.length) return undefined;
  if (text.includes('u') === text.includes('k')) return {};
  return { only: text.includes('u') ? 'user' : 'kernel' };
}
