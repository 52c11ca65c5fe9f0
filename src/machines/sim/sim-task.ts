import type { SignalInfo } from '../../machine/signal-info.ts';
import type { Credentials, Task } from '../../machine/task.ts';
import type { AccessTrace } from './access-trace.ts';
import type { AddressSpace } from './address-space.ts';
import type { Operation, OperationResult } from './operation.ts';
import type { SimCpu } from './sim-cpu.ts';
import { SimProcess } from './sim-process.ts';

/** A recording under way. */
export interface Replay {
  readonly trace: AccessTrace;
  position: number;
  readonly end: number;
}

const noSignals: ReadonlySet<number> = new Set();

/** A thread of the simulated machine. */
export class SimTask implements Task {
  tid: number;
  readonly pid: number;
  readonly parentPid: number;
  name: string;
  credentials: Credentials;
  alive = true;
  cpu: SimCpu | null = null;
  debugStatus = 0;
  debugStatusHigh = 0;
  traced = false;
  stop: SignalInfo | null = null;
  attachment: object | undefined = undefined;
  /** The CPU that it is bound to. */
  home: SimCpu;
  memory: AddressSpace;
  /** The instruction pointer, u64 as words. */
  ipLow: number;
  ipHigh: number;
  /** Processor flags that matter to debugging: x86 TF and RF, arm64 SS. */
  processorFlags = 0;
  /** Signals that it got, in order. */
  readonly received: SignalInfo[] = [];
  /** Signals that it has yet to get. */
  readonly pending: SignalInfo[] = [];
  /** What the kernel wants to do before it returns to user mode; the last goes first. */
  readonly work: (() => void)[] = [];
  /** Signals that it blocks. */
  blocked: ReadonlySet<number> = noSignals;
  /** What it shares with the other threads of its process. */
  readonly process: SimProcess;
  steps: Iterator<Operation, void, OperationResult> | undefined = undefined;
  lastResult: OperationResult = 0n;
  replay: Replay | undefined = undefined;

  constructor(fields: {
    readonly tid: number;
    readonly pid: number;
    readonly parentPid: number;
    readonly name: string;
    readonly credentials: Credentials;
    readonly home: SimCpu;
    readonly memory: AddressSpace;
    readonly ip: bigint;
    /** Absent: a new one. */
    readonly process?: SimProcess;
  }) {
    this.tid = fields.tid;
    this.pid = fields.pid;
    this.parentPid = fields.parentPid;
    this.name = fields.name;
    this.credentials = fields.credentials;
    this.home = fields.home;
    this.memory = fields.memory;
    this.process = fields.process ?? new SimProcess();
    this.ipLow = Number(fields.ip & 0xffff_ffffn);
    this.ipHigh = Number(fields.ip >> 32n);
  }

  get singleStep(): boolean {
    return (this.processorFlags & this.home.stepFlag) !== 0;
  }

  set singleStep(on: boolean) {
    const { stepFlag } = this.home;
    this.processorFlags = on ? this.processorFlags | stepFlag : this.processorFlags & ~stepFlag;
  }

  blocks(signal: number): boolean {
    return this.blocked.has(signal);
  }

  /** Begins with a recording; the machine goes on with it. */
  startReplay(recording: {
    readonly trace: AccessTrace;
    readonly from?: number;
    readonly to?: number;
  }): void {
    const { trace } = recording;
    this.replay = { trace, position: recording.from ?? 0, end: recording.to ?? trace.length };
  }

  /** Whether it has something to do by itself. */
  get runnable(): boolean {
    return this.alive && this.stop === null && (this.steps !== undefined || this.replay !== undefined);
  }
}
