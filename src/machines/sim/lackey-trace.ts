import { type AccessTrace, AccessTraceBuilder, accessKinds, accessSizeMask } from './access-trace.ts';

/** A text that is not a memory trace, or not a whole one. */
export class TraceSyntaxError extends Error {
  /** Line number, from 1. */
  readonly line: number;

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.name = 'TraceSyntaxError';
    this.line = line;
  }
}

const instruction = 0x49;
const load = 0x4c;
const store = 0x53;
const modify = 0x4d;
const blank = 0x20;
const comma = 0x2c;

/**
 * Reads what `valgrind --tool=lackey --trace-mem=yes` writes, in chunks of text. Source: Valgrind manual, "Lackey".
 *
 *     line        = access | message
 *     access      = ("I  " | " L " | " S " | " M ") address "," size
 *     address     = 1*16 hexadecimal digits
 *     size        = decimal, bytes
 *     message     = "==" pid "==" text | "--" pid "--" text | empty
 *
 * Messages of Valgrind are passed over. Anything else is refused with its line, and so is a trace that ends in the
 * middle of a line or holds no access.
 */
export class LackeyTraceParser {
  readonly #builder = new AccessTraceBuilder();
  #line = 0;
  #rest = '';

  /** Takes the next piece of the text, cut anywhere. Throws {@link TraceSyntaxError}. */
  push(chunk: string): void {
    const text = this.#rest + chunk;
    let start = 0;
    for (;;) {
      const end = text.indexOf('\n', start);
      if (end < 0) break;
      this.#line++;
      this.#parseLine(text, start, end > start && text.charCodeAt(end - 1) === 0x0d ? end - 1 : end);
      start = end + 1;
    }
    this.#rest = text.slice(start);
  }

  /** The trace, at the end of the text. Throws {@link TraceSyntaxError}. */
  finish(): AccessTrace {
    if (this.#rest !== '')
      throw new TraceSyntaxError(this.#line + 1, 'the trace ends in the middle of a line');
    if (this.#builder.length === 0)
      throw new TraceSyntaxError(this.#line, 'no access in the whole text: not a trace of lackey');
    return this.#builder.finish();
  }

  #parseLine(text: string, start: number, end: number): void {
    if (start === end || text.startsWith('==', start) || text.startsWith('--', start)) return;
    const first = text.charCodeAt(start);
    const second = text.charCodeAt(start + 1);
    const isInstruction = first === instruction && second === blank;
    if (!isInstruction && first !== blank) this.#refuse(text, start, end);
    const kind = isInstruction
      ? accessKinds.instruction
      : second === load
        ? accessKinds.load
        : second === store
          ? accessKinds.store
          : second === modify
            ? accessKinds.modify
            : -1;
    if (kind < 0 || text.charCodeAt(start + 2) !== blank) this.#refuse(text, start, end);
    let at = start + 3;
    let low = 0;
    let high = 0;
    let digits = 0;
    for (; at < end; at++, digits++) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit < 0) break;
      high = (high << 4) | (low >>> 28);
      low = (low << 4) | digit;
    }
    if (digits === 0 || digits > 16 || text.charCodeAt(at) !== comma) this.#refuse(text, start, end);
    at++;
    let size = 0;
    const sizeStart = at;
    for (; at < end; at++) {
      const digit = text.charCodeAt(at) - 0x30;
      if (digit < 0 || digit > 9) break;
      size = size * 10 + digit;
    }
    if (at !== end || at === sizeStart || at - sizeStart > 5 || size === 0 || size > accessSizeMask)
      this.#refuse(text, start, end);
    this.#builder.add(kind, low >>> 0, high >>> 0, size);
  }

  #refuse(text: string, start: number, end: number): never {
    const shown = JSON.stringify(text.slice(start, Math.min(end, start + 60)));
    throw new TraceSyntaxError(
      this.#line,
      `expected "I  addr,size", " L addr,size", " S addr,size" or " M addr,size", got ${shown}`,
    );
  }
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  return -1;
}

/** The trace that `text` holds. Throws {@link TraceSyntaxError}. */
export function parseLackeyTrace(text: string): AccessTrace {
  const parser = new LackeyTraceParser();
  parser.push(text);
  return parser.finish();
}
