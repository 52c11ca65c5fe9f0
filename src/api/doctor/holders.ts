import type { Surface } from '../../surface/surface.ts';

/** How many processes are searched. */
const mostProcesses = 4096;

/** Who may hold debug registers, in words: processes with perf events, and those that trace another one. */
export function findHolders({ tasks, files }: Surface): string[] {
  if (tasks === undefined || files === undefined) return [];
  const found: string[] = [];
  const tracers = new Set<number>();
  for (const pid of tasks.processes().slice(0, mostProcesses)) {
    try {
      tracers.add(tasks.status(pid).tracerPid);
      const held = files
        .list(`/proc/${pid}/fd`)
        .filter((fd) => target(files, `/proc/${pid}/fd/${fd}`) === 'anon_inode:[perf_event]').length;
      const whose = pid === tasks.self ? 'this process itself' : `process ${pid} (${tasks.name(pid)})`;
      if (held > 0) found.push(`${whose}, which holds ${held} perf ${held === 1 ? 'event' : 'events'}`);
    } catch {
      // Of another user, or ended: cannot be told.
    }
  }
  for (const tracer of tracers) {
    if (tracer === 0 || tracer === tasks.self) continue;
    try {
      found.push(`process ${tracer} (${tasks.name(tracer)}), which traces another`);
    } catch {
      // It has ended.
    }
  }
  return found;
}

function target(files: NonNullable<Surface['files']>, path: string): string | undefined {
  try {
    return files.readlink(path);
  } catch {
    return undefined; // closed meanwhile
  }
}
