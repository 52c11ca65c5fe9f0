import type { SymbolResources } from '../symbols/process-image.ts';
import { FileSymbolCache, symbolCacheFolder } from './file-symbol-cache.ts';
import { symbolTools } from './symbol-tools.ts';

/** What names and debug information take of this machine: libraries, and the cache on disk. */
export function symbolResources(): SymbolResources {
  const folder = symbolCacheFolder(process.env);
  return { tools: symbolTools(), cache: folder === undefined ? undefined : new FileSymbolCache(folder) };
}
