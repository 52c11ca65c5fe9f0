import type { SymbolTools } from '../symbols/symbol-tools.ts';
import { decompress } from './decompress.ts';
import { createDemangler } from './demangler.ts';

/** The libraries behind names and debug information, loaded when first needed. */
export function symbolTools(): SymbolTools {
  return { demangle: createDemangler(), decompress };
}
