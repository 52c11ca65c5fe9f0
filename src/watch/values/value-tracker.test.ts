import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { highWord, lowWord } from '../../base/pair.ts';
import {
  type HitBatch,
  HitColumns,
  hitFlags,
  type RingNotice,
  valueSources,
} from '../../ring/hit-columns.ts';
import { sampledRegisterWords } from '../../ring/sample-layout.ts';
import type { UpdateOperation, ValueEffect } from '../instructions/value-effect.ts';
import { type HitValue, hitValue } from './hit-value.ts';
import { ValueTracker } from './value-tracker.ts';

const watchAddress = 0x404028n;
/** Register 0 holds values, 5 the address, as in the effects below. */
const place = {
  base: 5,
  index: undefined,
  scale: 1,
  displacement: 0n,
  is32Bit: false,
  fs: false,
  stringStep: 0,
};
const rax = { type: 'register', register: 0, shiftBits: 0 } as const;
const zeroFlag = 1n << 6n;

interface TestHit {
  readonly timeNs: number;
  readonly effect?: ValueEffect | undefined;
  readonly access?: 'r' | 'w' | 'rw';
  readonly registers?: Readonly<Record<number, bigint>>;
  readonly kernel?: boolean;
  readonly pid?: number;
  /** What a program read in the trap. */
  readonly trap?: bigint;
}

/** A tracker of one watch, and its memory as it is read. */
class Tracked {
  readonly tracker: ValueTracker;
  memory: bigint | undefined;
  nowNs = 0;
  reads = 0;
  readonly #effects: { access: 'r' | 'w' | 'rw'; effect: ValueEffect | undefined }[] = [];

  constructor(options: { readonly lenBytes: number; readonly alone: boolean; readonly address?: bigint }) {
    const { lenBytes, alone, address = watchAddress } = options;
    this.tracker = new ValueTracker({
      watches: [{ text: 'x', address, lenBytes, access: 'rw' }],
      effectOf: (site) => this.#effects[site]!, // sites are given below
      memory: {
        read: () => {
          this.reads++;
          if (this.memory === undefined)
            throw new KernelError({ errno: errnoValues.ESRCH, operation: 'read' });
          return new Uint8Array(new BigUint64Array([this.memory]).buffer).slice(0, lenBytes);
        },
      },
      now: () => BigInt(this.nowNs),
      alone,
    });
  }

  /** The values of hits of one batch, each at a site of its own. */
  fill(hits: readonly TestHit[], notices: readonly RingNotice[] = []): HitValue[] {
    const columns = new HitColumns({ capacity: Math.max(1, hits.length), values: true });
    const { values } = columns;
    if (values === undefined) throw new Error('columns with values');
    for (const [row, hit] of hits.entries()) {
      columns.timeLow[row] = hit.timeNs;
      columns.pid[row] = hit.pid ?? 7;
      columns.site[row] = this.#effects.push({ access: hit.access ?? 'w', effect: hit.effect }) - 1;
      columns.flags[row] = hit.kernel === true ? hitFlags.kernel : hitFlags.registers;
      for (const [register, value] of Object.entries(hit.registers ?? {})) {
        const at = row * sampledRegisterWords + 2 * Number(register);
        values.registers[at] = lowWord(value);
        values.registers[at + 1] = highWord(value);
      }
      if (hit.trap !== undefined) {
        values.flags[row] = valueSources.indexOf('trap');
        values.afterLow[row] = lowWord(hit.trap);
        values.afterHigh[row] = highWord(hit.trap);
      }
    }
    columns.length = hits.length;
    const batch: HitBatch = {
      columns,
      firstSite: 0,
      newSites: new Uint32Array(),
      firstStack: 0,
      newStacks: new Uint32Array(),
      notices,
    };
    this.tracker.fill(batch);
    return hits.map((_, row) => hitValue(values, row));
  }
}

function store(value: bigint, timeNs: number, more: Partial<TestHit> = {}): TestHit {
  const effect: ValueEffect = { place, lenBytes: 4, action: { type: 'store', value: rax } };
  return { timeNs, effect, registers: { 0: value, 5: watchAddress }, ...more };
}

function update(operation: UpdateOperation, source: bigint, timeNs: number, flags = 0n): TestHit {
  const action = {
    type: 'update',
    operation,
    source: { type: 'immediate', value: source },
    setsFlags: flags !== 0n,
  } as const;
  return { timeNs, effect: { place, lenBytes: 4, action }, registers: { 5: watchAddress, 8: flags } };
}

