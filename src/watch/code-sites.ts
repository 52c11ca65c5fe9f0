import { KernelError } from '../base/kernel-error.ts';
import { joinPair } from '../base/pair.ts';
import { type HitBatch, type HitColumns, siteWords } from '../ring/hit-columns.ts';
import type { Surface } from '../surface/surface.ts';
import { AddressSpace } from '../symbols/address-space.ts';
import type { Btf } from '../symbols/btf/btf.ts';
import type { CodeLocation } from '../symbols/code-location.ts';
import { Kallsyms } from '../symbols/kallsyms.ts';
import type { SymbolResources } from '../symbols/process-image.ts';
import { findAccessingInstruction } from './instructions/find-accessing-instruction.ts';
import { FunctionSweeps } from './instructions/function-sweeps.ts';
import type { InstructionDecoder } from './instructions/instruction-decoder.ts';
import type { ValueEffect } from './instructions/value-effect.ts';
import { readKernelBtf } from './kernel-btf.ts';
import type { PlannedWatch } from './plan.ts';
import { SurfaceProcessImage } from './process-image.ts';

/** The code that made hits of one watch. */
export interface CodeAccess {
  /** The address that the kernel reported: on x86 the instruction after a data access. */
  readonly sampleIp: bigint;
  /** The accessing instruction, where it could be told; otherwise {@link CodeAccess.sampleIp}. */
  readonly ip: bigint;
  /** Whether `ip` is the accessing instruction. */
  readonly instructionFound: boolean;
  /** Where `ip` is, in the words of the program. */
  readonly location: CodeLocation;
  readonly kernel: boolean;
  /** From the instruction, where it was found; otherwise what the watch is for. */
  readonly access: 'r' | 'w' | 'rw' | 'x';
  /** The instruction in AT&T syntax, where it was found. */
  readonly text: string | undefined;
  /** What registers after it tell of the value that it stored or read, where they tell anything. */
  readonly effect?: ValueEffect | undefined;
}

/** One process's memory, its files and the instruction boundaries found in it. */
interface ProcessCode {
  readonly image: SurfaceProcessImage;
  readonly space: AddressSpace;
  sweeps: FunctionSweeps | undefined;
}

/** What a session needs to name code. */
export interface CodeSitesParts {
  readonly surface: Surface;
  /** For names and debug information. */
  readonly symbols?: SymbolResources | undefined;
  /** Absent on machines whose instructions are not decoded. */
  readonly decoder?: InstructionDecoder;
  /** The process that created another, if known: a child that is gone had its parent's code. */
  readonly parentOf: (pid: number) => number | undefined;
}

/** The code addresses of a session, by the small numbers that batches carry, and what is known of them. */
export class CodeSites {
  readonly #parts: CodeSitesParts;
  readonly #addresses: bigint[] = [];
  readonly #pids: number[] = [];
  readonly #stacks: Uint32Array[] = [];
  readonly #processes: Map<number, ProcessCode> = new Map();
  /** By stack: the site of its innermost script frame, -1 if there is none. */
  readonly #scriptSites: Map<number, number> = new Map();
  readonly #locations: Map<number, CodeLocation> = new Map();
  readonly #accesses: Map<string, CodeAccess> = new Map();
  /** By site: its source as an address that is returned to. */
  readonly #returns: Map<number, CodeLocation> = new Map();
  #btf: { readonly value: Btf | undefined } | undefined;
  #kallsyms: { readonly table: Kallsyms | undefined } | undefined;

  constructor(parts: CodeSitesParts) {
    this.#parts = parts;
  }

