import { isKernelError } from '../../base/kernel-error.ts';
import {
  type HitBatch,
  type HitColumns,
  hitFlags,
  type RingNotice,
  type ValueColumns,
  valueFlags,
  valueSources,
} from '../../ring/hit-columns.ts';
import { sampledRegisterWords } from '../../ring/sample-layout.ts';
import type { Memory } from '../../surface/memory.ts';
import type { ValueEffect } from '../instructions/value-effect.ts';
import type { PlannedWatch } from '../plan.ts';
import { AccessValues } from './access-values.ts';
import { MemoryChain } from './memory-chain.ts';
import { compileRecipe, type ValueRecipe } from './value-recipe.ts';

const source = {
  unknown: valueSources.indexOf('unknown'),
  stored: valueSources.indexOf('stored'),
  trap: valueSources.indexOf('trap'),
  later: valueSources.indexOf('later'),
} as const;

/** What the code of a site does to the memory of a watch. */
export interface SiteEffect {
  /** From the instruction, where it was found. */
  readonly access: 'r' | 'w' | 'rw' | 'x';
  /** What the registers tell; `undefined` where they tell nothing. */
  readonly effect: ValueEffect | undefined;
}

/** What a {@link ValueTracker} works with. */
export interface ValueTrackerParts {
  readonly watches: readonly PlannedWatch[];
  /** The code behind hits of a watch at a site. */
  readonly effectOf: (site: number, watch: number) => SiteEffect;
  /** Absent where memory cannot be read. */
  readonly memory: Memory | undefined;
  /** Nanoseconds of CLOCK_MONOTONIC. */
  readonly now: () => bigint;
  /**
   * Whether one thread alone can store to the watched memory when watching begins, and every store of it is a hit.
   * Ends when a process is created, which may share the memory, and for as long as there is a second thread.
   */
  readonly alone: boolean;
  /** Whether hits of a watch may be left out before they come here: what the last hit left is then not known. */
  readonly leavesOut?: ((watch: number) => boolean) | undefined;
}

/** A recipe, or what is done without one. */
type SiteRecipe = ValueRecipe | 'load' | 'unknown';

/**
 * Fills in the value columns of batches: for every hit the contents of the watched bytes before and after it.
 *
 * Sources, best first. **stored**: the registers at the hit and the instruction, which may need the contents before
 * (`add`). **trap**: read from memory in the trap; the row has it already. **later**: read from memory here, for the last
 * hit of a process's variable in a batch; earlier ones stay unknown. The contents before a hit are what the instruction
 * itself shows (`xchg`, `cmpxchg`, loads), otherwise what the hit before left.
 */
export class ValueTracker {
  readonly #parts: ValueTrackerParts;
  readonly #access: AccessValues = new AccessValues();
  /** By watch and site. */
  readonly #recipes: (SiteRecipe | undefined)[][];
  /** By process and watch. */
  readonly #chains: Map<number, MemoryChain[]> = new Map();
  /** It began with one thread, and no process was created that may share the memory. */
  #mayBeAlone: boolean;
  /** Threads that were created since, and run. */
  readonly #others: Set<number> = new Set();
  #lastPid: number = -1;
  #lastChains: MemoryChain[] = [];

  constructor(parts: ValueTrackerParts) {
    this.#parts = parts;
    this.#mayBeAlone = parts.alone;
    this.#recipes = parts.watches.map(() => []);
  }

  /**
   * Reads the memory of `pid` as it is now, for hits later than now. `still`: the process is stopped, and has been since
   * its last hit.
   */
  begin(pid: number, options: { readonly still: boolean }): void {
    for (const [watch, chain] of this.#chainsOf(pid).entries()) {
      const isRead = this.#readLater(chain, pid, watch, options.still && this.#alone);
      if (options.still && isRead) chain.readAtNs--; // a hit at this very time is later
    }
  }

  /** A watch came to be somewhere else, or is new. `alone`: as {@link ValueTrackerParts.alone}, of its memory. */
  place(watch: number, options: { readonly pid: number | undefined; readonly alone: boolean }): void {
    const { watches } = this.#parts;
    if (!options.alone) {
      this.#mayBeAlone = false;
      this.#doubt();
    }
    this.#recipes[watch] = [];
    const isData = watches[watch]?.access !== 'x';
    for (const [pid, chains] of this.#chains) {
      if (!isData) {
        delete chains[watch];
        continue;
      }
      const chain = new MemoryChain();
      chains[watch] = chain;
      if (pid === options.pid) this.#readLater(chain, pid, watch, false);
    }
  }

