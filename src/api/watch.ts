import { hex } from '../base/hex.ts';
import type { HitColumns, HitBatch as RingBatch } from '../ring/hit-columns.ts';
import type { Surface } from '../surface/surface.ts';
import type { ExitStatus } from '../surface/tasks.ts';
import type { WatchCounts } from '../watch/arm.ts';
import { requestError } from '../watch/errors.ts';
import { type Hit, HitReader } from '../watch/hit-reader.ts';
import type { ArmedInfo, EndReason } from '../watch/hit-source.ts';
import type { Target } from '../watch/target.ts';
import { Totals } from '../watch/totals.ts';
import { parseWatchRequest, type WatchAccess, type WatchRequest } from '../watch/watch-request.ts';
import { WatchSession } from '../watch/watch-session.ts';
import { findProgram } from './find-program.ts';
import { x86Decoder } from './instruction-decoder.ts';
import { machineSurface } from './machine-surface.ts';
import { symbolResources } from './symbol-resources.ts';

/** What to watch, and how. Exactly one of `pid`, `tid`, `command`, `cpus` and `memory` is given. */
export interface WatchOptions {
  /** A process: all its threads, those that come, and its forked children. */
  readonly pid?: number;
  /** One thread alone. */
  readonly tid?: number;
  /** A program to start, with its arguments; it is armed before its first instruction. */
  readonly command?: readonly string[];
  /** Whole CPUs: their numbers, or all that are online. */
  readonly cpus?: readonly number[] | 'all';
  /**
   * Bytes of this process, in workers too: 1, 2, 4 or 8 of them, aligned (`array.subarray(3, 4)` is one element). The
   * array is kept alive, and off the JavaScript heap, while it is watched.
   */
  readonly memory?: ArrayBufferView;
  /**
   * What, as `trapline watch` takes it: "counter:w", "libfoo.so:table+16/8:rw", "0x404028/4". With `memory` it is a
   * name for the watch and may be left out.
   */
  readonly what?: string | readonly string[];
  /** With `memory`: which accesses; default `w`. */
  readonly access?: WatchAccess;
  /** Record a call stack with every hit. */
  readonly stacks?: boolean;
  /** Attribute hits to JavaScript functions instead of the runtime's own code; needs a JIT map (--perf-basic-prof). */
  readonly scriptFrames?: boolean;
  /**
   * Tell the watched bytes before and after every hit: `columns.values` and the hits' `value` (x86). Costs a sample of
   * 272 bytes more, and as root a bpf program at every hit.
   */
  readonly values?: boolean;
  /** Move a watch when a pointer changes that leads to it ("p->next->count"); takes a register a pointer. */
  readonly follow?: boolean;
  /** Leave accesses in kernel mode out. */
  readonly userOnly?: boolean;
  /** Count hits without a sample for each: batches stay empty, `counts()` tells. */
  readonly countOnly?: boolean;
  /** End after so many hits. */
  readonly maxHits?: number;
  /** End after so many milliseconds. */
  readonly durationMs?: number;
  /** The kernel to ask; the machine's own by default. */
  readonly surface?: Surface;
}

/** A batch of hits in the order of time. Valid until the next one is asked for: columns are used again. */
export interface WatchBatch {
  /** Number of hits. */
  readonly length: number;
  readonly columns: HitColumns;
  /** The hits as objects, those of one kernel copy as one with their `count`. For reading, not for speed. */
  hits(): Hit[];
}

/** What a finished watch amounts to. */
export interface WatchSummary {
  readonly reason: EndReason;
  /** Hits that were given out. */
  readonly hits: number;
  /** Hits that found no room in a ring, as the kernel counted them. */
  readonly lost: number;
  /** The kernel's counts of each watch. */
  readonly counts: readonly WatchCounts[];
}

/**
 * Breakpoints on a target: an async iterable of hit batches. Opening starts at once; a target that cannot be watched
 * rejects `armed` and the first `next`, with a `WatchError`. Leaving the loop, or `close`, disarms everything; the
 * target runs on.
 *
 * ```ts
 * for await (const batch of watch({ pid, what: 'counter:w' })) {
 *   for (const hit of batch.hits()) console.log(hit.comm, hit.code.location.symbol);
 * }
 * ```
 */
export class Watch implements AsyncIterable<WatchBatch> {
  /** What is armed; rejects with a `WatchError` where nothing is. */
  readonly armed: Promise<ArmedInfo>;
  readonly #opening: Promise<WatchSession>;
  readonly #totals: Totals = new Totals();
  #session: WatchSession | undefined;
  #closed: boolean = false;
  /** Held so that the watched memory is not collected. */
  readonly #memory: ArrayBufferView | undefined;

  constructor(options: WatchOptions) {
    this.#memory = options.memory;
    this.#opening = this.#open(options);
    this.armed = this.#opening.then((session) => session.info);
    this.armed.catch(() => {}); // whoever asks for it gets the failure; nobody has to
  }

