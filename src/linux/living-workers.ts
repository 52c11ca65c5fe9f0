import type { Worker } from 'node:worker_threads';

const living: Set<Worker> = new Set();

/** Remembers a worker until it has ended. */
export function noteWorker(worker: Worker): void {
  living.add(worker);
  worker.once('exit', () => living.delete(worker));
}

/**
 * Resolves when no noted worker runs any more, or after `limitMs`. A process that exits while a worker loads its native
 * library dies of it, behind everything that it had to say.
 */
export async function workersEnded(limitMs: number): Promise<void> {
  if (living.size === 0) return;
  const ended = [...living].map(
    (worker) => new Promise<void>((resolve) => worker.once('exit', () => resolve())),
  );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([Promise.all(ended), late]);
  clearTimeout(timer);
}