  /** Fills in the values of a batch that has columns for them. */
  fill(batch: HitBatch): void {
    const { columns, notices } = batch;
    const { values } = columns;
    if (values === undefined) return;
    let notice = 0;
    let noticeTime = timeOf(notices[0]);
    for (let row = 0; row < columns.length; row++) {
      const time = columns.timeHigh[row]! * 0x1_0000_0000 + columns.timeLow[row]!; // row < length
      while (time >= noticeTime) {
        this.#apply(notices[notice++]!); // there is one: its time is finite
        noticeTime = timeOf(notices[notice]);
      }
      this.#fillRow(columns, values, row, time);
    }
    for (; notice < notices.length; notice++) this.#apply(notices[notice]!); // in range
    this.#finish(values);
  }

  #fillRow(columns: HitColumns, values: ValueColumns, row: number, time: number): void {
    const pid = columns.pid[row]!; // row < length, here and below
    const watch = columns.watch[row]!;
    const trapped = (values.flags[row]! & valueFlags.source) === source.trap;
    const isTrapExact = (values.flags[row]! & valueFlags.exact) !== 0;
    values.flags[row] = source.unknown;
    values.accessBytes[row] = 0;
    const chain = (pid === this.#lastPid ? this.#lastChains : this.#chainsOf(pid))[watch];
    if (chain === undefined) return; // an execute watch
    if (chain.readAtNs >= -1) chain.adoptRead(time, source.later);
    if (this.#parts.leavesOut?.(watch) === true) chain.forget();
    const recipe =
      (columns.flags[row]! & hitFlags.kernel) === 0
        ? (this.#recipes[watch]![columns.site[row]!] ?? this.#recipeOf(columns.site[row]!, watch))
        : 'unknown';
    let flags = 0;
    let from: number = source.unknown;
    let exact = false;
    const access = this.#access;
    let { low: beforeLow, high: beforeHigh } = chain;
    let isBeforeKnown = chain.known;
    let afterLow = 0;
    let afterHigh = 0;
    let fits = false;
    if (typeof recipe !== 'string' && (columns.flags[row]! & hitFlags.registers) !== 0) {
      access.compute(recipe, values.registers, row * sampledRegisterWords, chain);
      fits = access.fits;
      if (fits) {
        values.accessOffset[row] = access.offset;
        values.accessBytes[row] = recipe.lenBytes;
        if (access.gap) flags |= valueFlags.gap;
        if (access.beforeKnown) {
          isBeforeKnown = true;
          beforeLow = access.before.low;
          beforeHigh = access.before.high;
          // Whoever stored last is known now by what this one found.
          if (chain.pendingRow >= 0) this.#resolve(values, chain, beforeLow, beforeHigh);
        }
        if (access.afterKnown) {
          from = source.stored;
          exact = access.afterExact;
          if (recipe.type !== 'update') flags |= valueFlags.accessExact; // the registers hold it
          afterLow = access.after.low;
          afterHigh = access.after.high;
        }
      }
    }
    if (!fits && recipe === 'load' && chain.known) {
      from = chain.source;
      exact = chain.exact && from !== source.later;
      afterLow = chain.low;
      afterHigh = chain.high;
    }
    if (from === source.unknown && trapped) {
      from = source.trap;
      exact = this.#alone || isTrapExact;
      afterLow = values.afterLow[row]!;
      afterHigh = values.afterHigh[row]!;
    }
    if (isBeforeKnown) {
      flags |= valueFlags.before;
      values.beforeLow[row] = beforeLow;
      values.beforeHigh[row] = beforeHigh;
    }
    if (from === source.unknown) {
      chain.forget();
      chain.pendingRow = row;
    } else {
      values.afterLow[row] = afterLow;
      values.afterHigh[row] = afterHigh;
      chain.pendingRow = -1;
      chain.known = true;
      chain.low = afterLow;
      chain.high = afterHigh;
      chain.source = from;
      chain.exact = exact && this.#alone;
    }
    values.flags[row] = flags | from | (exact ? valueFlags.exact : 0);
  }

  /** The row that waits gets what was found afterwards. */
  #resolve(values: ValueColumns, chain: MemoryChain, low: number, high: number): void {
    const row = chain.pendingRow;
    chain.pendingRow = -1;
    values.afterLow[row] = low;
    values.afterHigh[row] = high;
    values.flags[row] = (values.flags[row]! & ~valueFlags.source) | source.later; // a row of this batch
  }

  /** At the end of a batch: what is not known is read from memory. */
  #finish(values: ValueColumns): void {
    for (const [pid, chains] of this.#chains) {
      for (const [watch, chain] of chains.entries()) {
        if (chain === undefined || chain.pendingRow < 0) continue;
        if (this.#readLater(chain, pid, watch, false))
          this.#resolve(values, chain, chain.readLow, chain.readHigh);
        chain.pendingRow = -1;
      }
    }
  }

  /** Whether the memory could be read. */
  #readLater(chain: MemoryChain | undefined, pid: number, watch: number, exact: boolean): boolean {
    const { memory, now, watches } = this.#parts;
    if (chain === undefined || memory === undefined || pid <= 0) return false;
    const { address, lenBytes } = watches[watch]!; // chains are one a watch
    let bytes: Uint8Array;
    try {
      bytes = memory.read(pid, address, lenBytes);
    } catch (error) {
      if (isKernelError(error)) return false; // it is gone, or may not be read
      throw error;
    }
    if (bytes.length < lenBytes) return false;
    const padded = new Uint8Array(8);
    padded.set(bytes);
    const view = new DataView(padded.buffer);
    chain.readUntil(Number(now()), { low: view.getUint32(0, true), high: view.getUint32(4, true) }, exact);
    return true;
  }

