import type { ByteSource } from '../base/byte-source.ts';
import { hex } from '../base/hex.ts';
import { crc32 } from './crc32.ts';
import { ElfError } from './elf-error.ts';
import { type DebugLink, ElfFile } from './elf-file.ts';
import type { SymbolTools } from './symbol-tools.ts';

/** What a module says about its separate debug file. */
export interface DebugFileRequest {
  /** The module's path in the process's file system. */
  readonly modulePath: string;
  /** In lower-case hex. */
  readonly buildId?: string | undefined;
  readonly debugLink?: DebugLink | undefined;
}

/** How files are opened and read when they are searched. */
export interface DebugFileAccess {
  /** A file in the process's own file system; `undefined` where there is none. */
  readonly openPath: (path: string) => ByteSource | undefined;
  readonly decompress?: SymbolTools['decompress'] | undefined;
}

/** What a search for a separate debug file came to. */
export interface FoundDebugFile {
  readonly file: ElfFile | undefined;
  /** Why files in the right places were left: one line, where nothing better was found. */
  readonly problem: string | undefined;
}

/**
 * The paths where the separate debug file may be, in the order in which to try them: by build id, then by
 * .gnu_debuglink in the module's folder, its `.debug`, and the global debug folder.
 * Source: gdb manual, "Debugging Information in Separate Files".
 */
export function debugFileCandidates(request: DebugFileRequest): string[] {
  const paths: string[] = [];
  const { buildId, debugLink, modulePath } = request;
  if (buildId !== undefined && /^[0-9a-f]{4,}$/.test(buildId)) paths.push(buildIdPath(buildId));
  // The link is a file name; one with a slash would lead anywhere.
  if (debugLink !== undefined && isFileName(debugLink.name)) {
    const folder = modulePath.slice(0, modulePath.lastIndexOf('/') + 1);
    paths.push(`${folder}${debugLink.name}`, `${folder}.debug/${debugLink.name}`);
    if (folder.startsWith('/')) paths.push(`${debugFolder}${folder}${debugLink.name}`);
  }
  // A link may name the module itself.
  return [...new Set(paths)].filter((path) => path !== modulePath);
}

/** Where the debug file of a build id is, for all who install one. */
export function buildIdPath(buildId: string): string {
  return `${debugFolder}/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`;
}

/**
 * Whether `file`, opened from `source`, is the debug file asked for: the build ids are equal; where the module has
 * none, the CRC-32 of the whole file is the link's. Else why not, as the end of a sentence.
 */
export function whyNotDebugFileFor(
  request: DebugFileRequest,
  file: ElfFile,
  source: ByteSource,
): string | undefined {
  const { buildId, debugLink } = request;
  if (buildId !== undefined) {
    if (file.buildId === buildId) return undefined;
    return `its build id is ${file.buildId ?? 'missing'}, not ${buildId}`;
  }
  if (debugLink === undefined) return 'nothing says that it does';
  const sum = crc32(source);
  return sum === debugLink.crc32 ? undefined : `its CRC is ${hex(sum)}, not ${hex(debugLink.crc32)}`;
}

/**
 * Opens the first candidate that belongs to the module and has what `isUseful` wants. Files that cannot be read, or
 * belong to another build, are left: the module works without.
 */
export function findDebugFile(
  request: DebugFileRequest,
  access: DebugFileAccess,
  isUseful: (file: ElfFile) => boolean,
): FoundDebugFile {
  let problem: string | undefined;
  for (const path of debugFileCandidates(request)) {
    const source = access.openPath(path);
    if (source === undefined) continue;
    try {
      const file = ElfFile.open(source, path, access.decompress);
      if (!isUseful(file)) continue;
      const difference = whyNotDebugFileFor(request, file, source);
      if (difference === undefined) return { file, problem: undefined };
      problem ??= `${path} does not belong to ${request.modulePath}: ${difference}`;
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      problem ??= error.message;
    }
  }
  return { file: undefined, problem };
}

const debugFolder = '/usr/lib/debug';

function isFileName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/');
}
