import type { ByteSink } from '../base/byte-source.ts';
import { hex } from '../base/hex.ts';
import { type HitBatch, hitFlags, type RingNotice, valueFlags } from '../ring/hit-columns.ts';
import type { Mapping } from '../symbols/maps.ts';
import type { HitSource } from '../watch/hit-source.ts';
import { TupleTable } from './access-table.ts';
import { entryText, type RecordingHeader } from './recording-entries.ts';
import { continuesCopyFlag } from './recording-format.ts';
import { RecordingWriter } from './recording-writer.ts';

/** What a session does not know of itself. */
export type RecordingPlace = Pick<RecordingHeader, 'machine' | 'tool' | 'command' | 'wallClockNs' | 'stacks'>;

const valueBits = valueFlags.source | valueFlags.exact | valueFlags.before | valueFlags.gap;

/**
 * Writes the hits of a session as a recording. Code, stacks and names are told once, when they are first seen: the
 * process may be gone when the recording is read.
 */
export class SessionRecorder {
  readonly #session: HitSource;
  readonly #writer: RecordingWriter;
  /** (tid, cpu, site, stack, watch) to the number of the access entry. */
  readonly #accesses = new TupleTable();
  /** "site,watch" of the session to the number of the site entry. */
  readonly #sites = new Map<string, number>();
  readonly #frames = new Map<string, number>();
  /** A stack of the session to 1 + the number of its entry. */
  readonly #stacks = new Map<number, number>();
  readonly #mappedPids = new Set<number>();
  #siteCount: number = 0;
  #stackCount: number = 0;
  #lost: number = 0;

