import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { highWord, joinPair, lowWord } from '../base/pair.ts';
import { encodeUtf8 } from '../base/text.ts';
import { type HitBatch, HitColumns, hitFlags, type RingNotice, siteWords } from './hit-columns.ts';
import { noHorizon, RingDrain } from './ring-drain.ts';
import { RingView } from './ring-view.ts';
import { fixedSampleBytes, type SampleLayout, sampleIdBytes } from './sample-layout.ts';

const pageBytes = 4096;

/** Bytes of a record, put together one field after the other. */
class RecordBytes {
  readonly #words: number[] = [];

  u64(value: bigint): this {
    this.#words.push(lowWord(value), highWord(value));
    return this;
  }

  pair(low: number, high: number): this {
    this.#words.push(low >>> 0, high >>> 0);
    return this;
  }

  text(text: string): this {
    const bytes = encodeUtf8(text);
    const padded = new Uint8Array((bytes.length + 8) & ~7);
    padded.set(bytes);
    this.#words.push(...new Uint32Array(padded.buffer));
    return this;
  }

  /** With the header in front. */
  finish(type: number, misc: number): Uint8Array {
    const size = 8 + 4 * this.#words.length;
    return new Uint8Array(new Uint32Array([type, misc | (size << 16), ...this.#words]).buffer);
  }
}

/** A ring that records are written to as the kernel writes them: byte by byte, around the end. */
class WrittenRing {
  readonly memory: ArrayBuffer;
  readonly view: RingView;
  readonly #bytes: Uint8Array;
  readonly #control: BigInt64Array;
  #head: bigint;

  constructor(dataBytes: number, start: bigint) {
    this.memory = new ArrayBuffer(pageBytes + dataBytes);
    this.#bytes = new Uint8Array(this.memory, pageBytes);
    this.#control = new BigInt64Array(this.memory, 0, pageBytes / 8);
    this.#head = start;
    this.#control[1024 / 8] = start;
    this.#control[1032 / 8] = start;
    this.view = new RingView(this.memory, pageBytes);
  }

  get tail(): bigint {
    return this.#control[1032 / 8]!;
  }

  get head(): bigint {
    return this.#head;
  }

  fits(record: Uint8Array): boolean {
    return this.#head - this.tail + BigInt(record.length) < BigInt(this.#bytes.length);
  }

  write(record: Uint8Array): void {
    if (!this.fits(record)) throw new Error('the test overfills its ring');
    for (const [i, byte] of record.entries()) {
      this.#bytes[Number((this.#head + BigInt(i)) % BigInt(this.#bytes.length))] = byte;
    }
    this.#head += BigInt(record.length);
    this.#control[1024 / 8] = this.#head;
  }
}

interface SampleFields {
  readonly kind: 'sample';
  readonly time: bigint;
  readonly id: bigint;
  readonly ip: bigint;
  readonly pid: number;
  readonly tid: number;
  readonly cpu: number;
  readonly kernel: boolean;
  readonly stack: readonly bigint[];
  /** Absent: the sample says abi 0. */
  readonly registers: { readonly cx: bigint; readonly di: bigint } | undefined;
}

interface NoticeFields {
  readonly kind: 'notice';
  readonly notice: RingNotice;
}

interface UnknownFields {
  readonly kind: 'unknown';
  readonly time: bigint;
  readonly type: number;
  readonly body: readonly bigint[];
}

type Fields = SampleFields | NoticeFields | UnknownFields;

function timeOf(fields: Fields): bigint {
  return fields.kind === 'notice' ? fields.notice.timeNs : fields.time;
}

function encode(fields: Fields, layout: SampleLayout): Uint8Array {
  const bytes = new RecordBytes();
  if (fields.kind === 'sample') {
    const { id, ip, pid, tid, time, cpu, stack, registers, kernel } = fields;
    bytes.u64(id).u64(ip).pair(pid, tid).u64(time).pair(cpu, 0);
    if (layout.stacks) {
      bytes.u64(BigInt(stack.length));
      for (const frame of stack) bytes.u64(frame);
    }
    if (layout.copyRegisters) {
      bytes.u64(registers === undefined ? 0n : 2n);
      if (registers !== undefined) bytes.u64(registers.cx).u64(registers.di);
    }
    return bytes.finish(9, kernel ? 1 : 2);
  }
  const trailer = (tid: number): RecordBytes => bytes.pair(1, tid).u64(timeOf(fields)).pair(0, 0).u64(99n);
  if (fields.kind === 'unknown') {
    for (const word of fields.body) bytes.u64(word);
    return trailer(0).finish(fields.type, 0);
  }
  const { notice } = fields;
  switch (notice.type) {
    case 'comm':
      bytes.pair(notice.pid, notice.tid).text(notice.comm);
      return trailer(notice.tid).finish(3, notice.exec ? 0x2000 : 0);
    case 'fork':
      bytes
        .pair(notice.pid, notice.parentPid)
        .pair(notice.tid, notice.parentTid)
        .u64(notice.timeNs - 1n);
      return trailer(notice.tid).finish(7, 0);
    case 'exit':
      bytes
        .pair(notice.pid, 1)
        .pair(notice.tid, 1)
        .u64(notice.timeNs - 1n);
      return trailer(notice.tid).finish(4, 0);
    case 'lost':
      bytes.u64(7n).u64(notice.lost);
      return trailer(0).finish(2, 0);
    case 'mmap': {
      const [major = '', minor = ''] = notice.device.split(':');
      bytes.pair(notice.pid, notice.tid).u64(notice.start).u64(notice.lengthBytes).u64(notice.offset);
      bytes.pair(Number.parseInt(major, 16), Number.parseInt(minor, 16)).u64(notice.inode).u64(5n).pair(5, 2);
      bytes.text(notice.path);
      return trailer(notice.tid).finish(10, 0);
    }
  }
}

/** One hit in words, with the numbers of tables looked up: what both decoders are compared by. */
interface PlainHit {
  readonly time: bigint;
  readonly pid: number;
  readonly tid: number;
  readonly cpu: number;
  readonly watch: number;
  readonly kernel: boolean;
  readonly continues: boolean;
  readonly site: string;
  readonly frames: readonly string[] | undefined;
}

const siteText = (ip: bigint, pid: number): string => `${ip.toString(16)} of ${pid}`;

/** The naive decoder: one record, with what its ring had before. */
class NaiveRing {
  #last: { hit: PlainHit; cx: bigint; di: bigint } | undefined;
  readonly #layout: SampleLayout;
  readonly #watches: ReadonlyMap<bigint, number>;

  constructor(layout: SampleLayout, watches: ReadonlyMap<bigint, number>) {
    this.#layout = layout;
    this.#watches = watches;
  }

  hit(fields: SampleFields): PlainHit | undefined {
    const watch = this.#watches.get(fields.id);
    if (watch === undefined) return undefined;
    const { kernel, registers, tid, pid } = fields;
    const continues = this.#layout.copyRegisters && this.#continues(fields, watch);
    const hit: PlainHit = {
      time: fields.time,
      pid,
      tid,
      cpu: fields.cpu,
      watch,
      kernel,
      continues,
      site:
        continues && this.#last !== undefined ? this.#last.hit.site : siteText(fields.ip, kernel ? 0 : pid),
      frames: this.#layout.stacks ? this.#frames(fields) : undefined,
    };
    this.#last = kernel && registers !== undefined ? { hit, ...registers } : undefined;
    return hit;
  }

  #continues({ kernel, registers, tid }: SampleFields, watch: number): boolean {
    const last = this.#last;
    if (last === undefined || !kernel || registers === undefined) return false;
    if (last.hit.tid !== tid || last.hit.watch !== watch) return false;
    // Across a 4 GiB boundary it is not sure enough.
    if (highWord(last.cx) !== highWord(registers.cx) || highWord(last.di) !== highWord(registers.di))
      return false;
    const counted = last.cx - registers.cx;
    const moved = registers.di - last.di;
    return counted > 0n && [1n, 2n, 4n, 8n].some((width) => moved === width * counted);
  }

  #frames({ stack, pid }: SampleFields): string[] {
    const frames: string[] = [];
    let inKernel = false;
    for (const frame of stack) {
      if (frame >= 0xffff_ffff_ffff_f001n) inKernel = BigInt.asIntN(64, frame) === -128n;
      else frames.push(siteText(frame, inKernel ? 0 : pid));
    }
    return frames;
  }
}

/** Reads batches back into plain hits, as a consumer that keeps the tables does. */
class Tables {
  readonly sites: string[] = [];
  readonly stacks: string[][] = [];

