/** A token of JavaScript: `type` "word" is a name, keyword or number. Comments are left out. */
export interface JsToken {
  readonly type: 'word' | 'punctuator' | 'text';
  readonly text: string;
  /** Offset in UTF-16 units. */
  readonly start: number;
}

const word = /[\p{ID_Continue}$#@]+/uy;
const regularExpression = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;
const space = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)+/y;
const punctuator = /=>|\?\?=|\|\|=|&&=|\?\.(?!\d)|\?\?|\|\||&&|\.\.\.|[\s\S]/y;
/** Behind these a slash begins a regular expression. */
const beforeExpression: ReadonlySet<string> = new Set([
  'return',
  'typeof',
  'case',
  'in',
  'of',
  'void',
  'throw',
  'new',
]);

/** The tokens of a JavaScript module as tsc writes it; what is inside `${}` of templates is among them. */
export function jsTokens(source: string): JsToken[] {
  const tokens: JsToken[] = [];
  /** For every open brace: whether it is of a template. */
  const braces: boolean[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  const push = (type: JsToken['type'], text: string): void => {
    tokens.push({ type, text, start: at });
    at += text.length;
  };
  while (at < source.length) {
    const skipped = take(space);
    if (skipped !== undefined) {
      at += skipped.length;
      continue;
    }
    const name = take(word);
    if (name !== undefined) {
      push('word', name);
      continue;
    }
    const character = source[at] ?? '';
    if (character === '"' || character === "'") push('text', stringAt(source, at));
    else if (character === '`' || (character === '}' && braces.at(-1) === true)) {
      if (character === '}') braces.pop();
      const text = templateAt(source, at);
      if (text.endsWith('${')) braces.push(true);
      push('text', text);
    } else if (character === '/' && beginsExpression(tokens.at(-1)))
      push('text', take(regularExpression) ?? '/');
    else {
      if (character === '{') braces.push(false);
      if (character === '}') braces.pop();
      push('punctuator', take(punctuator) ?? character);
    }
  }
  return tokens;
}

function beginsExpression(before: JsToken | undefined): boolean {
  if (before === undefined) return true;
  if (before.type === 'word') return beforeExpression.has(before.text);
  return before.type === 'punctuator' && before.text !== ')' && before.text !== ']' && before.text !== '}';
}

function stringAt(source: string, start: number): string {
  let at = start + 1;
  while (at < source.length && source[at] !== source[start]) at += source[at] === '\\' ? 2 : 1;
  return source.slice(start, at + 1);
}

/** A part of a template: from a backquote or the brace that closes an expression, to the next expression or the end. */
function templateAt(source: string, start: number): string {
  for (let at = start + 1; at < source.length; at++) {
    if (source[at] === '\\') at++;
    else if (source[at] === '`') return source.slice(start, at + 1);
    else if (source[at] === '$' && source[at + 1] === '{') return source.slice(start, at + 2);
  }
  return source.slice(start);
}
