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
import * as signalConstants from '../../uapi/signal.ts';
import { toInteger } from '../integer.ts';
import type { SignalChange } from '../lab.ts';
import { StepError } from '../values.ts';
import { after, type StepContext, type StepHandlers, type StepKeys } from './step-context.ts';

const changes: readonly SignalChange['type'][] = ['block', 'unblock', 'ignore', 'default', 'handle'];
/** Signals that tasks can do something about. */
const names: readonly string[] = ['SIGTRAP', 'SIGUSR1', 'SIGIO'];

/** The number of a signal by its name, or as a number. */
function signalNumber(value: unknown): number {
  const number = toInteger(value);
  if (number !== undefined) return Number(number);
  const constant = names.includes(String(value))
    ? (signalConstants as Record<string, unknown>)[String(value)] // a module is an object of its exports
    : undefined;
  if (typeof constant !== 'number')
    throw new StepError(`a signal is one of ${names.join(', ')}, not ${JSON.stringify(value)}`);
  return constant;
}

/** `true` is SIGTRAP; otherwise a list of names. */
function signalList(value: unknown): number[] {
  if (value === true) return [signalConstants.SIGTRAP];
  if (!Array.isArray(value)) throw new StepError('"block" and the like are true or a list of signals');
  return value.map((name) => {
    if (!names.includes(String(name))) throw new StepError(`a signal is one of ${names.join(', ')}`);
    return signalNumber(name);
  });
}

/** Steps of signals: what tasks do about them, and which events send them. docs/spec/09 "Steps". */
export function signalSteps(context: StepContext): StepHandlers {
  const { lab } = context;
  return {
    signalMask: (keys) => {
      const type = changes.find((name) => keys[name] !== undefined && keys[name] !== false);
      if (type === undefined) throw new StepError(`expected one of ${changes.join(', ')}`);
      const change: SignalChange = { type, signals: signalList(keys[type]) };
      const task = String(keys.task);
      return after(lab.tasks.handleSignals(task, change), (outcome) => context.acted(task, outcome));
    },
    async: (keys) => {
      setAsync(context, keys);
      const { calls } = lab;
      const fd = context.fd(keys.event);
      return {
        errno: 0,
        on: (calls.fcntl(fd, F_GETFL, 0) & O_ASYNC) !== 0,
        sends: calls.fcntl(fd, F_GETSIG, 0),
        owner: context.tidName(calls.fcntl(fd, F_GETOWN, 0)),
      };
    },
  };
}

function setAsync(context: StepContext, keys: StepKeys): void {
  const { calls } = context.lab;
  const fd = context.fd(keys.event);
  if (keys.task !== undefined) {
    const tid = context.tid(String(keys.task));
    if (keys.thread === true) {
      const owner = new Uint8Array(8);
      const view = new DataView(owner.buffer);
      view.setInt32(0, F_OWNER_TID, true);
      view.setInt32(4, tid, true);
      calls.fcntl(fd, F_SETOWN_EX, owner);
    } else calls.fcntl(fd, F_SETOWN, tid);
  }
  if (keys.signal !== null) calls.fcntl(fd, F_SETSIG, signalNumber(keys.signal ?? 'SIGIO'));
  calls.fcntl(fd, F_SETFL, keys.on === false ? 0 : O_ASYNC);
}
