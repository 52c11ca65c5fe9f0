import { type CheckContext, type Finding, judgeCount } from './finding.ts';
import { readProbeSamples, samplingAttr } from './probe-samples.ts';
import { ringPages } from './user-checks.ts';
import { atStage, ProbePipe, probeAttr, storeWord, withEvents } from './workplace.ts';

/** Accesses of the whole-CPU check. */
const accesses = 64;
/** Bytes of one read(2): the watched word. */
const readBytes = 8;
/** What is left in the pipe for the kernel to read at the watched kernel address. */
const pipeBytes = 64;
const pageMask = 0xfffn;

/** The kernel's own writes to a user's word are seen: a read(2) into it. */
export function checkKernelMode({ events, memory, surface }: CheckContext): Finding {
  const pipe = new ProbePipe(surface.system);
  try {
    return withEvents(events, (open) => {
      const address = memory.addressOf(0);
      const event = open(probeAttr({ access: 'w', address, lenBytes: readBytes, mode: 'kernel' }));
      pipe.write(readBytes);
      pipe.readTo(address, readBytes);
      // One call may be several hits: as many as the copy takes steps.
      const hits = Number(event.read().value);
      const detail = `${hits} ${hits === 1 ? 'hit' : 'hits'} (one read(2) of ${readBytes} bytes, at least 1 expected)`;
      return hits > 0
        ? { outcome: 'works', detail }
        : { outcome: 'fails', detail, failure: { type: 'silent' } };
    });
  } finally {
    pipe.close();
  }
}

/** A watch on every CPU, whatever runs there, sees this thread's stores. */
export function checkWholeCpu({ events, memory, surface }: CheckContext): Finding {
  const cpus = surface.tasks?.cpus ?? [];
  if (cpus.length === 0) return { outcome: 'skipped', detail: 'the online CPUs cannot be listed' };
  return withEvents(events, (open) => {
    const attr = probeAttr({ access: 'w', address: memory.addressOf(0), lenBytes: 4, mode: 'user' });
    const armed = cpus.map((cpu) => open(attr, { pid: -1, cpu }));
    storeWord(memory.words, 0, accesses);
    const seen = armed.reduce((sum, event) => sum + Number(event.read().value), 0);
    const where = `${accesses} stores, watched on ${cpus.length} ${cpus.length === 1 ? 'CPU' : 'CPUs'}`;
    // Whatever else runs may use the same address of its own: more hits are no fault.
    return seen > accesses
      ? { outcome: 'works', detail: `${seen} hits (${where}; the others are of other programs)` }
      : judgeCount(seen, accesses, where);
  });
}

/**
 * A watch on a kernel address fires. The address is that of a page which the kernel is about to read: when read(2)
 * copies from a pipe into a watched word, the source register of the copy points into the pipe's page. The bytes that
 * are left in the pipe lie in that page, and the next read(2) loads them.
 */
export function checkKernelAddress(context: CheckContext): Finding {
  const { events, memory, surface } = context;
  if (surface.kernel.machine !== 'x86_64') {
    return { outcome: 'skipped', detail: 'only on x86 it is known how to find a kernel address to read' };
  }
  const pipe = new ProbePipe(surface.system);
  try {
    pipe.write(pipeBytes);
    const page = pipePage(context, pipe);
    if (page === undefined) {
      return {
        outcome: 'skipped',
        detail: "no kernel address is known to fire at: the kernel's copy out of a pipe did not show one",
      };
    }
    return withEvents(events, (open) => {
      const address = page + BigInt(readBytes);
      const attr = probeAttr({ access: 'rw', address, lenBytes: readBytes, mode: 'kernel' });
      const event = open(samplingAttr(attr, { si: false }));
      const ring = atStage('ring', () => event.mapRing(ringPages));
      pipe.readTo(memory.addressOf(0), readBytes);
      const hits = Number(event.read().value);
      const samples = readProbeSamples(ring);
      const detail = `${hits} ${hits === 1 ? 'hit' : 'hits'} (the kernel read ${readBytes} watched bytes of its own, at least 1 expected)`;
      if (hits === 0)
        return { outcome: 'fails', detail: `armed but not fired: ${detail}`, failure: { type: 'silent' } };
      if (samples.length !== hits || samples.some((sample) => !sample.kernel)) {
        const problem = `${samples.length} samples for ${hits} hits, all of kernel code expected`;
        return { outcome: 'fails', detail, failure: { type: 'bad samples', problem } };
      }
      return { outcome: 'works', detail };
    });
  } finally {
    pipe.close();
  }
}

/** Reads the pipe's first bytes; the kernel address of the page they were in, if the copy showed it. */
function pipePage({ events, memory }: CheckContext, pipe: ProbePipe): bigint | undefined {
  return withEvents(events, (open) => {
    const target = memory.addressOf(0);
    const attr = probeAttr({ access: 'w', address: target, lenBytes: readBytes, mode: 'kernel' });
    const event = open(samplingAttr(attr, { si: true }));
    const ring = atStage('ring', () => event.mapRing(ringPages));
    pipe.readTo(target, readBytes);
    // A new pipe's first bytes are at the start of a page; the register is there or just behind what was copied.
    const sources = readProbeSamples(ring).flatMap(({ si }) => (si === undefined ? [] : [si]));
    const source = sources.find((si) => si >> 63n === 1n && (si & pageMask) <= BigInt(readBytes));
    return source === undefined ? undefined : source & ~pageMask;
  });
}
