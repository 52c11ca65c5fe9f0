import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { parseMaps } from '../../symbols/maps.ts';
import { type CheckContext, type Finding, judgeCount } from './finding.ts';
import { type ProbeSample, readProbeSamples, samplingAttr } from './probe-samples.ts';
import { atStage, loadWord, probeAttr, storeWord, withEvents } from './workplace.ts';

/** Accesses of each check. */
const accesses = 64;
/** Data pages of a ring: room for all samples of a check. */
export const ringPages = 1;
/** The watched word. */
const word = 0;

/** Stores of this thread to a word of its own are counted one for one, and each brings a sample. */
export function checkUserWrite({ events, memory, surface }: CheckContext): Finding {
  const attr = probeAttr({ access: 'w', address: memory.addressOf(word), lenBytes: 4, mode: 'user' });
  const counted = withEvents(events, (open) => {
    const event = open(attr);
    storeWord(memory.words, word, accesses);
    loadWord(memory.words, word, accesses); // no hits
    storeWord(memory.words, word + 1, accesses); // no hits
    return Number(event.read().value);
  });
  const finding = judgeCount(counted, accesses, `${accesses} stores`);
  if (finding.outcome !== 'works') return finding;
  const samples = withEvents(events, (open) => {
    const event = open(samplingAttr(attr, { si: false }));
    const ring = atStage('ring', () => event.mapRing(ringPages));
    storeWord(memory.words, word, accesses);
    return readProbeSamples(ring);
  });
  const problem = sampleProblem(samples, surface);
  const detail = `${finding.detail}, ${samples.length} of ${accesses} samples`;
  if (problem === undefined) return { outcome: 'works', detail };
  return { outcome: 'fails', detail, failure: { type: 'bad samples', problem } };
}

/** What is wrong with the samples of {@link accesses} stores of this thread. */
function sampleProblem(
  samples: readonly ProbeSample[],
  { tasks }: CheckContext['surface'],
): string | undefined {
  if (samples.length !== accesses) return `${samples.length} samples for ${accesses} stores`;
  if (samples.some((sample) => sample.kernel)) return 'stores of user code are shown as made by the kernel';
  if (tasks === undefined) return undefined;
  const threads = new Set(tasks.threads(tasks.self));
  if (samples.some(({ pid, tid }) => pid !== tasks.self || !threads.has(tid))) {
    // perf tells the numbers of the opener's pid namespace, which are those of /proc.
    return 'the thread of a sample is none of this process';
  }
  const code = parseMaps(tasks.maps(tasks.self)).filter((mapping) => mapping.executable);
  if (samples.some(({ ip }) => !code.some(({ start, end }) => start <= ip && ip < end))) {
    return 'the code address of a sample is not in executable memory';
  }
  return undefined;
}

/** Loads and stores of this thread are counted one for one. */
export function checkUserReadWrite({ events, memory }: CheckContext): Finding {
  return withEvents(events, (open) => {
    const event = open(
      probeAttr({ access: 'rw', address: memory.addressOf(word), lenBytes: 4, mode: 'user' }),
    );
    storeWord(memory.words, word, accesses / 2);
    loadWord(memory.words, word, accesses / 2);
    const seen = Number(event.read().value);
    return judgeCount(seen, accesses, `${accesses / 2} stores, ${accesses / 2} loads`);
  });
}

/** Calls of a function of the C library are counted one for one. */
export function checkUserExecute({ events, surface }: CheckContext): Finding {
  const { ffi } = surface.system;
  const address = ffi.functionAddress('labs');
  if (address === 0n) return { outcome: 'skipped', detail: 'the C library shows no function labs() to call' };
  return withEvents(events, (open) => {
    const event = open(probeAttr({ access: 'x', address, lenBytes: 8, mode: 'user' }));
    for (let i = 0; i < accesses; i++) ffi.call(Number(address), -i);
    return judgeCount(Number(event.read().value), accesses, `${accesses} calls of labs()`);
  });
}

/** Stores to the array in `workerData`; plain JavaScript, as workers take text. */
const workerText = `
const words = new Int32Array(require('node:worker_threads').workerData);
for (let i = 0; i < ${accesses}; i++) words[0] = i;
`;

/** Stores of a thread that is created after the watch was armed are counted. */
export function checkNewThreads({ events, surface }: CheckContext): Promise<Finding> {
  const shared = new SharedArrayBuffer(64);
  const words = new Int32Array(shared);
  return withEvents(events, async (open) => {
    const address = surface.system.ffi.addressOf(words);
    const event = open({ ...probeAttr({ access: 'w', address, lenBytes: 4, mode: 'user' }), inherit: true });
    const worker = new Worker(workerText, { eval: true, workerData: shared, execArgv: [], env: {} });
    await once(worker, 'exit'); // rejects if the worker throws
    return judgeCount(Number(event.read().value), accesses, `${accesses} stores of a new thread`);
  });
}