  add(batch: HitBatch): PlainHit[] {
    expect(batch.firstSite).toBe(this.sites.length);
    expect(batch.firstStack).toBe(this.stacks.length);
    const { columns, newSites, newStacks } = batch;
    for (let at = 0; at < newSites.length; at += siteWords) {
      this.sites.push(siteText(joinPair(newSites[at]!, newSites[at + 1]!), newSites[at + 2]!));
    }
    for (let at = 0; at < newStacks.length; at += 1 + newStacks[at]!) {
      const frames = [...newStacks.subarray(at + 1, at + 1 + newStacks[at]!)];
      this.stacks.push(frames.map((site) => this.sites[site] ?? 'a site that is not there'));
    }
    return Array.from({ length: columns.length }, (_, row): PlainHit => {
      const flags = columns.flags[row]!;
      const stack = columns.stack[row]!;
      return {
        time: joinPair(columns.timeLow[row]!, columns.timeHigh[row]!),
        pid: columns.pid[row]!,
        tid: columns.tid[row]!,
        cpu: columns.cpu[row]!,
        watch: columns.watch[row]!,
        kernel: (flags & hitFlags.kernel) !== 0,
        continues: (flags & hitFlags.continuesCopy) !== 0,
        site: this.sites[columns.site[row]!] ?? 'a site that is not there',
        frames: stack === 0 ? undefined : (this.stacks[stack - 1] ?? ['a stack that is not there']),
      };
    });
  }
}

const watches: ReadonlyMap<bigint, number> = new Map([
  [7n, 0],
  [0x1_0000_0007n, 1],
  [8n, 2],
]);

function drainOf(layout: SampleLayout, rings: readonly WrittenRing[]): RingDrain {
  const drain = new RingDrain(layout);
  for (const [id, watch] of watches) drain.addWatchId(lowWord(id), highWord(id), watch);
  for (const ring of rings) drain.addRing(ring.view);
  return drain;
}

// --- arbitrary records; times are filled in when they are written ---

const ip = fc.constantFrom(0x40_1136n, 0x40_2000n, 0x7f12_3456_789an, 0xffff_ffff_8123_4567n);
const pid = fc.constantFrom(100, 200, 0xffff_fff0);
const tid = fc.constantFrom(100, 101, 200);
const frame = fc.oneof(
  { weight: 4, arbitrary: ip },
  { weight: 1, arbitrary: fc.constantFrom(-128n, -512n, -2048n).map((mark) => BigInt.asUintN(64, mark)) },
);
const registers = fc.record({
  cx: fc.constantFrom(100n, 99n, 98n, 96n, 92n, 0n, 0x1_0000_0000n, 0xffff_ffffn),
  di: fc.constantFrom(0n, 1n, 2n, 4n, 8n, 16n, 32n).map((offset) => 0x7fff_ffff_fff0n + offset),
});
const sample: fc.Arbitrary<SampleFields> = fc.record({
  kind: fc.constant('sample' as const),
  time: fc.constant(0n),
  id: fc.constantFrom(7n, 7n, 0x1_0000_0007n, 8n, 9n, 0x1_0000_0008n),
  ip,
  pid,
  tid,
  cpu: fc.constantFrom(0, 1, 65535),
  kernel: fc.boolean(),
  stack: fc.array(frame, { maxLength: 6 }),
  registers: fc.option(registers, { nil: undefined, freq: 6 }),
});
const name = fc
  .oneof(fc.constantFrom('', 'sh', 'fifteen_letters'), fc.string({ maxLength: 15 }))
  .map((text) => text.replaceAll('\0', ''));
const small = fc.integer({ min: 0, max: 0xffff_ffff });
const u64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
const notice: fc.Arbitrary<RingNotice> = fc.oneof(
  fc.record({
    type: fc.constant('comm' as const),
    timeNs: fc.constant(0n),
    pid,
    tid,
    comm: name,
    exec: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('fork' as const),
    timeNs: fc.constant(0n),
    pid,
    tid,
    parentPid: small,
    parentTid: small,
  }),
  fc.record({ type: fc.constant('exit' as const), timeNs: fc.constant(0n), pid, tid }),
  fc.record({ type: fc.constant('lost' as const), timeNs: fc.constant(0n), lost: u64 }),
  fc.record({
    type: fc.constant('mmap' as const),
    timeNs: fc.constant(0n),
    pid,
    tid,
    start: u64,
    lengthBytes: u64,
    offset: u64,
    device: fc.constantFrom('00:00', '08:01', '103:02', 'fe:10'),
    inode: u64,
    path: fc.constantFrom('//anon', '/usr/lib/libc.so.6', '/tmp/ä b', '/x'),
  }),
);
const record: fc.Arbitrary<Fields> = fc.oneof(
  { weight: 8, arbitrary: sample },
  { weight: 2, arbitrary: notice.map((fields) => ({ kind: 'notice' as const, notice: fields })) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('unknown' as const),
      time: fc.constant(0n),
      type: fc.constantFrom(1, 5, 6, 8, 11, 13, 14, 4096),
      body: fc.array(u64, { maxLength: 5 }),
    }),
  },
);

