import { afterEach, describe, expect, it } from 'vitest';
import { expectNoLeak, outcome, type TestModel, testModel } from '../../../test/support/model.ts';
import { rootCredentials } from '../../machines/sim/sim-machine.ts';
import { encodePerfEventAttr, type PerfEventAttr } from '../../uapi/perf-event-attr.ts';
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_ID,
  PERF_IOC_FLAG_GROUP,
} from '../../uapi/perf-event-ioctl.ts';
import { ModelPerfCalls } from './perf-calls.ts';

let model: TestModel;
let calls: ModelPerfCalls;
const watch: PerfEventAttr = { type: 5, bpType: 3, bpAddr: 0x1000n, bpLen: 4n };

function start(fdsMax?: number): void {
  model = testModel();
  calls = new ModelPerfCalls(model.kernel, {
    caller: () => model.self,
    ...(fdsMax === undefined ? {} : { fdsMax }),
  });
}

const open = (
  attr: Partial<PerfEventAttr> = {},
  options: { pid?: number; cpu?: number; groupFd?: number; flags?: number } = {},
): number =>
  calls.perfEventOpen({
    attr: encodePerfEventAttr({ ...watch, ...attr }),
    pid: 0,
    cpu: -1,
    groupFd: -1,
    flags: 0,
    ...options,
  });

afterEach(() => {
  calls.closeAll();
  expectNoLeak(model);
});

describe('perf events by fd', () => {
  it('gives the lowest free fd, and uses closed ones again', () => {
    start();
    expect([open(), open(), open()]).toEqual([3, 4, 5]);
    calls.close(4);
    expect([open(), open({ disabled: true })]).toEqual([4, 6]);
  });

  it('does by a number that was used before what is done to the new event', () => {
    start();
    const old = open();
    calls.close(old);
    expect(open({ bpAddr: 0x2000n })).toBe(old);
    calls.ioctl(old, PERF_EVENT_IOC_DISABLE, 0);
    expect([calls.event(old).attr.bpAddr, calls.event(old).state]).toEqual([0x2000n, -1]);
  });

  it('answers every call on a closed fd with EBADF', () => {
    start();
    const fd = open();
    calls.close(fd);
    for (const call of [
      () => calls.ioctl(fd, PERF_EVENT_IOC_ENABLE, 0),
      () => calls.read(fd, 8),
      () => calls.poll(fd),
      () => calls.close(fd),
      () => open({}, { groupFd: fd }),
    ])
      expect(outcome(call)).toBe('EBADF');
    // An fd of something else.
    expect([
      outcome(() => calls.read(0, 8)),
      outcome(() => calls.ioctl(0, PERF_EVENT_IOC_ENABLE, 0)),
    ]).toEqual(['EBADF', 'ENOTTY']);
  });

  it('refuses with EMFILE when no fd is left, before it looks for the task', () => {
    start(5);
    open();
    open();
    expect(outcome(() => open({}, { pid: 12345 }))).toBe('EMFILE');
  });

  it('63: writes the size that it knows into an attr that is too small', () => {
    start();
    const attr = encodePerfEventAttr({ ...watch, size: 63 });
    expect(outcome(() => calls.perfEventOpen({ attr, pid: 0, cpu: -1, groupFd: -1, flags: 0 }))).toBe(
      'E2BIG',
    );
    expect(new DataView(attr.buffer).getUint32(4, true)).toBe(136);
  });

  // As Linux 6.18 answered on x86-64.
  it.each<[string, string, Partial<PerfEventAttr>]>([
    ['EINVAL', 'no branch type', { sampleType: 0x800 }],
    ['EINVAL', 'privilege levels only', { sampleType: 0x800, branchSampleType: 1n }],
    ['EOPNOTSUPP', 'any branch', { sampleType: 0x800, branchSampleType: 8n }],
    ['EINVAL', 'an unknown branch bit', { sampleType: 0x800, branchSampleType: 1n << 20n }],
    ['EINVAL', 'no register', { sampleType: 0x1000 }],
    ['EINVAL', 'a segment register', { sampleType: 0x1000, sampleRegsUser: 1n << 12n }],
    ['ok', 'the instruction pointer', { sampleType: 0x1000, sampleRegsUser: 1n << 8n }],
    ['EINVAL', 'a register beyond the last', { sampleType: 0x1000, sampleRegsUser: 1n << 24n }],
    ['EOPNOTSUPP', 'a vector register', { sampleType: 0x1000, sampleRegsUser: 1n << 63n }],
    ['EINVAL', 'CLOCK_REALTIME', { useClockid: true, clockid: 0 }],
    ['ok', 'CLOCK_MONOTONIC', { useClockid: true, clockid: 1 }],
    ['ok', 'CLOCK_MONOTONIC_RAW', { useClockid: true, clockid: 4 }],
    ['EINVAL', 'no such clock', { useClockid: true, clockid: 5 }],
    ['EINVAL', 'inherit and READ', { inherit: true, sampleType: 0x10 }],
    ['ok', 'inherit, READ and TID', { inherit: true, sampleType: 0x12 }],
    ['ok', 'inherit and a group format', { inherit: true, readFormat: 8 }],
    ['EOPNOTSUPP', 'aux output', { auxOutput: true }],
    ['EINVAL', 'flag 38', { reservedFlags: 1n << 38n }],
    ['EINVAL', 'sample_type bit 25', { sampleType: 1 << 25 }],
    ['EINVAL', 'read_format bit 5', { readFormat: 32 }],
    ['ok', 'freq without a frequency', { freq: true }],
  ])('answers %s for %s', (expected, _what, attr) => {
    start();
    expect(outcome(() => open(attr))).toBe(expected);
  });

  it.each([
    ['EINVAL', { pid: -1, cpu: 0, flags: 4 }],
    ['EBADF', { pid: 0, cpu: 0, flags: 4 }],
    ['ESRCH', { pid: -2 }],
    ['EINVAL', { cpu: -2 }],
    ['EINVAL', { cpu: 5 }],
  ])('answers %s for the target %j', (expected, options) => {
    start();
    expect(outcome(() => open({}, options))).toBe(expected);
  });

  it('137: the group flag reaches every member, through any member', () => {
    start();
    const leader = open({ disabled: true });
    const sibling = open({ disabled: true }, { groupFd: leader });
    model.machine.perform(model.self, { type: 'execute' });
    calls.ioctl(sibling, PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP);
    expect([calls.event(leader).state, calls.event(sibling).state]).toEqual([1, 1]);
    calls.ioctl(sibling, PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP);
    expect([calls.event(leader).state, calls.event(sibling).state]).toEqual([-1, -1]);
  });

  it('164: after the task has exited the count is read, poll hangs up, and the ioctls do nothing', () => {
    start();
    const task = model.machine.spawn({ name: 'A' });
    const fd = open({}, { pid: task.tid });
    model.machine.perform(task, { type: 'store', at: 0x1000n, lenBytes: 4 });
    model.machine.exit(task);
    expect([calls.poll(fd), new DataView(calls.read(fd, 8).buffer).getBigUint64(0, true)]).toEqual([
      0x10,
      1n,
    ]);
    expect(
      [PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_DISABLE].map((request) => calls.ioctl(fd, request, 0)),
    ).toEqual([0, 0]);
    expect(calls.event(fd).state).toBe(-3);
  });

  it('126: tells the id of the event that was opened, into the memory given', () => {
    start();
    const fd = open();
    const bytes = new Uint8Array(8);
    calls.ioctl(fd, PERF_EVENT_IOC_ID, bytes);
    expect(new DataView(bytes.buffer).getBigUint64(0, true)).toBe(BigInt(calls.event(fd).id));
    expect(outcome(() => calls.ioctl(fd, PERF_EVENT_IOC_ID, new Uint8Array(4)))).toBe('EFAULT');
  });

  it('62: refusals at every later step give the slot back', () => {
    start();
    const stranger = model.machine.spawn({ name: 'B', credentials: { uid: 1000, capabilities: new Set() } });
    model.self.credentials = { uid: 65534, capabilities: new Set() };
    const before = model.kernel.breakpoints?.table.snapshot();
    const attempts: [string, () => unknown][] = [
      ['EACCES', () => open({ excludeKernel: true }, { pid: stranger.tid })],
      ['EACCES', () => open({ excludeKernel: true }, { pid: -1, cpu: 0 })],
      ['EINVAL', () => open({ excludeKernel: true, useClockid: true, clockid: 0 })],
      ['EINVAL', () => open({ excludeKernel: true, bpLen: 3n })],
    ];
    for (const [errno, attempt] of attempts) {
      expect(outcome(attempt)).toBe(errno);
      expect(model.kernel.breakpoints?.table.snapshot()).toBe(before);
    }
    model.self.credentials = { uid: 0, capabilities: new Set(['PERFMON']) };
    expect(outcome(() => open({ bpAddr: 0xffff_8880_0000_0000n }))).toBe('EPERM');
    expect(model.kernel.breakpoints?.table.snapshot()).toBe(before);
    model.self.credentials = rootCredentials;
  });
});

