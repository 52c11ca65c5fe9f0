import type { ByteSource } from '../base/byte-source.ts';
import { crc32 } from './crc32.ts';
import type { DebugLink, ElfFile } from './elf-file.ts';

/** What a module says about its separate debug file. */
export interface DebugFileRequest {
  /** The module's path in the process's file system. */
  readonly modulePath: string;
  /** In lower-case hex. */
  readonly buildId?: string | undefined;
  readonly debugLink?: DebugLink | undefined;
}

/**
 * The paths where the separate debug file may be, in the order in which to try them: by build id, then by
 * .gnu_debuglink in the module's folder, its `.debug`, and the global debug folder.
 * Source: gdb manual, "Debugging Information in Separate Files".
 */
export function debugFileCandidates(request: DebugFileRequest): string[] {
  const paths: string[] = [];
  const { buildId, debugLink, modulePath } = request;
  if (buildId !== undefined && /^[0-9a-f]{4,}$/.test(buildId)) {
    paths.push(`${debugFolder}/.build-id/${buildId.slice(0, 2)}/${buildId.slice(2)}.debug`);
  }
  // The link is a file name; one with a slash would lead anywhere.
  if (debugLink !== undefined && isFileName(debugLink.name)) {
    const folder = modulePath.slice(0, modulePath.lastIndexOf('/') + 1);
    paths.push(`${folder}${debugLink.name}`, `${folder}.debug/${debugLink.name}`);
    if (folder.startsWith('/')) paths.push(`${debugFolder}${folder}${debugLink.name}`);
  }
  // A link may name the module itself.
  return [...new Set(paths)].filter((path) => path !== modulePath);
}

/**
 * Whether `file`, opened from `source`, is the debug file asked for: the build ids are equal; where the module has
 * none, the CRC-32 of the whole file is the link's.
 */
export function isDebugFileFor(request: DebugFileRequest, file: ElfFile, source: ByteSource): boolean {
  if (request.buildId !== undefined) return file.buildId === request.buildId;
  return request.debugLink !== undefined && crc32(source) === request.debugLink.crc32;
}

const debugFolder = '/usr/lib/debug';

function isFileName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/');
}
