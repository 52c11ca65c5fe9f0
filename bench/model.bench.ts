// Question: what do a breakpoint, a miss, a hit, a sample and a switch cost on the model, and does any of it grow with the system?
// Expected: create+destroy 1 to 3 us, flat; a miss about as much as walking the trace; a hit below 0.5 us; a sample below 0.3 us; a switch below 2 us.
// Run: npm run build && node --expose-gc --max-old-space-size=12000 dist/bench/model.bench.js [--small]
import { fileURLToPath } from 'node:url';
import { ModelHost, type ModelHostOptions } from '#dist/hosts/model/model-host.js';
import { ModelLabMaker } from '#dist/hosts/model/model-lab.js';
import { openEvent } from '#dist/kernel/perf/open.js';
import type { PerfEvent } from '#dist/kernel/perf/perf-event.js';
import { ConstraintTable } from '#dist/kernel/pmu/constraint-table.js';
import { TaskSlots } from '#dist/kernel/pmu/task-slots.js';
import { type AccessTrace, AccessTraceBuilder, accessKinds } from '#dist/machines/sim/access-trace.js';
import type { SimTask } from '#dist/machines/sim/sim-task.js';
import { abilities, firstAbilities } from '#dist/scenario/fuzz/abilities.js';
import { fuzz } from '#dist/scenario/fuzz/fuzz.js';
import { PERF_TYPE_BREAKPOINT } from '#dist/uapi/perf-event-attr.js';
import { type NaiveEntry, NaiveTable } from './naive-table.ts';
import { recordTrace, syntheticTrace } from './recorded-trace.ts';

/** How much is measured. */
export interface ModelBenchOptions {
  /** Numbers of other tasks of the curve. */
  readonly others: readonly number[];
  readonly cycles: number;
  readonly rounds: number;
  readonly threads: number;
  /** Random scenarios a round. */
  readonly fuzzScenarios: number;
  readonly accesses: number;
  /** Recorded by valgrind if it is there; otherwise the trace is synthetic. */
  readonly record: boolean;
  readonly print: (line: string) => void;
}

/** What a full run measures. */
export const fullBench: Omit<ModelBenchOptions, 'print'> = {
  others: [10, 1000, 100_000, 1_000_000],
  cycles: 20_000,
  rounds: 9,
  threads: 512,
  fuzzScenarios: 200,
  accesses: 10_000_000,
  record: true,
};

/** Small enough for the tests. */
export const smallBench: Omit<ModelBenchOptions, 'print'> = {
  others: [10, 100],
  cycles: 100,
  rounds: 3,
  threads: 16,
  fuzzScenarios: 3,
  accesses: 20_000,
  record: false,
};

const nowNs = (): number => Number(process.hrtime.bigint());

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}

const spread = (values: readonly number[]): string =>
  `${Math.min(...values).toFixed(1)}..${Math.max(...values).toFixed(1)}`;

const watchAttr = (n: number, inherit = false) => ({
  type: PERF_TYPE_BREAKPOINT,
  bpType: 3,
  bpAddr: 0x10_0000n + BigInt(8 * n),
  bpLen: 1n,
  excludeKernel: true,
  ...(inherit ? { inherit } : {}),
});

function watch(host: ModelHost, task: SimTask, n: number, inherit = false): PerfEvent {
  return openEvent(host.kernel, { attr: watchAttr(n, inherit), caller: host.self, pid: task.tid, cpu: -1 });
}

interface Populated {
  readonly host: ModelHost;
  readonly others: number;
  readonly cpus: number;
  readonly task: SimTask;
  readonly bytesPerEvent: number;
  readonly samples: number[];
}