  /** Takes the table entries that a batch brings. */
  add(batch: HitBatch): void {
    const firstNew = this.size;
    const pids = new Set<number>();
    for (let at = 0; at < batch.newSites.length; at += siteWords) {
      this.#addresses.push(joinPair(batch.newSites[at]!, batch.newSites[at + 1]!)); // three words an entry
      this.#pids.push(batch.newSites[at + 2]!); // likewise
      pids.add(batch.newSites[at + 2]!); // likewise
    }
    for (let at = 0; at < batch.newStacks.length; ) {
      const frames = batch.newStacks[at]!; // at < length
      this.#stacks.push(batch.newStacks.slice(at + 1, at + 1 + frames));
      at += 1 + frames;
    }
    for (const notice of batch.notices) {
      if (notice.type !== 'mmap') continue;
      this.#process(notice.pid).space.addMapping({
        start: notice.start,
        end: notice.start + notice.lengthBytes,
        readable: true,
        writable: false,
        executable: true,
        shared: false,
        offset: notice.offset,
        device: notice.device,
        inode: notice.inode,
        path: notice.path === '//anon' ? '' : notice.path,
      });
    }
    // Named at once: the process may end, and a JIT compiler may give the address to other code.
    for (const pid of pids) if (pid !== 0) this.#process(pid).space.refreshJitMap();
    for (let site = firstNew; site < this.size; site++) if (this.#pids[site] !== 0) this.location(site);
  }

  /** Gives each hit with a stack the site of its innermost frame in a script, if it has one. */
  attributeToScripts(columns: HitColumns): void {
    for (let row = 0; row < columns.length; row++) {
      const stack = columns.stack[row]!; // row < length
      if (stack === 0) continue;
      let site = this.#scriptSites.get(stack);
      if (site === undefined) {
        site =
          [...(this.#stacks[stack - 1] ?? [])].find((frame) => this.location(frame).file !== undefined) ?? -1;
        this.#scriptSites.set(stack, site);
      }
      if (site >= 0) columns.site[row] = site;
    }
  }

  /** Number of sites. */
  get size(): number {
    return this.#addresses.length;
  }

  /** The address space of a process, made at the first call; it reflects the process as it was when last read. */
  space(pid: number): AddressSpace {
    return this.#process(pid).space;
  }

  /** Why debug information of the program itself that seems to be there is not used: a sentence, or none. */
  sourceNotes(pid: number): string[] {
    if (this.#parts.surface.names !== undefined) return [];
    const [program] = this.space(pid).modules();
    const problem = program?.debugProblem;
    return problem === undefined ? [] : [`no lines of source for ${program?.name}: ${problem}`];
  }

  /** /proc/kallsyms, read at the first call; `undefined` where it cannot be read. */
  kallsyms(): Kallsyms | undefined {
    if (this.#kallsyms === undefined) {
      let table: Kallsyms | undefined;
      try {
        const text = this.#parts.surface.files?.text('/proc/kallsyms');
        table = text === undefined ? undefined : Kallsyms.parse(text);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
      }
      this.#kallsyms = { table };
    }
    return this.#kallsyms.table;
  }

  /** The running kernel's types, read at the first call; `undefined` where there are none. */
  btf(): Btf | undefined {
    if (this.#btf === undefined) {
      const { files } = this.#parts.surface;
      this.#btf = { value: files === undefined ? undefined : readKernelBtf(files) };
    }
    return this.#btf.value;
  }

  /** Where a site's own address (the reported one) is. */
  location(site: number): CodeLocation {
    const known = this.#locations.get(site);
    if (known !== undefined) return known;
    const location = this.locate(this.#pids[site]!, this.#addresses[site]!); // sites come from batches
    this.#locations.set(site, location);
    return location;
  }

  /** The code behind hits of `watch` at `site`; found out once. */
  access(site: number, watch: PlannedWatch, watchNumber: number): CodeAccess {
    const key = `${site},${watchNumber}`;
    const known = this.#accesses.get(key);
    if (known !== undefined) return known;
    const access = this.#access(site, watch);
    this.#accesses.set(key, access);
    return access;
  }

  /**
   * The frames of a stack with their source, innermost first; `stack` as in a batch's column, 0 has none. The first is
   * where the kernel says that the code was, the others are where calls return to; their lines are the calls'.
   */
  frames(
    stack: number,
  ): { readonly address: bigint; readonly kernel: boolean; readonly location: CodeLocation }[] {
    const sites = stack === 0 ? undefined : this.#stacks[stack - 1];
    return [...(sites ?? [])].map((site, i) => ({
      address: this.#addresses[site]!, // frames are sites
      kernel: this.#pids[site] === 0,
      location: i === 0 ? this.#withSource(site, this.location(site)) : this.#returnLocation(site),
    }));
  }

  close(): void {
    for (const { image } of this.#processes.values()) image.close();
    this.#processes.clear();
  }

  #access(site: number, watch: PlannedWatch): CodeAccess {
    const pid = this.#pids[site]!; // sites come from batches
    const sampleIp = this.#addresses[site]!; // likewise
    const kernel = pid === 0;
    const { decoder } = this.#parts;
    const unknown: CodeAccess = {
      sampleIp,
      ip: sampleIp,
      instructionFound: false,
      location: this.#withSource(site, this.location(site)),
      kernel,
      access: watch.access,
      text: undefined,
    };
    if (kernel || decoder === undefined) return unknown;
    const process = this.#process(pid);
    process.sweeps ??= new FunctionSweeps(process.space, decoder);
    // The reported address may be the start of the function behind the accessing one: what lies before it counts.
    const { functionStart } = this.locate(pid, sampleIp - (watch.access === 'x' ? 0n : 1n));
    const found = findAccessingInstruction(
      { ip: sampleIp, functionStart, watch },
      process.space,
      decoder,
      process.sweeps,
    );
    if (found === undefined) return unknown;
    return {
      ...unknown,
      ip: found.address,
      instructionFound: true,
      location: this.#withSource(site, this.locate(pid, found.address)),
      access: found.access,
      text: found.text,
      effect: found.effect,
    };
  }

  /** As it is where the kernel itself knows names, and for kernel code. */
  #withSource(site: number, location: CodeLocation, options: { returnAddress?: boolean } = {}): CodeLocation {
    const pid = this.#pids[site]!; // sites come from batches
    if (pid === 0 || this.#parts.surface.names !== undefined) return location;
    return this.#process(pid).space.withSource(location, options);
  }

  #returnLocation(site: number): CodeLocation {
    let location = this.#returns.get(site);
    if (location === undefined) {
      location = this.#withSource(site, this.location(site), { returnAddress: true });
      this.#returns.set(site, location);
    }
    return location;
  }

  /** Where an address of a process is (0: the kernel). */
  locate(pid: number, address: bigint): CodeLocation {
    const named = this.#parts.surface.names?.at(pid, address);
    if (named !== undefined)
      return { address, module: named.module, symbol: named.name, offset: named.offset };
    if (pid !== 0) return this.#process(pid).space.locate(address);
    const kallsyms = this.kallsyms();
    const at = kallsyms === undefined || kallsyms.hidden ? undefined : kallsyms.at(address);
    if (at === undefined) return { address, module: 'kernel' };
    return {
      address,
      module: at.symbol.module ?? 'kernel',
      symbol: at.symbol.name,
      offset: at.offset,
      functionStart: at.symbol.address,
    };
  }

  #process(pid: number): ProcessCode {
    const known = this.#processes.get(pid);
    if (known !== undefined) return known;
    const image = new SurfaceProcessImage(this.#parts.surface, pid, this.#parts.symbols);
    const space = new AddressSpace(image);
    if (space.mappings().length === 0) {
      // It is gone. A forked child had the code of the process that created it.
      image.close();
      const parent = this.#parts.parentOf(pid);
      const inherited = parent === undefined || parent === pid ? undefined : this.#process(parent);
      if (inherited !== undefined) {
        this.#processes.set(pid, inherited);
        return inherited;
      }
    }
    const process: ProcessCode = { image, space, sweeps: undefined };
    this.#processes.set(pid, process);
    return process;
  }
}
