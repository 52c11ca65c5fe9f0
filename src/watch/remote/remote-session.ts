import { assert } from '../../base/assert.ts';
import { hex } from '../../base/hex.ts';
import { highWord, lowWord } from '../../base/pair.ts';
import { PeerError, SessionError } from '../../gdb/errors.ts';
import { GdbClient, type Timer } from '../../gdb/gdb-client.ts';
import type { ThreadId } from '../../gdb/thread-id.ts';
import type { Transport } from '../../gdb/transport.ts';
import {
  type HitBatch,
  HitColumns,
  hitFlags,
  unknownCpu,
  valueFlags,
  valueSources,
} from '../../ring/hit-columns.ts';
import type { Names } from '../../surface/names.ts';
import type { SymbolResources } from '../../symbols/process-image.ts';
import type { WatchCounts } from '../arm.ts';
import { refusalError, requestError } from '../errors.ts';
import type { ArmedInfo, EndReason, HitNames, HitSource } from '../hit-source.ts';
import type { InstructionDecoder } from '../instructions/instruction-decoder.ts';
import { type PlannedWatch, planWatches } from '../plan.ts';
import type { WatchRequest } from '../watch-request.ts';
import { RemoteMemory } from './remote-memory.ts';
import { RemoteSites } from './remote-sites.ts';
import { openRemoteSymbols, type RemoteSymbols, type SymbolFile } from './remote-symbols.ts';
import { type RemoteHit, RemoteTarget } from './remote-target.ts';
import { readThreads, type StubThread } from './stub-questions.ts';

/** How to open a {@link RemoteSession}. */
export interface RemoteOptions {
  /** Connected, or about to be. */
  readonly transport: Transport;
  /** Where the stub is, for messages. */
  readonly place: string;
  readonly requests: readonly WatchRequest[];
  readonly symbolFile?: SymbolFile | undefined;
  readonly resources?: SymbolResources | undefined;
  /** Tells which instruction of x86 accessed. */
  readonly decoder?: InstructionDecoder | undefined;
  readonly timer: Timer;
  /** CLOCK_MONOTONIC in nanoseconds. */
  readonly now: () => bigint;
  readonly maxHits?: number | undefined;
  readonly countOnly?: boolean;
}

/** A target that runs has so long to stop when asked, in milliseconds. */
const stopMs = 5_000;

const noNames: Names = {
  hint: 'names of a remote target come from --symbols FILE; an address needs none',
  find: () => undefined,
  at: () => undefined,
};

/**
 * Watches behind a stub that speaks the GDB remote protocol. Each hit stops the target, is told, and lets it run on at once.
 * On every way out the watches are removed and the target let go.
 */
export class RemoteSession implements HitSource {
  readonly info: ArmedInfo;
  readonly sites: RemoteSites;
  readonly names: HitNames;
  readonly launched: undefined = undefined;
  readonly hasValues: boolean;
  readonly undecided: number = 0;
  readonly #target: RemoteTarget;
  readonly #options: RemoteOptions;
  readonly #threads: Map<number, StubThread>;
  readonly #hits: number[];
  readonly #free: HitColumns[] = [];
  #delivered = 0;
  #sitesTold = 0;
  #endReason: EndReason | undefined;
  #endNs: bigint | undefined;
  #problem: string | undefined;
  #over = false;
  #cancelTimer: () => void = () => undefined;
  #pending: Promise<HitBatch | undefined> | undefined;

