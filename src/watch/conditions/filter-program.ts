import { type AssembledProgram, Assembler, type Register } from '../../bpf/assembler.ts';
import {
  BPF_FUNC_ktime_get_ns,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_probe_read_kernel,
  BPF_FUNC_probe_read_user,
  BPF_FUNC_send_signal,
  BPF_FUNC_tail_call,
  x86PerfEventContext as context,
} from '../../uapi/bpf.ts';
import { SIGSTOP } from '../../uapi/signal.ts';
import { emitHit } from '../values/hit-programs.ts';
import { emitCondition } from './compile-condition.ts';
import type { Expression } from './condition.ts';
import type { StoreSite } from './store-site.ts';

/** Maps of filter programs, by name. */
export const filterMaps: {
  readonly budget: 'budget';
  readonly buckets: 'buckets';
  readonly programs: 'programs';
} = { budget: 'budget', buckets: 'buckets', programs: 'programs' };

/** What a filter does with the overflows of one watch. */
export interface FilterPlan {
  readonly watch: { readonly address: bigint; readonly lenBytes: number };
  /** Its number in the session. */
  readonly number: number;
  readonly condition?: Expression | undefined;
  /** Where code is known to store the watched value out of a register or a constant. */
  readonly sites: readonly StoreSite[];
  /** Where no site tells the watched value, the memory at the trap does. */
  readonly memory: boolean;
  /** Nanoseconds between two hits at the rate, and how many may come at once. */
  readonly rate?: { readonly intervalNs: bigint; readonly burst: number } | undefined;
  /** Hits are counted down in the map `budget`; at 0 none comes through. */
  readonly budget: boolean;
  /** The process is stopped at a hit that comes through. */
  readonly stop: boolean;
  /** Marks of a hit that the program writes to the ring itself; absent: the event's sample is the hit. */
  readonly marks: number | undefined;
}

/** Where each sampled register, by its number there, lies in the context (src/ring/sample-layout.ts). */
const registerOffsets: readonly number[] = [
  ...[context.ax, context.bx, context.cx, context.dx, context.si, context.di, context.bp, context.sp],
  ...[context.flags, context.r8, context.r9, context.r10, context.r11],
  ...[context.r12, context.r13, context.r14, context.r15],
];
const valueAt = -40;
const keyAt = -24;
const firstKernelAddress = 0x8000_0000_0000_0000n;

/**
 * The program of a watch. It drops what is certainly not wanted: hits of which the condition is false, hits over the
 * rate, hits when the budget is spent. A hit that it cannot judge comes through, without counting against rate or budget.
 *
 *     r6 context | r7 watched value (the low bytes of a u64) | r8 whether it is known
 */
export function filterProgram(plan: FilterPlan): AssembledProgram {
  const asm = new Assembler();
  const drop = asm.label('drop');
  const pass = asm.label('pass');
  asm.mov(6, { reg: 1 });
  if (plan.condition !== undefined) {
    emitValue(asm, plan);
    emitCondition(asm, plan.condition, { no: drop, unknown: pass });
  }
  if (plan.rate !== undefined) emitRate(asm, plan.number, plan.rate, drop);
  if (plan.budget) emitBudget(asm, drop);
  if (plan.stop) asm.mov(1, SIGSTOP).call(BPF_FUNC_send_signal);
  asm.at(pass);
  emitPass(asm, plan);
  if (plan.condition !== undefined || plan.rate !== undefined || plan.budget) asm.at(drop).mov(0, 0).exit();
  return asm.assemble();
}

/** The program that is attached where others change: goes on with an entry of the map `programs`. */
export function dispatchProgram(plan: Pick<FilterPlan, 'watch' | 'marks'>, entry: number): AssembledProgram {
  const asm = new Assembler();
  asm.mov(6, { reg: 1 }).loadMap(2, filterMaps.programs).mov(3, entry).call(BPF_FUNC_tail_call);
  emitPass(asm, plan);
  return asm.assemble();
}

/** The hit comes through. */
function emitPass(asm: Assembler, { watch, marks }: Pick<FilterPlan, 'watch' | 'marks'>): void {
  if (marks === undefined) {
    asm.mov(0, 1).exit();
    return;
  }
  emitHit(asm, watch, marks);
  asm.mov(0, 0).exit();
}

