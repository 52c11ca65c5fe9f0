import { type ErrnoName, errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import type { EventCounts, Events, EventTarget, PerfEvent, Ring } from '../../surface/events.ts';
import type { PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import type { DoctorFacts } from './report.ts';

/** Facts of an ordinary machine without a hypervisor: level 2, no capability, no container. */
export const ordinaryFacts: DoctorFacts = {
  kernelRelease: '6.1.0',
  machine: 'x86_64',
  onlineCpus: 2,
  node: 'v20.20.0',
  uid: 1000,
  capabilities: { effective: '0x0', perfmon: false, sysAdmin: false, sysPtrace: false, bpf: false },
  userNamespace: false,
  perfEventParanoid: 2,
  perfEventMlockKb: 516,
  perfEventMaxSampleRate: 100000,
  seccomp: 'none',
  kallsyms: 'names only',
  container: [],
  virtualMachine: [],
};

/** What a fake kernel does with an event: refuse it, arm it and never fire, or hand it to the real one. */
export type Answer = ErrnoName | 'silent' | 'real';

/** Events that answer by `decide`; counts how many are open. */
export class FakeEvents implements Events {
  openCount: number = 0;
  readonly #real: Events | undefined;
  readonly #decide: (attr: PerfEventAttr, target: EventTarget, open: number) => Answer;
  /** What a silent event counts: 0 unless told. */
  readonly #count: bigint;

  constructor(parts: {
    readonly decide: (attr: PerfEventAttr, target: EventTarget, open: number) => Answer;
    readonly real?: Events;
    readonly count?: bigint;
  }) {
    this.#real = parts.real;
    this.#decide = parts.decide;
    this.#count = parts.count ?? 0n;
  }

  open(attr: PerfEventAttr, target: EventTarget): PerfEvent {
    const answer = this.#decide(attr, target, this.openCount);
    if (answer !== 'silent' && answer !== 'real') {
      throw new KernelError({ errno: errnoValues[answer], operation: 'perf_event_open(fake)' });
    }
    if (answer === 'silent' || this.#real === undefined) {
      this.openCount++;
      return new SilentEvent(() => this.openCount--, this.#count);
    }
    const event = this.#real.open(attr, target);
    this.openCount++;
    const close = event.close.bind(event);
    let isOpen = true;
    event.close = () => {
      if (isOpen) this.openCount--;
      isOpen = false;
      close();
    };
    return event;
  }

  waitHangup(): never {
    throw new Error('the doctor waits for no hang-up');
  }

  drain(): never {
    throw new Error('the doctor reads rings itself');
  }
}

/** Armed, and nothing ever comes. */
class SilentEvent implements PerfEvent {
  readonly #closed: () => void;
  readonly #count: bigint;
  #isOpen: boolean = true;

  constructor(closed: () => void, count: bigint) {
    this.#closed = closed;
    this.#count = count;
  }

  id(): bigint {
    return 1n;
  }
  enable(): void {}
  disable(): void {}
  modify(): void {}
  setOutput(): void {}
  read(): EventCounts {
    return { value: this.#count };
  }
  mapRing(dataPages: number): Ring {
    return { dataBytes: dataPages * 4096, memory: new ArrayBuffer((dataPages + 1) * 4096), pageBytes: 4096 };
  }
  close(): void {
    if (this.#isOpen) this.#closed();
    this.#isOpen = false;
  }
  [Symbol.dispose](): void {
    this.close();
  }
}
