import { highWord, lowWord } from '../../base/pair.ts';
import type { GdbClient } from '../../gdb/gdb-client.ts';
import type { AddressSpace } from '../../symbols/address-space.ts';
import type { CodeLocation } from '../../symbols/code-location.ts';
import type { ElfMachine } from '../../symbols/elf-file.ts';
import type { CodeAccess } from '../code-sites.ts';
import type { HitSites } from '../hit-source.ts';
import { findAccessingInstruction } from '../instructions/find-accessing-instruction.ts';
import { FunctionSweeps } from '../instructions/function-sweeps.ts';
import type { InstructionDecoder } from '../instructions/instruction-decoder.ts';
import type { PlannedWatch } from '../plan.ts';
import type { RemoteMemory } from './remote-memory.ts';

/** What sites of a remote target are named with. */
export interface RemoteSitesParts {
  readonly client: GdbClient;
  readonly memory: RemoteMemory;
  readonly machine: ElfMachine | undefined;
  readonly space?: AddressSpace | undefined;
  readonly decoder?: InstructionDecoder | undefined;
}

/** A place in the code that hits come from. */
interface Site {
  readonly address: bigint;
  readonly kernel: boolean;
  readonly pid: number;
}

/** EFER.LMA: Intel SDM vol. 3, "Extended Feature Enable Register". */
const longModeActive = 1n << 10n;
/** What Linux gives 32-bit programs as their code segment. */
const compatibleSegment = 0x23n;
const kernelSpace = 0x8000_0000_0000_0000n;
const arm64InstructionBytes = 4n;

/** The code of a remote target: learned while it stands, told at any time. */
export class RemoteSites implements HitSites {
  readonly #parts: RemoteSitesParts;
  readonly #sites: Site[] = [];
  readonly #numbers: Map<string, number> = new Map();
  readonly #accesses: Map<string, CodeAccess> = new Map();
  readonly #sweeps: FunctionSweeps | undefined;
  readonly #reader: { code(address: bigint, lenBytes: number): Uint8Array | undefined };

  constructor(parts: RemoteSitesParts) {
    this.#parts = parts;
    const { space, memory, decoder } = parts;
    this.#reader = space ?? { code: (address, lenBytes) => memory.read(address, lenBytes) };
    this.#sweeps = decoder === undefined ? undefined : new FunctionSweeps(this.#reader, decoder);
  }

  /** How many there are. */
  get size(): number {
    return this.#sites.length;
  }

  /** Entries of a batch for the sites from `first` on. */
  entriesFrom(first: number): Uint32Array {
    return Uint32Array.from(
      this.#sites
        .slice(first)
        .flatMap(({ address, kernel, pid }) => [lowWord(address), highWord(address), kernel ? 0 : pid]),
    );
  }

  /**
   * The number of the site at `address`. What is known of its code is found out at the first hit of a watch there, while
   * the target stands. `reported`: whether the address is that of the accessing instruction or of the one behind it.
   */
  async learn(
    address: bigint,
    hit: {
      readonly pid: number;
      readonly watch: PlannedWatch;
      readonly watchNumber: number;
      readonly reported: 'at' | 'behind';
    },
  ): Promise<number> {
    const key = `${hit.pid}:${address}`;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#sites.length;
      this.#sites.push({ address, pid: hit.pid, kernel: await this.#isKernel(address) });
      this.#numbers.set(key, number);
    }
    const accessKey = `${number},${hit.watchNumber}`;
    if (!this.#accesses.has(accessKey)) {
      const site = this.#sites[number]!; // just found or made
      this.#accesses.set(accessKey, await this.#access(site, hit));
    }
    return number;
  }

  access(site: number, watch: PlannedWatch, watchNumber: number): CodeAccess {
    const known = this.#accesses.get(`${site},${watchNumber}`);
    if (known !== undefined) return known;
    const { address, kernel } = this.#sites[site]!; // sites come from batches
    return this.#unknown({ address, kernel }, watch);
  }

  frames(): readonly [] {
    return []; // a stub has no call stacks
  }

  locate(address: bigint): CodeLocation {
    const { space } = this.#parts;
    return space === undefined ? { address } : space.withSource(space.locate(address));
  }

  #unknown(site: { readonly address: bigint; readonly kernel: boolean }, watch: PlannedWatch): CodeAccess {
    return {
      sampleIp: site.address,
      ip: site.address,
      instructionFound: false,
      location: this.locate(site.address),
      kernel: site.kernel,
      access: watch.access,
      text: undefined,
    };
  }

  async #access(
    site: Site,
    hit: { readonly watch: PlannedWatch; readonly reported: 'at' | 'behind' },
  ): Promise<CodeAccess> {
    const { watch } = hit;
    const unknown = this.#unknown(site, watch);
    const { machine, space, memory, decoder } = this.#parts;
    if (site.address === 0n) return unknown; // a stub that does not tell where
    if (machine === 'arm64') {
      // Instructions are four bytes, and none that accesses memory jumps.
      const ip = hit.reported === 'behind' ? site.address - arm64InstructionBytes : site.address;
      return { ...unknown, ip, instructionFound: true, location: this.locate(ip) };
    }
    const sweeps = this.#sweeps;
    if (decoder === undefined || sweeps === undefined || !(await this.#isLongMode())) return unknown;
    const before = watch.access === 'x' ? 0n : 1n;
    const found = await memory.settle(() =>
      findAccessingInstruction(
        { ip: site.address, functionStart: space?.locate(site.address - before).functionStart, watch },
        this.#reader,
        decoder,
        sweeps,
      ),
    );
    if (found === undefined) return unknown;
    return {
      ...unknown,
      ip: found.address,
      instructionFound: true,
      location: this.locate(found.address),
      access: found.access,
      text: found.text,
    };
  }

  /** By the privilege of the code, where the stub tells it; otherwise by the address. */
  async #isKernel(address: bigint): Promise<boolean> {
    const segment = await this.#register('cs');
    if (segment !== undefined) return (segment & 3n) === 0n;
    const state = this.#parts.machine === 'arm64' ? await this.#register('cpsr') : undefined;
    return state === undefined ? address >= kernelSpace : (state & 0xcn) !== 0n; // the exception level
  }

  /** Whether code is 64-bit code: a machine may still be in another mode. */
  async #isLongMode(): Promise<boolean> {
    if (this.#parts.machine !== 'x86-64' || (await this.#register('cs')) === compatibleSegment) return false;
    const features = await this.#register('efer');
    return features === undefined || (features & longModeActive) !== 0n;
  }

  async #register(name: string): Promise<bigint | undefined> {
    const { client } = this.#parts;
    const register = client.description?.registers.find((each) => each.name === name);
    const bytes = register === undefined ? undefined : await client.readRegister(register.number);
    return bytes?.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }
}