function at(fields: Fields, time: bigint): Fields {
  return fields.kind === 'notice'
    ? { kind: 'notice', notice: { ...fields.notice, timeNs: time } }
    : { ...fields, time };
}

/** A record for one of the rings, or a look at them. */
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ ring: fc.nat(), record, laterNs: fc.constantFrom(1n, 2n, 40n, 0x1_0000_0000n) }),
  },
  {
    weight: 1,
    // How much earlier than the last record the horizon is; undefined: there is none.
    arbitrary: fc.record({
      capacity: fc.constantFrom(1, 2, 3, 16),
      backNs: fc.option(fc.constantFrom(0n, 1n, 41n, 0x1_0000_0000n), { nil: undefined }),
    }),
  },
);

const layouts: SampleLayout[] = [false, true].flatMap((stacks) =>
  [false, true].map((copyRegisters) => ({ stacks, copyRegisters })),
);
/** Where the rings' counters start: their ends and 2^32 are near. */
const starts = fc
  .tuple(fc.constantFrom(0n, 0x1_0000_0000n, 0x7fff_ffff_0000_0000n), fc.integer({ min: -128, max: 127 }))
  .map(([base, words]) => (base + 8n * BigInt(words) < 0n ? 0n : base + 8n * BigInt(words)));

describe('rings drained against a naive decoder', () => {
  test.each(layouts)('gives every hit and notice once, in the order of time (%o)', (layout) => {
    fc.assert(
      fc.property(
        fc.array(starts, { minLength: 1, maxLength: 3 }),
        fc.array(step, { maxLength: 80 }),
        (ringStarts, steps) => {
          const rings = ringStarts.map((start) => new WrittenRing(1024, start));
          const naive = rings.map(() => new NaiveRing(layout, watches));
          const drain = drainOf(layout, rings);
          const tables = new Tables();
          const expectedHits: PlainHit[] = [];
          const expectedNotices: RingNotice[] = [];
          const hits: PlainHit[] = [];
          const notices: RingNotice[] = [];
          let stray = 0;
          let time = 5n * 0x1_0000_0000n - 100n;
          let until = 0n;

          const look = (capacity: number, horizon: bigint | undefined): void => {
            // A horizon may lie behind an earlier one: what was given stays given.
            until = [until, horizon ?? time].reduce((a, b) => (a > b ? a : b));
            for (let more = true; more; ) {
              const columns = new HitColumns({ capacity });
              more = drain.pass(columns, horizon === undefined ? noHorizon : Number(horizon));
              const { hasNotices } = drain;
              const batch = drain.takeBatch(columns);
              expect(batch.notices.length > 0).toBe(hasNotices);
              hits.push(...tables.add(batch));
              notices.push(...batch.notices);
              if (more) expect(columns.length).toBe(capacity);
            }
            expect(hits.length).toBe(expectedHits.filter((hit) => hit.time <= until).length);
            expect(notices.length).toBe(expectedNotices.filter((one) => one.timeNs <= until).length);
          };

          for (const each of steps) {
            if ('capacity' in each) {
              look(each.capacity, each.backNs === undefined ? undefined : time - each.backNs);
              continue;
            }
            time += each.laterNs;
            const index = each.ring % rings.length;
            const ring = rings[index]!;
            const fields = at(each.record, time);
            const bytes = encode(fields, layout);
            if (!ring.fits(bytes)) look(16, undefined);
            ring.write(bytes);
            if (fields.kind === 'notice') expectedNotices.push(fields.notice);
            if (fields.kind !== 'sample') continue;
            const hit = naive[index]!.hit(fields);
            if (hit === undefined) stray++;
            else expectedHits.push(hit);
          }
          look(5, undefined);
          expect(hits).toEqual(expectedHits);
          expect(notices).toEqual(expectedNotices);
          expect(drain.strayHits).toBe(stray);
          expect(rings.map((ring) => ring.tail)).toEqual(rings.map((ring) => ring.head));
        },
      ),
      { numRuns: 150 },
    );
  });

  test('records of one time keep the order of their ring, and none is lost', () => {
    const layout = { stacks: false, copyRegisters: false };
    const times = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(times, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 5 }),
        (all, capacity) => {
          const rings = all.map(() => new WrittenRing(1024, 0n));
          const drain = drainOf(layout, rings);
          for (const [index, ring] of rings.entries()) {
            for (const [i, offset] of [...all[index]!].sort().entries()) {
              ring.write(
                encode({ ...plainSample, time: 1000n + BigInt(offset), pid: index, tid: i }, layout),
              );
            }
          }
          const hits: PlainHit[] = [];
          const tables = new Tables();
          for (let more = true; more; ) {
            const columns = new HitColumns({ capacity });
            more = drain.pass(columns, noHorizon);
            hits.push(...tables.add(drain.takeBatch(columns)));
          }
          expect(hits.map((hit) => hit.time)).toEqual(hits.map((hit) => hit.time).sort());
          for (const [index, ofRing] of all.entries()) {
            const tids = hits.filter((hit) => hit.pid === index).map((hit) => hit.tid);
            expect(tids).toEqual(ofRing.map((_, i) => i));
          }
        },
      ),
    );
  });
});

