import { hex } from '../base/hex.ts';
import type { HitBatch, HitColumns, RingNotice } from '../ring/hit-columns.ts';
import { fixedSampleBytes, registerBytes, type SampleLayout } from '../ring/sample-layout.ts';
import type { HangupWait, HitDrain } from '../surface/events.ts';
import type { Surface } from '../surface/surface.ts';
import type { LaunchedTask } from '../surface/tasks.ts';
import type { SymbolResources } from '../symbols/process-image.ts';
import { Armed, type WatchCounts } from './arm.ts';
import { armNamed } from './arm-named.ts';
import { CodeSites } from './code-sites.ts';
import type { HitFilter } from './conditions/hit-filter.ts';
import type { HitJudge } from './conditions/hit-judge.ts';
import { Judging, type JudgingOptions, judgesValues } from './conditions/judging.ts';
import { refusalError, requestError } from './errors.ts';
import { type EventOptions, probeEventFeatures } from './event-attrs.ts';
import { readNumber } from './explain-refusal.ts';
import type { Follower, WatchMove } from './follower.ts';
import type { ArmedInfo, EndReason, HitSource } from './hit-source.ts';
import type { InstructionDecoder } from './instructions/instruction-decoder.ts';
import type { PlannedWatch } from './plan.ts';
import { groupOf } from './shown-watches.ts';
import { checkTarget, launchProgram, scopeOf, type Target } from './target.ts';
import { TaskNames } from './task-names.ts';
import { HitPrograms } from './values/hit-programs.ts';
import { isPrivate, startValues } from './values/start-values.ts';
import type { ValueTracker } from './values/value-tracker.ts';
import type { WatchRequest } from './watch-request.ts';

/** How to open a {@link WatchSession}. */
export interface SessionOptions extends JudgingOptions {
  readonly surface: Surface;
  readonly target: Target;
  readonly requests: readonly WatchRequest[];
  /** Record a call stack with every hit. */
  readonly stacks?: boolean;
  /**
   * Attribute a hit to the script function that made it (JavaScript): its site is then the innermost frame of the stack
   * that a JIT map gives a file for, instead of the runtime's own code. Implies `stacks`.
   */
  readonly scriptFrames?: boolean;
  /** Tell the contents of the watched bytes before and after each hit: batches have columns of values (x86). */
  readonly values?: boolean;
  /** Move a watch when a pointer changes that leads to it; takes a register a pointer. Not with `countOnly`. */
  readonly follow?: boolean;
  /** Count hits without a sample for each; batches then carry notices only. */
  readonly countOnly?: boolean;
  /** Leave kernel mode out. */
  readonly userOnly?: boolean;
  /** Libraries and a cache for names and debug information. */
  readonly symbols?: SymbolResources;
  /** Tells which instruction accessed; without one the reported address is shown. */
  readonly decoder?: InstructionDecoder;
}

/**
 * Breakpoints on a target, and the hits that come of it. Errors at opening are `WatchError`; nothing is left
 * armed or stopped then.
 */
export class WatchSession implements HitSource {
  readonly info: ArmedInfo;
  readonly sites: CodeSites;
  readonly names: TaskNames;
  /** The started program, with a command. */
  readonly launched: LaunchedTask | undefined;
  readonly #armed: Armed;
  readonly #drain: HitDrain;
  readonly #maxHits: number;
  readonly #scriptFrames: boolean;
  readonly #values: ValueTracker | undefined;
  readonly #filter: HitFilter | undefined;
  readonly #judge: HitJudge | undefined;
  readonly #follower: Follower | undefined;
  readonly #waiting: HangupWait | undefined;
  readonly #processEnd: { close(): void } | undefined;
  #delivered: number = 0;
  /** Hits given of each watch, where the kernel's counts are not to be trusted. */
  readonly #samples: number[] = [];
  #endReason: EndReason | undefined;
  #finalCounts: WatchCounts[] | undefined;
  #drained: boolean = false;
  /** The call of {@link next} that waits. */
  #pending: Promise<HitBatch | undefined> | undefined;
  #stopped: boolean = false;
  #closed: boolean = false;