const heapBytes = (): number => {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

function populate(others: number, cpus: number): Populated {
  const host = new ModelHost({ cpus });
  const tasks: SimTask[] = [];
  for (let i = 0; i < others; i++) tasks.push(host.machine.spawn({ name: 'other', cpu: i % cpus }));
  const before = heapBytes();
  for (const task of tasks) for (let n = 0; n < 4; n++) watch(host, task, n);
  const bytesPerEvent = (heapBytes() - before) / (others * 4);
  return {
    host,
    others,
    cpus,
    task: host.machine.spawn({ name: 'measured', cpu: 0 }),
    bytesPerEvent,
    samples: [],
  };
}

function curve(options: ModelBenchOptions): void {
  const { print, cycles, rounds } = options;
  print(
    'Create and destroy one breakpoint of a task, while others hold four each (ns; interleaved; median and spread)',
  );
  print('  other tasks   CPUs        ns         spread   to the first   bytes an event');
  const cases = [
    ...options.others.map((others) => populate(others, 2)),
    populate(options.others[0] ?? 10, 256),
    populate(options.others.at(-2) ?? 10, 256),
  ];
  for (let round = -1; round < rounds; round++)
    for (const { host, task, samples } of cases) {
      const start = nowNs();
      for (let i = 0; i < cycles; i++) host.kernel.control.destroy(watch(host, task, i & 3));
      if (round >= 0) samples.push((nowNs() - start) / cycles);
    }
  const first = median(cases[0]?.samples ?? []);
  for (const { others, cpus, samples, bytesPerEvent } of cases)
    print(
      `  ${String(others).padStart(11)}${String(cpus).padStart(7)}${median(samples).toFixed(0).padStart(10)}${spread(samples).padStart(17)}${(median(samples) / first).toFixed(2).padStart(14)}x${(others >= 1000 ? bytesPerEvent.toFixed(0) : '-').padStart(16)}`,
    );
}

function naiveAgainstOurs(options: ModelBenchOptions): void {
  const { print, threads } = options;
  const cpus = 256;
  print(
    `\nThreads that inherit four breakpoints, ${threads} alive at a time, ${cpus} CPUs (docs/spec/02 section 8)`,
  );
  print('  table                                       total [s]      usecs/op');
  const row = (name: string, ns: number): void =>
    print(
      `  ${name.padEnd(40)}${(ns / 1e9).toFixed(6).padStart(13)}${(ns / 1000 / threads).toFixed(6).padStart(14)}`,
    );
  const naive = new NaiveTable(4, cpus);
  let start = nowNs();
  const held: NaiveEntry[] = [];
  for (let task = 0; task < threads; task++)
    for (let n = 0; n < 4; n++) {
      const entry = { task, cpu: -1 };
      if (!naive.reserve(entry)) throw new Error('the naive table admits four');
      held.push(entry);
    }
  for (const entry of held) naive.release(entry);
  row('naive: walks all breakpoints, each CPU', nowNs() - start);
  const table = new ConstraintTable({ slots: [4], possibleCpus: cpus, point: () => undefined });
  start = nowNs();
  const requests = [];
  for (let task = 0; task < threads; task++) {
    const taskSlots = new TaskSlots(1);
    for (let n = 0; n < 4; n++) {
      const request = { slotPool: 0, cpu: -1, taskSlots };
      if (table.reserve(request) !== 0) throw new Error('the table admits four');
      requests.push(request);
    }
  }
  for (const request of requests) table.release(request);
  row('ours: histograms', nowNs() - start);
  const host = new ModelHost({ cpus });
  const parent = host.machine.spawn({ name: 'parent' });
  for (const breakpoints of [4, 0]) {
    const events = Array.from({ length: breakpoints }, (_, n) => watch(host, parent, n, true));
    const samples: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      start = nowNs();
      const children = Array.from({ length: threads }, () => host.machine.clone(parent, { thread: true }));
      for (const child of children) host.machine.exit(child);
      samples.push(nowNs() - start);
    }
    row(`ours: create and end threads, -b ${breakpoints}`, median(samples));
    for (const event of events) host.kernel.control.destroy(event);
  }
}

