import { describe, expect, test } from 'vitest';
import { type ErrnoName, errnoValues } from '../base/errno.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { EventCounts, Events, EventTarget, HitDrain, PerfEvent, Ring } from '../surface/events.ts';
import type { Tasks } from '../surface/tasks.ts';
import { PERF_TYPE_BREAKPOINT, type PerfEventAttr } from '../uapi/perf-event-attr.ts';
import { Armed, type Scope } from './arm.ts';
import type { EventOptions } from './event-attrs.ts';
import type { PlannedWatch } from './plan.ts';

const refusal = (code: ErrnoName, operation: string): KernelError =>
  new KernelError({ errno: errnoValues[code], operation });

/** An event of the fake kernel. */
class FakeEvent implements PerfEvent {
  readonly attr: PerfEventAttr;
  readonly target: EventTarget;
  readonly number: bigint;
  readonly #kernel: FakeKernel;
  open = true;
  enabled: boolean;
  output: FakeEvent | undefined;
  ring: Ring | undefined;
  counts: EventCounts = { value: 0n };

  constructor(kernel: FakeKernel, attr: PerfEventAttr, target: EventTarget, number: bigint) {
    this.#kernel = kernel;
    this.attr = attr;
    this.target = target;
    this.number = number;
    this.enabled = attr.disabled !== true;
  }

  get isBreakpoint(): boolean {
    return this.attr.type === PERF_TYPE_BREAKPOINT;
  }