const words = (value: bigint): { low: number; high: number } => ({
  low: lowWord(value),
  high: highWord(value),
});
const fork = (timeNs: number, pid: number): RingNotice => ({
  type: 'fork',
  timeNs: BigInt(timeNs),
  pid,
  tid: pid === 7 ? 8 : pid,
  parentPid: 7,
  parentTid: 7,
});

describe('a chain of one thread', () => {
  test('begins with what was read before, and goes on from store to update', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    tracked.memory = 5n;
    tracked.tracker.begin(7, { still: true });
    expect(tracked.fill([update('add', 2n, 1), store(9n, 2), update('sub', 10n, 3)])).toMatchObject([
      { before: words(5n), after: words(7n), from: 'stored', exact: true },
      { before: words(7n), after: words(9n), from: 'stored', exact: true },
      { before: words(9n), after: words(0xffff_ffffn), from: 'stored', exact: true },
    ]);
  });

  test('what was read while it ran is of use for later hits alone, and not exact', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    tracked.memory = 5n;
    tracked.nowNs = 100;
    tracked.tracker.begin(7, { still: false });
    const [early] = tracked.fill([update('add', 1n, 99)]);
    expect(early).toMatchObject({ before: undefined, from: 'later', exact: false });
    const late = new Tracked({ lenBytes: 4, alone: true });
    late.memory = 5n;
    late.nowNs = 100;
    late.tracker.begin(7, { still: false });
    expect(late.fill([update('add', 1n, 101)])).toMatchObject([
      { before: words(5n), after: words(6n), from: 'stored', exact: false },
    ]);
  });

  test('flags that the result cannot have show that the contents were others', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    const [, hit] = tracked.fill([store(5n, 1), update('add', 1n, 2, zeroFlag)]);
    expect(hit).toMatchObject({ gap: true, after: undefined });
  });

  test('the kernel writes: memory from the trap is exact, memory read afterwards is not', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    tracked.memory = 77n;
    expect(
      tracked.fill([
        store(1n, 1),
        { timeNs: 2, kernel: true, trap: 3n },
        { timeNs: 3, kernel: true },
        { timeNs: 4, kernel: true },
      ]),
    ).toMatchObject([
      { after: words(1n), from: 'stored', exact: true },
      { before: words(1n), after: words(3n), from: 'trap', exact: true },
      { before: words(3n), after: undefined, from: undefined },
      { before: undefined, after: words(77n), from: 'later', exact: false },
    ]);
    expect(tracked.reads).toBe(1);
  });

  test('memory that cannot be read leaves the value unknown', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    expect(tracked.fill([{ timeNs: 1, kernel: true }])).toMatchObject([
      { before: undefined, after: undefined, from: undefined, exact: false },
    ]);
  });

  test('a store into a part is exact only where the rest is', () => {
    const part: ValueEffect = { place, lenBytes: 1, action: { type: 'store', value: rax } };
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    const values = tracked.fill([
      store(0xaan, 1, { effect: part }),
      store(0x1122_3344n, 2),
      store(0xbbn, 3, { effect: part }),
    ]);
    expect(values[0]).toMatchObject({ after: undefined });
    expect(values[2]).toMatchObject({ after: words(0x1122_33bbn), exact: true });
  });

  test('an instruction whose registers lead elsewhere is not believed', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    expect(tracked.fill([store(1n, 1, { registers: { 0: 9n, 5: watchAddress + 4n } })])).toMatchObject([
      { after: undefined, exact: false },
    ]);
  });

  test('lost hits end what is certain', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    const lost: RingNotice = { type: 'lost', timeNs: 2n, lost: 3n };
    expect(tracked.fill([store(1n, 1), update('add', 1n, 3)], [lost])).toMatchObject([
      { exact: true },
      { after: undefined, exact: false },
    ]);
  });
});