/** Tasks of the curve of inheritance at most. */
const inheritOthersMax = 100_000;

/** How the number of tasks that hold breakpoints bears on a thread that inherits four: it should not. */
function inheritCurve(options: ModelBenchOptions): void {
  const { print, threads, rounds } = options;
  print(
    '\nCreate and end a thread that inherits four breakpoints, while others hold four each (us; median, spread)',
  );
  print('  other tasks   create        end       spread of create   to the first');
  const cases = options.others
    .filter((others) => others <= inheritOthersMax)
    .map((others) => {
      const { host, task } = populate(others, 2);
      for (let n = 0; n < 4; n++) watch(host, task, n, true);
      return { others, host, task, create: [] as number[], end: [] as number[] };
    });
  // Interleaved, the first rounds to warm up.
  for (let round = -2; round < rounds; round++)
    for (const { host, task, create, end } of cases) {
      const start = nowNs();
      const children = Array.from({ length: threads }, () => host.machine.clone(task, { thread: true }));
      const middle = nowNs();
      for (const child of children) host.machine.exit(child);
      if (round < 0) continue;
      create.push((middle - start) / threads / 1000);
      end.push((nowNs() - middle) / threads / 1000);
    }
  const first = median(cases[0]?.create ?? []);
  for (const { others, create, end } of cases)
    print(
      `  ${String(others).padStart(11)}${median(create).toFixed(2).padStart(9)}${median(end).toFixed(2).padStart(11)}${spread(create).padStart(23)}${(median(create) / first).toFixed(2).padStart(14)}x`,
    );
}

/** Reads every access as a replay has to, and does nothing with it. */
function bareWalk(trace: AccessTrace): number {
  const { addressLow, addressHigh, shape, length } = trace;
  let sum = 0;
  for (let i = 0; i < length; i++)
    sum = (sum + (addressLow[i] ?? 0) + (addressHigh[i] ?? 0) + (shape[i] ?? 0)) | 0;
  return sum;
}

/** Four blocks of 8 bytes that the trace never touches, in lines of 64 bytes that it does. */
function untouchedBlocks(trace: AccessTrace): bigint[] {
  const touched = new Map<number, number>();
  for (let i = 0; i < trace.length; i++) {
    const address = (trace.addressHigh[i] ?? 0) * 2 ** 32 + (trace.addressLow[i] ?? 0);
    const len = (trace.shape[i] ?? 0) & 0x3fff;
    for (let at = Math.floor(address / 8); at <= Math.floor((address + len - 1) / 8); at++) {
      const line = Math.floor(at / 8);
      touched.set(line, (touched.get(line) ?? 0) | (1 << (at % 8)));
    }
  }
  const blocks: bigint[] = [];
  for (const [line, bits] of touched)
    for (let n = 0; n < 8 && bits !== 0xff; n++)
      if ((bits & (1 << n)) === 0) {
        blocks.push(BigInt(line * 64 + n * 8));
        break;
      }
  const step = Math.max(1, Math.floor(blocks.length / 4));
  return [0, 1, 2, 3].map((n) => blocks[n * step] ?? 0x7000_0000n + BigInt(8 * n));
}

