import { sampledRegisterWords } from './sample-layout.ts';

/** Flags of a hit, in {@link HitColumns.flags}. */
export const hitFlags = {
  /** The CPU was in kernel mode: a system call or an interrupt made the access. */
  kernel: 1,
  /**
   * This hit is a further iteration of the kernel copy that made the previous hit of this column set: same thread,
   * same watch, and the registers of the string instruction went on from where they stood. Set only when certain.
   * Such a hit has the site of the first one.
   */
  continuesCopy: 2,
  /** The sample brought the registers of 64-bit code; {@link ValueColumns.registers} has them. */
  registers: 4,
} as const;

/** In the column of CPUs: which one is not known. */
export const unknownCpu = 0xffff;

/** What {@link ValueColumns.flags} says of a hit's value. */
export const valueFlags = {
  /** Two bits: where the value after the access comes from, {@link valueSources}. */
  source: 3,
  /** The value after the access is certain. */
  exact: 4,
  /** The value before is known. */
  before: 8,
  /** The value before is not what the hit before left: a store between them was not seen, or hits changed places. */
  gap: 16,
  /** Of the value after the access, those bytes are certain that were accessed. */
  accessExact: 32,
} as const;

/** Where a value comes from; the number in {@link valueFlags.source}. */
export const valueSources = ['unknown', 'stored', 'trap', 'later'] as const;

/**
 * The values of hits: of the watched bytes, as a little-endian number of at most 64 bits. A drain fills the registers,
 * and what was read in the trap (`trap` with `after`, `exact` if nothing else can have stored since); the rest is
 * found above it.
 */
export interface ValueColumns {
  /** {@link sampledRegisterWords} words a row: the registers after the instruction. Undefined without the flag. */
  readonly registers: Uint32Array;
  readonly beforeLow: Uint32Array;
  readonly beforeHigh: Uint32Array;
  readonly afterLow: Uint32Array;
  readonly afterHigh: Uint32Array;
  /** {@link valueFlags}. */
  readonly flags: Uint8Array;
  /** Where the access began, in bytes from the watched address, negative before it; with `accessBytes`. */
  readonly accessOffset: Int8Array;
  /** How many bytes were accessed; 0: not known. */
  readonly accessBytes: Uint8Array;
}

/**
 * Hits as columns over one buffer (so that a batch moves between threads as one transfer). Row `i` of every column is
 * one hit. Layout for a capacity of n rows: six u32 columns, two u16 columns, one u8 column, in the order below; with
 * values three columns of bytes, and from byte 32 n on four u32 columns of values and the registers.
 */
export class HitColumns {
  readonly buffer: ArrayBuffer;
  /** Rows that fit. */
  readonly capacity: number;
  /** Rows that are filled. */
  length: number = 0;
  /** Low and high words of the time in nanoseconds (CLOCK_MONOTONIC). */
  readonly timeLow: Uint32Array;
  readonly timeHigh: Uint32Array;
  readonly pid: Uint32Array;
  readonly tid: Uint32Array;
  /** Index into the site table: the interned (address space, code address) of the hit. */
  readonly site: Uint32Array;
  /** 0: no stack was recorded; otherwise 1 + the index into the stack table. */
  readonly stack: Uint32Array;
  /** {@link unknownCpu} where it is not known. */
  readonly cpu: Uint16Array;
  /** Which watch: its number in the session, from 0. */
  readonly watch: Uint16Array;
  /** {@link hitFlags}. */
  readonly flags: Uint8Array;
  /** Where values are wanted. */
  readonly values: ValueColumns | undefined;

