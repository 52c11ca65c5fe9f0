import { expect, test } from 'vitest';
import { errnoValues } from '../base/errno.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { Tasks } from '../surface/tasks.ts';
import { TaskNames } from './task-names.ts';

/** Tasks of which only names can be asked; `asked` counts how often. */
function tasksOf(names: Record<number, string>): { tasks: Tasks; asked: number[] } {
  const asked: number[] = [];
  const tasks: Pick<Tasks, 'name'> = {
    name(tid) {
      asked.push(tid);
      const name = names[tid];
      if (name === undefined) throw new KernelError({ errno: errnoValues.ESRCH, operation: `task ${tid}` });
      return name;
    },
  };
  return { tasks: tasks as Tasks, asked }; // TaskNames asks for names alone
}

const fork = (tid: number, pid: number, parentTid: number, parentPid: number) =>
  ({ type: 'fork', timeNs: 1n, tid, pid, parentTid, parentPid }) as const;
const comm = (tid: number, name: string) =>
  ({ type: 'comm', timeNs: 2n, pid: tid, tid, comm: name, exec: false }) as const;

test('a name is asked for once, and follows the notices from then on', () => {
  const { tasks, asked } = tasksOf({ 10: 'main' });
  const names = new TaskNames(tasks);
  names.learn([10]);
  expect(names.name(10)).toBe('main');
  names.apply(comm(10, 'renamed'));
  expect(names.name(10)).toBe('renamed');
  expect(asked).toEqual([10]);
});

test('a new thread has the name of its creator until it gets its own', () => {
  const names = new TaskNames(tasksOf({ 10: 'main' }).tasks);
  names.apply(fork(11, 10, 10, 10));
  expect(names.name(11)).toBe('main');
  names.apply(comm(10, 'later'));
  expect(names.name(11)).toBe('main');
  names.apply(comm(11, 'worker'));
  expect(names.name(11)).toBe('worker');
});

test('a thread number that is given again has the name of the new thread', () => {
  const names = new TaskNames(tasksOf({ 10: 'main', 20: 'other' }).tasks);
  names.apply(comm(30, 'old'));
  names.apply(fork(30, 20, 20, 20));
  expect(names.name(30)).toBe('other');
});

test('a thread that is gone has no name, and is asked for once', () => {
  const { tasks, asked } = tasksOf({});
  const names = new TaskNames(tasks);
  expect([names.name(5), names.name(5)]).toEqual(['', '']);
  expect(asked).toEqual([5]);
});

test('a failure that is not the kernel’s is not swallowed', () => {
  const tasks: Pick<Tasks, 'name'> = {
    name() {
      throw new TypeError('a bug');
    },
  };
  expect(() => new TaskNames(tasks as Tasks).name(1)).toThrow('a bug'); // as above
});

test('forked processes have parents, threads have not, as soon as the notices are there', () => {
  const names = new TaskNames(tasksOf({ 10: 'main' }).tasks);
  names.noteParents([fork(11, 10, 10, 10), fork(20, 20, 11, 10), fork(30, 30, 20, 20), comm(40, 'x')]);
  expect([10, 11, 20, 30, 40].map((pid) => names.parentOf(pid))).toEqual([
    undefined,
    undefined,
    10,
    20,
    undefined,
  ]);
});
