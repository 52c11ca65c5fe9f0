import { assert } from '../base/assert.ts';
import { KernelError } from '../base/kernel-error.ts';
import type { Surface } from '../surface/surface.ts';
import type { LaunchedTask, Tasks } from '../surface/tasks.ts';
import type { Armed, Scope } from './arm.ts';
import type { CodeSites } from './code-sites.ts';
import { refusalError, requestError, type WatchError } from './errors.ts';
import { explainRefusal } from './explain-refusal.ts';
import { Follower } from './follower.ts';
import { type NameSpace, type PlannedWatch, planWatches } from './plan.ts';
import { threadLocalsOf } from './thread-locals.ts';
import type { WatchRequest } from './watch-request.ts';

/**
 * Plans and arms. Of a started program, what its own file holds is armed before the first instruction; names that only
 * libraries can have, and what pointers lead to, at its entry point, when the loader has mapped and relocated all.
 * @returns what follows pointers, where that is wanted and there are some.
 */
export function armNamed(parts: {
  surface: Surface;
  requests: readonly WatchRequest[];
  scope: Scope;
  armed: Armed;
  sites: CodeSites;
  tasks: Tasks;
  launched: LaunchedTask | undefined;
  /** Pointers are followed when they change. */
  follow: boolean;
}): Follower | undefined {
  const { surface, requests, scope, armed, sites, tasks, launched, follow } = parts;
  if (follow && scope.type === 'thread')
    throw requestError(
      `--follow takes a whole process (-p ${tasks.status(scope.tid).pid}): any of its threads may change a pointer`,
    );
  const followed: WatchRequest[] = [];
  const names = nameSpaceOf(surface, scope, sites, tasks);
  const plan = (wanted: readonly WatchRequest[], last: boolean): WatchRequest[] => {
    const planned: PlannedWatch[] = [];
    const later: WatchRequest[] = [];
    for (const request of wanted) {
      const settled = launched === undefined || last;
      const result = planWatches(request, { ...names, settled, follow });
      const pointers = 'error' in result ? result.pointers : result[0]?.pointers;
      if (follow && pointers !== undefined && settled) followed.push(request);
      else if (!('error' in result)) planned.push(...result);
      else if (result.mayAppear && !last) later.push(request);
      else
        throw launched !== undefined && result.mayAppear && request.location.type === 'expression'
          ? atEntry(result.error, pointers !== undefined)
          : pointers === undefined
            ? result.error
            : requestError(`${result.error.message} (--follow waits for it)`, result.error.details);
    }
    armOrExplain(planned, parts);
    return later;
  };
  const later = plan(requests, launched === undefined);
  if (later.length > 0) {
    assert(launched !== undefined, 'nothing appears later in a program that has begun');
    if (!launched.runToEntry())
      throw refusalError(
        `the program ended while its libraries were loaded, before ${later.map((request) => `'${request.text}'`).join(', ')} could be armed`,
      );
    names.space?.refresh();
    plan(later, true);
  }
  const follower =
    followed.length === 0
      ? undefined
      : new Follower({
          armed,
          plan: (request) => planWatches(request, { ...names, follow }),
          explain: (error, watches) => explainRefusal(error, { surface, scope, watches }),
          now: () => surface.now(),
        });
  try {
    follower?.begin(followed);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw explainRefusal(error, { surface, scope, watches: armed.watches });
  }
  assert(armed.watches.length >= requests.length, 'every request became a watch, or several');
  return follower;
}

/** Says when a name was looked for last: a pointer that the program sets later is null then. */
function atEntry(error: WatchError, isPointer: boolean): WatchError {
  const follow = isPointer ? '--follow waits for it, or ' : '';
  const when = `at the program's entry point, when it was armed; ${follow}attach with -p when it has run on`;
  return requestError(`${error.message} (${when})`, error.details);
}

function armOrExplain(
  planned: readonly PlannedWatch[],
  parts: { surface: Surface; scope: Scope; armed: Armed },
): void {
  if (planned.length === 0) return;
  try {
    parts.armed.arm(planned);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const watches = [...parts.armed.watches, ...planned];
    throw explainRefusal(error, { surface: parts.surface, scope: parts.scope, watches });
  }
}

function nameSpaceOf(surface: Surface, scope: Scope, sites: CodeSites, tasks: Tasks): NameSpace {
  const known = surface.names;
  if (known !== undefined) return { description: surface.kernel.description, known };
  if (scope.type === 'cpus')
    return { description: 'the kernel', kallsyms: () => sites.kallsyms(), btf: () => sites.btf() };
  const pid = scope.type === 'process' ? scope.pid : tasks.status(scope.tid).pid;
  const description = `process ${pid} (${tasks.name(pid)})`;
  try {
    if (tasks.maps(pid) === '' && !tasks.status(pid).zombie)
      throw requestError(`${description} is a kernel thread: it has no memory of its own`);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    throw explainRefusal(error, { surface, scope, watches: [] });
  }
  const space = sites.space(pid);
  const [main] = space.modules();
  if (main?.file?.bits === 32) {
    throw requestError(
      `${description} runs a 32-bit program (${main.path}); only 64-bit programs can be watched`,
    );
  }
  const tid = scope.type === 'thread' ? scope.tid : undefined;
  return { description, space, threadLocals: threadLocalsOf(surface, { pid, tid, space }) };
}
