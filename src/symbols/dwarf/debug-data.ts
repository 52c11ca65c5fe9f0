import type { DebugInfo } from '../debug-info.ts';
import { ElfError } from '../elf-error.ts';
import { decodeDeclarations, encodeDeclarations } from './declaration-codec.ts';
import { type Declaration, findDeclarations } from './declarations.ts';
import type { DwarfFile } from './dwarf-file.ts';
import type { EntryPlace } from './entry-reader.ts';
import { TypeReader } from './type-reader.ts';

/**
 * Where what was found in a file is kept from one run to the next. What is given back is looked at as hostile. Neither
 * method throws.
 */
export interface SymbolCache {
  /** @param key.identity what tells the file from all others: its build id. `key.name` is any text. */
  get(key: { readonly identity: string; readonly name: string }): Uint8Array | undefined;
  put(key: { readonly identity: string; readonly name: string }, bytes: Uint8Array): void;
}

/** The debug information of one module, as names and types. What a name means is found once, and kept in the cache. */
export class DebugData {
  readonly types: TypeReader;
  /** Whether the last new name came from the cache. */
  fromCache: boolean = false;
  readonly #info: DebugInfo;
  readonly #cache: SymbolCache | undefined;
  readonly #identity: string | undefined;
  readonly #declarations: Map<string, readonly Declaration[]> = new Map();

  /** @param options.identity the build id; without one nothing is kept. */
  constructor(
    info: DebugInfo,
    options: { cache?: SymbolCache | undefined; identity?: string | undefined } = {},
  ) {
    this.#info = info;
    this.#cache = options.cache;
    this.#identity = options.identity;
    this.types = new TypeReader((_declaration, name) => this.#definitionOf(name));
  }

  /** The file that the information is in. */
  get path(): string {
    return this.#info.path;
  }

  /** All that a name, the last part of a qualified one, means. Throws an `ElfError` where it cannot be read. */
  declarations(name: string): readonly Declaration[] {
    let declarations = this.#declarations.get(name);
    if (declarations === undefined) {
      declarations = this.#fromCache(name);
      this.fromCache = declarations !== undefined;
      declarations ??= this.#search(name);
      this.#declarations.set(name, declarations);
    }
    return declarations;
  }

  /** The file that a declaration's offsets are in. */
  fileOf(declaration: Declaration): DwarfFile {
    const { skeleton } = declaration;
    if (skeleton === undefined) return this.#info.dwarf;
    const split = this.#info.split.unitOf(this.#info.dwarf.unitStartingAt(skeleton));
    if (split === undefined)
      throw new ElfError(this.path, this.#info.split.problem ?? 'a part of it is missing');
    return split.file;
  }

  #search(name: string): readonly Declaration[] {
    const { dwarf, split } = this.#info;
    const declarations = findDeclarations(dwarf, name);
    let hasSplit = false;
    for (const unit of dwarf.units()) {
      try {
        const part = split.unitOf(unit);
        if (part === undefined) continue;
        hasSplit = true;
        const found = findDeclarations(part.file, name);
        declarations.push(...found.map((each) => ({ ...each, skeleton: unit.offset })));
      } catch (error) {
        // One part that cannot be read does not take the others away.
        if (!(error instanceof ElfError)) throw error;
      }
    }
    // Files of split information change without the module: what they say is not kept.
    if (!hasSplit && this.#identity !== undefined) {
      this.#cache?.put({ identity: this.#identity, name }, encodeDeclarations(declarations));
    }
    return declarations;
  }

  #fromCache(name: string): readonly Declaration[] | undefined {
    if (this.#identity === undefined) return undefined;
    const bytes = this.#cache?.get({ identity: this.#identity, name });
    return bytes === undefined ? undefined : decodeDeclarations(bytes);
  }

  #definitionOf(name: string): EntryPlace | undefined {
    for (const declaration of this.declarations(name)) {
      if (declaration.kind !== 'type') continue;
      const place = { file: this.fileOf(declaration), offset: declaration.offset };
      if (this.types.at(place).kind === 'struct') return place;
    }
    return undefined;
  }
}
