/** How a section is compressed. */
export type Compression = 'zlib' | 'zstd';

/**
 * What reading names and debug information takes from libraries, given from outside because this folder sees neither
 * Node nor packages. Both functions take hostile input: they never throw, and their results are bounded.
 */
export interface SymbolTools {
  /**
   * A linker's name as its language spells it ("foo::bar(int)", "core::fmt::Write::write_fmt"); the name itself where
   * it is not mangled.
   */
  readonly demangle: (name: string) => string;
  /** Exactly `sizeBytes` bytes of decompressed data, or `undefined` where `bytes` does not hold them. */
  readonly decompress: (
    compression: Compression,
    bytes: Uint8Array,
    sizeBytes: number,
  ) => Uint8Array | undefined;
}
