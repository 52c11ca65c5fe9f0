import { isKernelError } from '../../base/kernel-error.ts';
import type { AssembledProgram } from '../../bpf/assembler.ts';
import type { HitBatch } from '../../ring/hit-columns.ts';
import { hitFlags } from '../../ring/hit-columns.ts';
import { rawHitMarks } from '../../ring/sample-layout.ts';
import type { Bpf, BpfMap, BpfProgram } from '../../surface/bpf.ts';
import type { PerfEvent } from '../../surface/events.ts';
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_PROG_ARRAY } from '../../uapi/bpf.ts';
import type { CodeSites } from '../code-sites.ts';
import type { PlannedWatch } from '../plan.ts';
import { type HitPrograms, hitsMap } from '../values/hit-programs.ts';
import { dispatchProgram, type FilterPlan, filterMaps, filterProgram } from './filter-program.ts';
import { type StoreSite, storeSite } from './store-site.ts';
import type { JudgedCondition } from './watch-conditions.ts';

/** What a filter is to do. */
export interface HitFilterParts {
  readonly bpf: Bpf;
  /** Writes the hits; absent: samples are the hits. */
  readonly programs: HitPrograms | undefined;
  /** The condition of a watch, and whether programs judge it. Throws `WatchError`. */
  readonly planOf: (watch: PlannedWatch, number: number) => JudgedCondition | undefined;
  /** Code may be learned: its addresses mean one program. */
  readonly learns: boolean;
  /** Hits a second of one watch. */
  readonly rate: number | undefined;
  readonly maxHits: number | undefined;
  readonly stop: boolean;
}

/** Programs at most: a watch has one a round of arming. */
const mostPrograms = 1024;
/** Sites of one watch that programs compare addresses with. */
const mostSites = 32;
const mostWatches = 1024;
const secondNs = 1_000_000_000n;
/** More hits than there will be. */
const noBudget = 1n << 62n;

const everything: JudgedCondition = { condition: undefined, judge: 'kernel', why: undefined, memory: false };

/** A program that is attached to events. */
interface Entry {
  readonly index: number;
  readonly number: number;
  readonly plan: Omit<FilterPlan, 'sites'>;
  readonly dispatch: BpfProgram;
}

/**
 * Keeps conditions, rates and budgets inside the kernel: a bpf program at every breakpoint event drops what is certainly
 * not wanted. What code stores is learned from the hits that come through: then the programs are changed, and judge the
 * registers. docs/decisions says what is exact.
 */
export class HitFilter {
  readonly #parts: HitFilterParts;
  readonly #maps: Readonly<Record<string, BpfMap>>;
  readonly #entries: Map<string, Entry> = new Map();
  /** By watch number. */
  readonly #sites: Map<number, StoreSite[]> = new Map();
  /** "watch,site" of what was looked at. */
  readonly #seen: Set<number> = new Set();

  private constructor(parts: HitFilterParts, maps: Readonly<Record<string, BpfMap>>) {
    this.#parts = parts;
    this.#maps = maps;
  }

  /** `undefined` where bpf is not allowed. */
  static open(parts: HitFilterParts): HitFilter | undefined {
    const made: BpfMap[] = [];
    const create = (type: number, valueBytes: number, maxEntries: number): BpfMap => {
      const map = parts.bpf.createMap({ type, keyBytes: 4, valueBytes, maxEntries });
      made.push(map);
      return map;
    };
    try {
      const maps: Record<string, BpfMap> = {
        [filterMaps.budget]: create(BPF_MAP_TYPE_ARRAY, 8, 1),
        [filterMaps.buckets]: create(BPF_MAP_TYPE_ARRAY, 8, mostWatches),
      };
      if (parts.learns) maps[filterMaps.programs] = create(BPF_MAP_TYPE_PROG_ARRAY, 4, mostPrograms);
      if (parts.programs !== undefined) maps[hitsMap] = parts.programs.map;
      const filter = new HitFilter(parts, maps);
      filter.setBudget(parts.maxHits === undefined ? noBudget : BigInt(parts.maxHits));
      // What the verifier says to it, before anything is armed.
      const watch = { address: 0x1000n, lenBytes: 8 };
      filter.#load(filterProgram({ ...filter.#planOf(watch, 0, everything, 0), sites: [] })).close();
      return filter;
    } catch (error) {
      for (const map of made) map.close();
      if (isKernelError(error)) return undefined;
      throw error;
    }
  }

  /** So many hits may come through yet. */
  setBudget(hits: bigint): void {
    this.#maps[filterMaps.budget]?.update(u32(0), u64(hits));
  }

  /** Whether hits were left out because the budget was spent. */
  get overBudget(): boolean {
    const left = this.#maps[filterMaps.budget]?.lookup(u32(0));
    return left !== undefined && new DataView(left.buffer, left.byteOffset).getBigInt64(0, true) < 0n;
  }

  /** No budget any more: threads are armed twice, and the kernel counts some hits twice. */
  liftBudget(): void {
    this.setBudget(noBudget);
  }

