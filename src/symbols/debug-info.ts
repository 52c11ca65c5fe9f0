import { decodeUtf8 } from '../base/text.ts';
import { buildIdPath, type DebugFileAccess, findDebugFile } from './debug-files.ts';
import { DwarfFile } from './dwarf/dwarf-file.ts';
import { elfDwarfSections } from './dwarf/sections.ts';
import { SplitFiles } from './dwarf/split-files.ts';
import { ElfError } from './elf-error.ts';
import { ElfFile } from './elf-file.ts';

/** A module's debug information, wherever it is: in the module, beside it, in parts of its own. */
export interface DebugInfo {
  readonly dwarf: DwarfFile;
  /** The files that compilers leave beside the object files (-gsplit-dwarf), opened when a unit of them is needed. */
  readonly split: SplitFiles;
  /** The file that it is in. */
  readonly path: string;
}

/** What looking for debug information came to. */
export interface DebugInfoSearch {
  readonly info: DebugInfo | undefined;
  /** Why a file that is there is not used, or what of it is missing: one line. */
  readonly problem: string | undefined;
}

/** Finds the debug information of `file`, which is at `modulePath`. Nothing is read of it yet but headers. */
export function openDebugInfo(file: ElfFile, modulePath: string, access: DebugFileAccess): DebugInfoSearch {
  const isOwn = hasDebugInfo(file);
  const request = { modulePath, buildId: file.buildId, debugLink: file.debugLink };
  const found = isOwn ? { file, problem: undefined } : findDebugFile(request, access, hasDebugInfo);
  if (found.file === undefined) return { info: undefined, problem: found.problem };
  const path = isOwn ? modulePath : found.file.name;
  const supplementary = openSupplementary(found.file, path, access);
  const dwarf = new DwarfFile(elfDwarfSections(found.file), { supplementary: supplementary.dwarf });
  const split = new SplitFiles(dwarf, { modulePath, access });
  return { info: { dwarf, split, path }, problem: supplementary.problem };
}

function hasDebugInfo(file: ElfFile): boolean {
  return file.bits === 64 && file.hasSection('.debug_info');
}

/**
 * The file that `dwz -m` moved what several debug files have in common to.
 *
 * ```
 * .gnu_debugaltlink = path, NUL | build id
 * ```
 * A relative path counts from the debug file. Source: the dwz(1) manual page; DWARF 5, 7.3.6.
 */
function openSupplementary(
  file: ElfFile,
  path: string,
  access: DebugFileAccess,
): { dwarf: DwarfFile | undefined; problem: string | undefined } {
  try {
    const link = file.section('.gnu_debugaltlink');
    if (link === undefined || link.sizeBytes > mostLinkBytes) return { dwarf: undefined, problem: undefined };
    const bytes = link.read(0, link.sizeBytes);
    const nul = bytes.indexOf(0);
    if (nul <= 0) return { dwarf: undefined, problem: undefined };
    const linked = decodeUtf8(bytes.subarray(0, nul));
    const buildId = [...bytes.subarray(nul + 1)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    const candidates = [linked.startsWith('/') ? linked : `${folder}${linked}`];
    if (buildId.length > 4) candidates.push(buildIdPath(buildId));
    let problem = `${path} needs ${linked}, which is not there`;
    for (const candidate of candidates) {
      const source = access.openPath(candidate);
      if (source === undefined) continue;
      const supplementary = ElfFile.open(source, candidate, access.decompress);
      if (supplementary.buildId === buildId) {
        return { dwarf: new DwarfFile(elfDwarfSections(supplementary)), problem: undefined };
      }
      problem = `${candidate} does not belong to ${path}: its build id is ${supplementary.buildId ?? 'missing'}, not ${buildId}`;
    }
    return { dwarf: undefined, problem };
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return { dwarf: undefined, problem: error.message };
  }
}

const mostLinkBytes = 8192;
