import type { ByteSource } from '../base/byte-source.ts';
import type { SymbolCache } from './dwarf/debug-data.ts';
import type { Mapping } from './maps.ts';
import type { SymbolTools } from './symbol-tools.ts';

/** What reading names takes besides the files: what this folder cannot have itself. */
export interface SymbolResources {
  /** Without them names stay mangled and compressed sections unread. */
  readonly tools?: SymbolTools | undefined;
  /** Where names that were found are kept. */
  readonly cache?: SymbolCache | undefined;
}

/** A process as an {@link AddressSpace} sees it. What cannot be had is `undefined`, never an exception. */
export interface ProcessImage extends SymbolResources {
  /** What /proc/PID/maps says now; empty when the process is gone. */
  mappings(): readonly Mapping[];
  /** The file behind a mapping, even where it has been deleted or lies in another mount namespace. */
  openMapped(mapping: Mapping): ByteSource | undefined;
  /** A file in the process's own file system (/proc/PID/root). */
  openPath(path: string): ByteSource | undefined;
  /** The path of the program that runs (/proc/PID/exe); without it, it is found among the mappings. */
  executablePath?(): string | undefined;
  /** Memory at `address`; fewer bytes where it ends. */
  readMemory?(address: bigint, lengthBytes: number): Uint8Array | undefined;
  /** The text of /tmp/perf-PID.map as it is now. */
  jitMap?(): string | undefined;
}
