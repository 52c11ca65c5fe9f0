import path from 'node:path';
import { hex } from '../base/hex.ts';
import type { CodeLocation } from '../symbols/code-location.ts';
import { printable } from './printable.ts';

/** "worker+0x1d (prog)", "prog+0x1180", "writer /app/race.js:12", or an address. */
export function codeText(location: CodeLocation): string {
  return printable(rawCodeText(location));
}

function rawCodeText(location: CodeLocation): string {
  const { symbol, offset, module, moduleOffset, file, line } = location;
  if (file !== undefined)
    return `${symbol ?? '(anonymous)'} ${relativeFile(shortFile(file))}${line === undefined ? '' : `:${line}`}`;
  if (symbol !== undefined)
    return `${symbol}+${hex(offset ?? 0n)}${module === undefined ? '' : ` (${module})`}`;
  if (module !== undefined && moduleOffset !== undefined) return `${module}+${hex(moduleOffset)}`;
  return module === undefined ? hex(location.address) : `${hex(location.address)} (${module})`;
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