  private constructor(parts: {
    info: ArmedInfo;
    sites: CodeSites;
    names: TaskNames;
    launched: LaunchedTask | undefined;
    armed: Armed;
    drain: HitDrain;
    maxHits: number;
    scriptFrames: boolean;
    values: ValueTracker | undefined;
    filter: HitFilter | undefined;
    judge: HitJudge | undefined;
    follower: Follower | undefined;
    endless: boolean;
    /** The end of a process that was not started here. */
    processEnd: { readonly ended: Promise<void>; close(): void } | undefined;
  }) {
    this.info = parts.info;
    this.sites = parts.sites;
    this.names = parts.names;
    this.launched = parts.launched;
    this.#processEnd = parts.processEnd;
    this.#armed = parts.armed;
    this.#drain = parts.drain;
    this.#maxHits = parts.maxHits;
    this.#scriptFrames = parts.scriptFrames;
    this.#values = parts.values;
    this.#filter = parts.filter;
    this.#judge = parts.judge;
    this.#follower = parts.follower;
    if (!parts.endless) {
      const wait = this.#armed.waitEnd();
      this.#waiting = wait;
      void wait.ended.then(() => this.stop('target ended'));
      const targetEnded = this.launched?.ended ?? parts.processEnd?.ended;
      void targetEnded?.then(() => wait.check());
    }
  }

  /** Arms everything. A started program runs when this returns. */
  static async open(options: SessionOptions): Promise<WatchSession> {
    const { surface, target, requests } = options;
    const { events, tasks } = surface;
    if (events === undefined || tasks === undefined)
      throw refusalError(`${surface.kernel.description} offers no perf events`);
    if (requests.length === 0) throw requestError('nothing to watch');
    checkTarget(target, tasks);
    const features = probeEventFeatures(events);
    const userOnly = options.userOnly === true || !features.kernelMode;
    const hasRegisters = surface.kernel.machine === 'x86_64' && options.countOnly !== true;
    const plainLayout: SampleLayout = {
      stacks: options.stacks === true || options.scriptFrames === true,
      copyRegisters: hasRegisters && !userOnly,
      values: !hasRegisters || !(options.values === true || judgesValues(options)) ? undefined : 'registers',
    };
    const names = new TaskNames(tasks);
    const sites = new CodeSites({
      surface,
      symbols: options.symbols,
      ...(options.decoder === undefined ? {} : { decoder: options.decoder }),
      parentOf: (pid) => names.parentOf(pid),
    });
    const inherit = target.type === 'command' || target.type === 'process';
    const programs =
      plainLayout.values === undefined
        ? undefined
        : HitPrograms.open(surface, { layout: plainLayout, features, sampling: true, inherit, userOnly });
    const layout: SampleLayout = programs === undefined ? plainLayout : { ...plainLayout, values: 'bpf' };
    let launched: LaunchedTask | undefined;
    let drain: HitDrain | undefined;
    let armed: Armed | undefined;
    let judging: Judging | undefined;
    try {
      // Launched before the drain is started: a thread that comes up may have files open for a moment that a program
      // started just then would inherit.
      if (target.type === 'command') launched = await launchProgram(tasks, target.launch);
      drain = events.drain(layout);
      const scope = scopeOf(target, launched, tasks);
      judging =
        options.countOnly === true
          ? undefined
          : Judging.open({
              surface,
              options,
              programs,
              scope,
              sites,
              nameOf: (tid, ofPid) => names.name(tid, ofPid),
            });
      const eventOptions: EventOptions = {
        layout,
        features,
        sampling: options.countOnly !== true,
        inherit: scope.type === 'process',
        userOnly,
        wakeupBytes: wakeupFor(options, layout, judging),
      };
      armed = new Armed({
        events,
        tasks,
        drain,
        scope,
        options: eventOptions,
        programs,
        filter: judging?.filter,
        now: () => surface.now(),
      });
      const sinceNs = surface.now();
      const follow = options.follow === true && options.countOnly !== true;
      const follower = armNamed({ surface, requests, scope, armed, sites, tasks, launched, follow });
      if (armed.raced && options.countOnly === true) {
        drain.close(); // before the rings go: it has not begun to read them
        armed.close();
        sites.close();
        return await WatchSession.open({ ...options, countOnly: false });
      }
      const judge = judging?.judgeOf(armed.watches);
      if (armed.raced) judging?.filter?.liftBudget();
      const pid = scope.type === 'process' ? scope.pid : scope.type === 'thread' ? scope.tid : undefined;
      if (pid !== undefined) names.learn(scope.type === 'process' ? tasks.threads(pid) : [pid]);
      const dropsHits = (watch: PlannedWatch, number: number): boolean =>
        watch.isPointer !== true && watch.waits === undefined && judging?.drops(watch, number) === true;
      const drops = armed.watches.map(dropsHits);
      const leavesOut = (watch: number): boolean => drops[watch] === true;
      const values =
        layout.values === undefined
          ? undefined
          : startValues({ surface, armed, scope, sites, launched, userOnly, leavesOut });
      if (follower !== undefined) {
        const { watches } = armed;
        follower.onPlace = {
          before: (number) => judging?.forget(number),
          after: (number) => {
            drops[number] = dropsHits(watches[number]!, number); // it is placed
            if (values === undefined || pid === undefined) return;
            sites.space(pid).refresh();
            values.place(number, { pid, alone: isPrivate(watches[number]!, sites.space(pid).mappings()) }); // likewise
          },
        };
        drain.onUrgent = () => follower.check();
      }
      armed.started();
      const session = new WatchSession({
        info: {
          kernel: surface.kernel.description,
          watches: armed.watches,
          pid,
          comm: pid === undefined ? '' : names.name(pid),
          sinceNs,
          threads: armed.threadCount,
          cpus: scope.type === 'cpus' ? scope.cpus : tasks.cpus,
          kernelMode: !userOnly,
          notes: [
            ...notesFor(surface, options, features.kernelMode),
            ...(layout.values === 'registers' && surface.kernel.live ? [withoutBpf] : []),
            ...armed.watches.flatMap((watch) => watch.note ?? []),
            ...(follow && follower === undefined ? [nothingToFollow] : []),
            ...(armed.raced ? [racedNote] : []),
            ...(pid === undefined || options.countOnly === true ? [] : sites.sourceNotes(pid)),
          ],
          judging: judging?.infoOf(armed.watches, armed.raced) ?? {},
        },
        sites,
        names,
        launched,
        armed,
        drain,
        maxHits: options.maxHits ?? Number.POSITIVE_INFINITY,
        scriptFrames: options.scriptFrames === true,
        values,
        filter: judging?.filter,
        judge,
        follower,
        endless: scope.type === 'cpus',
        processEnd: target.type === 'process' ? tasks.waitEnd(target.pid) : undefined,
      });
      launched?.resume();
      return session;
    } catch (error) {
      launched?.kill();
      drain?.close(); // before the rings go: it has not begun to read them
      armed?.close();
      programs?.finish();
      judging?.filter?.close();
      sites.close();
      throw error;
    }
  }

