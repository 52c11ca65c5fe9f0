import { type ByteSource, bytesSource } from '../base/byte-source.ts';
import type { CodeLocation } from './code-location.ts';
import { ElfError } from './elf-error.ts';
import { ElfFile } from './elf-file.ts';
import { JitMap } from './jit-map.ts';
import { MappedFile } from './mapped-file.ts';
import type { Mapping } from './maps.ts';
import { Module } from './module.ts';
import { NearMissSearch } from './near-miss.ts';
import type { ProcessImage } from './process-image.ts';
import type { Resolution, ResolvedSymbol, ResolveRequest } from './resolution.ts';
import { withFrames } from './source-location.ts';
import type { ElfSymbol } from './symbol-table.ts';

/**
 * A process's memory in the words of its program: names to addresses, addresses to names. It reads the mappings when
 * it is made and at {@link refresh}; files are opened once, symbols read when first needed, and all of it is kept when
 * the process has gone.
 */
export class AddressSpace {
  readonly #image: ProcessImage;
  readonly #files = new Map<string, MappedFile>();
  #mappings: Mapping[] = [];
  #modules: readonly Module[] | undefined;
  #vdso: { readonly start: bigint; readonly file: ElfFile | undefined } | undefined;
  #jitMap: JitMap | undefined;
  #jitMapIsOld = true;

  constructor(image: ProcessImage) {
    this.#image = image;
    this.refresh();
  }

  /**
   * Reads the mappings again, and the JIT map when it is next needed. A process that has gone has no mappings: then
   * the last known ones stay. Returns whether there are any now.
   */
  refresh(): boolean {
    this.refreshJitMap();
    const mappings = this.#image.mappings();
    if (mappings.length === 0) return false;
    this.#mappings = [...mappings].sort((a, b) => compare(a.start, b.start));
    this.#modules = undefined;
    // What could not be opened may be there now.
    for (const [key, file] of this.#files) {
      if (file.source === undefined) this.#files.delete(key);
    }
    return true;
  }

  /** Lets the JIT map be read again at the next address that the last one does not know. */
  refreshJitMap(): void {
    this.#jitMapIsOld = true;
  }

  /**
   * Adds a mapping learned otherwise than by {@link refresh} (an MMAP2 record: the process may be gone when it is
   * read). What it covers of older ones is no longer theirs. A file's mapping needs its inode: 0 is anonymous memory.
   */
  addMapping(mapping: Mapping): void {
    if (mapping.end <= mapping.start) return;
    const known = this.#mappingAt(mapping.start);
    if (known !== undefined && known.end >= mapping.end && isPartOf(known, mapping)) return;
    const rest: Mapping[] = [];
    for (const one of this.#mappings) {
      if (one.end <= mapping.start || one.start >= mapping.end) {
        rest.push(one);
        continue;
      }
      if (one.start < mapping.start) rest.push({ ...one, end: mapping.start });
      if (one.end > mapping.end) {
        const offset = one.inode === 0n ? one.offset : one.offset + (mapping.end - one.start);
        rest.push({ ...one, start: mapping.end, offset });
      }
    }
    rest.push(mapping);
    this.#mappings = rest.sort((a, b) => compare(a.start, b.start));
    this.#modules = undefined;
  }

  /** The mappings as last known, ascending. */
  mappings(): readonly Mapping[] {
    return this.#mappings;
  }

  /**
   * The program and its libraries: the program first, then the others in the order of their addresses. A file counts
   * that is mapped with execute rights, or in parts that are an ELF file's segments; one mapped at several places counts
   * for each.
   */
  modules(): readonly Module[] {
    this.#modules ??= this.#findModules();
    return this.#modules;
  }

