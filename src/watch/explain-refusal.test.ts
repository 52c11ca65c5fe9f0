import { expect, test } from 'vitest';
import { type ErrnoName, errnoValues } from '../base/errno.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { Files } from '../surface/files.ts';
import type { Surface } from '../surface/surface.ts';
import type { TaskStatus, Tasks } from '../surface/tasks.ts';
import type { Scope } from './arm.ts';
import { explainRefusal, readNumber } from './explain-refusal.ts';
import type { PlannedWatch } from './plan.ts';

interface FakeProcess {
  readonly name: string;
  /** What its file descriptors point to; absent: they cannot be seen. */
  readonly fds?: readonly string[];
  readonly status?: Partial<TaskStatus>;
}

function surfaceOf(
  processes: Readonly<Record<number, FakeProcess>>,
  more: { readonly paranoid?: string; readonly machine?: 'x86_64' | 'aarch64' } = {},
): Surface {
  const gone = (what: string): never => {
    throw new KernelError({ errno: errnoValues.ESRCH, operation: what });
  };
  const tasks: Partial<Tasks> = {
    self: 1,
    processes: () => Object.keys(processes).map(Number),
    name: (tid) => processes[tid]?.name ?? gone(`task ${tid}`),
    status: (tid) => {
      const status = processes[tid]?.status ?? gone(`task ${tid}`);
      return { pid: tid, uid: 0, tracerPid: 0, zombie: false, ...status };
    },
  };
  const files: Partial<Files> = {
    text: (path) =>
      (path === '/proc/sys/kernel/perf_event_paranoid' ? more.paranoid : undefined) ?? gone(path),
    list: (path) => {
      const fds = processes[Number(path.split('/')[2])]?.fds ?? gone(path);
      return fds.map((_, i) => String(i));
    },
    readlink: (path) => {
      const [, , pid, , fd] = path.split('/');
      return processes[Number(pid)]?.fds?.[Number(fd)] ?? gone(path);
    },
  };
  return {
    kernel: { description: 'a kernel', machine: more.machine ?? 'x86_64', live: false },
    now: () => 0n,
    tasks: tasks as Tasks, // what explainRefusal asks
    files: files as Files, // likewise
    close: () => {},
  };
}

const watch = (text: string, address = 0x40_4028n): PlannedWatch => ({
  text,
  address,
  lenBytes: 4,
  access: 'w',
});
const perfEvent = 'anon_inode:[perf_event]';

function explain(
  code: ErrnoName,
  options: { surface?: Surface; scope?: Scope; watches?: PlannedWatch[] } = {},
): { kind: string; message: string } {
  const { kind, message } = explainRefusal(
    new KernelError({ errno: errnoValues[code], operation: 'perf_event_open(breakpoint)' }),
    {
      surface: options.surface ?? surfaceOf({}),
      scope: options.scope ?? { type: 'process', pid: 12 },
      watches: options.watches ?? [watch('counter:w')],
    },
  );
  expect(message).not.toContain('\n');
  return { kind, message };
}

test('too many watches of one request are counted against the registers', () => {
  const watches = ['a', 'b', 'c', 'd', 'e'].map((text) => watch(text));
  const { kind, message } = explain('ENOSPC', { watches });
  expect(kind).toBe('refusal');
  expect(message).toContain(
    "'a', 'b', 'c', 'd', 'e': no free debug register: 5 watches, but the CPU has 4 registers",
  );
});

test('full registers name the tracer and those who hold perf events', () => {
  const surface = surfaceOf({
    1: { name: 'trapline', fds: [perfEvent] },
    12: { name: 'prog', status: { tracerPid: 50 } },
    50: { name: 'gdb', fds: [] },
    60: { name: 'perf', fds: ['/dev/null', perfEvent, perfEvent] },
    61: { name: 'one', fds: [perfEvent] },
    62: { name: 'secret' },
    63: { name: 'files', fds: ['/etc/passwd', 'socket:[1]'] },
  });
  const { message } = explain('ENOSPC', { surface });
  expect(message).toContain('process 50 (gdb), which traces the target');
  expect(message).toContain('process 60 (perf), which holds 2 perf events');
  expect(message).toContain('process 61 (one), which holds 1 perf event');
  expect(message).not.toMatch(/trapline|secret|files|process 1 /);
});