  /**
   * Over `buffer`, which holds {@link HitColumns.bytesFor}(n) bytes; without one, room for `capacity` rows is allocated.
   * `values`: with columns for values.
   */
  constructor(
    storage: { readonly values?: boolean } & (
      | { readonly capacity: number }
      | { readonly buffer: ArrayBuffer; readonly length: number }
    ),
  ) {
    const { values = false } = storage;
    const buffer =
      'buffer' in storage
        ? storage.buffer
        : new ArrayBuffer(HitColumns.bytesFor(storage.capacity, { values }));
    const capacity =
      'buffer' in storage
        ? Math.floor(buffer.byteLength / HitColumns.bytesFor(1, { values }))
        : storage.capacity;
    this.buffer = buffer;
    this.capacity = capacity;
    this.length = 'length' in storage ? storage.length : 0;
    const u32 = (index: number): Uint32Array => new Uint32Array(buffer, index * 4 * capacity, capacity);
    this.timeLow = u32(0);
    this.timeHigh = u32(1);
    this.pid = u32(2);
    this.tid = u32(3);
    this.site = u32(4);
    this.stack = u32(5);
    this.cpu = new Uint16Array(buffer, 24 * capacity, capacity);
    this.watch = new Uint16Array(buffer, 26 * capacity, capacity);
    this.flags = new Uint8Array(buffer, 28 * capacity, capacity);
    this.values = values
      ? {
          flags: new Uint8Array(buffer, 29 * capacity, capacity),
          accessOffset: new Int8Array(buffer, 30 * capacity, capacity),
          accessBytes: new Uint8Array(buffer, 31 * capacity, capacity),
          beforeLow: u32(8),
          beforeHigh: u32(9),
          afterLow: u32(10),
          afterHigh: u32(11),
          registers: new Uint32Array(buffer, 48 * capacity, sampledRegisterWords * capacity),
        }
      : undefined;
  }

  /** Row `to` becomes what row `from` is. */
  copyRow(from: number, to: number): void {
    const columns = [this.timeLow, this.timeHigh, this.pid, this.tid, this.site, this.stack];
    for (const column of [...columns, this.cpu, this.watch, this.flags]) column[to] = column[from]!; // a row
    const { values } = this;
    if (values === undefined) return;
    const { beforeLow, beforeHigh, afterLow, afterHigh, accessOffset, accessBytes, registers } = values;
    const words = [beforeLow, beforeHigh, afterLow, afterHigh];
    for (const column of [...words, values.flags, accessOffset, accessBytes]) column[to] = column[from]!; // likewise
    const count = sampledRegisterWords;
    registers.copyWithin(to * count, from * count, (from + 1) * count);
  }

  /** Bytes of the buffer for `capacity` rows. */
  static bytesFor(capacity: number, { values = false }: { readonly values?: boolean } = {}): number {
    return capacity * (bytesPerRow + (values ? valueBytesPerRow : 0));
  }
}

/** 6 x u32 + 2 x u16 + 2 x u8, rounded up so that a buffer's size gives its capacity back. */
const bytesPerRow = 32;
/** 4 x u32 and the registers. */
const valueBytesPerRow = 16 + 4 * sampledRegisterWords;

/** Words of one entry of a site table: low and high word of the address, process (0: kernel code). */
export const siteWords = 3;

/** What a ring says besides hits, in the order of time. 64-bit times are nanoseconds of CLOCK_MONOTONIC. */
export type RingNotice =
  /** A thread has a new name; `exec`: because it executed another program. */
  | {
      readonly type: 'comm';
      readonly timeNs: bigint;
      readonly pid: number;
      readonly tid: number;
      readonly comm: string;
      readonly exec: boolean;
    }
  /** A thread (`pid` equals `parentPid`) or a process was created. */
  | {
      readonly type: 'fork';
      readonly timeNs: bigint;
      readonly pid: number;
      readonly tid: number;
      readonly parentPid: number;
      readonly parentTid: number;
    }
  | { readonly type: 'exit'; readonly timeNs: bigint; readonly pid: number; readonly tid: number }
  /** Executable memory was mapped. */
  | {
      readonly type: 'mmap';
      readonly timeNs: bigint;
      readonly pid: number;
      readonly tid: number;
      readonly start: bigint;
      readonly lengthBytes: bigint;
      readonly offset: bigint;
      readonly device: string;
      readonly inode: bigint;
      readonly path: string;
    }
  /** The ring was full for a while. How much is lost in all is read from the events, not summed from these. */
  | { readonly type: 'lost'; readonly timeNs: bigint; readonly lost: bigint };

/**
 * A batch of hits in the order of time, with the table entries that its rows are the first to use.
 * Entry `k` of `newSites` has the number `firstSite + k`; the same holds for stacks.
 */
export interface HitBatch {
  readonly columns: HitColumns;
  readonly firstSite: number;
  /** {@link siteWords} words an entry. */
  readonly newSites: Uint32Array;
  readonly firstStack: number;
  /** An entry is its number of frames and then a site number a frame, innermost first. */
  readonly newStacks: Uint32Array;
  readonly notices: readonly RingNotice[];
}