const plainSample: SampleFields = {
  kind: 'sample',
  time: 1000n,
  id: 7n,
  ip: 0x40_1136n,
  pid: 100,
  tid: 100,
  cpu: 0,
  kernel: false,
  stack: [],
  registers: undefined,
};

/** Hits of one ring, in registers layout, as plain hits. */
function decodeKernelHits(samples: readonly Partial<SampleFields>[]): PlainHit[] {
  const layout = { stacks: false, copyRegisters: true };
  const ring = new WrittenRing(8192, 0n);
  const drain = drainOf(layout, [ring]);
  for (const [i, fields] of samples.entries()) {
    ring.write(encode({ ...plainSample, kernel: true, time: 1000n + BigInt(i), ...fields }, layout));
  }
  const columns = new HitColumns({ capacity: 100 });
  drain.pass(columns, noHorizon);
  return new Tables().add(drain.takeBatch(columns));
}

describe('hits of one kernel copy', () => {
  const rep = 0xffff_ffff_8100_0010n;
  const behind = rep + 2n;
  const buffer = 0x7ffd_0000_1000n;

  /** A copy of `count` units of `width` bytes, every unit a hit. */
  const copy = (count: number, width: number, more: Partial<SampleFields> = {}): Partial<SampleFields>[] =>
    Array.from({ length: count }, (_, i) => ({
      ip: i === count - 1 ? behind : rep,
      registers: { cx: BigInt(count - 1 - i), di: buffer + BigInt(width * (i + 1)) },
      ...more,
    }));

  test.each([1, 2, 4, 8])('of %i bytes a step are one copy with the site of the first', (width) => {
    const hits = decodeKernelHits(copy(4, width));
    expect(hits.map((hit) => hit.continues)).toEqual([false, true, true, true]);
    expect(new Set(hits.map((hit) => hit.site))).toEqual(new Set([siteText(rep, 0)]));
  });

  test('with steps in between that made no hit are still one copy', () => {
    const all = copy(9, 1);
    const hits = decodeKernelHits([all[0]!, all[3]!, all[8]!]);
    expect(hits.map((hit) => hit.continues)).toEqual([false, true, true]);
  });

  test('a second copy to the same place is another', () => {
    const hits = decodeKernelHits([...copy(2, 1), ...copy(2, 1)]);
    expect(hits.map((hit) => hit.continues)).toEqual([false, true, false, true]);
  });

  test('single steps again and again to the same place are not merged', () => {
    const hits = decodeKernelHits([...copy(1, 4), ...copy(1, 4), ...copy(1, 8)]);
    expect(hits.map((hit) => hit.continues)).toEqual([false, false, false]);
  });

  test('a hit of the same registers again is not merged', () => {
    const [first] = copy(4, 1);
    expect(decodeKernelHits([first!, first!]).map((hit) => hit.continues)).toEqual([false, false]);
  });

  test('what another thread, another watch, user code or a sample without registers made goes on with nothing', () => {
    const [first, second, third] = copy(8, 1);
    const continues = (between: Partial<SampleFields>): boolean[] =>
      decodeKernelHits([first!, { ...second!, ...between }, third!]).map((hit) => hit.continues);
    expect(continues({})).toEqual([false, true, true]);
    expect(continues({ tid: 101 })).toEqual([false, false, false]);
    expect(continues({ id: 8n })).toEqual([false, false, false]);
    expect(continues({ kernel: false })).toEqual([false, false, false]);
    expect(continues({ registers: undefined })).toEqual([false, false, false]);
  });

  test('a copy downwards, or one whose steps do not fit the count, is not merged', () => {
    const steps = (cx: readonly bigint[], di: readonly bigint[]): boolean[] =>
      decodeKernelHits(cx.map((count, i) => ({ registers: { cx: count, di: buffer + di[i]! } }))).map(
        (hit) => hit.continues,
      );
    expect(steps([10n, 9n], [8n, 7n])).toEqual([false, false]);
    expect(steps([10n, 9n], [0n, 3n])).toEqual([false, false]);
    expect(steps([10n, 9n], [0n, 16n])).toEqual([false, false]);
    expect(steps([9n, 10n], [0n, 1n])).toEqual([false, false]);
    expect(steps([10n, 8n], [0n, 8n])).toEqual([false, true]);
    expect(steps([10n, 7n], [0n, 8n])).toEqual([false, false]);
  });

  test('across a 4 GiB boundary nothing is merged, because half of the words is compared', () => {
    const edge = 0x7ffd_ffff_ffffn;
    const hits = decodeKernelHits([
      { registers: { cx: 10n, di: edge } },
      { registers: { cx: 9n, di: edge + 1n } },
      { registers: { cx: 8n, di: edge + 2n } },
    ]);
    expect(hits.map((hit) => hit.continues)).toEqual([false, false, true]);
  });

  test('the hit of another copy where the last one ended has a site of its own', () => {
    const hits = decodeKernelHits([...copy(2, 1), { ip: behind, registers: undefined }]);
    expect(hits.map((hit) => hit.site)).toEqual([siteText(rep, 0), siteText(rep, 0), siteText(behind, 0)]);
  });

  test('after a copy a hit at another place has its own site again', () => {
    const hits = decodeKernelHits([
      ...copy(2, 1),
      { ip: behind, kernel: false },
      { ip: rep, kernel: false, pid: 100 },
    ]);
    expect(hits.map((hit) => hit.site)).toEqual([
      siteText(rep, 0),
      siteText(rep, 0),
      siteText(behind, 100),
      siteText(rep, 100),
    ]);
  });
});

