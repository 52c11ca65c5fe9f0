import { isKernelError } from '../../base/kernel-error.ts';
import {
  PERF_FORMAT_GROUP,
  PERF_FORMAT_ID,
  PERF_FORMAT_LOST,
  PERF_FORMAT_TOTAL_TIME_ENABLED,
  PERF_FORMAT_TOTAL_TIME_RUNNING,
} from '../../uapi/perf-event-attr.ts';
import {
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
  PERF_EVENT_IOC_PERIOD,
  PERF_EVENT_IOC_SET_BPF,
} from '../../uapi/perf-event-ioctl.ts';
import { toInteger } from '../integer.ts';
import { attrBytes, attrOf, ioctlRequest } from '../values.ts';
import {
  done,
  pointerTo,
  type StepContext,
  type StepHandlers,
  type StepKeys,
  type StepResult,
} from './step-context.ts';

/** Room for the record of a group of any size that fits. */
const readBytesDefault = 16 * 1024;

/** Steps of events: the system calls on their fds. docs/spec/09 "Steps". */
export function eventSteps(context: StepContext): StepHandlers {
  const { lab } = context;
  const { calls } = lab;
  return {
    open: (keys) => open(context, keys),
    modify: (keys) => {
      calls.ioctl(context.fd(keys.event), PERF_EVENT_IOC_MODIFY_ATTRIBUTES, attrBytes(lab, keys.attr));
      return done;
    },
    ioctl: (keys) => ioctl(context, keys),
    read: (keys) => read(context, keys),
    poll: (keys) => ({ errno: 0, revents: calls.poll(context.fd(keys.event)) }),
    close: (keys) => {
      const name = String(keys.event);
      const fd = context.fd(name);
      context.events.delete(name);
      calls.close(fd);
      return done;
    },
  };
}

function open(context: StepContext, keys: StepKeys): StepResult {
  const { lab } = context;
  const { task } = keys;
  const pid = task === null || task === undefined ? -1 : task === 'self' ? 0 : context.tid(String(task));
  const { group } = keys;
  const groupFd =
    group === undefined
      ? -1
      : group === 'file'
        ? lab.fileFd()
        : group === 'none'
          ? lab.closedFd()
          : context.fd(group);
  const bytes = attrBytes(lab, keys.attr);
  try {
    const fd = lab.calls.perfEventOpen({
      attr: bytes,
      pid,
      cpu: context.number(keys, 'cpu', -1),
      groupFd,
      flags: context.number(keys, 'flags', 0),
    });
    const fields =
      typeof keys.attr === 'object' && keys.attr !== null ? attrOf(lab, keys.attr as StepKeys) : undefined; // checked by the parser
    context.events.set(String(keys.as), { fd, attr: fields });
    return done;
  } catch (error) {
    if (!isKernelError(error, 'E2BIG') || bytes === 'bad') throw error;
    // The kernel tells the size that it knows.
    return { errno: error.code, size: new DataView(bytes.buffer).getUint32(4, true) };
  }
}

function ioctl(context: StepContext, keys: StepKeys): StepResult {
  const { calls } = context.lab;
  const request = ioctlRequest(keys.request);
  const fd = context.fd(keys.event);
  const { arg } = keys;
  if (arg === 'bad') calls.ioctl(fd, request, 'bad');
  else if (request === PERF_EVENT_IOC_PERIOD) calls.ioctl(fd, request, pointerTo(toInteger(arg) ?? 0n));
  else if (request === PERF_EVENT_IOC_ID) {
    const bytes = pointerTo(0n);
    calls.ioctl(fd, request, bytes);
    return { errno: 0, id: context.idName(new DataView(bytes.buffer).getBigUint64(0, true)) };
  } else if (request === PERF_EVENT_IOC_SET_BPF) calls.ioctl(fd, request, programFd(context, arg));
  else if (typeof arg === 'string' && context.events.has(arg)) calls.ioctl(fd, request, context.fd(arg));
  else calls.ioctl(fd, request, Number(toInteger(arg) ?? 0n));
  return done;
}

/** The fd of a program; "file" is an open file that is none, "none" the number of a closed one. */
function programFd(context: StepContext, arg: unknown): number {
  if (arg === 'file') return context.lab.fileFd();
  if (typeof arg !== 'string') return Number(toInteger(arg) ?? -1n);
  return context.programs.get(arg) ?? context.events.get(arg)?.fd ?? context.lab.closedFd();
}

function read(context: StepContext, keys: StepKeys): StepResult {
  const event = context.events.get(String(keys.event));
  const bytes = context.lab.calls.read(
    context.fd(keys.event),
    context.number(keys, 'bytes', readBytesDefault),
  );
  const format = event?.attr?.readFormat ?? 0;
  if (bytes.length === 0) return { errno: 0, bytes: 0 };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const next = (): bigint => {
    const word = view.getBigUint64(at, true);
    at += 8;
    return word;
  };
  const has = (bit: number): boolean => (format & bit) !== 0;
  const result: Record<string, unknown> = { errno: 0, bytes: bytes.length };
  const times = (): void => {
    if (has(PERF_FORMAT_TOTAL_TIME_ENABLED)) result.timeEnabled = next();
    if (has(PERF_FORMAT_TOTAL_TIME_RUNNING)) result.timeRunning = next();
  };
  if (has(PERF_FORMAT_GROUP)) {
    const members = Number(next());
    times();
    result.nr = members;
    result.members = Array.from({ length: members }, () => ({
      value: next(),
      ...(has(PERF_FORMAT_ID) ? { id: context.idName(next()) } : {}),
      ...(has(PERF_FORMAT_LOST) ? { lost: next() } : {}),
    }));
    return result;
  }
  result.value = next();
  times();
  if (has(PERF_FORMAT_ID)) result.id = context.idName(next());
  if (has(PERF_FORMAT_LOST)) result.lost = next();
  return result;
}