  /**
   * Finds a name as the dynamic linker would: the first global (or weak) definition, the program before its libraries.
   * If there is none, a local one (a file's `static`): the program's before the libraries'; several are ambiguous. One
   * exception: a program's local variable is not hidden by a function of a library that happens to have its name.
   */
  resolve(request: ResolveRequest): Resolution {
    const named = this.#modulesNamed(request.module);
    // "prog.c:state": no module, then a source file.
    const sourceFile = named.length > 0 ? undefined : request.module;
    const modules = named.length > 0 ? named : this.modules();
    let global: { module: Module; symbol: ElfSymbol } | undefined;
    let wanted: { module: Module; symbol: ElfSymbol } | undefined;
    const locals: ResolvedSymbol[] = [];
    let programHasLocals = false;
    let localDataBefore = false;
    for (const module of modules) {
      const all = module.symbols.find(request.name);
      const symbols =
        sourceFile === undefined ? all : all.filter((symbol) => symbol.sourceFile === sourceFile);
      const first = symbols[0];
      if (first === undefined) continue;
      if (!first.defined) {
        wanted ??= { module, symbol: first };
        continue;
      }
      if (first.binding !== 'local') {
        global = { module, symbol: first };
        break;
      }
      // The program's own hide those of the libraries.
      if (programHasLocals) continue;
      if (module === this.modules()[0]) programHasLocals = true;
      for (const symbol of symbols) {
        if (symbol.kind === 'object') localDataBefore = true;
        locals.push(resolved(module, symbol));
      }
    }
    const hidesData = global?.symbol.kind === 'function' && localDataBefore;
    if (global !== undefined && !hidesData) return found(global.module, global.symbol);
    const [only, ...others] = locals;
    if (only !== undefined && others.length === 0) return found(only.module, only.symbol);
    if (only !== undefined) return { kind: 'ambiguous', candidates: locals };
    if (wanted !== undefined) return { kind: 'unmapped', reason: 'undefined', ...wanted };
    if (sourceFile !== undefined) {
      return {
        kind: 'unknown',
        moduleKnown: false,
        nearMisses: [],
        strippedModules: [],
        unreadableModules: [],
      };
    }
    return {
      kind: 'unknown',
      moduleKnown: true,
      nearMisses: nearMisses(request.name, modules),
      strippedModules: modules.filter((module) => module.stripped),
      unreadableModules: modules.filter((module) => module.error !== undefined),
    };
  }

  /**
   * The address of `MODULE+0xOFFSET`: `offset` bytes from the lowest load address of the module (see
   * {@link Module.loadAddress}), as {@link locate} gives it in `moduleOffset`. Of what is no module ("[heap]", a data file), the mapping's or the file's start is offset 0.
   * `undefined` if there is nothing of the name.
   */
  moduleOffset(module: string, offset: bigint): bigint | undefined {
    const [first] = this.#modulesNamed(module);
    if (first !== undefined) return BigInt.asUintN(64, first.loadAddress + offset);
    for (const one of this.#mappings) {
      const isNamed = one.path === module || one.path.endsWith(`/${module}`);
      if (!isNamed || one.path === '') continue;
      const into = offset - (one.inode === 0n ? 0n : one.offset);
      if (into >= 0n && into < one.end - one.start) return one.start + into;
    }
    return undefined;
  }

  /**
   * Where an address is: by the symbols of the file mapped there; for code that no file holds, by the JIT map; in the
   * vdso, by its own symbols; else the mapping's name.
   */
  locate(address: bigint): CodeLocation {
    const mapping = this.#mappingAt(address);
    const module = this.#moduleAt(address, mapping);
    if (module?.file !== undefined) return locateIn(module, address);
    if (mapping?.path === '[vdso]') return this.#locateInVdso(address, mapping);
    // Code that came after the last refresh has no mapping here yet.
    if (mapping === undefined || mapping.executable) {
      const code = this.#jitCodeAt(address);
      if (code !== undefined) return code;
    }
    if (module !== undefined) return locateIn(module, address);
    if (mapping === undefined || mapping.path === '') return { address };
    const isFile = mapping.inode !== 0n;
    return {
      address,
      module: mapping.path.slice(mapping.path.lastIndexOf('/') + 1),
      ...(isFile ? { modulePath: mapping.path } : {}),
      moduleOffset: address - mapping.start + (isFile ? mapping.offset : 0n),
    };
  }

  /**
   * A location with what debug information says of it: functions as their language spells them, lines, and what was
   * inlined. The first address of a module costs its opening, the first of a unit its reading.
   *
   * @param options.returnAddress the location is where a call returns to: the call before it is meant.
   */
  withSource(location: CodeLocation, options: { returnAddress?: boolean } = {}): CodeLocation {
    if (location.jit === true) return location;
    const place = location.address - (options.returnAddress === true ? 1n : 0n);
    const module = this.#moduleAt(place, this.#mappingAt(place));
    const frames = module?.frames?.at(module.vaddrOf(place)) ?? [];
    return withFrames(location, frames, this.#image.tools?.demangle ?? ((name) => name));
  }

  /**
   * `lengthBytes` bytes of code at `address`, fewer where the mapping ends: from the file if nobody can have written to
   * the mapping, else from memory. `undefined` if neither can be read.
   */
  code(address: bigint, lengthBytes: number): Uint8Array | undefined {
    const mapping = this.#mappingAt(address);
    if (mapping !== undefined && mapping.inode !== 0n && !mapping.writable) {
      const source = this.#fileOf(mapping).source;
      const offset = mapping.offset + (address - mapping.start);
      const left = mapping.end - address;
      const bytes = readFile(source, offset, left < BigInt(lengthBytes) ? Number(left) : lengthBytes);
      if (bytes !== undefined) return bytes;
    }
    const bytes = this.#image.readMemory?.(address, lengthBytes);
    return bytes === undefined || bytes.length === 0 ? undefined : bytes;
  }

  /** Memory of the process at `address`, fewer bytes where it ends; `undefined` where it cannot be read. */
  readMemory(address: bigint, lengthBytes: number): Uint8Array | undefined {
    return this.#image.readMemory?.(address, lengthBytes);
  }

  /** Whether there is a process whose memory could be read. */
  get hasMemory(): boolean {
    return this.#image.readMemory !== undefined;
  }

  #modulesNamed(name: string | undefined): readonly Module[] {
    return name === undefined ? this.modules() : this.modules().filter((module) => module.isNamed(name));
  }

