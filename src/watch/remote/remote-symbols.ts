import type { ByteSource } from '../../base/byte-source.ts';
import { hex } from '../../base/hex.ts';
import type { GdbClient } from '../../gdb/gdb-client.ts';
import { AddressSpace } from '../../symbols/address-space.ts';
import { ElfError } from '../../symbols/elf-error.ts';
import { ElfFile, type ElfMachine } from '../../symbols/elf-file.ts';
import { fileImage } from '../../symbols/file-image.ts';
import type { SymbolResources } from '../../symbols/process-image.ts';
import { requestError } from '../errors.ts';
import type { RemoteMemory } from './remote-memory.ts';
import { readEntry, readTextOffset } from './stub-questions.ts';

/** The file that names come from. */
export interface SymbolFile {
  readonly path: string;
  readonly source: ByteSource;
  /** Opens other files: debug information may be beside it. */
  readonly openPath: (path: string) => ByteSource | undefined;
}

/** Names of a remote target. */
export interface RemoteSymbols {
  readonly space: AddressSpace;
  readonly machine: ElfMachine;
  readonly notes: readonly string[];
}

const machineOf: Readonly<Record<string, ElfMachine>> = {
  'i386:x86-64': 'x86-64',
  i386: 'i386',
  aarch64: 'arm64',
};

/** Reads a file's names where the target has it. Throws `WatchError` of a file that is not what the target runs. */
export async function openRemoteSymbols(
  file: SymbolFile,
  target: { readonly client: GdbClient; readonly memory: RemoteMemory; readonly resources: SymbolResources },
): Promise<RemoteSymbols> {
  const { client, memory, resources } = target;
  try {
    const elf = ElfFile.open(file.source, file.path, resources.tools?.decompress);
    const architecture = client.description?.architecture;
    const expected = architecture === undefined ? undefined : machineOf[architecture];
    if (expected !== undefined && expected !== elf.machine)
      throw requestError(`--symbols ${file.path} is for ${elf.machine}, but the target is ${architecture}`);
    const { bias, note } = await biasOf(elf, client);
    const image = fileImage({ ...file, resources, bias });
    const space = new AddressSpace({
      ...image,
      readMemory: (address, lenBytes) => memory.read(address, lenBytes),
    });
    const fit = await fitOf(elf, { bias, memory, space });
    if (fit.differs !== undefined)
      throw requestError(
        `--symbols ${file.path} does not fit the target: at ${hex(fit.differs)} and elsewhere it has other code`,
      );
    const notes = note === undefined ? [] : [note];
    if (!fit.seen && client.has('qXfer:auxv:read'))
      throw requestError(`--symbols ${file.path} does not fit the target: the process has no such code`);
    if (!fit.seen) notes.push(`the code of ${file.path} is not in the target's memory yet`);
    return { space, machine: elf.machine, notes };
  } catch (error) {
    if (error instanceof ElfError) throw requestError(error.message);
    throw error;
  }
}

/** How far behind its own addresses a file is loaded. */
async function biasOf(
  elf: ElfFile,
  client: GdbClient,
): Promise<{ readonly bias: bigint; readonly note?: string }> {
  if (elf.type !== 'shared') return { bias: 0n };
  const entry = await readEntry(client);
  if (entry !== undefined && elf.isProgram) return { bias: BigInt.asUintN(64, entry - elf.entry) };
  const offset = await readTextOffset(client);
  if (offset !== undefined) return { bias: offset };
  return {
    bias: 0n,
    note: `the stub does not tell where ${elf.name} is loaded: its own addresses are taken`,
  };
}

const samples = 8;
const sampleBytes = 32;

/**
 * Compares places of the code with the target's memory. Most must be the same (a running kernel patches some); zeros, and
 * what cannot be read, say nothing.
 */
async function fitOf(
  elf: ElfFile,
  target: { readonly bias: bigint; readonly memory: RemoteMemory; readonly space: AddressSpace },
): Promise<{ readonly seen: boolean; readonly differs?: bigint }> {
  const segment = elf.segments.find((each) => each.executable && !each.writable && each.fileBytes > 0n);
  if (segment === undefined) return { seen: true }; // nothing to compare
  let seen = 0;
  const different: bigint[] = [];
  for (let i = 0; i < samples; i++) {
    const address = target.bias + segment.vaddr + (segment.fileBytes * BigInt(i)) / BigInt(samples);
    const lenBytes = Number(
      segment.fileBytes < BigInt(sampleBytes * samples)
        ? segment.fileBytes / BigInt(samples)
        : BigInt(sampleBytes),
    );
    const [own, theirs] = await target.memory.settle(() => [
      target.space.code(address, lenBytes),
      target.memory.read(address, lenBytes),
    ]);
    if (own === undefined || theirs === undefined || theirs.every((byte) => byte === 0)) continue;
    seen++;
    if (own.some((byte, at) => at < theirs.length && byte !== theirs[at])) different.push(address);
  }
  const [first] = different;
  return first !== undefined && 2 * different.length > seen
    ? { seen: true, differs: first }
    : { seen: seen > 0 };
}
