import { describe, expect, it } from 'vitest';
import { expectNoLeak, testModel } from '../../../test/support/model.ts';
import { SIGIO, SIGTRAP, SIGUSR1 } from '../../uapi/signal.ts';
import type { SimMachine } from './sim-machine.ts';
import type { SimTask } from './sim-task.ts';

const realtime = 40;

function start(): { machine: SimMachine; a: SimTask; got: () => number[]; send: (n: number) => void } {
  const model = testModel();
  const { machine } = model;
  const a = machine.spawn({ name: 'A', cpu: 0 });
  const send = (signal: number): void => machine.signal(a, { signal, code: 1, address: 0n });
  return { machine, a, got: () => a.received.map(({ signal }) => signal), send };
}

const handle = (machine: SimMachine, task: SimTask, ...signals: readonly number[]): void => {
  for (const signal of signals)
    machine.onSignal(task, signal, () => [{ type: 'execute', ip: 0x9000n + BigInt(signal) * 16n }]);
};

describe('signals of the machine', () => {
  it('below 32 are pending once, others as often as they are sent', () => {
    const { machine, a, got, send } = start();
    for (const signal of [SIGIO, SIGIO, realtime, realtime]) send(signal);
    machine.perform(a, { type: 'execute' });
    expect(got()).toEqual([SIGIO, realtime, realtime]);
  });

  it('run the handler of the frame that was set up last first: synchronous ones are set up first', () => {
    const { machine, a, got, send } = start();
    handle(machine, a, SIGTRAP, SIGIO, SIGUSR1);
    for (const signal of [SIGIO, SIGUSR1, SIGTRAP]) send(signal);
    machine.perform(a, { type: 'execute' });
    expect(got()).toEqual([SIGIO, SIGUSR1, SIGTRAP]);
    expect(a.blocked.size).toBe(0); // every handler put the mask back
  });

  it('wait while they are blocked, and are dropped where they are ignored unless they are blocked', () => {
    const { machine, a, got, send } = start();
    handle(machine, a, SIGIO);
    a.blocked = new Set([SIGIO]);
    send(SIGIO);
    machine.perform(a, { type: 'execute' });
    expect(got()).toEqual([]);
    a.blocked = new Set();
    machine.deliverSignals(a);
    expect(got()).toEqual([SIGIO]);
    machine.onSignal(a, SIGIO, 'ignore');
    send(SIGIO);
    handle(machine, a, SIGIO);
    machine.deliverSignals(a);
    expect(got()).toEqual([SIGIO]);
  });

  it('end the whole process by default, and one without a core dump ends it before a trap does', () => {
    for (const [signals, killer] of [
      [[SIGTRAP], SIGTRAP],
      [[SIGTRAP, SIGIO], SIGIO],
    ] as const) {
      const { machine, a, send } = start();
      const thread = machine.clone(a, { thread: true });
      const child = machine.clone(a, { thread: false });
      for (const signal of [SIGTRAP, SIGIO]) machine.onSignal(a, signal, 'default');
      for (const signal of signals) send(signal);
      machine.wake(a);
      expect([a.alive, thread.alive, child.alive, a.process.killedBy]).toEqual([false, false, true, killer]);
    }
  });

  it('go to another thread of the process where the first blocks them', () => {
    const { machine, a } = start();
    const thread = machine.clone(a, { thread: true });
    a.blocked = new Set([SIGIO]);
    machine.signal(a, { signal: SIGIO, code: 1, address: 0n }, { process: true });
    machine.wake(a);
    machine.wake(thread);
    expect([a.received.length, thread.received.length]).toEqual([0, 1]);
  });

  it('caused by an instruction kill where they are blocked or ignored', () => {
    const { machine, a } = start();
    a.blocked = new Set([SIGTRAP]);
    machine.perform(a, { type: 'int3' });
    expect([a.alive, a.process.killedBy]).toEqual([false, SIGTRAP]);
  });

  it('have the default action in a child with cleared handlers and after executing, unless ignored', () => {
    const { machine, a } = start();
    handle(machine, a, SIGTRAP);
    machine.onSignal(a, SIGIO, 'ignore');
    const cleared = machine.clone(a, { thread: false, clearHandlers: true });
    expect(cleared.process.dispositions).toEqual(
      new Map([
        [SIGTRAP, 'default'],
        [SIGIO, 'ignore'],
      ]),
    );
    machine.exec(a);
    expect(a.process.dispositions).toEqual(cleared.process.dispositions);
  });

  it('do work before a return to user mode, the latest first, and none of a task that ended', () => {
    const model = testModel();
    const a = model.machine.spawn({ name: 'A' });
    const done: string[] = [];
    for (const name of ['first', 'second']) model.machine.beforeUserMode(a, () => done.push(name));
    model.machine.perform(a, { type: 'execute' });
    expect(done).toEqual(['second', 'first']);
    model.machine.exit(a);
    model.machine.beforeUserMode(a, () => done.push('late'));
    expect(done).toHaveLength(2);
    expectNoLeak(model);
  });
});
