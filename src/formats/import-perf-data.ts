import type { ByteSink, ByteSource } from '../base/byte-source.ts';
import { highWord, lowWord } from '../base/pair.ts';
import { AddressSpace } from '../symbols/address-space.ts';
import type { CodeLocation } from '../symbols/code-location.ts';
import type { Mapping } from '../symbols/maps.ts';
import type { SymbolResources } from '../symbols/process-image.ts';
import { PerfDataReader, type PerfRecord } from './perf-data-reader.ts';
import { eventName } from './perf-script.ts';
import { entryText, type RecordingHeader } from './recording-entries.ts';
import { RecordingWriter } from './recording-writer.ts';

/** Where the files lie that a perf.data names. */
export interface ImportPlace {
  openPath(path: string): ByteSource | undefined;
  readonly symbols: SymbolResources;
  readonly tool: string;
  readonly command: readonly string[];
}

type Sample = Extract<PerfRecord, { type: 'sample' }>;
type PerfMap = Extract<PerfRecord, { type: 'mmap' }>;

/** Markers in call chains (PERF_CONTEXT_…) are above this. */
const contexts = 0xffff_ffff_ffff_f000n;
const contextKernel = 0xffff_ffff_ffff_ff80n;
const contextUser = 0xffff_ffff_ffff_fe00n;

/**
 * A perf.data that `perf record -e mem:…` wrote as a recording: no values, code named by the files where they lie now.
 * It is read twice. Throws `RecordingError` on what is not such a file. @returns the number of hits.
 */
export function importPerfData(source: ByteSource, sink: ByteSink, place: ImportPlace): number {
  const reader = new PerfDataReader(source);
  const tasks = new PerfTasks(place);
  let sinceNs: bigint | undefined;
  let lost = 0;
  let stacks = false;
  const cpus = new Set<number>();
  for (const record of reader.records()) {
    if (record.type === 'lost') lost += record.lost;
    else if (record.type !== 'sample') tasks.add(record);
    else {
      cpus.add(record.cpu);
      if (record.callchain.length > 0) stacks = true;
      if (sinceNs === undefined || record.timeNs < sinceNs) sinceNs = record.timeNs;
    }
  }
  tasks.settle();
  const header: RecordingHeader = {
    type: 'recording',
    kernel: 'Linux (perf.data)',
    machine: { cpus: cpus.size },
    tool: place.tool,
    command: place.command,
    comm: '',
    threads: 0,
    cpus: [...cpus].sort((a, b) => a - b),
    kernelMode: true,
    notes: ['imported from a perf.data: it has no values, and code is named by the files as they are now'],
    sinceNs: sinceNs ?? 0n,
    wallClockNs: 0n,
    stacks,
    values: false,
    watches: reader.events.map(({ bpType, address, lenBytes }) => {
      const access = bpType === 4 ? 'x' : bpType === 2 ? 'w' : 'rw';
      const watch = { text: '', address, lenBytes: Math.max(1, Math.min(8, lenBytes)), access } as const;
      return { ...watch, text: eventName(watch) };
    }),
  };
  const importer = new Importer(new RecordingWriter(sink), header, tasks);
  let lastNs = header.sinceNs;
  for (const record of reader.records()) {
    if (record.type !== 'sample') continue;
    importer.hit(record);
    if (record.timeNs > lastNs) lastNs = record.timeNs;
  }
  return importer.finish(lastNs, lost);
}