describe('several threads and processes', () => {
  test('a new thread ends what only one thread made certain; stores stay exact', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    const values = tracked.fill(
      [
        store(1n, 1),
        update('add', 1n, 2),
        update('add', 1n, 4),
        store(9n, 5),
        { timeNs: 6, kernel: true, trap: 4n },
      ],
      [fork(3, 7)],
    );
    expect(values.map(({ from, exact }) => `${from} ${exact}`)).toEqual([
      'stored true',
      'stored true',
      'stored false',
      'stored true',
      'trap false',
    ]);
  });

  test('when the other threads have ended, one thread alone is certain again', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    const trapped = (timeNs: number): TestHit => ({ timeNs, kernel: true, trap: BigInt(timeNs) });
    const exit: RingNotice = { type: 'exit', timeNs: 4n, pid: 7, tid: 8 };
    const values = tracked.fill(
      [trapped(1), trapped(3), trapped(5), update('add', 1n, 6)],
      [fork(2, 7), exit],
    );
    expect(values.map(({ exact }) => exact)).toEqual([true, false, true, true]);
  });

  test('a forked child goes on from its parent, on memory of its own', () => {
    const tracked = new Tracked({ lenBytes: 4, alone: true });
    const values = tracked.fill(
      [store(5n, 1), store(6n, 3), { ...update('add', 1n, 4), pid: 9 }, update('add', 1n, 5)],
      [fork(2, 9)],
    );
    expect(values).toMatchObject([
      {},
      { before: words(5n), after: words(6n) },
      { before: words(5n), after: words(6n), exact: false },
      { before: words(6n), after: words(7n), exact: false },
    ]);
  });

  test('an exchange tells who stored before, and a chain that does not join is marked', () => {
    const exchange: ValueEffect = { place, lenBytes: 4, action: { type: 'exchange', old: rax } };
    const tracked = new Tracked({ lenBytes: 4, alone: false });
    expect(
      tracked.fill([
        store(5n, 1),
        store(4n, 2, { effect: exchange }),
        store(8n, 3, { effect: exchange }),
        store(9n, 4),
      ]),
    ).toMatchObject([
      { after: words(5n), exact: true, gap: false },
      { before: words(4n), after: words(8n), from: 'later', exact: false, gap: true },
      { before: words(8n), after: undefined, gap: false },
      { before: undefined, after: words(9n), exact: true },
    ]);
  });
});

test('an operand relative to fs can only be the one within the eight bytes of the watch', () => {
  const tracked = new Tracked({ lenBytes: 2, alone: true, address: 0x7f00_0000_0ffan });
  const fs = { ...place, base: undefined, fs: true };
  const at = (displacement: bigint, lenBytes: number): ValueEffect => ({
    place: { ...fs, displacement: BigInt.asUintN(64, displacement) },
    lenBytes,
    action: { type: 'store', value: rax },
  });
  const values = tracked.fill([
    store(0x1122_3344n, 1, { effect: at(-8n, 4) }),
    store(0x5566n, 2, { effect: at(-6n, 2) }),
    store(0x5566n, 3, { effect: at(-4n, 4) }), // the watch is not in there
    store(0x5566n, 4, { effect: at(-7n, 8) }), // leaves the eight bytes: may lie anywhere
  ]);
  expect(values.map(({ after }) => after?.low)).toEqual([0x1122, 0x5566, undefined, undefined]);
});

/** What an access of a random kind does to memory, bytes around the watch. */
interface RandomAccess {
  readonly effect: ValueEffect;
  readonly offset: number;
  readonly operand: bigint;
  readonly accumulator: bigint | undefined;
}

const lengths = fc.constantFrom(1, 2, 4, 8);
const operations = fc.constantFrom<UpdateOperation>(
  ...(['add', 'sub', 'and', 'or', 'xor', 'not', 'neg', 'shl', 'shr', 'sar', 'rol', 'ror'] as const),
);
const accesses: fc.Arbitrary<RandomAccess> = fc
  .record({
    type: fc.constantFrom('store', 'load', 'exchange', 'compareExchange', 'update'),
    operation: operations,
    lenBytes: lengths,
    offset: fc.integer({ min: -9, max: 9 }),
    operand: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    matches: fc.boolean(),
  })
  .map(({ type, operation, lenBytes, offset, operand, matches }): RandomAccess => {
    const source = { type: 'register', register: 3, shiftBits: 0 } as const;
    const action: ValueEffect['action'] =
      type === 'update'
        ? { type, operation, source, setsFlags: false }
        : type === 'compareExchange'
          ? { type, accumulator: rax, replacement: source }
          : type === 'exchange'
            ? { type, old: rax }
            : type === 'load'
              ? { type, value: rax }
              : { type: 'store', value: source };
    return {
      effect: { place, lenBytes, action },
      offset,
      operand,
      accumulator: matches ? operand : undefined,
    };
  });