test('of many suspects five are named, and the others counted', () => {
  const many = Object.fromEntries(
    Array.from({ length: 8 }, (_, i) => [100 + i, { name: `p${i}`, fds: [perfEvent] }]),
  );
  const { message } = explain('ENOSPC', { surface: surfaceOf(many) });
  expect(message).toContain('process 104 (p4)');
  expect(message).not.toContain('process 105');
  expect(message).toContain('and 3 more');
});

test('full registers without a suspect say that none can be seen', () => {
  expect(explain('ENOSPC').message).toContain('no holder can be seen from here');
});

test('another machine is not said to have four registers', () => {
  const watches = ['a', 'b', 'c', 'd', 'e'].map((text) => watch(text));
  const { message } = explain('ENOSPC', { watches, surface: surfaceOf({}, { machine: 'aarch64' }) });
  expect(message).toContain('all are taken');
  expect(message).not.toContain('4');
});

test('a foreign process names its owner, the level and what would allow it', () => {
  const surface = surfaceOf({ 12: { name: 'prog', status: { uid: 1000 } } }, { paranoid: '2\n' });
  const { kind, message } = explain('EACCES', { surface });
  expect(kind).toBe('refusal');
  expect(message).toContain('not permitted to watch process 12');
  expect(message).toContain('belongs to user 1000');
  expect(message).toContain('kernel.perf_event_paranoid is 2');
  expect(message).toContain('CAP_PERFMON');
});

test('a call that is forbidden as such is told from a process that is foreign', () => {
  const surface = surfaceOf({ 12: { name: 'prog', status: { uid: 1000 } } }, { paranoid: '2\n' });
  const { kind, message } = explain('EPERM', { surface });
  expect(kind).toBe('refusal');
  expect(message).toContain('seccomp');
  expect(message).not.toContain('1000');
});

test('a level above 2 is said to be the reason', () => {
  const surface = surfaceOf({ 12: { name: 'prog', status: {} } }, { paranoid: '3' });
  expect(explain('EACCES', { surface }).message).toContain('at this level every use needs root');
});

test('whole CPUs and kernel addresses have their own conditions', () => {
  const surface = surfaceOf({}, { paranoid: '1' });
  const cpus = explain('EACCES', { surface, scope: { type: 'cpus', cpus: [0, 3] } });
  expect(cpus.message).toContain('not permitted to watch CPU 0, 3');
  expect(cpus.message).toContain('level 0 or below');
  const kernel = explain('EPERM', { surface, watches: [watch('jiffies', 0xffff_ffff_8200_0000n)] });
  expect(kernel.message).toContain('CAP_SYS_ADMIN');
});

test('what cannot be read does not hide the refusal', () => {
  const { message } = explain('EACCES', { scope: { type: 'thread', tid: 13 } });
  expect(message).toContain('not permitted to watch thread 13');
  expect(message).toContain('belongs to another user');
});

test.each([
  ['ESRCH', 'request', 'process 12 is not there'],
  ['EINVAL', 'request', "'counter:w': the kernel allows no breakpoint there"],
  ['ENODEV', 'request', 'not online'],
  ['ENOENT', 'refusal', 'offers no hardware breakpoints (ENOENT)'],
  ['EOPNOTSUPP', 'refusal', 'offers no hardware breakpoints (EOPNOTSUPP)'],
  ['ENOSYS', 'refusal', 'offers no hardware breakpoints (ENOSYS)'],
  ['EMFILE', 'refusal', 'ulimit -n'],
  ['ENFILE', 'refusal', 'too many open files'],
  ['ENOMEM', 'refusal', "'counter:w': perf_event_open(breakpoint): ENOMEM"],
  ['EIO', 'refusal', 'perf_event_open(breakpoint): EIO'],
] as const)('%s is a %s: %s', (code, kind, text) => {
  const explained = explain(code);
  expect(explained.kind).toBe(kind);
  expect(explained.message).toContain(text);
});

test('readNumber reads whole numbers alone', () => {
  const path = '/proc/sys/kernel/perf_event_paranoid';
  expect(readNumber(surfaceOf({}, { paranoid: '-1\n' }), path)).toBe(-1);
  expect(readNumber(surfaceOf({}, { paranoid: '4' }), path)).toBe(4);
  expect(readNumber(surfaceOf({}, { paranoid: 'two' }), path)).toBeUndefined();
  expect(readNumber(surfaceOf({}), path)).toBeUndefined();
});
