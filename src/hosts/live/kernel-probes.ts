import { isKernelError } from '../../base/kernel-error.ts';
import type { System } from '../../linux/system.ts';
import {
  encodePerfEventAttr,
  PERF_COUNT_SW_DUMMY,
  PERF_TYPE_BREAKPOINT,
  PERF_TYPE_SOFTWARE,
  type PerfEventAttr,
} from '../../uapi/perf-event-attr.ts';
import { PERF_EVENT_IOC_REFRESH } from '../../uapi/perf-event-ioctl.ts';
import { LiveCalls } from './live-calls.ts';
import { puppetLayout } from './puppet-layout.ts';
import type { PuppetStage } from './puppet-stage.ts';

/** Features that are found by trying. */
export const probedFeatures: readonly string[] = ['sticky-stop', 'pmu-resched'];

/** Attempts at what a switch of the task at the wrong moment hides. */
const attempts = 8;

/**
 * What a kernel does of docs/spec/09 "Header", `features`, found by trying it on the runner itself; `undefined`: it
 * refused a breakpoint at this moment, so nothing is known.
 */
export function probeKernel(system: System, stage: PuppetStage): readonly string[] | undefined {
  const calls = new LiveCalls(system, (cpu) => cpu);
  const address = stage.selfBase + BigInt(puppetLayout.data);
  const watch = { type: PERF_TYPE_BREAKPOINT, bpType: 2, bpAddr: address, bpLen: 8n, excludeKernel: true };
  const open = (attr: PerfEventAttr, groupFd = -1): number =>
    calls.perfEventOpen({ attr: encodePerfEventAttr(attr), pid: 0, cpu: -1, groupFd, flags: 0 });
  const store = (): void => {
    stage.perform(undefined, 'store8', [address, 0n, 1n, 1n]);
  };
  const count = (fd: number): bigint => {
    const bytes = calls.read(fd, 8);
    return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  };
  /** A limit that was reached leaves the event stopped for good. docs/spec/03 section 6.3. */
  const stickyStop = (): boolean => {
    const fd = open({ ...watch, samplePeriod: 1n });
    for (let n = 0; n < 2; n++) {
      calls.ioctl(fd, PERF_EVENT_IOC_REFRESH, 1);
      store();
    }
    return count(fd) === 1n;
  };
  /** A breakpoint that joins a running group of another PMU waits for a switch. docs/spec/03 section 3.2. */
  const waitsForSwitch = (): boolean => {
    const leader = open({
      type: PERF_TYPE_SOFTWARE,
      config: BigInt(PERF_COUNT_SW_DUMMY),
      excludeKernel: true,
    });
    const fd = open(watch, leader);
    store();
    return count(fd) === 0n;
  };
  const tried = (probe: () => boolean): boolean => {
    try {
      return probe();
    } finally {
      calls.closeAll();
    }
  };
  try {
    const features: string[] = [];
    if (tried(stickyStop)) features.push('sticky-stop');
    for (let n = 0; n < attempts; n++)
      if (tried(waitsForSwitch)) {
        features.push('pmu-resched');
        break;
      }
    return features;
  } catch (error) {
    if (isKernelError(error)) return undefined;
    throw error;
  }
}