describe('exec, clone and exit', () => {
  it('152: enable_on_exec enables once, remove_on_exec leaves the fd readable', () => {
    start();
    const task = model.machine.spawn({ name: 'A' });
    const waiting = open({ disabled: true, enableOnExec: true }, { pid: task.tid });
    const leaving = open({ removeOnExec: true }, { pid: task.tid });
    model.machine.exec(task);
    expect([calls.event(waiting).state, calls.event(leaving).state]).toEqual([1, -3]);
    calls.ioctl(waiting, PERF_EVENT_IOC_DISABLE, 0);
    model.machine.exec(task);
    expect(calls.event(waiting).state).toBe(-1);
  });

  it('148, 149, 150: who gets a copy, and in which state', () => {
    start();
    const task = model.machine.spawn({ name: 'A' });
    const threads = open({ inherit: true, inheritThread: true }, { pid: task.tid });
    const all = open({ inherit: true }, { pid: task.tid });
    const trap = open({ inherit: true, sigtrap: true, removeOnExec: true }, { pid: task.tid });
    calls.ioctl(all, PERF_EVENT_IOC_DISABLE, 0);
    const copies = (fd: number): number => calls.event(fd).children?.size ?? 0;
    const fork = model.machine.clone(task, { thread: false, clearHandlers: true });
    expect([threads, all, trap].map(copies)).toEqual([0, 1, 0]);
    model.machine.clone(task, { thread: true });
    expect([threads, all, trap].map(copies)).toEqual([1, 2, 1]);
    expect([...(calls.event(all).children ?? [])].map((copy) => copy.state)).toEqual([-1, -1]);
    model.machine.exit(fork);
    expect(copies(all)).toBe(1);
  });

  it('151: a copy that the forking task may not have makes the fork fail, and leaves nothing', () => {
    start();
    const task = model.machine.spawn({ name: 'A' });
    const fd = open({ inherit: true, bpAddr: 0xffff_8880_0000_0000n }, { pid: task.tid });
    task.credentials = { uid: 1000, capabilities: new Set() };
    const before = model.kernel.breakpoints?.table.snapshot();
    expect(outcome(() => model.machine.clone(task, { thread: false }))).toBe('EPERM');
    expect([calls.event(fd).children, model.kernel.breakpoints?.table.snapshot()]).toEqual([null, before]);
  });
});
