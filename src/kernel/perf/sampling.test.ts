import { describe, expect, it } from 'vitest';
import { ModelHost } from '../../hosts/model/model-host.ts';
import { tickNs } from '../../machines/sim/sim-machine.ts';
import { RawRing } from '../../ring/raw-ring.ts';
import { encodePerfEventAttr, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { PERF_EVENT_IOC_PERIOD } from '../../uapi/perf-event-ioctl.ts';
import {
  PERF_RECORD_SAMPLE,
  PERF_RECORD_THROTTLE,
  PERF_RECORD_UNTHROTTLE,
} from '../../uapi/perf-event-ring.ts';

const at = 0x1000n;
const [sample, throttle, unthrottle] = ['sample', 'throttle', 'unthrottle'];
const names = new Map([
  [PERF_RECORD_SAMPLE, sample],
  [PERF_RECORD_THROTTLE, throttle],
  [PERF_RECORD_UNTHROTTLE, unthrottle],
]);

/** A task with one sampling breakpoint that has a ring. */
function start(attr: Partial<PerfEventAttr>, features: readonly string[] = []) {
  const host = new ModelHost({ verify: true, features });
  const task = host.machine.spawn({ name: 'A', cpu: 0 });
  const { calls } = host;
  const open = (more: Partial<PerfEventAttr>, groupFd = -1) =>
    calls.perfEventOpen({
      attr: encodePerfEventAttr({ type: 5, bpType: 2, bpAddr: at, bpLen: 8n, samplePeriod: 1n, ...more }),
      pid: task.tid,
      cpu: -1,
      groupFd,
      flags: 0,
    });
  const fd = open(attr);
  const mapped = calls.mmap(fd, { dataPages: 8, readOnly: false, private: false });
  const ring = new RawRing(mapped.memory, mapped.pageBytes);
  return {
    host,
    task,
    fd,
    open,
    store: (times = 1, where = at) => {
      for (let n = 0; n < times; n++) host.machine.perform(task, { type: 'store', at: where, lenBytes: 8 });
    },
    period: (value: bigint) =>
      calls.ioctl(fd, PERF_EVENT_IOC_PERIOD, new Uint8Array(new BigUint64Array([value]).buffer)),
    /** Types of the records since the last call. */
    records: () => {
      const from = ring.tail;
      ring.tail = ring.head;
      return ring
        .records(from, ring.head)
        .map((bytes) => names.get(new DataView(bytes.buffer).getUint32(0, true)));
    },
    count: () => host.kernel.control.totals(calls.event(fd)).value,
  };
}

describe('throttling', () => {
  // 100000 samples a second at 250 ticks a second.
  const limit = 400;

  it('stops an event at the second overflow of a hit beyond the limit of a tick, until the next tick', () => {
    const { host, store, period, records, count } = start({});
    store(limit);
    expect(records()).toHaveLength(limit);
    period(3n);
    store();
    // The overflow that throttles writes its sample all the same.
    expect(records()).toEqual([sample, throttle, sample]);
    store(7);
    expect([records(), count()]).toEqual([[], limit + 1]);
    host.machine.advance(tickNs);
    expect(records()).toEqual([unthrottle]);
    store(3);
    expect(records()).toEqual([sample]);
    host.close();
  });

  it('never stops an event of period 1', () => {
    const { host, store, records, count } = start({});
    for (let n = 0; n < 5; n++) {
      store(limit);
      expect(records()).toEqual(Array.from({ length: limit }, () => sample));
    }
    expect(count()).toBe(5 * limit);
    host.close();
  });

  it('ends when the task is switched in again; a stop that sticks stays', () => {
    for (const features of [[], ['sticky-stop']]) {
      const { host, task, store, period, records, count } = start({}, features);
      store(limit);
      records();
      period(3n);
      store();
      records();
      host.machine.reschedule(task);
      expect(records()).toEqual([unthrottle]);
      store(3);
      expect(count()).toBe(limit + (features.length === 0 ? 4 : 1));
      period(3n);
      store();
      expect(count()).toBe(limit + (features.length === 0 ? 5 : 2));
      host.close();
    }
  });

  it('stops the whole group, and IOC_PERIOD does not wait for the tick', () => {
    const { host, fd, open, store, period, records } = start({});
    const sibling = open({ bpAddr: at + 8n, samplePeriod: 0n }, fd);
    const counted = () => host.kernel.control.totals(host.calls.event(sibling)).value;
    store(limit);
    period(3n);
    store();
    store(2, at + 8n);
    expect(counted()).toBe(0);
    records();
    period(1n);
    expect(records()).toEqual([unthrottle]);
    store();
    expect(records()[0]).toBe(sample);
    host.machine.advance(tickNs);
    store(2, at + 8n);
    expect(counted()).toBe(2);
    host.close();
  });
});

describe('frequency mode', () => {
  it('moves the period towards what gives the frequency', () => {
    // A hit in 15 us, as a real trap takes, and a thousand samples a second: a sample in about 67 hits.
    const { host, task, records } = start({ freq: true, samplePeriod: 1000n });
    const hits = (times: number) => {
      for (let n = 0; n < times; n++) {
        host.machine.perform(task, { type: 'store', at, lenBytes: 8 });
        host.machine.advance(14_990);
      }
      return records().length;
    };
    hits(20_000);
    const taken = hits(20_000);
    expect(taken).toBeGreaterThan(150);
    expect(taken).toBeLessThan(450);
    host.close();
  });
});
