import { afterEach, describe, expect, it } from 'vitest';
import { expectNoLeak, outcome, type TestModel, testModel } from '../../../test/support/model.ts';
import type { SimTask } from '../../machines/sim/sim-task.ts';
import {
  F_GETFL,
  F_GETOWN,
  F_GETSIG,
  F_OWNER_TID,
  F_SETFL,
  F_SETOWN,
  F_SETOWN_EX,
  F_SETSIG,
  O_ASYNC,
} from '../../uapi/fcntl.ts';
import { encodePerfEventAttr, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import { POLL_IN, SI_KERNEL, SIGIO, SIGTRAP, SIGUSR1, TRAP_PERF } from '../../uapi/signal.ts';
import { ModelPerfCalls } from './perf-calls.ts';

let model: TestModel;
let calls: ModelPerfCalls;
let a: SimTask;

function start(): void {
  model = testModel();
  calls = new ModelPerfCalls(model.kernel, { caller: () => model.self });
  a = model.machine.spawn({ name: 'A', cpu: 0 });
}

const open = (fields: Partial<PerfEventAttr> = {}): number =>
  calls.perfEventOpen({
    attr: encodePerfEventAttr({
      ...{ type: 5, bpType: 2, bpAddr: 0x1000n, bpLen: 8n, samplePeriod: 1n },
      ...fields,
    }),
    ...{ pid: a.tid, cpu: -1, groupFd: -1, flags: 0 },
  });
const store = (task = a, at = 0x1000n): unknown =>
  model.machine.perform(task, { type: 'store', at, lenBytes: 8 });
const sigtrap = { sigtrap: true, removeOnExec: true };

afterEach(() => {
  calls.closeAll();
  expectNoLeak(model);
});

describe('sigtrap', () => {
  it('tells address, data, type, and whether the signal was blocked', () => {
    start();
    open({ ...sigtrap, sigData: 0xffff_ffff_ffff_ffffn });
    store();
    a.blocked = new Set([SIGTRAP]);
    store();
    store();
    a.blocked = new Set();
    model.machine.deliverSignals(a);
    const info = {
      signal: SIGTRAP,
      code: TRAP_PERF,
      address: 0x1000n,
      data: 0xffff_ffff_ffff_ffffn,
      type: 5,
    };
    expect(a.received).toEqual([
      { ...info, flags: 0 },
      { ...info, flags: 1 },
    ]);
  });

  it('of two events on one instruction the last comes through, and an exiting task gets none', () => {
    start();
    open({ ...sigtrap, sigData: 1n });
    open({ ...sigtrap, sigData: 2n });
    store();
    expect(a.received.map(({ data }) => data)).toEqual([2n]);
    model.machine.exit(a);
    model.machine.signal(a, { signal: SIGTRAP, code: TRAP_PERF, address: 0n });
    expect([a.received.length, a.pending.length]).toEqual([1, 0]);
  });

  it('of an inherited copy goes to the task that hit', () => {
    start();
    open({ ...sigtrap, inherit: true });
    const child = model.machine.clone(a, { thread: false });
    store(child);
    expect([a.received.length, child.received.length]).toEqual([0, 1]);
  });
});

describe('async notification', () => {
  it('signals the owner at every overflow, with what happened and the fd, or nothing', () => {
    start();
    const fd = open();
    calls.fcntl(fd, F_SETOWN, a.tid);
    store();
    calls.fcntl(fd, F_SETFL, O_ASYNC);
    store();
    calls.fcntl(fd, F_SETSIG, SIGUSR1);
    store();
    expect(a.received).toEqual([
      { signal: SIGIO, code: SI_KERNEL, address: 0n },
      { signal: SIGUSR1, code: POLL_IN, address: 0n, fd },
    ]);
  });

  it('goes to the one thread that is told, and not to somebody else of another user', () => {
    start();
    const fd = open();
    const thread = model.machine.clone(a, { thread: true });
    const owner = new Int32Array([F_OWNER_TID, thread.tid]);
    calls.fcntl(fd, F_SETOWN_EX, new Uint8Array(owner.buffer));
    calls.fcntl(fd, F_SETFL, O_ASYNC);
    store();
    model.machine.wake(thread);
    expect([a.received.length, thread.received.length]).toEqual([0, 1]);
    model.self.credentials = { uid: 1, capabilities: new Set() };
    calls.fcntl(fd, F_SETOWN, a.tid);
    store();
    expect(a.received).toEqual([]);
  });

  it('tells what was set, and refuses what cannot be', () => {
    start();
    const fd = open();
    calls.fcntl(fd, F_SETOWN, a.tid);
    calls.fcntl(fd, F_SETSIG, 40);
    calls.fcntl(fd, F_SETFL, O_ASYNC);
    expect([F_GETOWN, F_GETSIG, F_GETFL].map((command) => calls.fcntl(fd, command, 0))).toEqual([
      a.tid,
      40,
      2 | O_ASYNC,
    ]);
    for (const [command, argument, errno] of [
      [F_SETSIG, 65, 'EINVAL'],
      [F_SETSIG, -1, 'EINVAL'],
      [F_SETOWN, 1, 'ESRCH'],
      [F_SETOWN_EX, 'bad', 'EFAULT'],
      [F_SETOWN_EX, new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0]), 'EINVAL'],
      [9999, 0, 'EINVAL'],
    ] as const)
      expect(outcome(() => calls.fcntl(fd, command, argument))).toBe(errno);
    calls.close(fd);
    expect(outcome(() => calls.fcntl(fd, F_SETFL, O_ASYNC))).toBe('EBADF');
  });

  it('tells at the end of the task what was not told before', () => {
    start();
    const fd = open();
    const b = model.machine.spawn({ name: 'B', cpu: 1 });
    store();
    calls.fcntl(fd, F_SETSIG, SIGIO);
    calls.fcntl(fd, F_SETOWN, b.tid);
    calls.fcntl(fd, F_SETFL, O_ASYNC);
    model.machine.exit(a);
    model.machine.wake(b);
    expect(b.received).toEqual([{ signal: SIGIO, code: POLL_IN, address: 0n, fd }]);
  });
});
