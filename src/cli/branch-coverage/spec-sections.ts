/** A section of docs/spec that a comment cites. */
export interface SpecCitation {
  /** "03 section 9". */
  readonly section: string;
  /** Offset of the code that it is about: behind the comment, inside the function that begins there if one does. */
  readonly codeStart: number;
}

const comment = /\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
const citation = /docs\/spec\/(\d\d)\s+sections? ((?:\d+(?:\.\d+)*(?:, | and )?)+)/g;
/** So far behind its comment the body of what is documented begins at most, in characters. */
const headMax = 1500;

/** The sections of docs/spec that the comments of a module cite: whoever executes the code behind was there. */
export function specSections(source: string): SpecCitation[] {
  const found: SpecCitation[] = [];
  for (const { 0: text, index } of source.matchAll(comment))
    for (const [, file, numbers = ''] of text.replace(/\s*\n\s*\*?\s*/g, ' ').matchAll(citation))
      for (const number of numbers.split(/, | and /).filter((each) => each !== '')) {
        const codeStart = codeBehind(source, index + text.length);
        if (codeStart !== undefined) found.push({ section: `${file} section ${number}`, codeStart });
      }
  return found;
}

const classHead = /^\s*(?:export )?class\b/;
const firstMethod = /^[\s\S]*?\)\s*\{/;
const arrow = /^\s*(?:export )?const\b[^;]*?=>\s*\{?/;
const data = /^\s*(?:export )?const\b/;
const functionHead = /^[^;]*?\)\s*\{/;
const statement = /^\s*\n[ \t]+(?=\S)/;

/** The first place behind `end` that a call executes; `undefined`: what stands there is data. */
function codeBehind(source: string, end: number): number | undefined {
  const head = source.slice(end, end + headMax).replace(comment, (text) => ' '.repeat(text.length));
  const heads = classHead.test(head)
    ? [firstMethod]
    : data.test(head)
      ? [arrow, statement]
      : [functionHead, statement];
  const body = heads.map((pattern) => pattern.exec(head)).find((match) => match !== null) ?? null;
  return body === null ? undefined : end + body[0].length;
}
