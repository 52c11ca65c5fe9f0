import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { joinPair } from '../../base/pair.ts';
import type { Operation } from '../../machines/sim/operation.ts';
import type { SimTask } from '../../machines/sim/sim-task.ts';
import type { LabStop, TaskAction } from '../../scenario/lab.ts';
import type { ModelHost } from './model-host.ts';

/** From the accessing instruction to those around it, which touch no memory of a scenario. */
const fillerOffset = 0x100n;
const instructionStride = 16n;
/** How long a task runs for something that is no act. */
const runNs = 1000;

/**
 * What a task executes for an act, instruction by instruction, as a puppet of the live lab does (for who steps through
 * it): `times` turns of the accessing instructions (for a call: the call, then the one at the label), a decrement and a
 * jump; then a return. docs/spec/09 "Tracing".
 */
export function* actOperations(
  action: Exclude<TaskAction, { readonly type: 'syscallWrite' }>,
  ip: bigint,
): Generator<Operation, void> {
  const filler = (n: bigint) => ({ type: 'execute', ip: ip + fillerOffset + n * instructionStride }) as const;
  const [call, decrement, jump, back] = [filler(0n), filler(1n), filler(2n), filler(3n)];
  if (action.type === 'trap') {
    yield { type: action.kind, ip };
    yield back;
    return;
  }
  for (let turn = 0; turn < action.times; turn++) {
    switch (action.type) {
      case 'call':
        yield { ...call, to: action.at };
        yield { type: 'execute', ip: action.at };
        break;
      case 'storeTwo': {
        const { lenBytes, value } = action;
        yield { type: 'store', at: action.at, lenBytes, value, ip };
        yield { type: 'store', at: action.at2, lenBytes, value, ip: ip + instructionStride };
        break;
      }
      default:
        yield { ...action, ip };
    }
    yield decrement;
    yield jump;
  }
  if (action.times > 0) yield back;
}

interface Act {
  readonly operations: Iterator<Operation, void>;
  /** To be executed next; `undefined`: the act is over. */
  next: Operation | undefined;
}

/** What tasks do that the runner traces: they stand still between steps, and stop in the midst of an act. */
export class TracedActs {
  readonly #host: ModelHost;
  readonly #acts: Map<SimTask, Act> = new Map();
  readonly #stops: Map<SimTask, LabStop> = new Map();

  constructor(host: ModelHost) {
    this.#host = host;
  }

  traces(task: SimTask): boolean {
    return this.#host.ptrace.traces(this.#host.self, task);
  }

  /** How the task stopped when it last ran; null: it did what it was told; `undefined`: it is not traced. */
  stopped(task: SimTask): LabStop | null | undefined {
    return this.#stops.get(task) ?? (this.traces(task) ? null : undefined);
  }

  /** Throws `KernelError` EBUSY for a task that stopped in the midst of an act: it cannot begin another. */
  checkIdle(task: SimTask): void {
    if (this.#acts.has(task) && task.alive)
      throw new KernelError({ errno: errnoValues.EBUSY, operation: `task ${task.tid}, which is in an act` });
  }

  /** Has a task run on its CPU for `work`; of a traced one the signals that come are dropped. */
  letRun(task: SimTask, work: () => void): void {
    const { machine, ptrace, self } = this.#host;
    if (!this.traces(task)) {
      work();
      if (task.alive) machine.switchTo(task.home, task);
      machine.advance(runNs);
      return;
    }
    ptrace.resume(self, task, { step: false });
    machine.advance(runNs);
    try {
      this.#dropSignals(task);
      this.#stops.delete(task);
      work();
    } finally {
      machine.switchTo(task.home, task);
      machine.advance(runNs);
      this.#dropSignals(task);
      ptrace.interrupt(self, task);
    }
  }

  /** Lets a traced task go for `work`, as if nobody had traced it, and takes it again. */
  letGo(task: SimTask, work: () => void): void {
    const { ptrace, self } = this.#host;
    if (!this.traces(task)) {
      work();
      return;
    }
    this.letRun(task, () => undefined);
    const followFork = ptrace.followsFork(task);
    ptrace.detach(self, task);
    work();
    ptrace.attach(self, task, { followFork });
  }

  #dropSignals(task: SimTask): void {
    const { machine, ptrace, self } = this.#host;
    for (;;) {
      machine.deliverSignals(task);
      if (task.stop === null) return;
      ptrace.resume(self, task, { step: false });
    }
  }

  /** Begins an act of a traced task and runs it until it is over or stops. */
  begin(task: SimTask, operations: Iterator<Operation, void>): void {
    this.#acts.set(task, { operations, next: operations.next().value ?? undefined });
    this.resume(task, { step: false });
  }

  /** Goes on with the act of a traced task; nothing if there is none. Throws `KernelError` ESRCH. */
  resume(task: SimTask, options: { readonly step: boolean }): void {
    const { ptrace, self } = this.#host;
    this.#stops.delete(task);
    const act = this.#acts.get(task);
    if (act === undefined && this.traces(task)) return;
    ptrace.resume(self, task, options);
    if (act !== undefined) this.#run(task, act);
    if (task.stop === null) ptrace.interrupt(self, task);
    else this.#stops.set(task, stopOf(task));
    if (act?.next === undefined) this.#acts.delete(task);
  }

  /** Lets a task go, which finishes its act. Throws `KernelError` ESRCH. */
  detach(task: SimTask): void {
    const { ptrace, self } = this.#host;
    ptrace.detach(self, task);
    this.#stops.delete(task);
    const act = this.#acts.get(task);
    this.#acts.delete(task);
    if (act !== undefined) this.#run(task, act);
  }

  #run(task: SimTask, act: Act): void {
    const { machine } = this.#host;
    machine.deliverSignals(task);
    while (task.stop === null && act.next !== undefined) {
      const operation = act.next;
      machine.perform(task, operation);
      // A stop before an instruction leaves the task standing at it.
      const ip = 'ip' in operation ? operation.ip : undefined;
      if (task.stop !== null && ip === joinPair(task.ipLow, task.ipHigh)) return;
      act.next = act.operations.next().value ?? undefined;
    }
  }
}

function stopOf(task: SimTask): LabStop {
  const { signal = 0, code = 0, address = 0n } = task.stop ?? {};
  return { signal, code, at: address, ip: joinPair(task.ipLow, task.ipHigh) };
}