  /**
   * The next batch of hits, `undefined` after the last. Its notices have not been applied to {@link names} yet: a
   * reader does that in the order of time. Recycle it when done.
   */
  async next(): Promise<HitBatch | undefined> {
    if (this.#closed) return undefined;
    this.#pending = this.#next();
    try {
      return await this.#pending;
    } finally {
      this.#pending = undefined;
    }
  }

  async #next(): Promise<HitBatch | undefined> {
    for (;;) {
      const batch = this.#drained ? undefined : await this.#drain.next();
      if (batch === undefined) {
        this.#drained = true;
        this.stop('target ended'); // if nobody has stopped it, nothing can hit any more
        return undefined;
      }
      this.names.noteParents(batch.notices);
      this.sites.add(batch);
      if (batch.notices.some(endsTask)) this.#waiting?.check();
      const { columns } = batch;
      this.#follower?.take(columns);
      this.#values?.fill(batch);
      if (this.#scriptFrames) this.sites.attributeToScripts(columns);
      if (!this.#stopped) this.#filter?.learn(batch, this.sites, this.info.watches);
      const left = this.#maxHits - this.#delivered;
      const cut = this.#judge?.judge(columns, left) === true;
      if (columns.length >= left) {
        // Even if the target has ended: hits are left out.
        if (cut || columns.length > left || this.#filter?.overBudget === true) this.#endReason = 'max hits';
        columns.length = left;
        this.stop('max hits');
      } else if (
        this.#filter !== undefined &&
        Number.isFinite(left) &&
        this.#delivered + columns.length + this.lost() >= this.#maxHits
      )
        this.stop('max hits'); // the kernel counts what was lost against the budget
      this.#delivered += columns.length;
      if (this.#armed.raced) this.#countSamples(columns);
      if (columns.length === 0 && batch.notices.length === 0 && this.#follower?.hasMoves !== true) {
        this.recycle(batch);
        continue;
      }
      return batch;
    }
  }

  /** Watches that have moved (`follow`) since the last call, up to a batch that has just been given. */
  takeMoves(): readonly WatchMove[] {
    return this.#follower?.takeMoves() ?? [];
  }

  /** Which number stands for a watch's in totals: a watch that moves has several. */
  groupOf(watch: number): number {
    return this.#follower?.groupOf(watch) ?? groupOf(this.info.watches, watch);
  }

  /** Gives a batch back; its columns must not be read any more. */
  recycle(batch: HitBatch): void {
    this.#drain.recycle(batch);
  }

  /** Whether hits carry values. */
  get hasValues(): boolean {
    return this.#values !== undefined;
  }

  /** What lies at an address of the watched process, for pointers: "table+0x8"; `undefined` where no name is known. */
  nameOf(address: bigint): string | undefined {
    const { pid } = this.info;
    if (pid === undefined) return undefined;
    const { symbol, offset } = this.sites.locate(pid, address);
    if (symbol === undefined) return undefined;
    return offset === undefined || offset === 0n ? symbol : `${symbol}+${hex(offset)}`;
  }

  /** Hits whose condition could not be judged, because a value was not known; they are not reported. */
  get undecided(): number {
    return this.#judge?.undecided ?? 0;
  }

  /** Hits given so far. */
  get delivered(): number {
    return this.#delivered;
  }

  /** Why it ended; `undefined` while it runs. */
  get endReason(): EndReason | undefined {
    return this.#endReason;
  }

  /** Takes all breakpoints out and gives their slots back. `next` still gives what is in the rings. The first reason counts. */
  stop(reason: EndReason = 'stopped'): void {
    this.#endReason ??= reason;
    if (this.#stopped) return;
    this.#stopped = true;
    this.#waiting?.close();
    this.#processEnd?.close();
    this.#follower?.close();
    this.#finalCounts = this.#armed.disarm();
    this.#drain.finish();
  }

  /**
   * The kernel's own counts of each watch, now or as they were at the end. Where threads were created while arming, hits
   * are those that were given, because the kernel may have counted some twice.
   */
  counts(): readonly WatchCounts[] {
    const counts = this.#finalCounts ?? this.#armed.counts();
    if (!this.#armed.raced) return counts;
    return counts.map((count, watch) => ({ ...count, hits: BigInt(this.#samples[watch] ?? 0) }));
  }

  #countSamples({ length, watch }: HitColumns): void {
    for (let row = 0; row < length; row++) {
      const number = watch[row]!; // row < length
      this.#samples[number] = (this.#samples[number] ?? 0) + 1;
    }
  }

  /**
   * Hits that were lost: samples that found no room in a ring, as the kernel counted them. An older kernel counts
   * only hits; then it is the difference to what came, which is known when all has come.
   */
  lost(): number {
    let lost = 0n;
    for (const counts of this.counts()) {
      if (counts.lost === undefined) {
        if (this.#filter !== undefined || this.#judge !== undefined) return 0; // who is not there may be unwanted
        const { watches } = this.info;
        const hits = this.counts().reduce(
          (sum, each, watch) => (watches[watch]?.isPointer === true ? sum : sum + each.hits),
          0n,
        );
        return this.#drained && this.#endReason !== 'max hits' ? Number(hits) - this.#delivered : 0;
      }
      lost += counts.lost;
    }
    return Number(lost);
  }

  /** CPU time in nanoseconds of the draining thread. */
  drainCpuTimeNs(): number | undefined {
    return this.#drain.cpuTimeNs();
  }

  /** Disarms, and gives everything back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.stop();
    this.#drain.close();
    void this.#closeWhenDrained();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The rings may be unmapped only when nobody reads them any more. */
  async #closeWhenDrained(): Promise<void> {
    await this.#pending?.catch(() => {}); // whoever waits for a batch gets it first
    while (!this.#drained) {
      const batch = await this.#drain.next();
      if (batch === undefined) this.#drained = true;
      else this.#drain.recycle(batch);
    }
    this.#armed.close();
    this.#filter?.close();
    this.sites.close();
  }
}

/** Whether a watched task may have come to its end: for good, or by executing another program. */
function endsTask(notice: RingNotice): boolean {
  return notice.type === 'exit' || (notice.type === 'comm' && notice.exec);
}

const withoutBpf =
  'values by registers alone: what they do not tell is read afterwards, for the last hit of a batch, and otherwise unknown (root, or CAP_BPF and CAP_PERFMON, reads it in the trap)';
const nothingToFollow = '--follow: no pointer leads to what is watched; nothing can move';
const racedNote =
  'threads were created while the process was being armed; each hit is told once, by its sample';

/**
 * Bytes in a ring that wake the reader: when `maxHits` have come, and early where programs learn from what comes; a ring
 * is never asked for more than its half.
 */
function wakeupFor(
  { maxHits, when }: JudgingOptions,
  layout: SampleLayout,
  judging: Judging | undefined,
): number | undefined {
  const learning = when !== undefined && judging?.filter !== undefined ? learningBytes : undefined;
  if (maxHits === undefined) return learning;
  const sampleBytes = fixedSampleBytes + registerBytes(layout);
  return Math.max(1, Math.min(learning ?? 1 << 18, maxHits * sampleBytes));
}

/** Some hundred hits: seldom enough to cost the target nothing that can be measured. */
const learningBytes = 1 << 16;

function notesFor(surface: Surface, options: SessionOptions, kernelAllowed: boolean): string[] {
  const notes: string[] = [];
  if (!kernelAllowed && options.userOnly !== true) {
    const level = readNumber(surface, '/proc/sys/kernel/perf_event_paranoid');
    notes.push(
      `user mode only: accesses by system calls are left out (kernel.perf_event_paranoid is ${level ?? 'unknown'}; root, CAP_PERFMON or level 1 sees them)`,
    );
  }
  return notes;
}