  async #open(options: WatchOptions): Promise<WatchSession> {
    const { target, requests } = requestsOf(options);
    const surface = options.surface ?? machineSurface();
    const session = await WatchSession.open({
      surface,
      target,
      requests,
      symbols: symbolResources(),
      ...(options.stacks === undefined ? {} : { stacks: options.stacks }),
      ...(options.scriptFrames === undefined ? {} : { scriptFrames: options.scriptFrames }),
      ...(options.values === undefined ? {} : { values: options.values }),
      ...(options.follow === undefined ? {} : { follow: options.follow }),
      ...(options.userOnly === undefined ? {} : { userOnly: options.userOnly }),
      ...(options.countOnly === undefined ? {} : { countOnly: options.countOnly }),
      ...(options.maxHits === undefined ? {} : { maxHits: options.maxHits }),
      ...(surface.kernel.live && surface.kernel.machine === 'x86_64' ? { decoder: x86Decoder() } : {}),
    });
    this.#session = session;
    if (this.#closed) session.close();
    if (options.durationMs !== undefined) {
      setTimeout(() => session.stop('time'), options.durationMs).unref();
    }
    return session;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchBatch, void, undefined> {
    const session = await this.#opening;
    try {
      for (;;) {
        const batch = await session.next();
        if (batch === undefined) return;
        this.#totals.add(batch.columns);
        yield toWatchBatch(session, batch);
        session.recycle(batch);
      }
    } finally {
      session.close();
    }
  }

  /** The underlying session: sites, stacks, names. */
  session(): Promise<WatchSession> {
    return this.#opening;
  }

  /** The end of the started program, with `command`. */
  async exitStatus(): Promise<ExitStatus | undefined> {
    return (await this.#opening).launched?.ended;
  }

  /** The kernel's own counts of each watch, now or at the end. */
  async counts(): Promise<readonly WatchCounts[]> {
    return (await this.#opening).counts();
  }

  /** Hits so far and lost ones. */
  async summary(): Promise<WatchSummary> {
    const session = await this.#opening;
    return {
      reason: session.endReason ?? 'stopped',
      hits: session.delivered,
      lost: session.lost(),
      counts: session.counts(),
    };
  }

  /** Disarms; batches that are there can still be read. */
  async stop(): Promise<void> {
    (await this.#opening).stop();
  }

  /** Disarms and gives everything back. May be called twice. */
  close(): void {
    this.#closed = true;
    this.#session?.close();
    void this.#memory;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Watches: see {@link Watch} and {@link WatchOptions}. */
export function watch(options: WatchOptions): Watch {
  return new Watch(options);
}

function toWatchBatch(session: WatchSession, batch: RingBatch): WatchBatch {
  let applied = false;
  return {
    length: batch.columns.length,
    columns: batch.columns,
    hits() {
      if (applied) throw new Error('hits() of a batch can be called once: it follows the names of threads');
      applied = true;
      const hits: Hit[] = [];
      const reader = new HitReader(session, (item) => {
        if (item.type === 'hit') hits.push(item.hit);
      });
      reader.read(batch);
      reader.flush();
      return hits;
    },
  };
}

function requestsOf(options: WatchOptions): { target: Target; requests: WatchRequest[] } {
  const { pid, tid, command, cpus, memory } = options;
  requireCount('pid', pid);
  requireCount('tid', tid);
  requireCount('maxHits', options.maxHits);
  const { durationMs } = options;
  if (durationMs !== undefined && !(durationMs > 0 && durationMs < 2 ** 31)) {
    throw requestError(
      `durationMs is ${durationMs}; expected a number of milliseconds above 0 and below 2^31`,
    );
  }
  const given = [pid, tid, command, cpus, memory].filter((each) => each !== undefined).length;
  if (given !== 1) throw requestError('give exactly one of pid, tid, command, cpus and memory');
  if (memory !== undefined) {
    return { target: { type: 'process', pid: process.pid }, requests: [memoryRequest(memory, options)] };
  }
  const texts = typeof options.what === 'string' ? [options.what] : (options.what ?? []);
  const requests = texts.map(parseWatchRequest);
  if (pid !== undefined) return { target: { type: 'process', pid }, requests };
  if (tid !== undefined) return { target: { type: 'thread', tid }, requests };
  if (command !== undefined) return { target: commandTarget(command, process.env), requests };
  return {
    target: cpus === undefined || cpus === 'all' ? { type: 'cpus' } : { type: 'cpus', cpus },
    requests,
  };
}

function requireCount(name: string, value: number | undefined): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1)) {
    throw requestError(`${name} is ${value}; expected a whole number of at least 1`);
  }
}

/** A command as a target: found in PATH, with this process's environment. */
export function commandTarget(command: readonly string[], env: NodeJS.ProcessEnv): Target {
  const [name = ''] = command;
  return {
    type: 'command',
    launch: {
      path: findProgram(name, env.PATH),
      argv: command,
      env: Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`])),
    },
  };
}

function memoryRequest(memory: ArrayBufferView, options: WatchOptions): WatchRequest {
  void memory.buffer; // moves a small array's bytes off the JavaScript heap, for good
  const address = addressOfMemory(memory);
  const name = typeof options.what === 'string' ? options.what : hex(address);
  return {
    text: name,
    location: { type: 'address', address },
    lenBytes: BigInt(memory.byteLength),
    access: options.access ?? 'w',
  };
}

function addressOfMemory(memory: ArrayBufferView): bigint {
  return machineSurface().system.ffi.addressOf(memory);
}
