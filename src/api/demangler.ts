import fs from 'node:fs';
import { createRequire } from 'node:module';
import { withMemoryLimit } from './wasm-memory-limit.ts';

const require = createRequire(import.meta.url);

// Present in Node; its types for version 20 leave it to the DOM's.
declare const WebAssembly: {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (module: object, imports: object) => { readonly exports: Readonly<Record<string, unknown>> };
};

/**
 * Makes the function that spells linkers' names as their language does: C++ (Itanium ABI) and Rust (both schemes), by
 * gecko-profiler-demangle, whose WebAssembly is loaded at the first mangled name (5 ms). Return types are left out. Names are hostile: one
 * that does not demangle, or grows beyond {@link longestDemangled}, is given back as it is.
 */
export function createDemangler(): (name: string) => string {
  let demangleAny: ((name: string) => string) | undefined;
  return (name) => {
    if (!isMangled(name) || name.length > longestMangled) return name;
    try {
      demangleAny ??= loadDemangler();
      const text = demangleAny(name);
      // What it cannot read comes back without its underscore.
      return text === name.slice(1) || text.length > longestDemangled ? name : tidied(text);
    } catch (error) {
      // A trap leaves its memory in an unknown state: the next name gets a fresh one.
      demangleAny = undefined;
      if (error instanceof Error) return name;
      throw error;
    }
  };
}

/** Longer names are given back as they are. */
export const longestMangled: number = 16 * 1024;
/** A name that would become longer than this stays mangled. */
export const longestDemangled: number = 64 * 1024;

// A few substitutions make a gigabyte of a short hostile name: 4 MiB is where that ends.
const mostMemoryPages = 64;

/** What the package's generated glue exports: `index_bg.js`, which takes the instance that its `index.js` would import. */
interface DemangleGlue {
  __wbg_set_wasm(exports: Readonly<Record<string, unknown>>): void;
  demangle_any(name: string): string;
}

let compiled: object | undefined;

function loadDemangler(): (name: string) => string {
  // The package has no types for its glue; Node imports no .wasm files by itself.
  const glue = require('gecko-profiler-demangle/index_bg.js') as DemangleGlue;
  compiled ??= new WebAssembly.Module(
    withMemoryLimit(
      fs.readFileSync(require.resolve('gecko-profiler-demangle/index_bg.wasm')),
      mostMemoryPages,
    ),
  );
  const instance = new WebAssembly.Instance(compiled, { './index_bg.js': glue });
  glue.__wbg_set_wasm(instance.exports);
  const start = instance.exports.__wbindgen_start;
  if (typeof start === 'function') start();
  return glue.demangle_any;
}

function isMangled(name: string): boolean {
  return name.startsWith('_Z') || name.startsWith('_R');
}

/** As c++filt writes it where the library has a spelling of its own. */
function tidied(text: string): string {
  const special = /^\{(vtable|vtt|construction vtable)\((.*)\)\}$/s.exec(text);
  const plain = special === null ? text : `${special[1] === 'vtt' ? 'VTT' : special[1]} for ${special[2]}`;
  return plain
    .replaceAll('([abi:', '[abi:')
    .replaceAll(/(\[abi:[^\])]*\])\)/g, '$1')
    .replaceAll(', >', '>');
}
