import { type JsToken, jsTokens } from './js-tokens.ts';

/** A place that is executed only if a decision goes that way. */
export interface BranchSite {
  readonly kind: 'function' | 'if' | 'else' | 'loop' | 'case' | 'choice' | 'operand' | 'catch';
  /** Where what is executed begins; an offset in UTF-16 units. */
  readonly start: number;
}

const conditions: ReadonlyMap<string, BranchSite['kind']> = new Map([
  ['if', 'if'],
  ['for', 'loop'],
  ['while', 'loop'],
]);
/** Words whose parentheses are not those of a function. */
const controls: ReadonlySet<string> = new Set(['if', 'for', 'while', 'switch', 'catch', 'with']);
const operators: ReadonlySet<string> = new Set(['&&', '||', '??', '&&=', '||=', '??=']);

/**
 * The branches of a JavaScript module as tsc writes it: bodies of functions, of conditions, loops, cases and catches, both
 * sides of `?:`, and what stands behind `&&`, `||` and `??`. An `if` without `else` has one branch; its being passed over
 * is not looked at.
 */
export function branchSites(source: string): BranchSite[] {
  const tokens = jsTokens(source);
  const sites: BranchSite[] = [];
  const add = (kind: BranchSite['kind'], index: number): void => {
    const token = tokens[index];
    if (token !== undefined) sites.push({ kind, start: token.start });
  };
  /** Indices of open brackets. */
  const open: number[] = [];
  /** Choices and cases that wait for their colon, by depth. */
  const waiting: { readonly depth: number; readonly kind: 'choice' | 'case' }[] = [];
  for (const [index, { type, text }] of tokens.entries()) {
    const before = tokens[index - 1];
    const property = before?.text === '.' || before?.text === '?.' || tokens[index + 1]?.text === ':';
    if (type === 'word' && text === 'else' && !property) add('else', index + 1);
    if (type === 'word' && text === 'catch' && !property) add('catch', bodyOfCatch(tokens, index));
    if (type === 'word' && text === 'case' && !property) waiting.push({ depth: open.length, kind: 'case' });
    if (type === 'word' && text === 'default' && tokens[index + 1]?.text === ':' && isCase(before))
      addCase(tokens, index + 2, add);
    if (type !== 'punctuator') continue;
    if (text === '=>') add('function', tokens[index + 1]?.text === '{' ? index + 2 : index + 1);
    if (operators.has(text)) add('operand', index + 1);
    if (text === '?') {
      add('choice', index + 1);
      waiting.push({ depth: open.length, kind: 'choice' });
    }
    if (text === ':' && waiting.at(-1)?.depth === open.length) {
      const kind = waiting.pop()?.kind;
      if (kind === 'choice') add('choice', index + 1);
      else addCase(tokens, index + 1, add);
    }
    if (text === '(' || text === '[' || text === '{') open.push(index);
    if (text === ']' || text === '}' || text === ')') {
      const begin = open.pop() ?? 0;
      if (text === ')') behindParentheses(tokens, { begin, end: index }, add);
    }
  }
  return sites;
}

type Add = (kind: BranchSite['kind'], index: number) => void;

function behindParentheses(
  tokens: readonly JsToken[],
  { begin, end }: { readonly begin: number; readonly end: number },
  add: Add,
): void {
  const before = tokens[begin - 1];
  const name = before?.text === 'await' ? tokens[begin - 2]?.text : before?.text;
  const method = tokens[begin - 2]?.text === '.';
  const kind = method || name === undefined ? undefined : conditions.get(name);
  const body = tokens[end + 1]?.text === '{';
  if (kind !== undefined && before?.type === 'word') {
    if (tokens[end + 1]?.text !== ';') add(kind, end + 1);
  } else if (body && before?.type === 'word' && !controls.has(before.text)) add('function', end + 2);
  else if (body && before?.text === ']') add('function', end + 2); // [Symbol.dispose]() {
}

/** The first token in the block of a catch. */
function bodyOfCatch(tokens: readonly JsToken[], index: number): number {
  let at = index;
  while (at < tokens.length && tokens[at]?.text !== '{') at++;
  return at + 1;
}

function isCase(before: JsToken | undefined): boolean {
  return before?.text === ';' || before?.text === '}' || before?.text === ':';
}

/** A case without statements of its own goes on with the next. */
function addCase(tokens: readonly JsToken[], index: number, add: Add): void {
  const text = tokens[index]?.text;
  if (text !== 'case' && text !== 'default' && text !== '}') add('case', index);
}
