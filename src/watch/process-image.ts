import type { ByteSource } from '../base/byte-source.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { OpenFile } from '../surface/files.ts';
import type { Surface } from '../surface/surface.ts';
import { type Mapping, parseMaps } from '../symbols/maps.ts';
import type { ProcessImage, SymbolResources } from '../symbols/process-image.ts';

/** A process of a surface as an address space sees it. Keeps the files it opened until `close`. */
export class SurfaceProcessImage implements ProcessImage {
  readonly pid: number;
  /** Under which number /proc shows the process's memory: another thread's where the first one has ended. */
  readonly #tid: number;
  readonly #surface: Surface;
  readonly #open: OpenFile[] = [];

  readonly tools: SymbolResources['tools'];
  readonly cache: SymbolResources['cache'];

  constructor(surface: Surface, pid: number, resources: SymbolResources = {}) {
    this.tools = resources.tools;
    this.cache = resources.cache;
    this.#surface = surface;
    this.pid = pid;
    this.#tid = liveThread(surface, pid);
  }

  mappings(): readonly Mapping[] {
    return parseMaps(this.#attempt(() => this.#surface.tasks?.maps(this.#tid)) ?? '');
  }

  executablePath(): string | undefined {
    return this.#attempt(() =>
      this.#surface.files?.readlink(`/proc/${this.#tid}/exe`).replace(/ \(deleted\)$/, ''),
    );
  }

  /**
   * The file as the process sees it (/proc/PID/root, so that containers work) if it is still the one that is mapped;
   * else the mapped one itself (/proc/PID/map_files, for root); else, when the process is gone, the path as we see it.
   */
  openMapped(mapping: Mapping): ByteSource | undefined {
    const range = `${mapping.start.toString(16)}-${mapping.end.toString(16)}`;
    const paths = [
      `/proc/${this.#tid}/root${mapping.path}`,
      `/proc/${this.#tid}/map_files/${range}`,
      mapping.path,
    ];
    for (const path of paths) {
      const file = this.#openFile(path, mapping.inode);
      if (file !== undefined) return file;
    }
    return undefined;
  }

  openPath(path: string): ByteSource | undefined {
    return this.#openFile(`/proc/${this.#tid}/root${path}`) ?? this.#openFile(path);
  }

  readMemory(address: bigint, lengthBytes: number): Uint8Array | undefined {
    return this.#attempt(() => this.#surface.memory?.read(this.#tid, address, lengthBytes));
  }

  /** `/tmp/perf-PID.map`, by the number that the process has in its own namespace. */
  jitMap(): string | undefined {
    const status = this.#attempt(() => this.#surface.files?.text(`/proc/${this.pid}/status`));
    const inner = /^NSpid:.*?(\d+)\s*$/m.exec(status ?? '')?.[1] ?? String(this.pid);
    return this.#attempt(
      () =>
        this.#attempt(() => this.#surface.files?.text(`/proc/${this.pid}/root/tmp/perf-${inner}.map`)) ??
        this.#surface.files?.text(`/tmp/perf-${inner}.map`),
    );
  }

  close(): void {
    for (const file of this.#open.splice(0)) file.close();
  }

  #openFile(path: string, inode?: bigint): ByteSource | undefined {
    const file = this.#attempt(() => this.#surface.files?.open(path));
    if (file === undefined) return undefined;
    if (inode !== undefined && inode !== 0n && file.inode !== inode) {
      file.close();
      return undefined;
    }
    this.#open.push(file);
    return file;
  }

  /** What cannot be had is `undefined`: the process may be gone, or not ours. */
  #attempt<Result>(call: () => Result): Result | undefined {
    try {
      return call();
    } catch (error) {
      if (error instanceof KernelError) return undefined;
      throw error;
    }
  }
}

/** `pid`, or a thread of it that still runs if the first one has ended. */
function liveThread(surface: Surface, pid: number): number {
  try {
    if (surface.tasks?.status(pid).zombie !== true) return pid;
    return surface.tasks.threads(pid).find((tid) => surface.tasks?.status(tid).zombie === false) ?? pid;
  } catch (error) {
    if (error instanceof KernelError) return pid;
    throw error;
  }
}
