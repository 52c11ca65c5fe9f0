import { hex } from '../../base/hex.ts';
import { PeerError } from '../../gdb/errors.ts';
import type { GdbClient } from '../../gdb/gdb-client.ts';
import type { StopReply } from '../../gdb/packets/stop-reply.ts';
import type { BreakpointKind, WatchStop } from '../../gdb/target.ts';
import type { ThreadId } from '../../gdb/thread-id.ts';
import type { ElfMachine } from '../../symbols/elf-file.ts';
import { refusalError } from '../errors.ts';
import type { PlannedWatch } from '../plan.ts';

/** A hit, and what a stub tells of it. The target stands. */
export interface RemoteHit {
  readonly watchNumber: number;
  /** `undefined` where the stub does not tell, or hits are only counted. */
  readonly pc: bigint | undefined;
  /** Whether `pc` is the accessing instruction or the one behind it. */
  readonly reported: 'at' | 'behind';
  readonly thread: ThreadId | undefined;
  readonly core: number | undefined;
  readonly before: Uint8Array | undefined;
  readonly after: Uint8Array | undefined;
  /** Whether nothing else can have run between the access and the reading. */
  readonly stepped: boolean;
}

/** What a stop was. */
export type RemoteEvent =
  | { readonly type: 'hits'; readonly hits: readonly RemoteHit[] }
  | { readonly type: 'ended' }
  | { readonly type: 'other' };

interface ArmedWatch {
  readonly watch: PlannedWatch;
  readonly kind: BreakpointKind;
  /** What the watched bytes were last. */
  last: Uint8Array | undefined;
}

const kinds: Readonly<Record<PlannedWatch['access'], BreakpointKind>> = {
  w: 'write',
  rw: 'access',
  x: 'hardware',
};
const kindWords = { write: 'write', access: 'access', hardware: 'hardware execution' } as const;
const SIGINT = 2;
const SIGTRAP = 5;
/** So often a target may trap at one place for no reason that is told. */
const unexplainedMost = 100;

/**
 * Watches armed in a target behind a stub. Each stop is explained and, where the hardware wants it, stepped over.
 *
 * x86 reports a data access after it was made; other hardware mostly before, so that resuming would report it again. But
 * QEMU's stub reports after it everywhere. Which it is shows at the first hit: a changed value means after; otherwise a step
 * with the watch still armed either traps at the same place again (before) or gets on (after).
 */
export class RemoteTarget {
  readonly client: GdbClient;
  readonly #armed: ArmedWatch[] = [];
  readonly #countOnly: boolean;
  readonly #machine: ElfMachine | undefined;
  #reports: 'before' | 'after' | undefined;
  #running: Promise<StopReply> | undefined;
  /** A stop that came while stepping, and has not been explained. */
  #queued: { readonly stop: StopReply } | undefined;
  #deliver: { readonly signal: number; readonly thread?: ThreadId | undefined } = { signal: 0 };
  #interrupting = false;
  /** The stub has named a watch in a stop. */
  #names = false;
  #unexplained = { pc: undefined as bigint | undefined, times: 0 };

  constructor(
    client: GdbClient,
    options: { readonly machine: ElfMachine | undefined; readonly countOnly: boolean },
  ) {
    this.client = client;
    this.#countOnly = options.countOnly;
    this.#machine = options.machine;
    if (options.machine === 'x86-64' || options.machine === 'i386') this.#reports = 'after';
  }

