/** Where an address is, in the words of the program. Absent is what is not known. */
export interface CodeLocation {
  readonly address: bigint;
  /** The module's base name, or the mapping's name: "[vdso]", "[heap]". */
  readonly module?: string;
  readonly modulePath?: string;
  /** From the module's lowest load address, as `AddressSpace.moduleOffset` takes it. */
  readonly moduleOffset?: bigint;
  readonly symbol?: string;
  /** From the symbol's start. */
  readonly offset?: bigint;
  /** The symbol's first address in the process. */
  readonly functionStart?: bigint;
  /** The symbol's size, where it has one. */
  readonly functionBytes?: number;
  /** Path or URL, as the JIT's map gives it. */
  readonly file?: string;
  /** Of the function's first line, from 1. */
  readonly line?: number;
  /** Whether a JIT map, not a file, told the symbol. */
  readonly jit?: boolean;
}