  #alive(): void {
    if (!this.open) throw refusal('EBADF', 'a closed event');
  }

  id(): bigint {
    this.#alive();
    return this.number;
  }

  enable(): void {
    this.#alive();
    if (this.attr.samplePeriod === 1n && this.output === undefined)
      throw new Error('samples would be thrown away');
    this.enabled = true;
  }

  disable(): void {
    this.#alive();
    this.enabled = false;
  }

  modify(): void {
    throw new Error('not used here');
  }

  setOutput(event: PerfEvent): void {
    this.#alive();
    if (!(event instanceof FakeEvent) || !event.open) throw refusal('EBADF', 'SET_OUTPUT');
    if (event.target.cpu !== this.target.cpu || event.ring === undefined)
      throw refusal('EINVAL', 'SET_OUTPUT');
    this.output = event;
  }

  read(): EventCounts {
    this.#alive();
    return this.counts;
  }

  mapRing(dataPages: number): Ring {
    this.#alive();
    if (this.attr.inherit === true && this.target.cpu < 0) throw refusal('EINVAL', 'mmap');
    if (dataPages > this.#kernel.mostRingPages) throw refusal(this.#kernel.ringRefusal, 'mmap');
    this.ring = {
      dataBytes: dataPages * 4096,
      memory: new ArrayBuffer((dataPages + 1) * 4096),
      pageBytes: 4096,
    };
    return this.ring;
  }

  close(): void {
    this.open = false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Threads and events, and what happens while they are opened. */
class FakeKernel {
  readonly threads: number[];
  readonly events: FakeEvent[] = [];
  /** Inherited: thread, and the event that its copy belongs to. */
  readonly inherited: { tid: number; event: FakeEvent }[] = [];
  readonly drained = { rings: [] as FakeEvent[], watches: new Map<FakeEvent, number>(), dropsDoubles: false };
  /** Nanoseconds; every call takes one microsecond. */
  time = 1_000_000_000n;
  cpus: number[] = [0, 1];
  registers = 4;
  mostRingPages = 512;
  ringRefusal: ErrnoName = 'EPERM';
  /** Called before an event is opened, with how many have been. */
  beforeOpen: (opened: number) => void = () => {};
  beforeList: (lists: number) => void = () => {};
  #opened = 0;
  #lists = 0;

  constructor(threads: number[]) {
    this.threads = threads;
  }

  get live(): FakeEvent[] {
    return this.events.filter((event) => event.open);
  }

  /** Open events of what is watched: not those of this process that only hold a ring. */
  get watching(): FakeEvent[] {
    return this.live.filter((event) => event.target.pid !== 0);
  }

  /** Breakpoint events that serve a thread on a CPU: its own and those that it inherited. */
  on(tid: number, cpu: number, address: bigint): number {
    const serves = (event: FakeEvent): boolean =>
      event.open && event.isBreakpoint && event.target.cpu === cpu && event.attr.bpAddr === address;
    return (
      this.live.filter((event) => serves(event) && event.target.pid === tid).length +
      this.inherited.filter((copy) => copy.tid === tid && serves(copy.event)).length
    );
  }

  /** A thread makes another, on a CPU: events are inherited, and those of this CPU that ask for it tell. */
  clone(parent: number, tid: number, cpu: number): void {
    this.threads.push(tid);
    const own = this.live.filter((event) => event.target.pid === parent);
    const copies = this.inherited.filter((copy) => copy.tid === parent).map((copy) => copy.event);
    for (const event of [...own, ...copies]) {
      if (event.attr.inherit !== true) continue;
      this.inherited.push({ tid, event });
      if (event.attr.task === true && event.target.cpu === cpu) this.#writeFork(event, parent, tid);
    }
  }

  end(tid: number): void {
    this.threads.splice(this.threads.indexOf(tid), 1);
  }

  #writeFork(event: FakeEvent, parent: number, tid: number): void {
    const ring = (event.output ?? event).ring;
    if (ring === undefined) return;
    const control = new BigInt64Array(ring.memory, 0, 512);
    const words = new Uint32Array(ring.memory, ring.pageBytes);
    const low = Number(event.number & 0xffff_ffffn);
    // header, pid, ppid, tid, ptid, time; then tid, time, cpu, identifier
    const time = [Number(this.time & 0xffff_ffffn), Number(this.time >> 32n)];
    const id = [low, Number(event.number >> 32n)];
    const record = [7, 64 << 16, 1, 1, tid, parent, ...time, 1, tid, ...time, event.target.cpu, 0, ...id];
    const at = Number(control[128]!) / 4;
    for (const [i, word] of record.entries()) words[(at + i) % words.length] = word;
    control[128]! += 64n;
  }

  readonly perf: Pick<Events, 'open'> = {
    open: (attr, target) => {
      this.time += 1000n;
      this.beforeOpen(this.#opened++);
      if (target.pid > 0 && !this.threads.includes(target.pid)) throw refusal('ESRCH', 'perf_event_open');
      const event = new FakeEvent(this, attr, target, 0x1_0000_0000n * BigInt(this.#opened) + 7n);
      if (event.isBreakpoint) {
        const onCpu = (one: FakeEvent): boolean =>
          one.open && one.isBreakpoint && one.target.cpu === target.cpu;
        const own = this.events.filter((one) => onCpu(one) && one.target.pid === target.pid);
        const copies = this.inherited.filter((copy) => copy.tid === target.pid && onCpu(copy.event));
        if (own.length + copies.length >= this.registers) throw refusal('ENOSPC', 'perf_event_open');
      }
      this.events.push(event);
      return event;
    },
  };

  get tasks(): Pick<Tasks, 'cpus' | 'threads'> {
    return {
      cpus: this.cpus,
      threads: () => {
        this.beforeList(this.#lists++);
        return [...this.threads];
      },
    };
  }

  readonly drain: Pick<HitDrain, 'addRing' | 'addWatch' | 'dropDoubles'> = {
    addRing: (event) => {
      this.drained.rings.push(event as FakeEvent); // of this kernel
    },
    dropDoubles: () => {
      this.drained.dropsDoubles = true;
    },
    addWatch: (event, watch) => {
      this.drained.watches.set(event as FakeEvent, watch); // likewise
    },
  };
}

const watchAt = (address: bigint): PlannedWatch => ({
  text: `w${address}`,
  address,
  lenBytes: 4,
  access: 'w',
});

function armedOn(kernel: FakeKernel, scope: Scope, more: Partial<EventOptions> = {}): Armed {
  return new Armed({
    events: kernel.perf as Events, // Armed opens events, and waits for their end, which no test here does
    tasks: kernel.tasks as Tasks, // Armed lists threads and CPUs
    drain: kernel.drain as HitDrain, // Armed adds rings and watches
    scope,
    now: () => kernel.time,
    options: {
      layout: { stacks: false, copyRegisters: true },
      features: { lost: true, removeOnExec: true, kernelMode: true },
      sampling: true,
      inherit: scope.type === 'process',
      userOnly: false,
      ...more,
    },
  });
}

const process10: Scope = { type: 'process', pid: 10 };

/** How many events serve each thread, CPU and watch. */
function coverage(kernel: FakeKernel, watches: readonly PlannedWatch[]): number[] {
  return kernel.threads.flatMap((tid) =>
    kernel.cpus.flatMap((cpu) => watches.map((watch) => kernel.on(tid, cpu, watch.address))),
  );
}

describe('arming a process', () => {
  test('opens each watch on each thread and CPU, and lets all of a CPU write to one ring', () => {
    const kernel = new FakeKernel([10, 11, 12]);
    const watches = [watchAt(0x1000n), watchAt(0x2000n)];
    const armed = armedOn(kernel, process10);
    armed.arm(watches);
    expect(new Set(coverage(kernel, watches))).toEqual(new Set([1]));
    expect(armed.threadCount).toBe(3);
    expect(armed.eventCount).toBe(3 * 2 * 2 + 3 * 2);
    expect(armed.eventCount).toBe(kernel.watching.length);
    expect(kernel.drained.rings.map((event) => event.target.cpu)).toEqual([0, 1]);
    for (const event of kernel.live) {
      const holder = kernel.drained.rings.find((ring) => ring.target.cpu === event.target.cpu);
      expect(event.output ?? event).toBe(holder);
    }
    const breakpoints = kernel.live.filter((event) => event.isBreakpoint);
    for (const event of breakpoints) {
      expect(kernel.drained.watches.get(event)).toBe(
        watches.findIndex((watch) => watch.address === event.attr.bpAddr),
      );
    }
    expect(kernel.drained.watches.size).toBe(breakpoints.length);
  });

  test('without samples opens one event a thread and watch, on any CPU', () => {
    const kernel = new FakeKernel([10, 11]);
    const armed = armedOn(kernel, process10, { sampling: false });
    armed.arm([watchAt(0x1000n)]);
    const breakpoints = kernel.live.filter((event) => event.isBreakpoint);
    expect(breakpoints.map((event) => event.target)).toEqual([
      { pid: 10, cpu: -1 },
      { pid: 11, cpu: -1 },
    ]);
    expect(kernel.drained.watches.size).toBe(0);
    expect(breakpoints.every((event) => event.attr.samplePeriod === 0n)).toBe(true);
  });

  test('takes in a thread that a not yet armed one made meanwhile', () => {
    const kernel = new FakeKernel([10, 11]);
    kernel.beforeOpen = (opened) => {
      if (opened === 0) kernel.clone(11, 20, 0);
    };
    const armed = armedOn(kernel, process10);
    armed.arm([watchAt(0x1000n)]);
    expect(new Set(coverage(kernel, armed.watches))).toEqual(new Set([1]));
    expect(armed.threadCount).toBe(3);
  });

  test.each([0, 1])(
    'leaves a thread alone that an armed one made, on CPU %i: it inherited everything',
    (cpu) => {
      const kernel = new FakeKernel([10, 11]);
      kernel.beforeOpen = (opened) => {
        // Thread 10 has two breakpoints and two news events by now, beside the two that hold the rings.
        if (opened !== 6) return;
        kernel.time += 100_000_000n;
        kernel.clone(10, 20, cpu);
        kernel.clone(20, 21, cpu);
      };
      const armed = armedOn(kernel, process10);
      armed.arm([watchAt(0x1000n)]);
      expect(new Set(coverage(kernel, armed.watches))).toEqual(new Set([1]));
      expect(armed.threadCount).toBe(2);
    },
  );

  test.each([2, 4])(
    'serves a thread with two watches and %i registers, whenever and wherever it is made',
    (registers) => {
      for (const cpu of [0, 1]) {
        for (let moment = 0; moment < 20; moment++) {
          const kernel = new FakeKernel([10, 11]);
          kernel.registers = registers;
          kernel.beforeOpen = (opened) => {
            if (opened === moment) kernel.clone(10, 20, cpu);
          };
          const armed = armedOn(kernel, process10);
          armed.arm([watchAt(0x1000n), watchAt(0x2000n)]);
          const served = coverage(kernel, armed.watches);
          expect(Math.min(...served), `made at event ${moment}`).toBe(1);
          // It may have inherited a part: then its hits come twice, and the drain has to know.
          if (Math.max(...served) > 1)
            expect([kernel.drained.dropsDoubles, armed.raced]).toEqual([true, true]);
          expect(Math.max(...served)).toBeLessThanOrEqual(registers === 2 ? 1 : 2);
        }
      }
    },
  );

  test('of a process that makes no threads meanwhile needs no search for doubles', () => {
    const kernel = new FakeKernel([10, 11]);
    const armed = armedOn(kernel, process10);
    armed.arm([watchAt(0x1000n)]);
    expect([kernel.drained.dropsDoubles, armed.raced]).toEqual([false, false]);
  });

  test('enables each event only when its samples have a ring to go to', () => {
    const kernel = new FakeKernel([10]);
    armedOn(kernel, process10).arm([watchAt(0x1000n)]);
    expect(kernel.watching.every((event) => event.attr.disabled === true && event.enabled)).toBe(true);
  });

  test('finds threads made by threads made meanwhile, pass after pass', () => {
    const kernel = new FakeKernel([10]);
    kernel.beforeList = (lists) => {
      if (lists > 0 && lists < 5) kernel.threads.push(100 + lists); // their makers had nothing to pass on
    };
    const armed = armedOn(kernel, process10);
    armed.arm([watchAt(0x1000n)]);
    expect(kernel.threads).toEqual([10, 101, 102, 103, 104]);
    expect(new Set(coverage(kernel, armed.watches))).toEqual(new Set([1]));
  });

  test('does not mind a thread that ends before its turn', () => {
    const kernel = new FakeKernel([10, 11, 12]);
    kernel.beforeOpen = (opened) => {
      if (opened === 6) kernel.end(11);
    };
    const armed = armedOn(kernel, process10);
    armed.arm([watchAt(0x1000n)]);
    expect(new Set(coverage(kernel, armed.watches))).toEqual(new Set([1]));
    expect(armed.threadCount).toBe(2);
  });

  test('does not mind a thread that ends halfway through its turn', () => {
    const kernel = new FakeKernel([10, 11]);
    kernel.beforeOpen = (opened) => {
      if (opened === 7) kernel.end(11);
    };
    const armed = armedOn(kernel, process10);
    armed.arm([watchAt(0x1000n)]);
    expect(armed.threadCount).toBe(1);
    armed.close();
    expect(kernel.live).toEqual([]);
  });

  test('of a process that has ended is refused with ESRCH, and leaves nothing open', () => {
    const kernel = new FakeKernel([10]);
    kernel.beforeOpen = () => kernel.end(10);
    const armed = armedOn(kernel, process10);
    expect(() => armed.arm([watchAt(0x1000n)])).toThrow('ESRCH');
    expect([armed.eventCount, kernel.watching, armed.watches]).toEqual([0, [], []]);
    armed.close();
    expect(kernel.live).toEqual([]);
  });

  test('ends for a process that makes threads faster than they are armed', () => {
    const kernel = new FakeKernel([10]);
    let next = 1000;
    kernel.beforeList = () => kernel.threads.push(next++);
    const armed = armedOn(kernel, process10);
    armed.arm([watchAt(0x1000n)]);
    expect(armed.threadCount).toBeGreaterThan(50);
    expect(armed.threadCount).toBeLessThan(500);
  });
});

describe('a refusal', () => {
  const five = [1n, 2n, 3n, 4n, 5n].map((n) => watchAt(n * 0x1000n));

  test('of the fifth watch throws ENOSPC and closes every breakpoint of the call', () => {
    const kernel = new FakeKernel([10, 11]);
    const armed = armedOn(kernel, process10);
    expect(() => armed.arm(five)).toThrow('ENOSPC');
    expect(armed.watches).toEqual([]);
    expect(kernel.live.filter((event) => event.isBreakpoint)).toEqual([]);
    armed.close();
    expect(kernel.live).toEqual([]);
  });

  test('on a later thread closes what earlier threads got', () => {
    const kernel = new FakeKernel([10, 11]);
    const armed = armedOn(kernel, process10);
    const open = kernel.perf.open;
    let refused = 0;
    kernel.perf.open = (attr, target) => {
      if (target.pid === 11) {
        refused++;
        throw refusal('EACCES', 'perf_event_open');
      }
      return open(attr, target);
    };
    expect(() => armed.arm([watchAt(0x1000n)])).toThrow('EACCES');
    expect(refused).toBe(1);
    expect(kernel.live.filter((event) => event.isBreakpoint)).toEqual([]);
    armed.close();
    expect(kernel.live).toEqual([]);
  });

  test('of more watches leaves those armed before as they were', () => {
    const kernel = new FakeKernel([10]);
    const armed = armedOn(kernel, process10);
    armed.arm(five.slice(0, 3));
    const before = kernel.live;
    expect(() => armed.arm(five.slice(3))).toThrow('ENOSPC');
    expect(kernel.live).toEqual(before);
    expect(armed.watches).toEqual(five.slice(0, 3));
    armed.arm(five.slice(3, 4));
    expect(new Set(coverage(kernel, five.slice(0, 4)))).toEqual(new Set([1]));
  });
});

test('a call after a refused one starts from nothing', () => {
  const kernel = new FakeKernel([10, 11]);
  const armed = armedOn(kernel, process10);
  kernel.registers = 0;
  expect(() => armed.arm([watchAt(0x1000n)])).toThrow('ENOSPC');
  kernel.registers = 4;
  armed.arm([watchAt(0x1000n)]);
  expect(new Set(coverage(kernel, armed.watches))).toEqual(new Set([1]));
  expect(armed.eventCount).toBe(kernel.watching.length);
  for (const event of kernel.live) expect((event.output ?? event).ring).toBeDefined();
});

describe('a second call', () => {
  test('adds watches to the rings that are there, and numbers them on', () => {
    const kernel = new FakeKernel([10]);
    const armed = armedOn(kernel, process10);
    armed.arm([watchAt(0x1000n)]);
    armed.arm([watchAt(0x2000n)]);
    expect(new Set(coverage(kernel, armed.watches))).toEqual(new Set([1]));
    expect(kernel.drained.rings.length).toBe(2);
    const second = kernel.live.filter((event) => event.attr.bpAddr === 0x2000n);
    expect(second.map((event) => kernel.drained.watches.get(event))).toEqual([1, 1]);
    expect(kernel.watching.filter((event) => !event.isBreakpoint).length).toBe(2);
  });
});

describe('rings', () => {
  test.each(['EPERM', 'ENOMEM'] as const)('are halved until %s ends', (code) => {
    const kernel = new FakeKernel([10]);
    kernel.mostRingPages = 100;
    kernel.ringRefusal = code;
    const armed = armedOn(kernel, process10);
    armed.arm([watchAt(0x1000n)]);
    expect(armed.ringBytes).toBe(64 * 4096);
    expect(kernel.drained.rings.map((event) => event.ring?.dataBytes)).toEqual([64 * 4096, 64 * 4096]);
  });

  test('that cannot be had at all are a refusal', () => {
    const kernel = new FakeKernel([10]);
    kernel.mostRingPages = 1;
    const armed = armedOn(kernel, process10);
    expect(() => armed.arm([watchAt(0x1000n)])).toThrow('EPERM');
  });

  test('that fail for another reason are not tried again', () => {
    const kernel = new FakeKernel([10]);
    kernel.mostRingPages = 100;
    kernel.ringRefusal = 'ENODEV';
    expect(() => armedOn(kernel, process10).arm([watchAt(0x1000n)])).toThrow('ENODEV');
  });
});

test('one thread alone is armed on each CPU, and passes nothing on', () => {
  const kernel = new FakeKernel([10, 11]);
  const armed = armedOn(kernel, { type: 'thread', tid: 11 });
  armed.arm([watchAt(0x1000n)]);
  expect(kernel.watching.every((event) => event.target.pid === 11)).toBe(true);
  expect(kernel.live.every((event) => event.attr.inherit !== true)).toBe(true);
  expect(coverage(kernel, armed.watches)).toEqual([0, 0, 1, 1]);
});

test('whole CPUs are armed without a task, those that are named', () => {
  const kernel = new FakeKernel([10]);
  kernel.cpus = [0, 1, 2, 3];
  const armed = armedOn(kernel, { type: 'cpus', cpus: [1, 3] });
  armed.arm([watchAt(0x1000n)]);
  const breakpoints = kernel.live.filter((event) => event.isBreakpoint);
  expect(breakpoints.map((event) => event.target)).toEqual([
    { pid: -1, cpu: 1 },
    { pid: -1, cpu: 3 },
  ]);
  expect(armed.threadCount).toBe(0);
});

test('counts are sums over the events of each watch', () => {
  const kernel = new FakeKernel([10, 11]);
  const armed = armedOn(kernel, process10);
  armed.arm([watchAt(0x1000n), watchAt(0x2000n)]);
  for (const event of kernel.live) {
    const value = event.attr.bpAddr === 0x1000n ? 3n : 5n;
    event.counts = { value, lost: 1n, timeEnabledNs: 100n, timeRunningNs: 40n };
  }
  const [first, second] = armed.counts();
  expect([first?.hits, second?.hits]).toEqual([12n, 20n]);
  expect([first?.lost, second?.lost]).toEqual([4n, 4n]);
  expect(first?.timeRunningNs).toBe(160n);
  expect(first?.timeEnabledNs).toBeGreaterThanOrEqual(160n);
});

test('a kernel that cannot tell what is lost leaves it open', () => {
  const kernel = new FakeKernel([10]);
  const features = { lost: false, removeOnExec: true, kernelMode: true };
  const armed = armedOn(kernel, process10, { features });
  armed.arm([watchAt(0x1000n)]);
  expect(armed.counts()[0]?.lost).toBeUndefined();
});

test('disarmed, no slot is held any more, and the last counts are told; the rings stay until all is closed', () => {
  const kernel = new FakeKernel([10, 11]);
  const armed = armedOn(kernel, process10);
  armed.arm([watchAt(0x1000n)]);
  for (const event of kernel.live) event.counts = { value: 2n, lost: 0n };
  expect(armed.disarm()[0]?.hits).toBe(8n);
  expect([kernel.watching, armed.eventCount]).toEqual([[], 0]);
  expect(kernel.drained.rings.every((holder) => holder.open)).toBe(true);
  armed.close();
  armed.close();
  expect(kernel.live).toEqual([]);
});

test('a watched program that closes its rings early takes nobody else’s: they are held by this process', () => {
  const kernel = new FakeKernel([10, 11]);
  armedOn(kernel, process10).arm([watchAt(0x1000n)]);
  expect(kernel.drained.rings.map((holder) => holder.target)).toEqual([
    { pid: 0, cpu: 0 },
    { pid: 0, cpu: 1 },
  ]);
  expect(kernel.drained.rings.some((holder) => holder.isBreakpoint || holder.attr.inherit === true)).toBe(
    false,
  );
});
