import path from 'node:path';
import { hex } from '../base/hex.ts';
import type { CodeLocation, InlinedInto } from '../symbols/code-location.ts';
import { printable } from './printable.ts';

/**
 * "worker a.c:12", "clampi h.h:3 (inlined in worker)", "worker+0x1d (prog)", "prog+0x1180", "writer /app/race.js:12", or
 * an address.
 */
export function codeText(location: CodeLocation): string {
  return printable(rawCodeText(location));
}

function rawCodeText(location: CodeLocation): string {
  const { symbol, offset, module, moduleOffset, file, line } = location;
  const name = location.function ?? symbol;
  if (file !== undefined) {
    const outermost = location.inlinedInto?.at(-1);
    const inlined = outermost === undefined ? '' : ` (inlined in ${outermost.function ?? '?'})`;
    return `${name ?? '(anonymous)'} ${placeText(file, line)}${inlined}`;
  }
  if (symbol !== undefined)
    return `${name}+${hex(offset ?? 0n)}${module === undefined ? '' : ` (${module})`}`;
  if (module !== undefined && moduleOffset !== undefined) return `${module}+${hex(moduleOffset)}`;
  return module === undefined ? hex(location.address) : `${hex(location.address)} (${module})`;
}

/** "worker a.c:14": a function that the location's code was inlined into. */
export function inlinedText({ function: name, file, line }: InlinedInto): string {
  return printable(`${name ?? '?'}${file === undefined ? '' : ` ${placeText(file, line)}`}`);
}

function placeText(file: string, line: number | undefined): string {
  return `${relativeFile(shortFile(file))}${line === undefined ? '' : `:${line}`}`;
}

/** A file of this machine without the "file://" that V8 puts before it. */
export function shortFile(file: string): string {
  return file.startsWith('file://') ? file.slice('file://'.length) : file;
}

/** A path below the working directory as one relative to it; any other as it is. */
function relativeFile(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return path.isAbsolute(file) && !relative.startsWith('..') ? relative : file;
}