describe('a thread that is armed twice', () => {
  const layout = { stacks: false, copyRegisters: false };
  const own = 7n;
  const inherited = 70n;

  function drainOfTwo(rings: readonly WrittenRing[]): RingDrain {
    const drain = drainOf(layout, rings);
    drain.addWatchId(Number(inherited), 0, 0);
    return drain;
  }

  function tidsAndTimes(drain: RingDrain): string[] {
    const columns = new HitColumns({ capacity: 64 });
    drain.pass(columns, noHorizon);
    return new Tables().add(drain.takeBatch(columns)).map((hit) => `${hit.tid} ${hit.time}`);
  }

  test('has each hit once, whichever of its two events comes first', () => {
    for (const ids of [
      [own, inherited],
      [inherited, own],
    ]) {
      const ring = new WrittenRing(4096, 0n);
      const drain = drainOfTwo([ring]);
      drain.dropDoubles();
      for (const time of [10n, 20n, 30n]) {
        for (const id of ids) ring.write(encode({ ...plainSample, id, time }, layout));
      }
      expect(tidsAndTimes(drain)).toEqual(['100 10', '100 20', '100 30']);
      expect(drain.doubles).toBe(3);
    }
  });

  test('does not take the hits of other threads, other watches or other CPUs away', () => {
    const rings = [new WrittenRing(4096, 0n), new WrittenRing(4096, 0n)];
    const drain = drainOfTwo(rings);
    drain.dropDoubles();
    rings[0]!.write(encode({ ...plainSample, id: own, tid: 100, time: 10n }, layout));
    rings[0]!.write(encode({ ...plainSample, id: inherited, tid: 101, time: 11n }, layout));
    rings[0]!.write(encode({ ...plainSample, id: 8n, tid: 100, time: 12n }, layout));
    rings[1]!.write(encode({ ...plainSample, id: inherited, tid: 100, time: 13n }, layout));
    expect(tidsAndTimes(drain)).toEqual(['100 10', '101 11', '100 12', '100 13']);
    expect(drain.doubles).toBe(0);
  });

  test('is forgotten when it ends: a new thread of its number has other events', () => {
    const ring = new WrittenRing(4096, 0n);
    const drain = drainOfTwo([ring]);
    drain.dropDoubles();
    ring.write(encode({ ...plainSample, id: own, time: 10n }, layout));
    ring.write(encode({ kind: 'notice', notice: { type: 'exit', timeNs: 11n, pid: 100, tid: 100 } }, layout));
    ring.write(encode({ ...plainSample, id: inherited, time: 12n }, layout));
    expect(tidsAndTimes(drain)).toEqual(['100 10', '100 12']);
  });

  test('is nobody unless it was said: samples of two events are two hits', () => {
    const ring = new WrittenRing(4096, 0n);
    const drain = drainOfTwo([ring]);
    for (const id of [own, inherited]) ring.write(encode({ ...plainSample, id, time: 10n }, layout));
    expect(tidsAndTimes(drain)).toEqual(['100 10', '100 10']);
  });
});

