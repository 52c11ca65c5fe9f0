/** A function of the source that code was inlined into, and where in it. */
export interface InlinedInto {
  readonly function?: string;
  readonly file?: string;
  /** From 1. */
  readonly line?: number;
  /** From 1. */
  readonly column?: number;
}

/** Where an address is, in the words of the program. Absent is what is not known. */
export interface CodeLocation {
  readonly address: bigint;
  /** The module's base name, or the mapping's name: "[vdso]", "[heap]". */
  readonly module?: string;
  readonly modulePath?: string;
  /** From the module's lowest load address, as `AddressSpace.moduleOffset` takes it. */
  readonly moduleOffset?: bigint;
  /** As the symbol table spells it. */
  readonly symbol?: string;
  /**
   * The function as its language spells it: the symbol's, or with debug information the innermost one, which may have been
   * inlined.
   */
  readonly function?: string;
  /** From the symbol's start. */
  readonly offset?: bigint;
  /** The symbol's first address in the process. */
  readonly functionStart?: bigint;
  /** The symbol's size, where it has one. */
  readonly functionBytes?: number;
  /** Path of the source, by debug information; path or URL, as the JIT's map gives it. */
  readonly file?: string;
  /** Of the code, from 1; with a JIT's map of the function's first line. */
  readonly line?: number;
  /** From 1. */
  readonly column?: number;
  /** What `function` was inlined into, the nearest first; the last is the function that the code is in. */
  readonly inlinedInto?: readonly InlinedInto[];
  /** Whether a JIT map, not a file, told the symbol. */
  readonly jit?: boolean;
}