  private constructor(parts: {
    readonly options: RemoteOptions;
    readonly target: RemoteTarget;
    readonly sites: RemoteSites;
    readonly info: ArmedInfo;
    readonly threads: readonly StubThread[];
  }) {
    this.info = parts.info;
    this.sites = parts.sites;
    this.hasValues = parts.options.countOnly !== true;
    this.#target = parts.target;
    this.#options = parts.options;
    this.#hits = parts.info.watches.map(() => 0);
    this.#threads = new Map(parts.threads.map((thread) => [tidOf(thread.id), thread]));
    this.names = { name: (tid) => this.#threads.get(tid)?.name ?? '', apply: () => undefined };
  }

  /** Greets the stub, arms, and lets the target run. Throws `WatchError`; the target then runs as if nothing had been. */
  static async open(options: RemoteOptions): Promise<RemoteSession> {
    const { transport, place, requests, timer, now } = options;
    if (requests.length === 0) throw requestError('nothing to watch');
    let client: GdbClient;
    try {
      client = await GdbClient.connect(transport, { timer });
    } catch (error) {
      throw asRefusal(error, `no stub answers at ${place}`);
    }
    const countOnly = options.countOnly === true;
    let target: RemoteTarget | undefined;
    try {
      const memory = new RemoteMemory(client);
      const threads = await readThreads(client);
      const symbols =
        options.symbolFile === undefined
          ? undefined
          : await openRemoteSymbols(options.symbolFile, {
              client,
              memory,
              resources: options.resources ?? {},
            });
      const machine = machineOf(client) ?? symbols?.machine;
      const watches = await planAll(requests, { place, symbols, memory });
      target = new RemoteTarget(client, { machine, countOnly });
      const sinceNs = now();
      for (const watch of watches) await target.arm(watch);
      const [first] = threads;
      const isMachine = first !== undefined && /\bcpu\b/i.test(first.name);
      const sites = new RemoteSites({
        client,
        memory,
        machine,
        space: symbols?.space,
        decoder: options.decoder,
      });
      const process = first?.id.process;
      const session = new RemoteSession({
        options,
        target,
        sites,
        threads,
        info: {
          kernel: `${client.description?.architecture ?? 'a target that its stub does not describe'} at ${place}`,
          remote: { threads: isMachine ? 'CPUs' : 'threads' },
          watches,
          pid: isMachine || typeof process !== 'number' ? undefined : process,
          comm: first?.name ?? '',
          sinceNs,
          threads: threads.length,
          cpus: [],
          kernelMode: isMachine,
          notes: [...(symbols?.notes ?? []), ...watches.flatMap(({ note }) => note ?? [])],
          judging: {},
        },
      });
      target.resume();
      return session;
    } catch (error) {
      await letGo(target ?? new RemoteTarget(client, { machine: undefined, countOnly }));
      throw asRefusal(error, place);
    }
  }

  async next(): Promise<HitBatch | undefined> {
    if (this.#over) return undefined;
    this.#pending = this.#next();
    try {
      return await this.#pending;
    } finally {
      this.#pending = undefined;
    }
  }

  recycle(batch: HitBatch): void {
    if (this.#free.length < 2) this.#free.push(batch.columns);
  }

  /** Why the stub did not do as it should, in one line; `undefined`: it did. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get delivered(): number {
    return this.#delivered;
  }

  get endReason(): EndReason | undefined {
    return this.#endReason;
  }

  stop(reason: EndReason = 'stopped'): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#endNs = this.#options.now();
    if (!this.#target.runs) return; // whoever handles the stop will see it
    this.#target.interrupt();
    this.#cancelTimer = this.#options.timer(stopMs, () => {
      this.#problem = `the target has not stopped for ${stopMs / 1000} s; its watches may still be armed`;
      this.#target.client.close();
    });
  }

  counts(): readonly WatchCounts[] {
    const elapsedNs = (this.#endNs ?? this.#options.now()) - this.info.sinceNs;
    return this.#hits.map((hits) => ({
      hits: BigInt(hits),
      lost: 0n,
      timeEnabledNs: elapsedNs,
      timeRunningNs: elapsedNs,
    }));
  }

  /** None: the target stands until a hit is told. */
  lost(): number {
    return 0;
  }

  nameOf(address: bigint): string | undefined {
    const { symbol, offset } = this.sites.locate(address);
    if (symbol === undefined) return undefined;
    return offset === undefined || offset === 0n ? symbol : `${symbol}+${hex(offset)}`;
  }

  async close(): Promise<void> {
    this.stop();
    await this.#pending?.catch(() => undefined);
    while ((await this.next()) !== undefined);
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  async #next(): Promise<HitBatch | undefined> {
    try {
      for (;;) {
        if (this.#endReason !== undefined && !this.#target.runs) {
          await this.#target.release();
          this.#end();
          return undefined;
        }
        const event = await this.#target.wait();
        if (event.type === 'ended') {
          this.stop('target ended');
          this.#target.client.close();
          this.#end();
          return undefined;
        }
        const batch = event.type === 'hits' ? await this.#batchOf(event.hits) : undefined;
        if (this.#endReason === undefined) this.#target.resume();
        if (batch !== undefined) return batch;
      }
    } catch (error) {
      if (!(error instanceof SessionError || error instanceof PeerError)) throw error;
      this.#problem ??= `${this.info.kernel}: ${error.message}`;
      this.stop('stub gone');
      if (error instanceof PeerError) await letGo(this.#target);
      this.#end();
      return undefined;
    }
  }

  #end(): void {
    this.#over = true;
    this.#cancelTimer();
  }

  /** The hits of one stop, those that are still wanted; nothing where they are only counted. */
  async #batchOf(hits: readonly RemoteHit[]): Promise<HitBatch | undefined> {
    const { maxHits = Number.POSITIVE_INFINITY, countOnly } = this.#options;
    const timeNs = this.#options.now();
    const wanted = hits.slice(0, maxHits - this.#delivered);
    for (const { watchNumber } of wanted) this.#hits[watchNumber] = (this.#hits[watchNumber] ?? 0) + 1;
    this.#delivered += wanted.length;
    if (this.#delivered >= maxHits) this.stop('max hits');
    if (countOnly === true) return undefined;
    const columns = this.#columns(wanted.length);
    for (const [row, hit] of wanted.entries()) await this.#fill(columns, { row, hit, timeNs });
    const firstSite = this.#sitesTold;
    this.#sitesTold = this.sites.size;
    return {
      columns,
      firstSite,
      newSites: this.sites.entriesFrom(firstSite),
      firstStack: 0,
      newStacks: new Uint32Array(0),
      notices: [],
    };
  }

  #columns(length: number): HitColumns {
    const at = this.#free.findIndex(({ capacity }) => capacity >= length);
    const columns =
      this.#free.splice(at, at < 0 ? 0 : 1)[0] ?? new HitColumns({ capacity: length, values: true });
    columns.length = length;
    return columns;
  }

  async #fill(
    columns: HitColumns,
    { row, hit, timeNs }: { readonly row: number; readonly hit: RemoteHit; readonly timeNs: bigint },
  ): Promise<void> {
    const { values } = columns;
    assert(values !== undefined, 'columns are made with values');
    const { watchNumber } = hit;
    const watch = this.info.watches[watchNumber];
    assert(watch !== undefined, 'hits are of our watches');
    const tid = tidOf(hit.thread);
    if (!this.#threads.has(tid)) await this.#readThreads(tid, hit.thread);
    const pid = typeof hit.thread?.process === 'number' ? hit.thread.process : tid;
    const { pc = 0n, reported } = hit;
    const site = await this.sites.learn(pc, { pid, watch, watchNumber, reported });
    columns.timeLow[row] = lowWord(timeNs);
    columns.timeHigh[row] = highWord(timeNs);
    columns.pid[row] = pid;
    columns.tid[row] = tid;
    columns.site[row] = site;
    columns.stack[row] = 0;
    columns.cpu[row] = hit.core ?? this.#cpuOf(tid) ?? unknownCpu;
    columns.watch[row] = watchNumber;
    columns.flags[row] = this.sites.access(site, watch, watchNumber).kernel ? hitFlags.kernel : 0;
    const { before, after } = hit;
    [values.beforeLow[row], values.beforeHigh[row]] = words(before);
    [values.afterLow[row], values.afterHigh[row]] = words(after);
    const exact = after !== undefined && (hit.stepped || (await this.#isAlone()));
    values.flags[row] =
      (after === undefined ? 0 : valueSources.indexOf('trap')) |
      (before === undefined ? 0 : valueFlags.before) |
      (exact ? valueFlags.exact : 0);
  }

  /** Whether there is one thread, so that no other can have stored since the access. */
  async #isAlone(): Promise<boolean> {
    if (this.#threads.size > 1) return false;
    if (this.info.remote?.threads === 'CPUs') return true;
    return (await this.#target.client.threads()).length === 1;
  }

  /** Machines count their threads as they count their CPUs, and name them. */
  #cpuOf(tid: number): number | undefined {
    const number = /\bcpu\W*(\d+)/i.exec(this.#threads.get(tid)?.name ?? '')?.[1];
    return number === undefined ? undefined : Number(number);
  }

  async #readThreads(tid: number, id: ThreadId | undefined): Promise<void> {
    for (const thread of await readThreads(this.#target.client)) this.#threads.set(tidOf(thread.id), thread);
    if (!this.#threads.has(tid))
      this.#threads.set(tid, { id: id ?? { process: 'any', thread: 'any' }, name: '' });
  }
}

function tidOf(id: ThreadId | undefined): number {
  return typeof id?.thread === 'number' ? id.thread >>> 0 : 0;
}

/** Little-endian bytes as words. */
function words(bytes: Uint8Array | undefined): [number, number] {
  const word = (at: number): number =>
    [3, 2, 1, 0].reduce((value, i) => ((value << 8) | (bytes?.[at + i] ?? 0)) >>> 0, 0);
  return [word(0), word(4)];
}

function machineOf(client: GdbClient): RemoteSymbols['machine'] | undefined {
  const architecture = client.description?.architecture;
  if (architecture === 'i386:x86-64') return 'x86-64';
  if (architecture === 'aarch64') return 'arm64';
  return architecture === undefined ? undefined : architecture.startsWith('i386') ? 'i386' : 'other';
}

/** Throws `WatchError` of the first request that cannot be. Pointers are followed in the target's memory. */
async function planAll(
  requests: readonly WatchRequest[],
  where: {
    readonly place: string;
    readonly symbols: RemoteSymbols | undefined;
    readonly memory: RemoteMemory;
  },
): Promise<readonly PlannedWatch[]> {
  const { place, symbols, memory } = where;
  const watches: PlannedWatch[] = [];
  for (const request of requests) {
    // An address is taken as it is: what the file has there says nothing about the target's memory.
    const space =
      request.location.type === 'address'
        ? {}
        : symbols === undefined
          ? { known: noNames }
          : { space: symbols.space };
    const planned = await memory.settle(() =>
      planWatches(request, { description: `the target at ${place}`, ...space }),
    );
    if ('error' in planned) throw planned.error;
    watches.push(...planned);
  }
  return watches;
}

/** Whatever the stub has to say to it, it is let go. */
async function letGo(target: RemoteTarget): Promise<void> {
  try {
    await target.release();
  } catch (error) {
    if (!(error instanceof SessionError || error instanceof PeerError)) throw error;
    target.client.close();
  }
}

function asRefusal(error: unknown, what: string): unknown {
  return error instanceof SessionError || error instanceof PeerError
    ? refusalError(`${what}: ${error.message}`)
    : error;
}
