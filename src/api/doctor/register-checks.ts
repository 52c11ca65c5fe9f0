import { errnoValues } from '../../base/errno.ts';
import { isKernelError, KernelError } from '../../base/kernel-error.ts';
import type { PerfEvent } from '../../surface/events.ts';
import { SIGTRAP } from '../../uapi/signal.ts';
import { explainFull } from './explain.ts';
import { type CheckContext, type Finding, judgeCount } from './finding.ts';
import {
  atStage,
  loadWord,
  type OpenEvent,
  type Probe,
  probeAttr,
  StagedRefusal,
  storeWord,
  withEvents,
} from './workplace.ts';

/** More registers than any architecture has: where counting them gives up. */
const mostSlots = 64;
/** Registers of every x86 CPU. */
const x86Slots = 4;
/** Accesses of the read-only check. */
const accesses = 16;
const AT_ENTRY = 9n;

/** A watch on the word `2 * index`, or a breakpoint on its address: nothing has to be there to run. */
function slotProbe(context: CheckContext, access: 'w' | 'x', index: number): Probe {
  const address = context.memory.addressOf(2 * index);
  return { access, address, lenBytes: access === 'x' ? 8 : 4, mode: 'user' };
}

/** Opens events until the kernel says that no register is left. */
function fill(context: CheckContext, open: OpenEvent, access: 'w' | 'x'): PerfEvent[] {
  const opened: PerfEvent[] = [];
  while (opened.length < mostSlots) {
    const event = openUnlessFull(open, slotProbe(context, access, opened.length));
    if (event === undefined) break;
    opened.push(event);
  }
  return opened;
}

function openUnlessFull(open: OpenEvent, probe: Probe): PerfEvent | undefined {
  try {
    return open(probeAttr(probe));
  } catch (error) {
    if (error instanceof StagedRefusal && isKernelError(error.refusal, 'ENOSPC')) return undefined;
    throw error;
  }
}

/** How many registers are free, whether each of them fires, and whether code and data take from the same ones. */
export function checkSlots(context: CheckContext): Finding {
  const { events, memory, surface } = context;
  const data = withEvents(events, (open) => {
    const armed = fill(context, open, 'w');
    for (const [i] of armed.entries()) storeWord(memory.words, 2 * i, 1);
    const fired = armed.filter((event) => event.read().value === 1n).length;
    const codeBeside = openUnlessFull(open, slotProbe(context, 'x', mostSlots)) !== undefined;
    return { count: armed.length, fired, codeBeside };
  });
  const code = withEvents(events, (open) => {
    const armed = fill(context, open, 'x');
    const dataBeside = openUnlessFull(open, slotProbe(context, 'w', mostSlots)) !== undefined;
    return { count: armed.length, dataBeside };
  });
  if (data.count === 0) {
    const operation = `perf_event_open(a ${code.count === 0 ? 'watch of any kind' : 'data watch'})`;
    throw new StagedRefusal('open', new KernelError({ errno: errnoValues.ENOSPC, operation }));
  }
  const slots = { data: data.count, code: code.count, shared: !data.codeBeside && !code.dataBeside };
  const count = slots.shared
    ? `${data.count} free, shared by code and data`
    : `${data.count} for data and ${code.count} for code free`;
  const detail = `${count}; ${data.fired} of ${data.count} fired together`;
  if (data.fired < data.count) {
    return data.fired === 0
      ? { outcome: 'fails', detail, failure: { type: 'silent' } }
      : { outcome: 'fails', detail, failure: { type: 'miscounted', seen: data.fired, expected: data.count } };
  }
  if (surface.kernel.machine !== 'x86_64' || data.count >= x86Slots)
    return { outcome: 'works', detail, slots };
  return {
    outcome: 'works',
    detail: `${detail}; others hold ${x86Slots - data.count} of the ${x86Slots}`,
    partly: explainFull(context.holders()),
    slots,
  };
}

/** A watch for reads alone: most CPUs have none, which is no fault. */
export function checkReadOnly({ events, memory, surface }: CheckContext): Finding {
  return withEvents(events, (open) => {
    let event: PerfEvent;
    try {
      event = open(probeAttr({ access: 'r', address: memory.addressOf(0), lenBytes: 4, mode: 'user' }));
    } catch (error) {
      if (!(error instanceof StagedRefusal && isKernelError(error.refusal, 'EINVAL'))) throw error;
      const cpu = surface.kernel.machine === 'x86_64' ? 'x86 has no watch' : 'this CPU has no watch';
      return { outcome: 'skipped', detail: `${cpu} for reads alone (EINVAL, as expected); use :rw` };
    }
    storeWord(memory.words, 0, accesses); // no hits
    loadWord(memory.words, 0, accesses);
    return judgeCount(
      Number(event.read().value),
      accesses,
      `${accesses} loads; ${accesses} stores not counted`,
    );
  });
}

/**
 * A breakpoint in a child's debug registers, set through ptrace(2), stops it: at its entry point. The child is this
 * program's own Node, which would run an empty script and print nothing; it is killed in any case.
 */
export async function checkPtrace({ surface }: CheckContext): Promise<Finding> {
  const { tasks, debugRegisters } = surface;
  if (tasks === undefined || debugRegisters === undefined) {
    return {
      outcome: 'skipped',
      detail: `not on ${surface.kernel.machine}: debug registers are poked on x86 alone`,
    };
  }
  const request = { path: process.execPath, argv: ['node', '-e', '0'], env: [] };
  const child = await launchAtStage(tasks.launch(request));
  try {
    const entry = entryPoint(tasks.auxv(child.pid));
    if (entry === undefined) return { outcome: 'skipped', detail: "the child's entry point is not told" };
    return atStage('ptrace', () => {
      debugRegisters.poke(child, 0, entry);
      debugRegisters.poke(child, 7, 1n); // L0, execute, length 1
      const signal = debugRegisters.continueToStop(child);
      if (signal === undefined) {
        return { outcome: 'fails', detail: 'the child ran to its end', failure: { type: 'silent' } };
      }
      const dr6 = debugRegisters.peek(child, 6);
      if (signal === SIGTRAP && (dr6 & 1n) === 1n) {
        return {
          outcome: 'works',
          detail: 'a child stopped at its entry point: SIGTRAP, DR6 names register 0',
        };
      }
      const message = `the child stopped with signal ${signal} and DR6 0x${dr6.toString(16)}, not with SIGTRAP and bit 0`;
      return { outcome: 'fails', detail: 'a stop of another kind', failure: { type: 'unexpected', message } };
    });
  } finally {
    child.kill();
  }
}

async function launchAtStage<Result>(launch: Promise<Result>): Promise<Result> {
  try {
    return await launch;
  } catch (error) {
    return atStage('ptrace', () => {
      throw error;
    });
  }
}

/** AT_ENTRY of an auxiliary vector: pairs of u64. Source: getauxval(3). */
function entryPoint(auxv: Uint8Array): bigint | undefined {
  const view = new DataView(auxv.buffer, auxv.byteOffset, auxv.byteLength);
  for (let at = 0; at + 16 <= auxv.byteLength; at += 16) {
    if (view.getBigUint64(at, true) === AT_ENTRY) return view.getBigUint64(at + 8, true);
  }
  return undefined;
}
