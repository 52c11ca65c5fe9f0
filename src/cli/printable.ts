/**
 * `text` with its control characters (and what else a terminal may act on) as \\xNN or \\u{…}: names of threads, files
 * and symbols are anybody's text.
 */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** A message as one printable line. */
export function oneLine(text: string): string {
  return printable(text.trim().replace(/\s*\n\s*/g, '; '));
}
