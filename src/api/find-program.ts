import fs from 'node:fs';
import path from 'node:path';
import { requestError } from '../watch/errors.ts';

/**
 * The file that a shell would run for `name`: the name itself if it has a slash, else the first executable of PATH.
 * Throws a `WatchError` of kind `request` that says what is wrong.
 */
export function findProgram(name: string, searchPath: string | undefined): string {
  if (name === '') throw requestError('the command to run is empty');
  if (name.includes('/')) {
    const problem = problemOf(name);
    if (problem !== undefined) throw requestError(`cannot run ${name}: ${problem}`);
    return path.resolve(name);
  }
  let found: string | undefined;
  for (const folder of (searchPath ?? '/usr/local/bin:/usr/bin:/bin').split(':')) {
    const candidate = path.join(folder === '' ? '.' : folder, name);
    const problem = problemOf(candidate);
    if (problem === undefined) return path.resolve(candidate);
    // A folder that may not be searched is passed over, as shells do.
    if (problem !== 'no such file' && problem !== 'permission denied') found ??= `${candidate}: ${problem}`;
  }
  throw requestError(found === undefined ? `cannot run ${name}: not found in PATH` : `cannot run ${found}`);
}

function problemOf(file: string): string | undefined {
  try {
    const stat = fs.statSync(file);
    if (stat.isDirectory()) return 'it is a directory';
    if (!stat.isFile()) return 'it is no regular file';
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EACCES'
      ? 'permission denied'
      : 'no such file';
  }
  try {
    fs.accessSync(file, fs.constants.X_OK);
  } catch {
    return 'it is not executable';
  }
  return undefined;
}
