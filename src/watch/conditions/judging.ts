import { isKernelError } from '../../base/kernel-error.ts';
import type { Surface } from '../../surface/surface.ts';
import type { Scope } from '../arm.ts';
import type { CodeSites } from '../code-sites.ts';
import type { PlannedWatch } from '../plan.ts';
import type { HitPrograms } from '../values/hit-programs.ts';
import { conditionScope } from './condition-names.ts';
import { HitFilter } from './hit-filter.ts';
import { HitJudge } from './hit-judge.ts';
import { type Judge, usesValue, WatchConditions } from './watch-conditions.ts';

/** Which hits are wanted. */
export interface JudgingOptions {
  /** Report hits of which this holds (condition-syntax.ts). */
  readonly when?: string;
  /** Report so many hits of a watch a second at most, and as many at once. */
  readonly rate?: number;
  /** End after so many hits. */
  readonly maxHits?: number;
  /** Stop the process (SIGSTOP) at every hit that is reported. */
  readonly stop?: boolean;
}

/** Who keeps to a limit: bpf programs inside the kernel, or this process when hits come. */
export type Keeper = 'kernel' | 'here';

/** What hits must be like to be reported, and who sees to it. */
export interface JudgingInfo {
  readonly when?: {
    readonly text: string;
    readonly judge: Judge;
    /** Why not in the kernel, or on what the kernel goes. */
    readonly why?: string;
  };
  readonly rate?: { readonly perSecond: number; readonly keeper: Keeper };
  readonly maxHits?: { readonly hits: number; readonly keeper: Keeper };
  readonly stop?: Keeper;
}

/** What {@link Judging} works with. */
export interface JudgingParts {
  readonly surface: Surface;
  readonly options: JudgingOptions;
  readonly programs: HitPrograms | undefined;
  readonly scope: Scope;
  readonly sites: CodeSites;
  readonly nameOf: (tid: number, pid: number) => string;
}

/** Whether values must be known to judge. Throws `WatchError` for a condition that does not parse. */
export function judgesValues(options: JudgingOptions): boolean {
  return options.when !== undefined && usesValue(options.when);
}

/** The conditions and budgets of a session, in the kernel as far as they can be kept there. */
export class Judging {
  readonly filter: HitFilter | undefined;
  readonly #parts: JudgingParts;
  readonly #conditions: WatchConditions;

  private constructor(parts: JudgingParts) {
    const { surface, options, programs, scope, sites } = parts;
    const { live } = surface.kernel;
    this.#parts = parts;
    const pid = scope.type === 'process' ? scope.pid : scope.type === 'thread' ? scope.tid : undefined;
    const hasSpace = pid !== undefined && surface.names === undefined;
    let conditions: WatchConditions | undefined;
    this.filter =
      surface.bpf === undefined
        ? undefined
        : HitFilter.open({
            bpf: surface.bpf,
            programs,
            planOf: (watch, number) => conditions?.of(watch, number),
            learns: live && scope.type !== 'cpus' && options.when !== undefined,
            rate: options.rate,
            maxHits: options.maxHits,
            stop: options.stop === true,
          });
    conditions = new WatchConditions({
      text: options.when,
      scopeOf: (watch) =>
        conditionScope(watch, {
          space: hasSpace ? sites.space(pid) : undefined,
          known: surface.names,
        }),
      bpf: this.filter !== undefined,
      memoryIsExact: !live,
    });
    this.#conditions = conditions;
  }

  /** `undefined`: every hit is wanted. */
  static open(parts: JudgingParts): Judging | undefined {
    const { when, rate, maxHits, stop } = parts.options;
    if (when === undefined && rate === undefined && maxHits === undefined && stop !== true) return undefined;
    return new Judging(parts);
  }

  /** Whether programs may drop hits of a watch before the budget is spent. */
  drops(watch: PlannedWatch, number: number): boolean {
    const { judge, condition } = this.#conditions.of(watch, number);
    return judge !== 'here' && (condition !== undefined || this.#parts.options.rate !== undefined);
  }

  /**
   * What judges here, where that is needed. When everything is armed; throws `WatchError` of a condition. `watches` may
   * change where they follow pointers.
   */
  judgeOf(watches: readonly PlannedWatch[]): HitJudge | undefined {
    const { options, surface, nameOf } = this.#parts;
    const moves = watches.some((watch) => watch.moves === true);
    const judged = watches.flatMap((watch, number) =>
      isJudged(watch) ? [this.#conditions.of(watch, number)] : [],
    );
    if (!moves && judged.every(({ judge }) => judge === 'kernel')) return undefined;
    return new HitJudge({
      conditionOf: (number) => this.#conditions.of(watches[number]!, number), // rows have numbers of these
      rate: options.rate,
      stop: options.stop === true ? (pid) => stopOrNothing(surface, pid) : undefined,
      memory: surface.memory,
      nameOf,
    });
  }

  /** The number comes to mean another watch. */
  forget(number: number): void {
    this.#conditions.forget(number);
  }

  /** Who sees to what: of several watches the weakest. When everything is armed. */
  infoOf(watches: readonly PlannedWatch[], raced: boolean): JudgingInfo {
    const { when, rate, maxHits, stop } = this.#parts.options;
    const order: readonly Judge[] = ['here', 'both', 'kernel'];
    const [weakest] = watches
      .flatMap((watch, number) => (isJudged(watch) ? [this.#conditions.of(watch, number)] : []))
      .sort((a, b) => order.indexOf(a.judge) - order.indexOf(b.judge));
    const judge = weakest?.judge ?? 'here';
    const keeper: Keeper = judge === 'kernel' ? 'kernel' : 'here';
    return {
      ...(when === undefined
        ? {}
        : { when: { text: when, judge, ...(weakest?.why === undefined ? {} : { why: weakest.why }) } }),
      ...(rate === undefined ? {} : { rate: { perSecond: rate, keeper } }),
      ...(maxHits === undefined ? {} : { maxHits: { hits: maxHits, keeper: raced ? 'here' : keeper } }),
      ...(stop === true ? { stop: keeper } : {}),
    };
  }
}

/** Whether there are hits of it, and they are reported. */
function isJudged(watch: PlannedWatch): boolean {
  return watch.isPointer !== true && watch.waits === undefined;
}

function stopOrNothing({ tasks }: Surface, pid: number): void {
  try {
    tasks?.stop(pid);
  } catch (error) {
    if (!isKernelError(error, 'ESRCH')) throw error; // it has ended since
  }
}