  constructor(session: HitSource, sink: ByteSink, place: RecordingPlace) {
    this.#session = session;
    this.#writer = new RecordingWriter(sink);
    const { kernel, watches, pid, comm, sinceNs, threads, cpus, kernelMode, notes } = session.info;
    this.#writer.entry(
      entryText({
        type: 'recording',
        kernel,
        ...place,
        pid,
        comm,
        threads,
        cpus,
        kernelMode,
        notes,
        sinceNs,
        values: session.hasValues,
        watches,
      }),
    );
    if (pid !== undefined) this.#mappings(pid, sinceNs);
  }

  /** Hits written, those that wait for the next flush included. */
  get hits(): number {
    return this.#writer.hits;
  }

  /** Adds a batch, before its notices are applied to the session's names. */
  add(batch: HitBatch): void {
    const { columns, notices } = batch;
    const { length, timeLow, timeHigh, tid, cpu, site, stack, watch, flags, values } = columns;
    const renamed = new Map<number, string>();
    let notice = 0;
    const next = (): number => (notice < notices.length ? Number(notices[notice]!.timeNs) : Infinity); // in range
    let nextNs = next();
    for (let row = 0; row < length; row++) {
      // row < length, in all that follows
      while (timeHigh[row]! * 0x1_0000_0000 + timeLow[row]! >= nextNs) {
        this.#notice(notices[notice++]!, renamed); // nextNs is finite
        nextNs = next();
      }
      let access = this.#accesses.find(tid[row]!, cpu[row]!, site[row]!, stack[row]!, watch[row]!);
      if (access < 0) access = this.#newAccess(batch, row, renamed);
      let flag = (flags[row]! & hitFlags.continuesCopy) === 0 ? 0 : continuesCopyFlag;
      if (values === undefined) {
        this.#writer.hit(access, flag, timeLow[row]!, timeHigh[row]!, 0, 0, 0, 0);
        continue;
      }
      flag |= values.flags[row]! & valueBits;
      this.#writer.hit(
        access,
        flag,
        timeLow[row]!,
        timeHigh[row]!,
        values.beforeLow[row]!,
        values.beforeHigh[row]!,
        values.afterLow[row]!,
        values.afterHigh[row]!,
      );
    }
    while (notice < notices.length) this.#notice(notices[notice++]!, renamed); // in range
  }

  /** Notes that so many hits are lost so far. */
  lost(timeNs: bigint, lost: number): void {
    if (lost === this.#lost) return;
    this.#lost = lost;
    this.#writer.entry(entryText({ type: 'lost', timeNs, lost }));
  }

  /** Hands what has gathered to the sink. */
  flush(): void {
    this.#writer.flush();
  }

  /** Writes the end; the last call. */
  finish(timeNs: bigint, reason: string, lost: number): void {
    this.#writer.entry(entryText({ type: 'end', timeNs, reason, hits: this.#writer.hits, lost }));
    this.#writer.finish();
  }

  #newAccess({ columns }: HitBatch, row: number, renamed: ReadonlyMap<number, string>): number {
    const pid = columns.pid[row]!; // row < length, here and below
    const tid = columns.tid[row]!;
    const cpu = columns.cpu[row]!;
    const siteNumber = columns.site[row]!;
    const stackNumber = columns.stack[row]!;
    const watchNumber = columns.watch[row]!;
    const { names, sites, info } = this.#session;
    const watch = info.watches[watchNumber]!; // the column holds numbers of these
    if (!this.#mappedPids.has(pid)) this.#mappings(pid, info.sinceNs);
    const code = sites.access(siteNumber, watch, watchNumber);
    const key = `${siteNumber},${watchNumber}`;
    let site = this.#sites.get(key);
    if (site === undefined) {
      this.#writer.entry(entryText({ type: 'site', pid: code.kernel ? 0 : pid, watch: watchNumber, code }));
      site = this.#siteCount++;
      this.#sites.set(key, site);
    }
    const stack = stackNumber === 0 ? 0 : this.#stack(stackNumber);
    const comm = renamed.get(tid) ?? names.name(tid, pid);
    const { location } = code;
    const access = this.#writer.entry(
      entryText(
        { type: 'access', pid, tid, comm, cpu, site, stack },
        {
          watch: watch.text,
          address: hex(watch.address),
          access: code.access,
          kernel: code.kernel,
          ip: hex(code.ip),
          function: location.function ?? location.symbol,
          module: location.module,
          file: location.file,
          line: location.line,
        },
      ),
    );
    this.#accesses.add(access, tid, cpu, siteNumber, stackNumber, watchNumber);
    return access;
  }

  #stack(number: number): number {
    let stack = this.#stacks.get(number);
    if (stack !== undefined) return stack;
    const frames = this.#session.sites.frames(number).map(({ kernel, location }) => {
      const text = entryText({ type: 'frame', kernel, location });
      let frame = this.#frames.get(text);
      if (frame === undefined) {
        frame = this.#frames.size;
        this.#writer.entry(text);
        this.#frames.set(text, frame);
      }
      return frame;
    });
    this.#writer.entry(entryText({ type: 'stack', frames }));
    stack = ++this.#stackCount;
    this.#stacks.set(number, stack);
    return stack;
  }

  #notice(notice: RingNotice, renamed: Map<number, string>): void {
    switch (notice.type) {
      case 'comm': {
        const { timeNs, pid, tid, comm, exec } = notice;
        renamed.set(tid, comm);
        this.#accesses.forget(tid);
        this.#writer.entry(entryText({ type: exec ? 'exec' : 'comm', timeNs, pid, tid, comm }));
        break;
      }
      case 'fork': {
        const { type, timeNs, pid, tid, parentPid, parentTid } = notice;
        renamed.set(tid, renamed.get(parentTid) ?? this.#session.names.name(parentTid, parentPid));
        this.#accesses.forget(tid);
        this.#writer.entry(entryText({ type, timeNs, pid, tid, parentPid, parentTid }));
        break;
      }
      case 'exit':
        this.#writer.entry(entryText(notice));
        break;
      case 'mmap': {
        const { timeNs, pid, start, lengthBytes, offset, inode, device, path } = notice;
        this.#mapping(pid, timeNs, { start, end: start + lengthBytes, offset, inode, device, path });
        break;
      }
      case 'lost':
        break; // counted by the kernel: lost()
    }
  }

  /** The code that a process has mapped when it is first seen. */
  #mappings(pid: number, timeNs: bigint): void {
    this.#mappedPids.add(pid);
    for (const mapping of this.#session.sites.space?.(pid).mappings() ?? [])
      if (mapping.executable) this.#mapping(pid, timeNs, mapping);
  }

  #mapping(
    pid: number,
    timeNs: bigint,
    mapping: Pick<Mapping, 'start' | 'end' | 'offset' | 'inode' | 'device' | 'path'>,
  ): void {
    const { start, end, offset, inode, device, path } = mapping;
    const module =
      inode === 0n
        ? undefined
        : this.#session.sites
            .space?.(pid)
            .modules()
            .find((each) => each.path === path);
    const buildId = module?.file?.buildId;
    this.#writer.entry(
      entryText({
        type: 'mapping',
        timeNs,
        pid,
        start,
        lengthBytes: end - start,
        offset,
        inode,
        device,
        path,
        ...(buildId === undefined ? {} : { buildId: buildIdText(buildId) }),
      }),
    );
  }
}

function buildIdText(id: string | Uint8Array): string {
  if (typeof id === 'string') return id;
  return Array.from(id, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
