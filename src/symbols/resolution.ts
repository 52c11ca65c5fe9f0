import type { Module } from './module.ts';
import type { ElfSymbol } from './symbol-table.ts';

/** A name to find in a process. */
export interface ResolveRequest {
  readonly name: string;
  /**
   * Only in modules that {@link Module.isNamed} this; if there is none, only local symbols of the source file of this
   * name ("prog.c"), which is what tells ambiguous ones apart.
   */
  readonly module?: string;
}

/** A symbol with its address in the process. */
export interface ResolvedSymbol {
  readonly address: bigint;
  /** 0 where the file does not say. */
  readonly sizeBytes: bigint;
  readonly symbol: ElfSymbol;
  readonly module: Module;
}

/** What a name turned out to be. */
export type Resolution =
  | (ResolvedSymbol & { readonly kind: 'found' })
  | {
      readonly kind: 'ambiguous';
      /** Of one name, at different addresses; `symbol.sourceFile` and `module` tell them apart. */
      readonly candidates: readonly ResolvedSymbol[];
    }
  | {
      readonly kind: 'unknown';
      /** Whether any module is the one that was named; true if none was. If false, there is no advice either. */
      readonly moduleKnown: boolean;
      /** Names that may have been meant, the likeliest first. */
      readonly nearMisses: readonly { readonly symbol: ElfSymbol; readonly module: Module }[];
      /** Modules without a symbol table, here or in a debug file: the name may be in them. */
      readonly strippedModules: readonly Module[];
      /** Modules whose symbols could not be read; each one's `error` says why. */
      readonly unreadableModules: readonly Module[];
    }
  | {
      /** The name is known but has no address in this process. */
      readonly kind: 'unmapped';
      /**
       * `undefined`: the module wants it from another, and none has it; `thread-local`: each thread has one of its
       * own; `common`: it gets an address only when the file is linked.
       */
      readonly reason: 'undefined' | 'thread-local' | 'common';
      readonly symbol: ElfSymbol;
      readonly module: Module;
    };
