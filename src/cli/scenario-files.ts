import fs from 'node:fs';
import path from 'node:path';
import type { ScenarioSource } from '../scenario/run.ts';
import { UsageError } from './errors.ts';

const suffix = '.jsonl';
const byNumber = new Intl.Collator('en', { numeric: true });

/**
 * The scenario files that paths name: a file itself; of a folder all `*.jsonl` in it and below, in the order of their
 * names, numbers by value. Throws {@link UsageError}.
 */
export function readScenarioFiles(paths: readonly string[]): ScenarioSource[] {
  return paths.flatMap((given) => filesAt(given)).map((name) => ({ name, text: readScenarioFile(name) }));
}

/** The text of one file. Throws {@link UsageError}. */
export function readScenarioFile(file: string): string {
  return orRefuse(file, () => fs.readFileSync(file, 'utf8'));
}

function filesAt(given: string): string[] {
  if (!orRefuse(given, () => fs.statSync(given)).isDirectory()) return [given];
  const names = orRefuse(given, () => fs.readdirSync(given, { recursive: true, encoding: 'utf8' }));
  const files = names
    .filter((name) => name.endsWith(suffix))
    .sort(byNumber.compare)
    .map((name) => path.join(given, name));
  if (files.length === 0) throw new UsageError(`there is no *${suffix} file in ${given}`);
  return files;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
};

function orRefuse<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
    if (code === undefined) throw error;
    throw new UsageError(`cannot read ${file}: ${reasons[code] ?? code}`);
  }
}
