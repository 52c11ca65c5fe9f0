import { KernelError } from '../base/kernel-error.ts';
import type { Files } from '../surface/files.ts';
import type { Surface } from '../surface/surface.ts';

/** How many processes are searched. */
const mostProcesses = 4096;

/**
 * Who may hold debug registers, in words, the likeliest first: whoever traces `target`, processes that hold perf
 * events, and those that trace others. Without `target` this process counts too. Nothing tells for certain: an event
 * need not be a breakpoint, and what belongs to other users cannot be seen.
 */
export function findRegisterHolders({ tasks, files }: Surface, target?: number): string[] {
  if (tasks === undefined || files === undefined) return [];
  const name = (pid: number): string => `process ${pid} (${attempt(() => tasks.name(pid)) ?? '?'})`;
  const tracerOf = (tid: number): number => attempt(() => tasks.status(tid).tracerPid) ?? 0;
  const found: string[] = [];
  const ownTracer = target === undefined ? 0 : tracerOf(target);
  if (ownTracer !== 0 && ownTracer !== tasks.self) found.push(`${name(ownTracer)}, which traces the target`);
  const tracers = new Set<number>();
  for (const pid of tasks.processes().slice(0, mostProcesses)) {
    tracers.add(tracerOf(pid));
    if (pid === tasks.self && target !== undefined) continue;
    const held = heldEvents(files, pid);
    if (held === 0) continue;
    const whose = pid === tasks.self ? 'this process itself' : name(pid);
    found.push(`${whose}, which holds ${held} perf ${held === 1 ? 'event' : 'events'}`);
  }
  for (const tracer of tracers) {
    if (tracer !== 0 && tracer !== tasks.self && tracer !== ownTracer)
      found.push(`${name(tracer)}, which traces another`);
  }
  return found;
}

/** File descriptors of a process that are perf events; 0 where they cannot be seen. */
function heldEvents(files: Files, pid: number): number {
  const fds = attempt(() => files.list(`/proc/${pid}/fd`)) ?? [];
  return fds.filter(
    (fd) => attempt(() => files.readlink(`/proc/${pid}/fd/${fd}`)) === 'anon_inode:[perf_event]',
  ).length;
}

/** What may be gone, or another user's, meanwhile. */
function attempt<Result>(call: () => Result): Result | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof KernelError) return undefined;
    throw error;
  }
}
