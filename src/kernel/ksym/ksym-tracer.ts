import type { TrapFrame } from '../../arch/trap-frame.ts';
import { assert } from '../../base/assert.ts';
import { hex } from '../../base/hex.ts';
import { joinPair } from '../../base/pair.ts';
import type { Machine } from '../../machine/machine.ts';
import { type BreakpointCore, kernelBreakpointAttr, type WideBreakpoint } from '../core/breakpoint-core.ts';
import { badLine, parseFilterLine } from './filter-line.ts';
import {
  accessText,
  type KsymCount,
  type KsymRecord,
  profileText,
  traceHeader,
  traceLine,
} from './ksym-text.ts';

/** A watched length is always that of an int. */
const watchedBytes = 4n;

/** What an address is in the kernel's symbols. */
export interface SymbolPlace {
  readonly name: string;
  readonly offset: bigint;
  readonly size: bigint;
}

/** What the tracer stands on. */
export interface KsymOptions {
  readonly core: BreakpointCore;
  readonly machine: Machine;
  /** `undefined`: no symbol covers the address. */
  place(address: bigint): SymbolPlace | undefined;
}

interface Entry {
  readonly symbol: string;
  readonly address: bigint;
  readonly bpType: number;
  wide: WideBreakpoint | null;
  hits: number;
}

/**
 * The tracer of kernel symbols: accesses to the variables of a filter, on all CPUs, recorded while it is the current
 * tracer. It was in Linux until 2.6.36. docs/spec/04 section 9.
 */
export class KsymTracer {
  readonly #options: KsymOptions;
  /** Newest first. */
  readonly #entries: Entry[] = [];
  #records: KsymRecord[] = [];
  #current = false;

  constructor(options: KsymOptions) {
    this.#options = options;
  }

  /** Makes it the current tracer. */
  start(): void {
    this.#current = true;
    this.#records = [];
  }

  /** Another tracer becomes the current one: the filter is emptied. */
  stop(): void {
    this.#current = false;
    this.#clear();
  }

  /**
   * A line written to the filter. Gives its bytes. Throws `KernelError` EINVAL (no such line or symbol, or one that the
   * processor refuses), ENOSPC. A symbol that is there with another access is replaced: where that fails, it is gone.
   */
  write(text: string): number {
    const line = parseFilterLine(text);
    if (line.type === 'clear') this.#clear();
    else this.#watch(line.symbol, line.bpType);
    return text.length;
  }

  #watch(symbol: string, bpType: number): void {
    const address = this.#options.machine.symbol(symbol);
    if (address === undefined) throw badLine(symbol, 'there is no such symbol');
    const old = this.#entries.find((entry) => entry.address === address);
    if (old?.bpType === bpType) throw badLine(symbol, 'it is watched like that already');
    if (old !== undefined) this.#remove(old);
    const entry: Entry = { symbol, address, bpType, wide: null, hits: 0 };
    entry.wide = this.#options.core.registerWide({
      attr: kernelBreakpointAttr({ bpAddr: address, bpLen: watchedBytes, bpType }),
      handler: (_event, frame) => this.#hit(entry, frame),
    });
    this.#entries.unshift(entry);
  }

  #remove(entry: Entry): void {
    this.#options.core.unregisterWide(entry.wide);
    const index = this.#entries.indexOf(entry);
    assert(index >= 0, 'an entry is removed once');
    this.#entries.splice(index, 1);
  }

  #clear(): void {
    for (const entry of [...this.#entries]) this.#remove(entry);
  }

  #hit(entry: Entry, frame: TrapFrame): void {
    if (!this.#current) return;
    const { currentCpu } = this.#options.machine;
    const task = currentCpu.current;
    entry.hits++;
    this.#records.push({
      task: task?.name ?? '<idle>',
      pid: task?.tid ?? 0,
      cpu: currentCpu.number,
      data: this.#name(entry.address),
      bpType: entry.bpType,
      function: this.#name(joinPair(frame.ipLow, frame.ipHigh)),
    });
  }

  #name(address: bigint): string {
    const place = this.#options.place(address);
    return place === undefined ? hex(address) : `${place.name}+${hex(place.offset)}/${hex(place.size)}`;
  }

  /** The filter as it is read: a line an entry, newest first. */
  filter(): string {
    return this.#entries
      .map(({ address, bpType }) => `${this.#name(address)}:${accessText(bpType)}\n`)
      .join('');
  }

  /** Hits since it became the current tracer. */
  get records(): readonly KsymRecord[] {
    return this.#records;
  }

  /** The trace: a header, then a line a hit. */
  trace(): string {
    return traceHeader + this.#records.map(traceLine).join('');
  }

  /** How often each entry was hit. */
  profile(): string {
    return profileText(
      this.#entries.map(
        ({ address, bpType, hits }): KsymCount => ({
          bpType,
          data: this.#options.place(address) === undefined ? undefined : this.#name(address),
          hits,
        }),
      ),
    );
  }

  /**
   * The self-test that ran at boot: a variable of the kernel is read once and incremented once, which must give exactly two
   * records. `access` does one of them in the kernel. Gives the number of records.
   */
  selfTest(symbol: string, access: (address: bigint, kind: 'load' | 'rmw') => void): number {
    const address = this.#options.machine.symbol(symbol);
    if (address === undefined) throw badLine(symbol, 'there is no such symbol');
    this.start();
    try {
      this.write(`${symbol}:rw-`);
      access(address, 'load');
      access(address, 'rmw');
      return this.#records.length;
    } finally {
      this.stop();
    }
  }
}