/** A store to all that is watched: what the series goes on from. */
const first: RandomAccess = {
  effect: {
    place,
    lenBytes: 8,
    action: { type: 'store', value: { type: 'register', register: 3, shiftBits: 0 } },
  },
  offset: 0,
  operand: 0x1234_5678_9abc_def0n,
  accumulator: undefined,
};

/** The result of an update of `bits` bits, by the manual's words. */
function naive(operation: UpdateOperation, old: bigint, operand: bigint, bits: number): bigint {
  const cut = (value: bigint): bigint => BigInt.asUintN(bits, value);
  const count = Number(operand & (bits === 64 ? 63n : 31n));
  let value = old;
  const top = 1n << BigInt(bits - 1);
  switch (operation) {
    case 'add':
      return cut(old + operand);
    case 'sub':
      return cut(old - operand);
    case 'and':
      return old & cut(operand);
    case 'or':
      return old | cut(operand);
    case 'xor':
      return old ^ cut(operand);
    case 'not':
      return cut(~old);
    case 'neg':
      return cut(-old);
    default:
      // One place after the other.
      for (let i = 0; i < count; i++) {
        if (operation === 'shl') value = cut(value << 1n);
        else if (operation === 'shr') value >>= 1n;
        else if (operation === 'sar') value = (value >> 1n) | (value & top);
        else if (operation === 'rol') value = cut(value << 1n) | (value >> BigInt(bits - 1));
        else value = (value >> 1n) | ((value & 1n) === 0n ? 0n : top);
      }
      return value;
  }
}

test('any series of accesses: what is said to be exact is what naive memory holds', () => {
  let exact = 0;
  let hits = 0;
  fc.assert(
    fc.property(lengths, fc.array(accesses, { maxLength: 30 }), (watchLenBytes, series) => {
      const tracked = new Tracked({ lenBytes: watchLenBytes, alone: true });
      const memory = new Uint8Array(64).map((_, i) => i * 37);
      const origin = 24;
      const view = new DataView(memory.buffer);
      const read = (at: number, lenBytes: number): bigint =>
        BigInt.asUintN(8 * lenBytes, view.getBigUint64(at, true));
      const list: TestHit[] = [];
      const truth: { before: bigint; after: bigint }[] = [];
      for (const { effect, offset, operand, accumulator } of [first, ...series]) {
        const { action, lenBytes } = effect;
        const at = origin + offset;
        const before = read(origin, watchLenBytes);
        const old = read(at, lenBytes);
        const bits = 8 * lenBytes;
        let flags = 0n;
        let a = 0xdead_beef_dead_beefn;
        let result = old;
        if (action.type === 'store') result = BigInt.asUintN(bits, operand);
        else if (action.type === 'load') a = (a << BigInt(bits)) | old;
        else if (action.type === 'exchange') {
          a = (a << BigInt(bits)) | old;
          result = BigInt.asUintN(bits, operand);
        } else if (action.type === 'compareExchange') {
          const matches = accumulator !== undefined;
          a = (a << BigInt(bits)) | old;
          if (matches) {
            flags = zeroFlag;
            result = BigInt.asUintN(bits, operand);
          }
        } else if (action.type === 'update') result = naive(action.operation, old, operand, bits);
        for (let i = 0; i < lenBytes; i++) memory[at + i] = Number((result >> BigInt(8 * i)) & 0xffn);
        const isHit = at < origin + watchLenBytes && at + lenBytes > origin;
        if (!isHit) continue;
        truth.push({ before, after: read(origin, watchLenBytes) });
        list.push({
          timeNs: list.length + 1,
          effect,
          access: action.type === 'load' ? 'r' : 'w',
          registers: {
            0: BigInt.asUintN(64, a),
            3: operand,
            5: watchAddress + BigInt(offset),
            8: flags,
          },
        });
      }
      for (const [i, value] of tracked.fill(list).entries()) {
        hits++;
        expect(value.gap).toBe(false);
        if (value.before !== undefined) expect(value.before).toEqual(words(truth[i]!.before)); // one a hit
        if (value.after !== undefined) expect(value.after).toEqual(words(truth[i]!.after)); // likewise
        if (value.exact) exact++;
      }
    }),
    { numRuns: 500 },
  );
  expect(exact, `of ${hits} hits`).toBeGreaterThan(hits / 4);
});
