import { describe, expect, it } from 'vitest';
import { branchSites } from './branch-sites.ts';
import { jsTokens } from './js-tokens.ts';
import { specSections } from './spec-sections.ts';

/** Every branch as its kind and the code that it begins with. */
const sites = (source: string): string[] =>
  branchSites(source).map(({ kind, start }) =>
    `${kind}: ${/^[^;{}\n)]*/.exec(source.slice(start))?.[0].trim()}`.trim(),
  );

describe('the branches of a module', () => {
  it.each([
    ['if (a) { b(); } else if (c) d(); else { e(); }', ['if:', 'else: if (c', 'if: d(', 'else:']],
    ['for (const a of b) c(a); while (d) { e(); } do f(); while (g());', ['loop: c(a', 'loop:']],
    [
      'switch (a) { case 1: case "x": b(); break; case c ? 1 : 2: { d(); } default: e(); }',
      [...['case: b(', 'choice: 1 : 2:', 'choice: 2:', 'case:', 'case: e(']],
    ],
    ['const a = b ? { c: 1 } : d?.e ?? f;', ['choice:', 'choice: d?.e ?? f', 'operand: f']],
    ['a ||= b && c;', ['operand: b && c', 'operand: c']],
    ['try { a(); } catch (e) { b(); } try { c(); } catch { d(); }', ['catch: b(', 'catch: d(']],
    [
      'class A { #x = 1; constructor() { z(); } static b() { c(); } get d() { e(); } [Symbol.dispose]() { f(); } }',
      [...['function: z(', 'function: c(', 'function: e(', 'function: f(']],
    ],
    [
      'const a = (b) => b + 1, c = async () => { d(); }; function e(f = 1) { g(); }',
      [...['function: b + 1, c = async (', 'function: d(', 'function: g(']],
    ],
    ['a.if(b); a.catch(c); const d = { default: 1, case: 2, else: 3 };', []],
    [
      'const a = `x ${b ? `${c}` : "}"} y` + "if (d) e()" + /[/"`]if (f) g/u.test(h) / 2 / i; // if (j) k',
      [...['choice: `$', 'choice: "']],
    ],
    ['/* if (a) b */ const c = d / e / (f || g);', ['operand: g']],
  ])('of %s', (source, expected) => {
    expect(sites(source)).toEqual(expected);
  });

  it('are found where the tokens are: no character is lost', () => {
    const source = 'const a = /a\\/[/]b/g.exec(`1${ {b: "}"}.b }2`) ?? 3n; a?.b ?.5 : c';
    const text = jsTokens(source)
      .map((token) => token.text)
      .join('');
    expect(text.replace(/\s/g, '')).toBe(source.replace(/\s/g, ''));
    for (const { text: each, start } of jsTokens(source)) expect(source.startsWith(each, start)).toBe(true);
  });
});

describe('the sections of docs/spec that a module cites', () => {
  const cited = (source: string): string[] =>
    specSections(source).map(
      ({ section, codeStart }) => `${section}: ${source.slice(codeStart).split('\n')[0]?.trim()}`,
    );

  it('are tied to the body of the function behind the comment, or to the statement', () => {
    expect(
      cited(`/**
 * Says. docs/spec/03
 * sections 8 and 9.1.
 */
export function a(b = {}) {
    first();
    // docs/spec/02 section 4
    second();
}
/** docs/spec/04 section 2. */
export class C {
    #d = 1;
    /** docs/spec/04 section 3 */
    e(f) {
        third();
    }
}`).map((each) => each.replace(/: $/, ': (body)')),
    ).toEqual([
      '03 section 8: (body)',
      '03 section 9.1: (body)',
      '02 section 4: second();',
      '04 section 2: (body)',
      '04 section 3: (body)',
    ]);
  });

  it('are not counted where data stands behind the comment: loading it is no execution', () => {
    expect(cited('/** docs/spec/03 section 1. */\nexport const bits = 7;\n')).toEqual([]);
  });
});