async function misses(options: ModelBenchOptions): Promise<void> {
  const { print } = options;
  const input = fileURLToPath(new URL('../../package-lock.json', import.meta.url));
  const { trace, description } = options.record
    ? await recordTrace(options.accesses, input)
    : { trace: syntheticTrace(options.accesses), description: 'synthetic' };
  print(`\nAn access that hits nothing, four watches armed (${description})`);
  const hosts = architectures.map(({ name, options: own }) => {
    const host = new ModelHost(own);
    const task = host.machine.spawn({ name: 'replay', cpu: 0 });
    const events = untouchedBlocks(trace).map((bpAddr) =>
      openEvent(host.kernel, {
        attr: { type: PERF_TYPE_BREAKPOINT, bpType: 3, bpAddr, bpLen: 8n },
        caller: host.self,
        pid: task.tid,
        cpu: -1,
      }),
    );
    return { name, host, task, events, replayed: [] as number[] };
  });
  const bare: number[] = [];
  let sum = 0;
  for (let round = -1; round < options.rounds; round++) {
    let start = nowNs();
    sum = bareWalk(trace);
    if (round >= 0) bare.push((nowNs() - start) / trace.length);
    for (const { host, task, replayed } of hosts) {
      start = nowNs();
      host.machine.perform(task, { type: 'replay', trace });
      if (round >= 0) replayed.push((nowNs() - start) / trace.length);
    }
  }
  print(`  bare walk   ${median(bare).toFixed(2)} ns an access (sum ${(sum >>> 0).toString(16)})`);
  const x86 = median(hosts[0]?.replayed ?? []);
  for (const { name, host, events, replayed } of hosts) {
    const hits = events.reduce((total, event) => total + host.kernel.control.totals(event).value, 0);
    print(
      `  replay ${name.padEnd(5)} ${median(replayed).toFixed(2)} ns an access, ${hits} hits; ${(median(replayed) / median(bare)).toFixed(2)}x the bare walk, ${(median(replayed) / x86).toFixed(2)}x x86`,
    );
  }
}

/** What each architecture's rows are measured on. */
const architectures: readonly { readonly name: string; readonly options: ModelHostOptions }[] = [
  { name: 'x86', options: {} },
  { name: 'arm64', options: { arm64: { brps: [6], wrps: [4] } } },
];

function hits(options: ModelBenchOptions): void {
  const stores = options.cycles * 5;
  const builder = new AccessTraceBuilder();
  for (let i = 0; i < stores; i++) {
    builder.add(accessKinds.instruction, 0x40_0000, 0, 4);
    builder.add(accessKinds.store, 0x10_0000 + 8 * (i & 3), 0, 1);
  }
  const trace = builder.finish();
  const hosts = architectures.map(({ name, options: own }) => {
    const host = new ModelHost(own);
    const task = host.machine.spawn({ name: 'hits', cpu: 0 });
    const events = [0, 1, 2, 3].map((n) => watch(host, task, n));
    return { name, host, task, events, samples: [] as number[], single: [] as number[] };
  });
  for (let round = -1; round < options.rounds; round++)
    for (const { host, task, samples, single } of hosts) {
      let start = nowNs();
      host.machine.perform(task, { type: 'replay', trace });
      if (round >= 0) samples.push((nowNs() - start) / stores);
      start = nowNs();
      for (let i = 0; i < options.cycles; i++)
        host.machine.perform(task, { type: 'store', at: 0x10_0000n, lenBytes: 1 });
      if (round >= 0) single.push((nowNs() - start) / options.cycles);
    }
  options.print('');
  const x86 = median(hosts[0]?.samples ?? []);
  for (const { name, host, events, samples, single } of hosts) {
    const counted = events.reduce((total, event) => total + host.kernel.control.totals(event).value, 0);
    options.print(
      `A counted hit: ${median(samples).toFixed(0)} ns (${spread(samples)}) in a replay, ${median(single).toFixed(0)} ns as an operation of its own; ${counted} counted on ${name}, ${(median(samples) / x86).toFixed(2)}x x86`,
    );
  }
}

/** The fields of a session's samples: identifier, ip, tid, time, cpu. */
const sessionSample = 0x1_0087;
/** Those and the address, period, read value, call chain and four registers. */
const richSample = 0x5_01bf;

