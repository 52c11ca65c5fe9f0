import type { Surface } from '../../surface/surface.ts';
import type { LaunchedTask } from '../../surface/tasks.ts';
import type { Mapping } from '../../symbols/maps.ts';
import type { Armed, Scope } from '../arm.ts';
import type { CodeSites } from '../code-sites.ts';
import type { PlannedWatch } from '../plan.ts';
import { ValueTracker } from './value-tracker.ts';

/** What is armed, and where its code and memory are. */
export interface ValueSession {
  readonly surface: Surface;
  readonly armed: Armed;
  readonly scope: Scope;
  readonly sites: CodeSites;
  readonly launched: LaunchedTask | undefined;
  /** Hits in kernel mode are left out. */
  readonly userOnly: boolean;
  /** Whether programs drop hits of a watch. */
  readonly leavesOut?: ((watch: number) => boolean) | undefined;
}

/** The values of a session's hits. To be called when everything is armed, and before a started program is let go. */
export function startValues(session: ValueSession): ValueTracker {
  const { surface, armed, scope, sites, launched } = session;
  const { watches } = armed;
  const tracker = new ValueTracker({
    watches,
    effectOf: (site, watch) => {
      const { access, effect } = sites.access(site, watches[watch]!, watch); // hits carry numbers of these
      return { access, effect };
    },
    memory: surface.memory,
    now: () => surface.now(),
    alone: isAlone(session),
    leavesOut: session.leavesOut,
  });
  if (scope.type === 'process') {
    // Nothing runs on the model until hits are waited for.
    tracker.begin(scope.pid, { still: launched !== undefined || !surface.kernel.live });
  }
  return tracker;
}

/** Whether nobody but the one thread that is watched can store, unseen, to what is watched. */
function isAlone({ armed, scope, sites, userOnly }: ValueSession): boolean {
  if (scope.type !== 'process' || armed.threadCount !== 1 || armed.raced || userOnly) return false;
  const mappings = sites.space(scope.pid).mappings();
  return armed.watches.every((watch) => watch.waits !== undefined || isPrivate(watch, mappings));
}

/** Whether every store to a watch's memory is one of the process, and a hit. */
export function isPrivate({ address, only }: PlannedWatch, mappings: readonly Mapping[]): boolean {
  const mapping = mappings.find(({ start, end }) => start <= address && address < end);
  return only === undefined && mapping?.shared === false;
}