  /** Arms a watch. Throws `WatchError` with what the stub says. */
  async arm(watch: PlannedWatch): Promise<void> {
    const kind = kinds[watch.access];
    const what = `'${watch.text}' (${watch.lenBytes} bytes at ${hex(watch.address)})`;
    const armed = { watch, kind, last: await this.#read(watch) };
    let answer: 'done' | 'unknown';
    try {
      answer = await this.client.breakpoint('insert', this.#request(armed));
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      throw refusalError(`${what}: ${error.message}; ${this.#armed.length} armed before it`);
    }
    if (answer === 'unknown')
      throw refusalError(
        `${what}: the stub has no ${kindWords[kind as keyof typeof kindWords]} breakpoints${kind === 'access' ? '; give :w for its writes' : ''}`,
      );
    this.#armed.push(armed);
  }

  /** Removes everything and lets the target go on. A stub that is gone has been let go. */
  async release(): Promise<void> {
    for (const armed of this.#armed.splice(0)) await this.#take('remove', armed);
    await this.client.detach();
  }

  /** Whether the target runs, by what we know. */
  get runs(): boolean {
    return this.#running !== undefined;
  }

  /** Lets it run; {@link wait} gives the next stop. */
  resume(): void {
    if (this.#running !== undefined || this.#queued !== undefined) return;
    this.#running = this.client.run(this.#deliver);
    this.#deliver = { signal: 0 };
    this.#running.catch(() => undefined); // whoever waits is told
  }

  /** Asks a target that runs to stop. */
  interrupt(): void {
    if (this.#running === undefined) return;
    this.#interrupting = true;
    this.client.interrupt();
  }

  /** The next stop, explained. */
  async wait(): Promise<RemoteEvent> {
    const queued = this.#queued;
    this.#queued = undefined;
    if (queued !== undefined) return this.#explain(queued.stop, { stepped: true });
    if (this.#running === undefined) return { type: 'other' };
    let stop: StopReply;
    try {
      stop = await this.#running;
    } finally {
      this.#running = undefined;
    }
    return this.#explain(stop, { stepped: false });
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  async #explain(stop: StopReply, { stepped }: { readonly stepped: boolean }): Promise<RemoteEvent> {
    if (stop.type !== 'signal') return { type: 'ended' };
    if (stop.watch !== undefined) {
      this.#names = true;
      const number = this.#watchAt(stop.watch);
      if (number !== undefined) return this.#hits([await this.#dataHit(number, stop)]);
    }
    const pc = await this.client.programCounter(stop);
    const executed = this.#armed.findIndex(
      ({ watch }) => watch.access === 'x' && pc !== undefined && watch.address === pc,
    );
    if (executed >= 0) {
      if (stepped) return { type: 'other' }; // it is hit when the target runs on
      const hit = await this.#executionHit(executed, { stop, pc });
      return this.#hits([hit]);
    }
    const changed = await this.#changed();
    if (changed.length > 0) {
      const hits: RemoteHit[] = [];
      for (const number of changed) hits.push(await this.#dataHit(number, stop));
      return this.#hits(hits);
    }
    if (stepped) return { type: 'other' };
    if (stop.signal === SIGTRAP && !this.#names && !this.#interrupting) {
      const data = [...this.#armed.keys()].filter((number) => this.#armed[number]?.watch.access !== 'x');
      const [only] = data;
      if (only !== undefined && data.length === 1) return this.#hits([await this.#dataHit(only, stop)]);
    }
    this.#other(stop, pc);
    return { type: 'other' };
  }

  #hits(hits: readonly RemoteHit[]): RemoteEvent {
    this.#unexplained = { pc: undefined, times: 0 };
    return { type: 'hits', hits };
  }

  /** A stop that is no hit: a signal is the program's, what we asked for is ours. */
  #other(stop: Extract<StopReply, { type: 'signal' }>, pc: bigint | undefined): void {
    const ours =
      stop.signal === 0 || stop.signal === SIGTRAP || (stop.signal === SIGINT && this.#interrupting);
    if (!ours) {
      this.#deliver = { signal: stop.signal, thread: stop.thread };
      return;
    }
    if (this.#interrupting) return;
    const times = this.#unexplained.pc === pc ? this.#unexplained.times + 1 : 1;
    this.#unexplained = { pc, times };
    if (times > unexplainedMost)
      throw new PeerError(
        'EIO',
        `the target traps again and again${pc === undefined ? '' : ` at ${hex(pc)}`}, and the stub does not tell why`,
      );
  }

  async #dataHit(watchNumber: number, stop: Extract<StopReply, { type: 'signal' }>): Promise<RemoteHit> {
    const armed = this.#armed[watchNumber]!; // a number of these
    const { watch } = armed;
    const hit = { watchNumber, thread: stop.thread, core: stop.core };
    if (this.#countOnly && this.#reports === 'after' && this.#names)
      return {
        ...hit,
        pc: undefined,
        reported: 'behind',
        before: undefined,
        after: undefined,
        stepped: false,
      };
    const pc = await this.client.programCounter(stop);
    const before = armed.last;
    let stepped = false;
    if (this.#reports !== 'before') armed.last = await this.#read(watch);
    if (this.#reports === undefined) this.#reports = await this.#whenReported({ armed, before, pc, stop });
    else if (this.#reports === 'before') stepped = await this.#stepOver(stop);
    if (stepped) armed.last = await this.#read(watch);
    return {
      ...hit,
      pc,
      reported: this.#reports === 'before' ? 'at' : 'behind',
      before,
      after: armed.last,
      stepped,
    };
  }

  /** At the first hit: does this stub report accesses before or after they are made? */
  async #whenReported(hit: {
    readonly armed: ArmedWatch;
    readonly before: Uint8Array | undefined;
    readonly pc: bigint | undefined;
    readonly stop: Extract<StopReply, { type: 'signal' }>;
  }): Promise<'before' | 'after'> {
    if (!same(hit.before, hit.armed.last)) return 'after';
    const next = await this.#step(hit.stop.thread);
    if (next === undefined) return 'after'; // without steps there is nothing else to do
    const isAgain =
      next.type === 'signal' &&
      next.watch !== undefined &&
      (await this.client.programCounter(next)) === hit.pc;
    if (!isAgain) {
      this.#queued = { stop: next };
      return 'after';
    }
    await this.#stepOver(hit.stop);
    hit.armed.last = await this.#read(hit.armed.watch);
    return 'before';
  }

  async #executionHit(
    watchNumber: number,
    at: { readonly stop: Extract<StopReply, { type: 'signal' }>; readonly pc: bigint | undefined },
  ): Promise<RemoteHit> {
    const armed = this.#armed[watchNumber]!; // a number of these
    await this.#take('remove', armed);
    const next = await this.#step(at.stop.thread);
    await this.#take('insert', armed);
    if (next === undefined)
      throw new PeerError('EIO', 'the stub has no single steps: a breakpoint cannot be passed');
    this.#queued = { stop: next };
    const { thread, core } = at.stop;
    return {
      watchNumber,
      thread,
      core,
      pc: at.pc,
      reported: 'at',
      before: undefined,
      after: undefined,
      stepped: true,
    };
  }

  /** Lets one thread make its access, the others standing and no watch armed. */
  async #stepOver(stop: Extract<StopReply, { type: 'signal' }>): Promise<boolean> {
    const data = this.#armed.filter(({ watch }) => watch.access !== 'x');
    for (const armed of data) await this.#take('remove', armed);
    const next = await this.#step(stop.thread);
    for (const armed of data) await this.#take('insert', armed);
    if (next === undefined)
      throw new PeerError(
        'EIO',
        'the stub has no single steps: an access that it reports before cannot be passed',
      );
    this.#queued = { stop: next };
    return true;
  }

  /** A step; `undefined`: the stub has none. */
  async #step(thread: ThreadId | undefined): Promise<StopReply | undefined> {
    try {
      return await this.client.step(thread);
    } catch (error) {
      if (error instanceof PeerError) return undefined;
      throw error;
    }
  }

  async #take(operation: 'insert' | 'remove', armed: ArmedWatch): Promise<void> {
    try {
      await this.client.breakpoint(operation, this.#request(armed));
    } catch (error) {
      if (operation === 'insert' || !(error instanceof PeerError)) throw error;
    }
  }

  #request({ watch, kind }: ArmedWatch): { kind: BreakpointKind; address: bigint; lenBytes: number } {
    // Of an instruction it is the size of a breakpoint: one byte on x86, an instruction elsewhere.
    const lenBytes = watch.access !== 'x' ? watch.lenBytes : this.#machine === 'arm64' ? 4 : 1;
    return { kind, address: watch.address, lenBytes };
  }

  /** The watch that a reported byte belongs to; hardware may name a byte before it, where an access began. */
  #watchAt({ kind, address }: { readonly kind: WatchStop; readonly address: bigint }): number | undefined {
    const data = [...this.#armed.entries()].filter(([, { watch }]) => watch.access !== 'x');
    const holding = data.filter(
      ([, { watch }]) => watch.address <= address && address < watch.address + BigInt(watch.lenBytes),
    );
    const holds = holding.find(([, armed]) => (armed.kind === 'write') === (kind === 'watch')) ?? holding[0];
    const near = data
      .filter(([, { watch }]) => address < watch.address && watch.address - address < accessBytesMost)
      .sort(([, a], [, b]) => (a.watch.address < b.watch.address ? -1 : 1));
    return (holds ?? near[0])?.[0];
  }

  /** Watches whose bytes are not what they were. */
  async #changed(): Promise<readonly number[]> {
    const changed: number[] = [];
    for (const [number, { watch, last }] of this.#armed.entries())
      if (watch.access !== 'x' && last !== undefined && !same(last, await this.#read(watch)))
        changed.push(number);
    return changed;
  }

  /** The watched bytes now; `undefined` where they cannot be read, and of code. */
  async #read({ access, address, lenBytes }: PlannedWatch): Promise<Uint8Array | undefined> {
    if (access === 'x') return undefined;
    try {
      const bytes = await this.client.readMemory(address, lenBytes);
      return bytes.length === lenBytes ? bytes : undefined;
    } catch (error) {
      if (error instanceof PeerError) return undefined;
      throw error;
    }
  }
}

/** A cache line's clearing (DC ZVA) is the longest access. */
const accessBytesMost = 64n;

function same(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