  #apply(notice: RingNotice): void {
    switch (notice.type) {
      case 'fork':
        this.#doubt();
        if (notice.pid === notice.parentPid) this.#others.add(notice.tid);
        else {
          this.#mayBeAlone = false;
          this.#inherit(notice.pid, notice.parentPid);
        }
        break;
      case 'lost':
        // Stores were missed: what was known of the memory is not known any more.
        for (const chains of this.#chains.values()) for (const chain of chains) chain?.forget();
        break;
      case 'comm':
        if (notice.exec) this.#drop(notice.pid);
        break;
      case 'exit':
        this.#others.delete(notice.tid);
        if (notice.pid === notice.tid) this.#drop(notice.pid);
        break;
      case 'mmap':
        break;
    }
  }

  /** One thread alone can have stored since the hit before. */
  get #alone(): boolean {
    return this.#mayBeAlone && this.#others.size === 0;
  }

  /** What memory held is not certain any more. */
  #doubt(): void {
    for (const chains of this.#chains.values())
      for (const chain of chains) {
        if (chain === undefined) continue;
        chain.exact = false;
        chain.readExact = false;
      }
  }

  /** A forked process begins with a copy of its parent's memory. */
  #inherit(pid: number, parentPid: number): void {
    const parents = this.#chains.get(parentPid);
    if (parents === undefined) return;
    const chains = this.#chainsOf(pid);
    for (const [watch, parent] of parents.entries())
      if (parent?.known) chains[watch]?.set(parent, parent.source, false);
  }

  #drop(pid: number): void {
    this.#chains.delete(pid);
    if (pid === this.#lastPid) this.#lastPid = -1;
  }

  #chainsOf(pid: number): MemoryChain[] {
    let chains = this.#chains.get(pid);
    if (chains === undefined) {
      chains = [];
      for (const [watch, { access }] of this.#parts.watches.entries())
        if (access !== 'x') chains[watch] = new MemoryChain();
      this.#chains.set(pid, chains);
    }
    this.#lastPid = pid;
    this.#lastChains = chains;
    return chains;
  }

  #recipeOf(site: number, watch: number): SiteRecipe {
    const { access, effect } = this.#parts.effectOf(site, watch);
    const planned = this.#parts.watches[watch]!; // the column holds numbers of these
    const recipe: SiteRecipe =
      effect !== undefined ? compileRecipe(effect, planned) : access === 'r' ? 'load' : 'unknown';
    this.#recipes[watch]![site] = recipe; // one list a watch
    return recipe;
  }
}

function timeOf(notice: RingNotice | undefined): number {
  return notice === undefined ? Number.POSITIVE_INFINITY : Number(notice.timeNs);
}
