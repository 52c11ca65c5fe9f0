import { KernelError } from '../base/kernel-error.ts';
import type { Surface } from '../surface/surface.ts';
import type { AddressSpace } from '../symbols/address-space.ts';
import type { ThreadLocals } from '../symbols/expression/evaluator.ts';
import { GlibcThreads } from '../symbols/glibc-threads.ts';

/**
 * The thread-local variables of process `pid`. `tid` is the thread that is meant where an expression names none; without
 * one, it must be the only thread.
 */
export function threadLocalsOf(
  surface: Surface,
  process: { readonly pid: number; readonly tid?: number | undefined; readonly space: AddressSpace },
): ThreadLocals {
  const { pid, space } = process;
  const glibc = new GlibcThreads(space);
  return {
    address(module, offset, wanted) {
      let threads: readonly number[] = [];
      try {
        threads = surface.tasks?.threads(pid) ?? [];
      } catch (error) {
        if (!(error instanceof KernelError)) throw error; // it has ended
      }
      const tid = wanted ?? process.tid ?? (threads.length === 1 ? threads[0] : undefined);
      if (tid === undefined) {
        const listed = threads.slice(0, 8).map((thread) => `@${thread}`);
        return `every thread has its own; say whose, behind it: ${listed.join(', ')}${threads.length > 8 ? ', …' : ''}`;
      }
      if (!threads.includes(tid)) return `process ${pid} has no thread ${tid}`;
      const address = glibc.address(module, offset, innerTid(surface, pid, tid));
      return typeof address === 'string' ? address : { address, tid };
    },
  };
}

/** The thread's number in its own namespace: what it knows itself by. Source: proc(5), "NSpid". */
function innerTid(surface: Surface, pid: number, tid: number): number {
  try {
    const status = surface.files?.text(`/proc/${pid}/task/${tid}/status`) ?? '';
    return Number(/^NSpid:.*?(\d+)\s*$/m.exec(status)?.[1] ?? tid);
  } catch (error) {
    if (error instanceof KernelError) return tid;
    throw error;
  }
}
