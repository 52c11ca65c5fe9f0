import type { DebugInfo } from './debug-info.ts';
import type { CodeFrames } from './dwarf/code-frames.ts';
import type { DebugData } from './dwarf/debug-data.ts';
import type { ElfError } from './elf-error.ts';
import type { ElfFile } from './elf-file.ts';
import type { MappedFile } from './mapped-file.ts';
import type { Mapping } from './maps.ts';
import type { SymbolTable } from './symbol-table.ts';

/** A file loaded as a program or library, at one place in a process's memory. */
export class Module {
  readonly path: string;
  /** The path's last part. */
  readonly name: string;
  /** What is added to a vaddr of the file to get an address. 0 for a program that is not position-independent. */
  readonly bias: bigint;
  /**
   * Address of the first page of the lowest segment: where offset 0 of `MODULE+0xOFFSET` is. Where the first segment's
   * vaddr is 0 (libraries, position-independent programs) it equals the bias, and an offset is a vaddr.
   */
  readonly loadAddress: bigint;
  /** The address behind the highest segment's last page. */
  readonly end: bigint;
  readonly #mappedFile: MappedFile;

  /** @param anchor any mapping of the module, used to place a file that cannot be read. */
  constructor(mappedFile: MappedFile, options: { bias: bigint; anchor: Mapping }) {
    this.#mappedFile = mappedFile;
    this.path = mappedFile.path;
    this.name = baseName(mappedFile.path);
    this.bias = options.bias;
    const segments = mappedFile.file?.segments ?? [];
    let lowest: bigint | undefined;
    let highest = 0n;
    for (const { vaddr, memBytes } of segments) {
      if (lowest === undefined || vaddr < lowest) lowest = vaddr;
      if (vaddr + memBytes > highest) highest = vaddr + memBytes;
    }
    if (lowest === undefined) {
      // Linkers lay vaddrs out as the offsets, nearly.
      this.loadAddress = options.anchor.start - options.anchor.offset;
      this.end = options.anchor.end;
    } else {
      this.loadAddress = wrapped(options.bias + (lowest & ~pageMask));
      this.end = wrapped(options.bias + ((highest + pageMask) & ~pageMask));
    }
  }

  /** `undefined` where the file cannot be read: see {@link error}. */
  get file(): ElfFile | undefined {
    return this.#mappedFile.file;
  }

  /** What was wrong with the file; what is wrong with its symbols is known once they have been asked for. */
  get error(): ElfError | undefined {
    return this.#mappedFile.error;
  }

  /** The file's symbols and its debug file's, read at the first use; empty where they cannot be read. */
  get symbols(): SymbolTable {
    return this.#mappedFile.symbols;
  }

  /** Whether it has no symbol table, neither itself nor in a separate debug file. Looks for that file. */
  get stripped(): boolean {
    return this.#mappedFile.stripped;
  }

  /** Path of the separate debug file in use, once the symbols have been asked for. */
  get debugPath(): string | undefined {
    return this.#mappedFile.debugPath;
  }

  /** Its debug information, found at the first use; `undefined` where there is none. */
  get debugInfo(): DebugInfo | undefined {
    return this.#mappedFile.debugInfo;
  }

  /** Its debug information as names and types; `undefined` where there is none. */
  get debugData(): DebugData | undefined {
    return this.#mappedFile.debugData;
  }

  /** Functions and lines of its code by vaddr; `undefined` without debug information. */
  get frames(): CodeFrames | undefined {
    return this.#mappedFile.frames;
  }

  /** Why debug information that seems to be there is not used, in one line. Looks for it. */
  get debugProblem(): string | undefined {
    return this.#mappedFile.debugProblem;
  }

  /**
   * Whether `name` means this module: its path, the end of its path from a slash on, its base name, or the base name
   * without the version behind ".so" or a part of it ("libfoo.so" and "libfoo.so.1" for "libfoo.so.1.2").
   */
  isNamed(name: string): boolean {
    if (name === '') return false;
    if (name === this.path || name === this.name || this.path.endsWith(`/${name}`)) return true;
    const slash = name.lastIndexOf('/');
    const folder = name.slice(0, slash + 1);
    const ownFolder = this.path.slice(0, this.path.length - this.name.length);
    if (folder !== '' && folder !== ownFolder && !ownFolder.endsWith(`/${folder}`)) return false;
    const wanted = name.slice(slash + 1);
    if (!this.name.startsWith(wanted) || !/\.so(?:\.[0-9.]+)?$/.test(wanted)) return false;
    return /^\.[0-9.]+$/.test(this.name.slice(wanted.length));
  }

  /** The address of a vaddr of the file. */
  addressOf(vaddr: bigint): bigint {
    return wrapped(vaddr + this.bias);
  }

  /** The vaddr of an address. */
  vaddrOf(address: bigint): bigint {
    return wrapped(address - this.bias);
  }
}

const pageMask = 4095n;

function wrapped(address: bigint): bigint {
  return BigInt.asUintN(64, address);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