describe('a ring', () => {
  test('is read where its records wrap, at every offset and across 2^32', () => {
    const layout = { stacks: true, copyRegisters: true };
    const fields: SampleFields = {
      ...plainSample,
      kernel: true,
      stack: [BigInt.asUintN(64, -128n), 0xffff_ffff_8100_0000n, BigInt.asUintN(64, -512n), 0x40_1000n],
      registers: { cx: 5n, di: 6n },
    };
    for (let words = 0; words < 64; words++) {
      const ring = new WrittenRing(512, 0x1_0000_0000n - 8n * BigInt(words));
      const drain = drainOf(layout, [ring]);
      ring.write(encode(fields, layout));
      ring.write(
        encode(
          {
            kind: 'notice',
            notice: { type: 'comm', timeNs: 1001n, pid: 1, tid: 2, comm: 'wrap', exec: false },
          },
          layout,
        ),
      );
      ring.write(encode({ ...fields, time: 1002n }, layout));
      const columns = new HitColumns({ capacity: 4 });
      expect(drain.pass(columns, noHorizon)).toBe(false);
      const batch = drain.takeBatch(columns);
      expect(batch.notices).toMatchObject([{ type: 'comm', comm: 'wrap' }]);
      const hits = new Tables().add(batch);
      expect(hits.map((hit) => hit.time)).toEqual([1000n, 1002n]);
      expect(hits[1]?.frames).toEqual(['ffffffff81000000 of 0', '401000 of 100']);
      expect(ring.tail).toBe(ring.head);
    }
  });

  test('keeps what is later than the horizon, and gives it at the next pass', () => {
    const layout = { stacks: false, copyRegisters: false };
    const ring = new WrittenRing(1024, 0n);
    const drain = drainOf(layout, [ring]);
    for (const time of [10n, 20n, 30n]) ring.write(encode({ ...plainSample, time }, layout));
    const columns = new HitColumns({ capacity: 10 });
    expect(drain.pass(columns, 9)).toBe(false);
    expect(columns.length).toBe(0);
    expect(drain.pass(columns, 20)).toBe(false);
    expect(columns.length).toBe(2);
    expect(ring.tail).toBe(BigInt(2 * fixedSampleBytes));
    drain.pass(columns, 30);
    expect(columns.length).toBe(3);
    expect(drain.takeBatch(columns).newSites.length).toBe(siteWords);
  });

  test('does not give a record that came after the pass had looked at the head of another ring before it', () => {
    // A pass looks at each head once: what is published later waits, so that time never goes backwards.
    const layout = { stacks: false, copyRegisters: false };
    const rings = [new WrittenRing(1024, 0n), new WrittenRing(1024, 0n)];
    const drain = drainOf(layout, rings);
    rings[0]!.write(encode({ ...plainSample, time: 10n }, layout));
    const columns = new HitColumns({ capacity: 1 });
    expect(drain.pass(columns, noHorizon)).toBe(false);
    rings[1]!.write(encode({ ...plainSample, time: 5n }, layout));
    const later = new HitColumns({ capacity: 1 });
    expect(drain.pass(later, noHorizon)).toBe(false);
    expect(later.timeLow[0]).toBe(5);
  });

  test('says that there is more exactly when the columns are full and something is left before the horizon', () => {
    const layout = { stacks: false, copyRegisters: false };
    const ring = new WrittenRing(1024, 0n);
    const drain = drainOf(layout, [ring]);
    for (const time of [10n, 20n, 30n]) ring.write(encode({ ...plainSample, time }, layout));
    expect(drain.pass(new HitColumns({ capacity: 1 }), 30)).toBe(true);
    expect(drain.pass(new HitColumns({ capacity: 1 }), 25)).toBe(false);
    expect(drain.pass(new HitColumns({ capacity: 2 }), 30)).toBe(false);
  });

  test('with more rows in the columns than before goes on behind them', () => {
    const layout = { stacks: false, copyRegisters: false };
    const ring = new WrittenRing(1024, 0n);
    const drain = drainOf(layout, [ring]);
    const columns = new HitColumns({ capacity: 3 });
    ring.write(encode({ ...plainSample, time: 10n, tid: 1 }, layout));
    drain.pass(columns, noHorizon);
    ring.write(encode({ ...plainSample, time: 11n, tid: 2 }, layout));
    drain.pass(columns, noHorizon);
    expect([...columns.tid.subarray(0, columns.length)]).toEqual([1, 2]);
  });

  test('carries notices without hits, and says so', () => {
    const layout = { stacks: false, copyRegisters: false };
    const ring = new WrittenRing(1024, 0n);
    const drain = drainOf(layout, [ring]);
    expect(drain.hasNotices).toBe(false);
    ring.write(encode({ kind: 'notice', notice: { type: 'exit', timeNs: 5n, pid: 1, tid: 2 } }, layout));
    const columns = new HitColumns({ capacity: 3 });
    drain.pass(columns, noHorizon);
    expect(drain.hasNotices).toBe(true);
    expect(drain.takeBatch(columns).notices).toEqual([{ type: 'exit', timeNs: 5n, pid: 1, tid: 2 }]);
    expect(drain.hasNotices).toBe(false);
  });

  test('of a size that is no power of two is refused', () => {
    expect(() => new RingView(new ArrayBuffer(pageBytes + 4096 * 3), pageBytes)).toThrow('power of two');
    expect(() => new RingView(new ArrayBuffer(pageBytes), pageBytes)).toThrow('power of two');
  });

  test('gives its tail back as the 64 bits that it is, only when it moved', () => {
    const ring = new WrittenRing(512, 0x2_ffff_fff8n);
    expect(ring.view.tailLow).toBe(0xffff_fff8);
    ring.view.storeTail();
    expect(ring.tail).toBe(0x2_ffff_fff8n);
    ring.view.tailLow = 0x10;
    ring.view.storeTail();
    expect(ring.tail).toBe(0x3_0000_0010n);
    ring.view.storeTail();
    expect(ring.tail).toBe(0x3_0000_0010n);
  });
});

test('a record in the layout of the drain has the sizes that the layout states', () => {
  const plain = { stacks: false, copyRegisters: false };
  expect(encode(plainSample, plain).length).toBe(fixedSampleBytes);
  const exit: Fields = { kind: 'notice', notice: { type: 'exit', timeNs: 5n, pid: 1, tid: 2 } };
  expect(encode(exit, plain).length).toBe(8 + 24 + sampleIdBytes);
});

test('columns over a buffer have the capacity that they were made with, and share nothing between columns', () => {
  for (const capacity of [1, 2, 3, 7, 16, 16384]) {
    const made = new HitColumns({ capacity });
    const names = ['timeLow', 'timeHigh', 'pid', 'tid', 'site', 'stack', 'cpu', 'watch', 'flags'] as const;
    for (const [i, column] of names.entries()) made[column].fill(i + 1);
    const again = new HitColumns({ buffer: made.buffer, length: 1 });
    expect([again.capacity, again.length]).toEqual([capacity, 1]);
    for (const [i, column] of names.entries()) {
      expect(
        [...again[column]].every((value) => value === i + 1),
        column,
      ).toBe(true);
    }
  }
});