function samples(options: ModelBenchOptions): void {
  const stores = options.cycles * 5;
  const builder = new AccessTraceBuilder();
  for (let i = 0; i < stores; i++) {
    builder.add(accessKinds.instruction, 0x40_0000, 0, 4);
    builder.add(accessKinds.store, 0x10_0000, 0, 1);
  }
  const trace = builder.finish();
  const cases = [
    { name: 'counted', attr: {} },
    { name: '48 bytes', attr: { samplePeriod: 1n, sampleType: sessionSample } },
    { name: '136 bytes', attr: { samplePeriod: 1n, sampleType: richSample, sampleRegsIntr: 0xfn } },
  ].map(({ name, attr }) => {
    const host = new ModelHost();
    const task = host.machine.spawn({ name, cpu: 0 });
    const event = openEvent(host.kernel, {
      attr: { ...watchAttr(0), ...attr },
      caller: host.self,
      pid: task.tid,
      cpu: -1,
    });
    const call = { dataPages: 64, readOnly: true, private: false };
    const { ring } = host.kernel.rings.map(event, call, host.self.credentials);
    return { name, host, task, ring, taken: [] as number[] };
  });
  for (let round = -1; round < options.rounds; round++)
    for (const { host, task, taken } of cases) {
      const start = nowNs();
      host.machine.perform(task, { type: 'replay', trace });
      if (round >= 0) taken.push((nowNs() - start) / stores);
    }
  const bare = median(cases[0]?.taken ?? []);
  options.print('\nA sample written to a ring, besides counting the hit (ns; interleaved; median)');
  for (const { name, taken, ring } of cases.slice(1)) {
    const head = new DataView(ring.memory).getBigUint64(1024, true);
    options.print(
      `  ${name.padEnd(12)}${(median(taken) - bare).toFixed(0).padStart(6)} of ${median(taken).toFixed(0)} (${spread(taken)}); ${head} bytes written`,
    );
  }
}

function switches(options: ModelBenchOptions): void {
  const host = new ModelHost();
  const tasks = ['A', 'B'].map((name) => host.machine.spawn({ name, cpu: 0 }));
  for (const task of tasks) for (let n = 0; n < 4; n++) watch(host, task, n);
  const samples: number[] = [];
  for (let round = -1; round < options.rounds; round++) {
    const start = nowNs();
    for (let i = 0; i < options.cycles; i++) host.machine.switchTo(host.machine.cpus[0]!, tasks[i & 1]!); // there are two, and a CPU 0
    if (round >= 0) samples.push((nowNs() - start) / options.cycles);
  }
  options.print(
    `A context switch between two tasks with four breakpoints each: ${median(samples).toFixed(0)} ns (${spread(samples)})`,
  );
}

/** Random scenarios a second with what the fuzzer could at first and with all it can: no less than half is wanted. */
async function fuzzing({ rounds, fuzzScenarios, print }: ModelBenchOptions): Promise<void> {
  const cases = [
    { name: 'first', abilities: firstAbilities, samples: [] as number[] },
    { name: 'all', abilities, samples: [] as number[] },
  ];
  for (let round = -1; round < rounds; round++)
    for (const { abilities, samples } of cases) {
      const start = nowNs();
      const { counts } = await fuzz({
        ...{ seed: round + 2, steps: 24, scenarios: fuzzScenarios, abilities },
        maker: new ModelLabMaker({ verify: true }),
      });
      if (round >= 0) samples.push((counts.steps * 1e9) / (nowNs() - start));
    }
  const [first, all] = cases.map(({ samples }) => median(samples));
  const told = cases.map(({ name, samples }) => `${median(samples).toFixed(0)} ${name} (${spread(samples)})`);
  print(
    `Fuzzing on the model alone, steps a second by abilities: ${told.join(', ')}; ratio ${((all ?? 0) / (first ?? 1)).toFixed(2)}`,
  );
}

/** Runs everything and prints its tables. */
export async function runModelBench(options: ModelBenchOptions): Promise<void> {
  hits(options);
  samples(options);
  switches(options);
  naiveAgainstOurs(options);
  inheritCurve(options);
  await fuzzing(options);
  await misses(options);
  options.print('');
  curve(options);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await runModelBench({
    ...(process.argv.includes('--small') ? smallBench : fullBench),
    print: (line) => console.log(line),
  });
