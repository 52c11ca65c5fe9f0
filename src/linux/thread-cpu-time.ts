import type { System } from './system.ts';

const CLOCK_THREAD_CPUTIME_ID = 3;

/** CPU time in nanoseconds that the calling thread used. Source: clock_gettime(2). */
export function threadCpuTimeNs(system: System): number {
  return system.scratch((scratch) => {
    const out = scratch.alloc(16);
    system.check(
      system.ffi.clockGettime(CLOCK_THREAD_CPUTIME_ID, out.address),
      'clock_gettime(CLOCK_THREAD_CPUTIME_ID)',
    );
    return Number(out.view.getBigInt64(0, true)) * 1e9 + Number(out.view.getBigInt64(8, true));
  });
}
