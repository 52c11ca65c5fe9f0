import { toInteger } from '../integer.ts';
import type { Awaitable, TaskAction } from '../lab.ts';
import { resolveAddress, StepError } from '../values.ts';
import {
  after,
  done,
  type StepContext,
  type StepHandlers,
  type StepKeys,
  type StepResult,
} from './step-context.ts';

/** Steps of tasks: they are made, act, move and end. docs/spec/09 "Steps". */
export function taskSteps(context: StepContext): StepHandlers {
  const { lab } = context;
  const { tasks } = lab;
  const finished = (value: Awaitable<void>): Awaitable<StepResult> => after(value, () => done);
  const named = (name: string, value: Awaitable<void>): Awaitable<StepResult> =>
    after(value, () => {
      context.tasks.push(name);
      return done;
    });
  const act = (keys: StepKeys, action: TaskAction): Awaitable<StepResult> =>
    after(tasks.act(String(keys.task), action), (outcome) => context.acted(String(keys.task), outcome));
  const access = (type: 'store' | 'load' | 'rmw') => (keys: StepKeys) =>
    act(keys, {
      type,
      at: resolveAddress(lab, String(keys.at)),
      lenBytes: context.length(keys),
      times: context.times(keys),
      value: toInteger(keys.value) ?? 1n,
    });
  return {
    spawn: (keys) =>
      named(
        String(keys.task),
        tasks.spawn(String(keys.task), keys.cpu === undefined ? {} : { cpu: context.number(keys, 'cpu', 0) }),
      ),
    thread: (keys) => named(String(keys.as), tasks.thread(String(keys.task), String(keys.as))),
    fork: (keys) =>
      named(
        String(keys.as),
        tasks.fork(String(keys.task), String(keys.as), { clearHandlers: keys.clearHandlers === true }),
      ),
    exec: (keys) => finished(tasks.exec(String(keys.task))),
    exit: (keys) => finished(tasks.exit(String(keys.task))),
    credentials: (keys) => {
      const caps = Array.isArray(keys.caps) ? keys.caps.map(String) : [];
      const drop = keys.restore === true ? undefined : { user: String(keys.user ?? 'nobody'), caps };
      return finished(tasks.credentials(String(keys.task), drop));
    },
    reschedule: (keys) => finished(tasks.reschedule(String(keys.task))),
    migrate: (keys) => finished(tasks.migrate(String(keys.task), context.number(keys, 'cpu', 0))),
    store: access('store'),
    load: access('load'),
    rmw: access('rmw'),
    storeTwo: (keys) =>
      act(keys, {
        type: 'storeTwo',
        at: resolveAddress(lab, String(keys.at)),
        at2: resolveAddress(lab, String(keys.at2)),
        lenBytes: context.length(keys),
        times: context.times(keys),
        value: toInteger(keys.value) ?? 1n,
      }),
    call: (keys) =>
      act(keys, {
        type: 'call',
        at: resolveAddress(lab, String(keys.at)),
        times: context.times(keys),
      }),
    trap: (keys) => {
      if (keys.kind !== 'icebp' && keys.kind !== 'int3') throw new StepError('"kind" is "icebp" or "int3"');
      return act(keys, { type: 'trap', kind: keys.kind });
    },
    syscallWrite: (keys) =>
      act(keys, {
        type: 'syscallWrite',
        at: resolveAddress(lab, String(keys.at)),
        lenBytes: context.length(keys),
      }),
  };
}