/** Finds the value that was stored, by the instruction before the reported address and the registers. */
function emitValue(asm: Assembler, { watch, sites, memory }: FilterPlan): void {
  const found = asm.label('found');
  asm.mov(7, 0).mov(8, 0);
  const register = (into: Register, number: number): void => {
    asm.load(8, into, 6, registerOffsets[number] ?? 0);
  };
  if (sites.length > 0) asm.load(8, 1, 6, context.ip);
  for (const site of sites) {
    const next = asm.label('next');
    asm.load64(2, site.ip).jumpIf('ne', 1, { reg: 2 }, next);
    asm.load64(3, site.displacement);
    if (site.base !== undefined) {
      register(4, site.base);
      asm.alu('add', 3, { reg: 4 });
    }
    if (site.index !== undefined) {
      register(4, site.index);
      asm.alu('mul', 4, site.scale).alu('add', 3, { reg: 4 });
    }
    asm.load64(4, watch.address).jumpIf('ne', 3, { reg: 4 }, next); // it accessed something beside
    if (site.value.type === 'immediate') asm.load64(7, BigInt.asUintN(8 * watch.lenBytes, site.value.value));
    else {
      register(7, site.value.register);
      if (site.value.shiftBits > 0) asm.alu('rsh', 7, site.value.shiftBits);
    }
    asm.mov(8, 1).jump(found).at(next);
  }
  if (memory) {
    asm.store(8, 10, valueAt, 0).mov(1, { reg: 10 }).alu('add', 1, valueAt).mov(2, watch.lenBytes);
    asm.load64(3, watch.address);
    asm.call(watch.address < firstKernelAddress ? BPF_FUNC_probe_read_user : BPF_FUNC_probe_read_kernel);
    asm.jumpIf('ne', 0, 0, found).load(8, 7, 10, valueAt).mov(8, 1);
  }
  asm.at(found);
}

/**
 * The generic cell rate algorithm on one word: the time at which the bucket is full again. Two CPUs that change it at a
 * time retry once; then the hit comes through uncounted, at most one a CPU at a time.
 */
function emitRate(
  asm: Assembler,
  number: number,
  { intervalNs, burst }: { readonly intervalNs: bigint; readonly burst: number },
  drop: ReturnType<Assembler['label']>,
): void {
  const end = asm.label('end of rate');
  asm.call(BPF_FUNC_ktime_get_ns).mov(9, { reg: 0 });
  asm.store(4, 10, keyAt, number).loadMap(1, filterMaps.buckets).mov(2, { reg: 10 }).alu('add', 2, keyAt);
  asm.call(BPF_FUNC_map_lookup_elem).jumpIf('eq', 0, 0, end).mov(5, { reg: 0 });
  for (let attempt = 0; attempt < 2; attempt++) {
    const later = asm.label('later');
    asm.load(8, 0, 5, 0).mov(3, { reg: 0 }).jumpIf('ge', 3, { reg: 9 }, later).mov(3, { reg: 9 }).at(later);
    asm.load64(4, intervalNs).alu('add', 3, { reg: 4 }); // when it is full again after this hit
    asm
      .load64(4, intervalNs * BigInt(burst))
      .alu('add', 4, { reg: 9 })
      .jumpIf('gt', 3, { reg: 4 }, drop);
    asm.mov(4, { reg: 0 }).atomic('cmpxchg', 8, 5, 0, 3).jumpIf('eq', 0, { reg: 4 }, end);
  }
  asm.at(end);
}

/** Counts down, exactly, whichever CPUs hit at a time; below 0 is what was left out. */
function emitBudget(asm: Assembler, drop: ReturnType<Assembler['label']>): void {
  const end = asm.label('end of budget');
  asm.store(4, 10, keyAt, 0).loadMap(1, filterMaps.budget).mov(2, { reg: 10 }).alu('add', 2, keyAt);
  asm.call(BPF_FUNC_map_lookup_elem).jumpIf('eq', 0, 0, end);
  asm.mov(1, -1).atomic('fetchAdd', 8, 0, 0, 1);
  asm.jumpIf('sle', 1, 0, drop).at(end);
}
