import type { System } from './system.ts';

/** How long one wait on a pool thread lasts: a pending one keeps Node from exiting. */
const roundMs = 500;
const pollfdBytes = 8;
const POLLIN = 1;
const EFD_CLOEXEC = 0o2000000;

/** A wait that can be given up; then `ended` never settles. */
export interface Wait {
  readonly ended: Promise<void>;
  close(): void;
}

/**
 * Resolves when each of `fds` has shown one of `events` (or an error, or a hang-up) in poll(2). Waits on a pool
 * thread, not in the event loop.
 */
export function waitForFds(system: System, fds: readonly number[], events: number, done: () => void): Wait {
  let givenUp = false;
  let ended = false;
  // Giving up wakes the poll at once: while it sleeps, it keeps the files that it polls open.
  const wakeFd = system.check(system.ffi.eventfd(0, EFD_CLOEXEC), 'eventfd()');
  const wait = async (): Promise<void> => {
    const lengthBytes = Math.max(4096, (fds.length + 1) * pollfdBytes);
    const array = system.map(lengthBytes);
    try {
      const view = new DataView(array.buffer);
      let left = [...fds];
      while (!givenUp && left.length > 0) {
        for (const [i, fd] of left.entries()) {
          view.setInt32(i * pollfdBytes, fd, true);
          view.setUint32(i * pollfdBytes + 4, events, true);
        }
        view.setInt32(left.length * pollfdBytes, wakeFd, true);
        view.setUint32(left.length * pollfdBytes + 4, POLLIN, true);
        if ((await system.ffi.pollAsync(array.address, left.length + 1, roundMs)) > 0) {
          left = left.filter((_, i) => view.getUint16(i * pollfdBytes + 6, true) === 0);
        }
      }
    } finally {
      system.ffi.munmap(array.address, lengthBytes);
      system.ffi.close(wakeFd);
      ended = true;
      done();
    }
    if (givenUp) await new Promise(() => {}); // nobody waits any more
  };
  return {
    ended: wait(),
    close: () => {
      if (givenUp || ended) return;
      givenUp = true;
      system.scratch((scratch) => {
        const one = scratch.alloc(8);
        one.view.setBigUint64(0, 1n, true);
        system.ffi.write(wakeFd, one.address, 8);
      });
    },
  };
}
