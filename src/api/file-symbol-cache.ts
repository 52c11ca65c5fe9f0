import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { SymbolCache } from '../symbols/dwarf/debug-data.ts';

/**
 * Where the cache is: $XDG_CACHE_HOME/trapline/names, or ~/.cache/trapline/names; `undefined` without a home. Source: XDG Base
 * Directory Specification.
 */
export function symbolCacheFolder(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const base = env.XDG_CACHE_HOME;
  // A relative path is to be ignored, says the specification.
  if (base !== undefined && path.isAbsolute(base)) return path.join(base, 'trapline', 'names');
  const home = env.HOME;
  return home === undefined || !path.isAbsolute(home)
    ? undefined
    : path.join(home, '.cache', 'trapline', 'names');
}

/**
 * What names mean in files that were looked through before, as files of a folder: one a name, named by a hash of build
 * id and name. The folder is kept below a number of bytes and of files: when it grows beyond, those that were not used
 * for the longest time go, until it is half full. Whatever fails on disk is as if it were not there.
 */
export class FileSymbolCache implements SymbolCache {
  readonly #folder: string;
  readonly #mostBytes: number;
  readonly #mostFiles: number;

  constructor(folder: string, options: { mostBytes?: number; mostFiles?: number } = {}) {
    this.#folder = folder;
    this.#mostBytes = options.mostBytes ?? 16 * 1024 * 1024;
    this.#mostFiles = options.mostFiles ?? 4096;
  }

  get(key: { readonly identity: string; readonly name: string }): Uint8Array | undefined {
    const file = this.#fileOf(key);
    return attempt(() => {
      if (fs.statSync(file).size > this.#mostBytes) return undefined;
      const bytes = fs.readFileSync(file);
      const now = new Date();
      attempt(() => fs.utimesSync(file, now, now)); // used now
      return bytes;
    });
  }

  put(key: { readonly identity: string; readonly name: string }, bytes: Uint8Array): void {
    if (bytes.length > this.#mostBytes / 4) return;
    const file = this.#fileOf(key);
    attempt(() => {
      fs.mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      // Two processes may write one name at the same time: each has a file of its own until it is whole.
      const part = `${file}.${process.pid}`;
      fs.writeFileSync(part, bytes, { mode: 0o600 });
      fs.renameSync(part, file);
      this.#trim();
    });
  }

  #fileOf(key: { readonly identity: string; readonly name: string }): string {
    const hash = createHash('sha256').update(`${key.identity}\0${key.name}`).digest('hex');
    return path.join(this.#folder, hash);
  }

  #trim(): void {
    const files = fs.readdirSync(this.#folder).map((name) => {
      const file = path.join(this.#folder, name);
      const stat = fs.statSync(file);
      return { file, sizeBytes: stat.size, usedMs: stat.mtimeMs };
    });
    let bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    let count = files.length;
    if (bytes <= this.#mostBytes && count <= this.#mostFiles) return;
    files.sort((a, b) => a.usedMs - b.usedMs);
    for (const { file, sizeBytes } of files) {
      if (bytes <= this.#mostBytes / 2 && count <= this.#mostFiles / 2) break;
      attempt(() => fs.unlinkSync(file));
      bytes -= sizeBytes;
      count--;
    }
  }
}

function attempt<Result>(action: () => Result): Result | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
