import { isKernelError } from '../../base/kernel-error.ts';
import type { CloneKind } from '../../machine/kernel-entry.ts';
import type { Task } from '../../machine/task.ts';
import { findTaskContext } from './event-context.ts';
import { eventStates } from './event-state.ts';
import type { PerfEvent } from './perf-event.ts';
import type { PerfKernel } from './perf-kernel.ts';

/**
 * `child` gets copies of its parent's inheritable events. Throws the `KernelError` of the first copy that cannot be
 * made, and then there are none: the clone fails. docs/spec/02 section 4.2, docs/spec/03 section 8.
 */
export function inheritEvents(kernel: PerfKernel, parent: Task, child: Task, kind: CloneKind): void {
  const context = findTaskContext(parent);
  if (context === null || context.empty) return;
  const copies: PerfEvent[] = [];
  try {
    for (const list of [context.pinned, context.flexible])
      for (const leader of list ?? []) {
        if (!inheritable(leader, kind)) continue;
        const leaderCopy = copyEvent(kernel, leader, child, parent, null);
        copies.push(leaderCopy);
        for (const sibling of leader.siblings ?? [])
          copies.push(copyEvent(kernel, sibling, child, parent, leaderCopy));
        leaderCopy.groupChanges = leader.groupChanges;
      }
  } catch (error) {
    if (!isKernelError(error)) throw error;
    for (const copy of copies.reverse()) kernel.control.destroyCopy(copy);
    throw error;
  }
}

function inheritable(event: PerfEvent, kind: CloneKind): boolean {
  const { inherit, inheritThread, sigtrap } = event.attr;
  if (inherit !== true || (inheritThread === true && !kind.thread)) return false;
  return !(sigtrap === true && kind.clearHandlers);
}

function copyEvent(
  kernel: PerfKernel,
  event: PerfEvent,
  child: Task,
  forking: Task,
  leader: PerfEvent | null,
): PerfEvent {
  const { top } = event;
  const copy = kernel.create({
    attr: event.attr,
    task: child,
    cpu: event.cpu,
    // The rights are those of the task that forks.
    caller: { sysAdmin: forking.credentials.capabilities.has('SYS_ADMIN') },
    parent: top,
    overflowHandler: top.overflowHandler,
    handlerContext: top.handlerContext,
  });
  copy.program = top.program;
  copy.state = event.state >= eventStates.inactive ? eventStates.inactive : eventStates.off;
  if (event.attr.freq === true) copy.period = event.period;
  if (top.children === null) top.children = new Set();
  top.children.add(copy);
  kernel.attach(copy, leader);
  return copy;
}

/**
 * `task` ends: its inherited copies are folded into the events that were opened, its own events stay to be read, with
 * their slots. docs/spec/02 section 4.3, docs/spec/03 section 8.
 */
export function leaveTask(kernel: PerfKernel, task: Task): void {
  kernel.records.exited(task);
  const context = findTaskContext(task);
  if (context === null) return;
  for (const event of context.events()) {
    if (event.parent !== null) {
      if (event.attr.inheritStat === true) kernel.records.counted(event, task);
      kernel.control.destroyCopy(event);
    } else kernel.control.detach(event, eventStates.exit, { keepGroup: true });
    // Whoever waits is told, with what was last to be told: a stale POLL_IN, too.
    kernel.overflow.wake(event.top);
  }
  kernel.overflow.settle();
}

/** `task` executed a program: events that wait for that are enabled, and those that end with it leave. */
export function startProgram(kernel: PerfKernel, task: Task): void {
  const context = findTaskContext(task);
  if (context === null) {
    kernel.records.named(task, true);
    return;
  }
  for (const event of context.events()) {
    if (event.attr.enableOnExec !== true) continue;
    event.attr = { ...event.attr, enableOnExec: false };
    if (event.state === eventStates.off) kernel.control.enableOnly(event);
  }
  for (const event of context.events()) {
    if (event.attr.removeOnExec !== true) continue;
    if (event.parent !== null) kernel.control.destroyCopy(event);
    else kernel.control.detach(event, eventStates.exit);
    kernel.overflow.wake(event.top);
  }
  kernel.overflow.settle();
  kernel.records.named(task, true);
}
