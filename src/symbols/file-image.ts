import type { ByteSource } from '../base/byte-source.ts';
import { ElfFile } from './elf-file.ts';
import type { Mapping } from './maps.ts';
import type { ProcessImage, SymbolResources } from './process-image.ts';

/** A file to look names up in, as if it were loaded where its own addresses say, or `bias` bytes behind. */
export interface FileImageParts {
  readonly path: string;
  readonly source: ByteSource;
  /** Opens other files: debug information may be beside the file. */
  readonly openPath: (path: string) => ByteSource | undefined;
  readonly resources?: SymbolResources;
  /** In bytes, a multiple of the page size; 0. */
  readonly bias?: bigint;
}

/** A process image of a file that does not run. Throws an `ElfError` for what is no ELF file. */
export function fileImage(parts: FileImageParts): ProcessImage {
  const { path, source, openPath, resources, bias = 0n } = parts;
  const file = ElfFile.open(source, path, resources?.tools?.decompress);
  const mappings: Mapping[] = file.segments.map((segment) => {
    const start = bias + (segment.vaddr & ~pageMask);
    return {
      start,
      end: bias + ((segment.vaddr + segment.memBytes + pageMask) & ~pageMask),
      readable: segment.readable,
      writable: segment.writable,
      executable: segment.executable,
      shared: false,
      offset: segment.offset & ~pageMask,
      device: '00:00',
      inode: 1n,
      path,
    };
  });
  return {
    mappings: () => mappings,
    openMapped: () => source,
    openPath,
    executablePath: () => path,
    ...resources,
  };
}

const pageMask = 4095n;