  #mappingAt(address: bigint): Mapping | undefined {
    let low = 0;
    let high = this.#mappings.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#mappings[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    const mapping = this.#mappings[low - 1];
    return mapping !== undefined && address < mapping.end ? mapping : undefined;
  }

  #moduleAt(address: bigint, mapping: Mapping | undefined): Module | undefined {
    // Anonymous memory may be a module's .bss; a name in brackets is the kernel's, and no module's.
    const path = mapping === undefined || mapping.inode === 0n ? undefined : mapping.path;
    if (
      path === undefined &&
      mapping !== undefined &&
      mapping.path.startsWith('[') &&
      !isBssName(mapping.path)
    ) {
      return undefined;
    }
    return this.modules().find((module) => {
      if (address < module.loadAddress || address >= module.end) return false;
      return path === undefined ? holds(module, address) : path === module.path;
    });
  }

  #fileOf(mapping: Mapping): MappedFile {
    const key = fileKey(mapping);
    let file = this.#files.get(key);
    if (file === undefined) {
      file = new MappedFile(this.#image, mapping);
      this.#files.set(key, file);
    }
    return file;
  }

  #findModules(): readonly Module[] {
    const groups = new Map<string, Mapping[]>();
    for (const mapping of this.#mappings) {
      if (mapping.inode === 0n || mapping.path === '' || mapping.path.startsWith('[')) continue;
      const key = fileKey(mapping);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [mapping]);
      else group.push(mapping);
    }
    const modules: Module[] = [];
    for (const mappings of groups.values()) {
      const executable = mappings.filter((mapping) => mapping.executable);
      // Without execute rights it is data, unless it looks like a program whose code has been moved to other memory.
      const anchors = executable.length > 0 ? executable : mappings.length > 2 ? mappings : [];
      if (anchors.length > 0) modules.push(...modulesOf(this.#fileOf(anchors[0]!), anchors));
    }
    modules.sort((a, b) => compare(a.loadAddress, b.loadAddress));
    const program = this.#findProgram(modules);
    return program === undefined ? modules : [program, ...modules.filter((module) => module !== program)];
  }

  #findProgram(modules: readonly Module[]): Module | undefined {
    const path = this.#image.executablePath?.();
    return (
      modules.find((module) => module.path === path) ??
      modules.find((module) => module.file?.isProgram === true) ??
      // An old linker does not mark a PIE; but a library seldom names an interpreter.
      modules.find((module) => module.file?.interpreter !== undefined && !/\.so(?:\.|$)/.test(module.name))
    );
  }

  #jitCodeAt(address: bigint): CodeLocation | undefined {
    let code = this.#jitMap?.at(address);
    if (code === undefined && this.#jitMapIsOld) {
      this.#jitMapIsOld = false;
      const text = this.#image.jitMap?.();
      if (text !== undefined) {
        this.#jitMap = JitMap.parse(text);
        code = this.#jitMap.at(address);
      }
    }
    if (code === undefined) return undefined;
    return {
      address,
      symbol: code.function,
      offset: BigInt(code.offset),
      functionStart: code.start,
      functionBytes: code.sizeBytes,
      ...(code.file === undefined ? {} : { file: code.file }),
      ...(code.line === undefined ? {} : { line: code.line }),
      jit: true,
    };
  }

  #locateInVdso(address: bigint, mapping: Mapping): CodeLocation {
    if (this.#vdso?.start !== mapping.start)
      this.#vdso = { start: mapping.start, file: this.#readVdso(mapping) };
    const place = { address, module: mapping.path, moduleOffset: address - mapping.start };
    const file = this.#vdso.file;
    const lowest = file?.segments[0]?.vaddr;
    if (file === undefined || lowest === undefined) return place;
    const bias = mapping.start - lowest;
    try {
      return { ...place, ...symbolPlace(file.symbols().at(address - bias), address) };
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      return place;
    }
  }

  #readVdso(mapping: Mapping): ElfFile | undefined {
    const lengthBytes = mapping.end - mapping.start;
    if (lengthBytes > BigInt(mostVdsoBytes)) return undefined;
    const bytes = this.#image.readMemory?.(mapping.start, Number(lengthBytes));
    if (bytes === undefined) return undefined;
    try {
      return ElfFile.open(bytesSource(bytes), mapping.path);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      return undefined;
    }
  }
}

