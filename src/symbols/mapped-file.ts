import type { ByteSource } from '../base/byte-source.ts';
import { type DebugFileAccess, findDebugFile } from './debug-files.ts';
import { type DebugInfo, type DebugInfoSearch, openDebugInfo } from './debug-info.ts';
import { CodeFrames } from './dwarf/code-frames.ts';
import { DebugData } from './dwarf/debug-data.ts';
import { ElfError } from './elf-error.ts';
import { ElfFile } from './elf-file.ts';
import type { Mapping } from './maps.ts';
import type { ProcessImage } from './process-image.ts';
import type { RawSymbols } from './raw-symbols.ts';
import { SymbolTable } from './symbol-table.ts';

/** A file that a process maps, opened once however often it is mapped. Its symbols are read when first asked for. */
export class MappedFile {
  readonly path: string;
  /** `undefined` where it cannot be opened. */
  readonly source: ByteSource | undefined;
  /** `undefined` where it is no ELF file that can be read. */
  readonly file: ElfFile | undefined;
  readonly #image: ProcessImage;
  #error: ElfError | undefined;
  #symbols: SymbolTable | undefined;
  #debugPath: string | undefined;
  #debugData: DebugData | undefined;
  #debugSearch: DebugInfoSearch | undefined;
  #frames: { readonly value: CodeFrames | undefined } | undefined;

  constructor(image: ProcessImage, mapping: Mapping) {
    this.#image = image;
    this.path = mapping.path;
    this.source = image.openMapped(mapping);
    if (this.source === undefined) {
      this.#error = new ElfError(mapping.path, 'cannot be opened');
      return;
    }
    const { source } = this;
    this.file = this.#attempt(() => ElfFile.open(source, mapping.path, image.tools?.decompress));
  }

  /** What was wrong with the file, or with its symbols once they have been asked for. */
  get error(): ElfError | undefined {
    return this.#error;
  }

  /** Path of the separate debug file that the symbols come from, once they have been asked for. */
  get debugPath(): string | undefined {
    return this.#debugPath;
  }

  /** Its debug information, in this file or another; found at the first use, `undefined` where there is none. */
  get debugInfo(): DebugInfo | undefined {
    return this.#searchDebug()?.info;
  }

  /** Its debug information as names and types; `undefined` where there is none. */
  get debugData(): DebugData | undefined {
    const info = this.debugInfo;
    if (info === undefined) return undefined;
    this.#debugData ??= new DebugData(info, { cache: this.#image.cache, identity: this.file?.buildId });
    return this.#debugData;
  }

  /** Functions and lines of its code by vaddr; `undefined` without debug information. */
  get frames(): CodeFrames | undefined {
    if (this.#frames === undefined) {
      const info = this.debugInfo;
      this.#frames = { value: info === undefined ? undefined : new CodeFrames(info) };
    }
    return this.#frames.value;
  }

  /**
   * Why debug information that seems to be there is not used, in one line: a debug file of another build, or a part
   * that is missing. Looks for the debug file.
   */
  get debugProblem(): string | undefined {
    const search = this.#searchDebug();
    return search?.problem ?? search?.info?.split.problem;
  }

  /** The file's symbols, and its debug file's if it is stripped; an empty table where they cannot be read. */
  get symbols(): SymbolTable {
    this.#symbols ??= this.#readSymbols() ?? new SymbolTable([]);
    return this.#symbols;
  }

  /** Whether functions and variables of its own are unknown: no symbol table, here or in a debug file. */
  get stripped(): boolean {
    // Reading the symbols is what looks for the debug file.
    void this.symbols;
    return this.file?.stripped === true && this.#debugPath === undefined;
  }

  /**
   * What is added to a vaddr to get an address, if `mapping` is a part of the file mapped as a segment: `undefined` if
   * no segment's bytes are in it. 0 for an executable that cannot be moved.
   */
  biasOf(mapping: Mapping): bigint | undefined {
    if (this.file === undefined || mapping.inode === 0n) return undefined;
    const mappedEnd = mapping.offset + (mapping.end - mapping.start);
    let bias: bigint | undefined;
    let mostShared = 0n;
    for (const segment of this.file.segments) {
      // Two segments may share a page of the file: the one with the mapping's rights and the most of its bytes is it.
      if (segment.executable !== mapping.executable) continue;
      const from = segment.offset > mapping.offset ? segment.offset : mapping.offset;
      const segmentEnd = segment.offset + segment.fileBytes;
      const to = segmentEnd < mappedEnd ? segmentEnd : mappedEnd;
      if (to - from <= mostShared) continue;
      mostShared = to - from;
      bias = mapping.start - mapping.offset + segment.offset - segment.vaddr;
    }
    return bias !== undefined && this.file.type === 'executable' ? 0n : bias;
  }

  #readSymbols(): SymbolTable | undefined {
    const { file } = this;
    if (file === undefined) return undefined;
    const own = this.#attempt(() => file.rawSymbols());
    const request = { modulePath: this.path, buildId: file.buildId, debugLink: file.debugLink };
    if (file.stripped && file.bits === 64) {
      let debugSymbols: readonly RawSymbols[] = [];
      const { file: debugFile } = findDebugFile(request, this.#access(), (candidate) => {
        if (candidate.stripped) return false;
        debugSymbols = candidate.rawSymbols();
        return true;
      });
      if (debugFile !== undefined) {
        this.#debugPath = debugFile.name;
        return new SymbolTable([...debugSymbols, ...(own ?? [])], { endOfLabels: debugFile.endOfLabels() });
      }
    }
    return new SymbolTable([...(own ?? [])], { endOfLabels: file.endOfLabels() });
  }

  #searchDebug(): DebugInfoSearch | undefined {
    if (this.file === undefined) return undefined;
    if (this.#debugSearch === undefined) {
      try {
        this.#debugSearch = openDebugInfo(this.file, this.path, this.#access());
      } catch (error) {
        // Debug information that cannot be read is as good as none: the module works without.
        if (!(error instanceof ElfError)) throw error;
        this.#debugSearch = { info: undefined, problem: error.message };
      }
    }
    return this.#debugSearch;
  }

  #access(): DebugFileAccess {
    const image = this.#image;
    return { openPath: (path) => image.openPath(path), decompress: image.tools?.decompress };
  }

  #attempt<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      this.#error = error;
      return undefined;
    }
  }
}