/** Names and memory of the tasks of a perf.data. */
class PerfTasks {
  readonly #place: ImportPlace;
  readonly #names = new Map<number, { readonly timeNs: bigint; readonly comm: string }[]>();
  readonly #maps = new Map<number, PerfMap[]>();
  readonly #forks: {
    readonly pid: number;
    readonly tid: number;
    readonly parentPid: number;
    readonly parentTid: number;
  }[] = [];
  readonly #spaces = new Map<number, AddressSpace>();

  constructor(place: ImportPlace) {
    this.#place = place;
  }

  add(record: Exclude<PerfRecord, { type: 'sample' | 'lost' }>): void {
    if (record.type === 'comm') {
      const names = this.#names.get(record.tid) ?? [];
      names.push(record);
      this.#names.set(record.tid, names);
    } else if (record.type === 'mmap') {
      const maps = this.#maps.get(record.pid) ?? [];
      maps.push(record);
      this.#maps.set(record.pid, maps);
    } else if (record.type === 'fork') this.#forks.push(record);
  }

  /** All records are there. */
  settle(): void {
    for (const names of this.#names.values()) names.sort((a, b) => Number(a.timeNs - b.timeNs));
    for (const { pid, tid, parentPid, parentTid } of this.#forks) {
      if (pid !== parentPid && !this.#maps.has(pid)) this.#maps.set(pid, this.#maps.get(parentPid) ?? []);
      if (!this.#names.has(tid)) this.#names.set(tid, this.#names.get(parentTid) ?? []);
    }
  }

  comm(tid: number, timeNs: bigint): string {
    const names = this.#names.get(tid) ?? [];
    return (names.findLast((each) => each.timeNs <= timeNs) ?? names[0])?.comm ?? '';
  }

  maps(pid: number): readonly PerfMap[] {
    return (this.#maps.get(pid) ?? []).filter(({ executable }) => executable);
  }

  locate(pid: number, address: bigint, options: { readonly behind: boolean }): CodeLocation {
    let space = this.#spaces.get(pid);
    if (space === undefined) {
      const { openPath, symbols } = this.#place;
      const mappings = this.maps(pid).map(mappingOf);
      space = new AddressSpace({
        ...symbols,
        mappings: () => mappings,
        openMapped: (mapping) => openPath(mapping.path),
        openPath,
      });
      this.#spaces.set(pid, space);
    }
    return space.withSource(space.locate(address), { returnAddress: options.behind });
  }
}

function mappingOf({ start, lengthBytes, offset, path }: PerfMap): Mapping {
  const isFile = path.startsWith('/') && !path.startsWith('//');
  return {
    start,
    end: start + lengthBytes,
    readable: true,
    writable: false,
    executable: true,
    shared: false,
    offset,
    device: '00:00',
    inode: isFile ? 1n : 0n, // a file's, which one does not matter: paths tell them apart
    path: path === '//anon' ? '' : path,
  };
}

/** Writes samples as rows. */
class Importer {
  readonly #writer: RecordingWriter;
  readonly #header: RecordingHeader;
  readonly #tasks: PerfTasks;
  readonly #accesses = new Map<string, number>();
  readonly #sites = new Map<string, number>();
  readonly #frames = new Map<string, number>();
  readonly #stacks = new Map<string, number>();
  readonly #mapped = new Set<number>();

  constructor(writer: RecordingWriter, header: RecordingHeader, tasks: PerfTasks) {
    this.#writer = writer;
    this.#header = header;
    this.#tasks = tasks;
    writer.entry(entryText(header));
  }

  hit(sample: Sample): void {
    const { event, ip, pid, tid, cpu, timeNs, callchain, kernel } = sample;
    const comm = this.#tasks.comm(tid, timeNs);
    const key = `${event},${ip},${pid},${tid},${cpu},${kernel},${comm},${callchain.join()}`;
    let access = this.#accesses.get(key);
    if (access === undefined) {
      this.#map(pid);
      const site = this.#site(sample);
      const stack = callchain.length === 0 ? 0 : this.#stack(sample);
      access = this.#writer.entry(entryText({ type: 'access', pid, tid, comm, cpu, site, stack }));
      this.#accesses.set(key, access);
    }
    this.#writer.hit(access, 0, lowWord(timeNs), highWord(timeNs), 0, 0, 0, 0);
  }

  finish(timeNs: bigint, lost: number): number {
    const { hits } = this.#writer;
    this.#writer.entry(entryText({ type: 'end', timeNs, reason: 'end of the perf.data', hits, lost }));
    this.#writer.finish();
    return hits;
  }

  #map(pid: number): void {
    if (this.#mapped.has(pid)) return;
    this.#mapped.add(pid);
    for (const { timeNs, start, lengthBytes, offset, path } of this.#tasks.maps(pid))
      this.#writer.entry(
        entryText({
          type: 'mapping',
          timeNs,
          pid,
          start,
          lengthBytes,
          offset,
          inode: 1n,
          device: '00:00',
          path,
        }),
      );
  }

  #site({ event, ip, pid, kernel }: Sample): number {
    const access = this.#header.watches[event]?.access ?? 'rw';
    const location = this.#locate(pid, ip, { kernel, behind: access !== 'x' });
    const code = { sampleIp: ip, ip, instructionFound: false, location, kernel, access, text: undefined };
    const text = entryText({ type: 'site', pid: kernel ? 0 : pid, watch: event, code });
    return this.#numbered(this.#sites, text);
  }

  /** 1 + the number of the stack. */
  #stack({ pid, callchain, kernel: inKernel }: Sample): number {
    let kernel = inKernel;
    const frames: number[] = [];
    for (const address of callchain) {
      if (address >= contexts) {
        if (address === contextKernel) kernel = true;
        else if (address === contextUser) kernel = false;
        continue;
      }
      const location = this.#locate(pid, address, { kernel, behind: true });
      frames.push(this.#numbered(this.#frames, entryText({ type: 'frame', kernel, location })));
    }
    return 1 + this.#numbered(this.#stacks, entryText({ type: 'stack', frames }));
  }

  #locate(
    pid: number,
    address: bigint,
    options: { readonly kernel: boolean; readonly behind: boolean },
  ): CodeLocation {
    if (options.kernel) return { address, module: 'kernel' };
    return this.#tasks.locate(pid, address, options);
  }

  /** The number of an entry among its kind; written when it is new. */
  #numbered(numbers: Map<string, number>, text: string): number {
    let number = numbers.get(text);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(text, number);
      this.#writer.entry(text);
    }
    return number;
  }
}