const mostVdsoBytes = 1024 * 1024;
const mostNearMisses = 5;

function fileKey(mapping: Mapping): string {
  return `${mapping.device} ${mapping.inode} ${mapping.path}`;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Whether both are the same file at the same place, and executable alike. */
function isPartOf(whole: Mapping, part: Mapping): boolean {
  return (
    whole.inode !== 0n &&
    whole.inode === part.inode &&
    whole.device === part.device &&
    whole.path === part.path &&
    whole.executable === part.executable &&
    whole.start - whole.offset === part.start - part.offset
  );
}

/** One module for each place where the file is loaded. */
function modulesOf(file: MappedFile, anchors: readonly Mapping[]): Module[] {
  const modules = new Map<bigint, Module>();
  for (const anchor of anchors) {
    const bias = file.biasOf(anchor);
    if (bias !== undefined && !modules.has(bias)) modules.set(bias, new Module(file, { bias, anchor }));
  }
  const [first] = anchors;
  if (modules.size === 0 && first !== undefined && first.executable) {
    return [new Module(file, { bias: first.start - first.offset, anchor: first })];
  }
  return [...modules.values()];
}

/** Whether one of the module's segments holds the address: others may lie between them. */
function holds(module: Module, address: bigint): boolean {
  const vaddr = module.vaddrOf(address);
  return (module.file?.segments ?? []).some(
    (segment) => vaddr >= segment.vaddr && vaddr - segment.vaddr < segment.memBytes,
  );
}

/** Some kernels and loaders name a module's anonymous memory. */
function isBssName(path: string): boolean {
  return path.startsWith('[anon:');
}

function resolved(module: Module, symbol: ElfSymbol): ResolvedSymbol {
  const address = symbol.absolute ? symbol.value : module.addressOf(symbol.value);
  return { address, sizeBytes: symbol.sizeBytes, symbol, module };
}

function found(module: Module, symbol: ElfSymbol): Resolution {
  if (symbol.kind === 'tls') return { kind: 'unmapped', reason: 'thread-local', symbol, module };
  if (symbol.kind === 'common') return { kind: 'unmapped', reason: 'common', symbol, module };
  return { kind: 'found', ...resolved(module, symbol) };
}

function nearMisses(name: string, modules: readonly Module[]): { symbol: ElfSymbol; module: Module }[] {
  // More than wanted, because a name may be in several modules.
  const search = new NearMissSearch<{ symbol: ElfSymbol; module: Module }>(name, {
    most: mostNearMisses * 4,
  });
  for (const module of modules) module.symbols.offerNearMisses(search, (symbol) => ({ symbol, module }));
  const seen = new Set<string>();
  const best = search.best
    .map((miss) => miss.item)
    .filter(({ symbol }) => seen.size < seen.add(symbol.name).size);
  return best.slice(0, mostNearMisses);
}

function locateIn(module: Module, address: bigint): CodeLocation {
  return {
    address,
    module: module.name,
    modulePath: module.path,
    moduleOffset: address - module.loadAddress,
    ...symbolPlace(module.symbols.at(module.vaddrOf(address)), address),
  };
}

function symbolPlace(
  at: { readonly symbol: ElfSymbol; readonly offset: bigint } | undefined,
  address: bigint,
): Pick<CodeLocation, 'symbol' | 'offset' | 'functionStart' | 'functionBytes'> {
  if (at === undefined) return {};
  const { symbol, offset } = at;
  return {
    symbol: symbol.name,
    offset,
    functionStart: address - offset,
    ...(symbol.sizeBytes === 0n ? {} : { functionBytes: Number(symbol.sizeBytes) }),
  };
}

function readFile(
  source: ByteSource | undefined,
  offset: bigint,
  lengthBytes: number,
): Uint8Array | undefined {
  if (source === undefined || offset >= BigInt(source.sizeBytes)) return undefined;
  const bytes = source.read(Number(offset), lengthBytes);
  return bytes.length === 0 ? undefined : bytes;
}