  /** Hits of `event` pass the filter. `round`: as in {@link HitPrograms.attach}. Throws `WatchError` of a condition. */
  attach(event: PerfEvent, watch: PlannedWatch, number: number, round: number): void {
    const key = `${number},${round}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const plan = this.#planOf(watch, number, this.#parts.planOf(watch, number), round);
      const index = this.#freeIndex();
      const dispatches = this.#maps[filterMaps.programs] !== undefined && index < mostPrograms;
      const dispatch = this.#load(
        dispatches ? dispatchProgram(plan, index) : filterProgram({ ...plan, sites: [] }),
      );
      entry = { index: dispatches ? index : -1, number, plan, dispatch };
      this.#entries.set(key, entry);
      this.#install(entry);
    }
    entry.dispatch.attach(event);
  }

  /** Nothing of watch number `number` is attached any more: the number may come to mean another. */
  forget(number: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.number !== number) continue;
      entry.dispatch.close();
      this.#entries.delete(key);
    }
    this.#sites.delete(number);
    for (const key of this.#seen) if (key % mostWatches === number) this.#seen.delete(key);
  }

  /** The least that no entry has. */
  #freeIndex(): number {
    const taken = new Set([...this.#entries.values()].map(({ index }) => index));
    let index = 0;
    while (taken.has(index)) index++;
    return index;
  }

  #planOf(
    watch: { readonly address: bigint; readonly lenBytes: number; readonly access?: PlannedWatch['access'] },
    number: number,
    judged: JudgedCondition | undefined,
    round: number,
  ): Omit<FilterPlan, 'sites'> {
    const { programs, rate, maxHits, stop } = this.#parts;
    // What is not decided here for good does not count against rate and budget.
    const decides = judged?.judge === 'kernel';
    return {
      watch,
      number: Math.min(number, mostWatches - 1),
      condition: judged?.judge === 'here' ? undefined : judged?.condition?.expression,
      memory: judged?.memory === true,
      rate: rate === undefined || !decides ? undefined : { intervalNs: secondNs / BigInt(rate), burst: rate },
      budget: maxHits !== undefined && decides,
      stop: stop && decides,
      marks:
        programs === undefined || watch.access === 'x'
          ? undefined
          : number | (round << rawHitMarks.roundShift),
    };
  }

  #load({ bytes, mapUses }: AssembledProgram): BpfProgram {
    return this.#parts.bpf.load({ bytes, maps: mapUses, mapOf: this.#maps });
  }

  /** Puts the program with what is known of code now where the attached one goes on. */
  #install(entry: Entry): void {
    const programs = this.#maps[filterMaps.programs];
    if (programs === undefined || entry.index < 0) return;
    const program = this.#load(filterProgram({ ...entry.plan, sites: this.#sites.get(entry.number) ?? [] }));
    programs.setProgram(entry.index, program);
    program.close(); // the map keeps it
  }

  /** Learns what code of the hits in a batch stores. */
  learn(batch: HitBatch, sites: CodeSites, watches: readonly PlannedWatch[]): void {
    if (!this.#parts.learns) return;
    const changed = new Set<number>();
    for (const notice of batch.notices)
      if (notice.type === 'mmap') {
        const { start, lengthBytes } = notice;
        for (const [number, known] of this.#sites) {
          const left = known.filter(({ ip }) => ip < start || ip > start + lengthBytes);
          if (left.length === known.length) continue;
          this.#sites.set(number, left);
          changed.add(number);
        }
      }
    const { columns } = batch;
    for (let row = 0; row < columns.length; row++) {
      const number = columns.watch[row]!; // row < length, here and below
      const site = columns.site[row]!;
      const key = site * mostWatches + number;
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      if ((columns.flags[row]! & hitFlags.kernel) !== 0) continue;
      const watch = watches[number]!; // the column holds numbers of these
      const { sampleIp, effect } = sites.access(site, watch, number);
      const store = storeSite(sampleIp, effect, watch);
      const known = this.#sites.get(number) ?? [];
      if (store === undefined || known.length >= mostSites) continue;
      if (!isOfFile(sampleIp, columns.pid[row]!, sites)) continue;
      known.push(store);
      this.#sites.set(number, known);
      changed.add(number);
    }
    for (const entry of this.#entries.values()) if (changed.has(entry.number)) this.#install(entry);
  }

  close(): void {
    for (const { dispatch } of this.#entries.values()) dispatch.close();
    this.#entries.clear();
    for (const [name, map] of Object.entries(this.#maps)) if (name !== hitsMap) map.close();
  }
}

/** Whether code is a file's and cannot be written: a JIT compiler may give an address to other code at any time. */
function isOfFile(address: bigint, pid: number, sites: CodeSites): boolean {
  const mapping = sites
    .space(pid)
    .mappings()
    .find(({ start, end }) => start < address && address <= end);
  return mapping?.path.startsWith('/') === true && !mapping.writable;
}

function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}

function u64(value: bigint): Uint8Array {
  return new Uint8Array(new BigUint64Array([value]).buffer);
}
