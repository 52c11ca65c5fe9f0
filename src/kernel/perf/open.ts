import type { Task } from '../../machine/task.ts';
import {
  PERF_FLAG_FD_CLOEXEC,
  PERF_FLAG_FD_NO_GROUP,
  PERF_FLAG_FD_OUTPUT,
  PERF_FLAG_PID_CGROUP,
} from '../../uapi/perf-event-attr.ts';
import {
  checkAbilities,
  checkAttr,
  checkAttrRights,
  checkAttrTarget,
  checkAuxGroup,
  checkCallchain,
  checkClock,
  clockOf,
  type KernelAttr,
  keptAttr,
  mayCountKernel,
  perfmonCapable,
} from './attr-check.ts';
import { eventStates } from './event-state.ts';
import { failure } from './failure.ts';
import type { PerfEvent } from './perf-event.ts';
import type { PerfKernel } from './perf-kernel.ts';

const knownFlags = PERF_FLAG_FD_NO_GROUP | PERF_FLAG_FD_OUTPUT | PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC;
/** The largest record that a group may make when read, in bytes. */
const groupReadBytesMax = 16 * 1024;

/** `perf_event_open(2)` below the fds. */
export interface OpenRequest {
  /** The attr, or what reads it when its turn comes. */
  readonly attr: KernelAttr | (() => KernelAttr);
  readonly caller: Task;
  /** 0: the caller; -1: every task. */
  readonly pid: number;
  /** -1: any. */
  readonly cpu: number;
  readonly flags?: number;
  /** Called between the checks of the attr and those of the target: finds room for an fd, and the group. */
  readonly group?: () => PerfEvent | null;
}

/**
 * Opens an event for a task. Throws `KernelError` by the table of docs/spec/03 section 9, in its order; then nothing
 * is left behind.
 */
export function openEvent(kernel: PerfKernel, request: OpenRequest): PerfEvent {
  return kernel.call(() => open(kernel, request));
}

function open(kernel: PerfKernel, request: OpenRequest): PerfEvent {
  const { caller, pid, cpu } = request;
  const flags = request.flags ?? 0;
  const { credentials } = caller;
  if ((flags & ~knownFlags) !== 0) throw failure('EINVAL', 'unknown open flag');
  const attr = typeof request.attr === 'function' ? request.attr() : request.attr;
  checkAttr(attr, mayCountKernel(credentials, kernel.limits), kernel.limits);
  checkAttrRights(attr, credentials, kernel.limits);
  const cgroup = (flags & PERF_FLAG_PID_CGROUP) !== 0;
  if (cgroup && (pid === -1 || cpu === -1)) throw failure('EINVAL', 'PID_CGROUP needs a group and a CPU');
  const found = request.group?.() ?? null;
  if (found?.state === eventStates.exit) throw failure('ENODEV', 'the leader belonged to a task that ended');
  const leader = (flags & PERF_FLAG_FD_NO_GROUP) !== 0 ? null : found;
  // The fd of a control group stands in the place of the task.
  const task = cgroup ? null : findTarget(kernel, caller, pid);
  if (task !== null && leader !== null && (leader.attr.inherit === true) !== (attr.inherit === true))
    throw failure('EINVAL', 'inherit differs from the leader');
  if (cpu !== -1 && (cpu < 0 || cpu >= kernel.cpus.length))
    throw failure('EINVAL', `CPUs are 0 to ${kernel.cpus.length - 1}`);
  if (cpu === -1 && task === null) throw failure('EINVAL', 'neither a task nor a CPU');
  checkAttrTarget(attr, task !== null);
  const event = kernel.create({
    attr: keptAttr(attr),
    task,
    cpu,
    caller: { sysAdmin: credentials.capabilities.has('SYS_ADMIN') },
  });
  try {
    checkAbilities(attr, kernel.limits);
    if (cgroup) throw failure('EBADF', 'there are no control groups');
    checkCallchain(attr);
    checkClock(attr);
    checkTargetRights(kernel, event, caller);
    if (task?.alive === false) throw failure('ESRCH', 'the task has exited');
    if (task === null && kernel.cpuState(cpu).context.on === null)
      throw failure('ENODEV', `CPU ${cpu} is offline`);
    if (leader !== null) checkGroup(event, leader);
    checkAuxGroup(attr);
    if (found !== null && (flags & PERF_FLAG_FD_OUTPUT) !== 0) kernel.rings.setOutput(event, found);
    kernel.attach(event, leader);
  } catch (error) {
    kernel.control.destroy(event);
    throw error;
  }
  return event;
}

function findTarget(kernel: PerfKernel, caller: Task, pid: number): Task | null {
  if (pid === -1) return null;
  const task = pid === 0 ? caller : kernel.machine.findTask(pid);
  if (task === undefined) throw failure('ESRCH', `no task ${pid}`);
  return task;
}

function checkTargetRights(kernel: PerfKernel, event: PerfEvent, caller: Task): void {
  const { credentials } = caller;
  const { task } = event;
  if (task === null) {
    if (kernel.limits.paranoid > 0 && !perfmonCapable(credentials))
      throw failure('EACCES', 'every task of a CPU needs CAP_PERFMON');
    return;
  }
  const mayTrace = task.credentials.uid === credentials.uid || credentials.capabilities.has('SYS_PTRACE');
  const capable =
    perfmonCapable(credentials) && (event.attr.sigtrap !== true || credentials.capabilities.has('KILL'));
  if (!mayTrace && !capable) throw failure('EACCES', `task ${task.tid} belongs to another user`);
}

/** Rules of docs/spec/03 section 3.2. */
function checkGroup(event: PerfEvent, leader: PerfEvent): void {
  const { attr } = event;
  if (leader.leader !== leader) throw failure('EINVAL', 'the leader is itself a sibling');
  if (clockOf(attr) !== clockOf(leader.attr)) throw failure('EINVAL', 'another clock than the leader');
  if (event.task !== leader.task || event.cpu !== leader.cpu || leader.context === null)
    throw failure('EINVAL', 'another target than the leader');
  if (attr.pinned === true || attr.exclusive === true)
    throw failure('EINVAL', 'only a leader is pinned or exclusive');
  const members = 2 + (leader.siblings?.length ?? 0);
  if (8 * (3 + members * 3) > groupReadBytesMax) throw failure('E2BIG', 'the group is too large to be read');
}
