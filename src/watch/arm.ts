import { assert } from '../base/assert.ts';
import { isKernelError } from '../base/kernel-error.ts';
import { joinPair } from '../base/pair.ts';
import { RingView } from '../ring/ring-view.ts';
import { sampleIdTimeWordsFromEnd } from '../ring/sample-layout.ts';
import type { Events, EventTarget, HangupWait, HitDrain, PerfEvent } from '../surface/events.ts';
import type { Tasks } from '../surface/tasks.ts';
import { PERF_EVENT_HEADER_BYTES, PERF_RECORD_FORK } from '../uapi/perf-event-ring.ts';
import type { HitFilter } from './conditions/hit-filter.ts';
import { breakpointAttr, type EventOptions, newsAttr, ringHolderAttr } from './event-attrs.ts';
import type { PlannedWatch } from './plan.ts';
import type { HitPrograms } from './values/hit-programs.ts';

/** Whose accesses are watched. */
export type Scope =
  | { readonly type: 'process'; readonly pid: number }
  | { readonly type: 'thread'; readonly tid: number }
  | { readonly type: 'cpus'; readonly cpus: readonly number[] };

/** A breakpoint event of the session. */
interface ArmedEvent {
  readonly event: PerfEvent;
  readonly watch: number;
}

/** Counts of one watch, summed over its events. */
export interface WatchCounts {
  /** Hits, as the kernel counted them. */
  readonly hits: bigint;
  /** Samples that found no room in a ring; `undefined` where the kernel cannot tell. */
  readonly lost: bigint | undefined;
  readonly timeEnabledNs: bigint;
  readonly timeRunningNs: bigint;
}

/** Data pages of a ring at first; halved while the kernel's mlock budget does not allow it. */
const ringPages = 512;
/** The same where samples carry stacks. */
const stackRingPages = 1024;
const leastRingPages = 4;
/** Data pages of a ring for hits of watched pointers. */
const urgentRingPages = 2;
/**
 * The record of a thread's creation is written some time after the thread has inherited; events that its creator got
 * in between are not among them. So much later than its creator was armed, a thread has all.
 */
const settledNs = 50_000_000;
/** How often threads are listed again before giving up on a process that creates them faster than they are armed. */
const mostPasses = 100;

/** What {@link Armed} works with. */
export interface ArmedParts {
  readonly events: Events;
  readonly tasks: Tasks;
  readonly drain: HitDrain;
  readonly scope: Scope;
  readonly options: EventOptions;
  /** Write the hits, with the watched memory in them; absent where values are not wanted or bpf is not there. */
  readonly programs?: HitPrograms | undefined;
  /** Keeps conditions and budgets in the kernel; then it attaches the programs. */
  readonly filter?: HitFilter | undefined;
  /** Nanoseconds of CLOCK_MONOTONIC. */
  readonly now: () => bigint;
}

/**
 * The breakpoints of one session, open on every thread (or CPU) of its scope.
 *
 * A ring can only be mapped from an event of one CPU if the event is inherited, so a sampling session has one event a
 * thread, CPU and watch, and one ring a CPU that all events of the CPU write to. A thread's news event is opened after
 * its breakpoints: a FORK record of it proves that the new thread inherited all of them.
 */
export class Armed {
  readonly watches: PlannedWatch[] = [];
  readonly #events: Events;
  readonly #tasks: Tasks;
  readonly #drain: HitDrain;
  readonly #scope: Scope;
  readonly #options: EventOptions;
  readonly #programs: HitPrograms | undefined;
  readonly #filter: HitFilter | undefined;
  /** Of arming threads: a thread that is armed twice has events of two rounds. */
  #round: number = 0;
  readonly #armed: ArmedEvent[] = [];
  readonly #news: PerfEvent[] = [];
  /** Counts of events that were closed since, by watch. */
  readonly #released: Map<number, WatchCounts> = new Map();
  /** The first watches are being armed: threads get their news events. */
  #opensNews: boolean = true;
  /** Rings are read, which must not be looked at from here any more. */
  #running: boolean = false;
  /** By CPU: the event that the ring belongs to. */
  readonly #ringHolders: Map<number, PerfEvent> = new Map();
  /** The same of rings that wake their reader at every record: those of watched pointers. */
  readonly #urgentHolders: Map<number, PerfEvent> = new Map();
  readonly #rings: RingView[] = [];
  readonly #threads: Set<number> = new Set();
  /** When each thread had all its events. */
  readonly #armedAtNs: Map<number, bigint> = new Map();
  readonly #now: () => bigint;
  #raced: boolean = false;
  #pages: number;

  constructor(parts: ArmedParts) {
    this.#events = parts.events;
    this.#tasks = parts.tasks;
    this.#drain = parts.drain;
    this.#scope = parts.scope;
    this.#options = parts.options;
    this.#programs = parts.programs;
    this.#filter = parts.filter;
    this.#now = parts.now;
    this.#pages = parts.options.layout.stacks ? stackRingPages : ringPages;
  }

  /** Threads that events were opened on (those that inherited theirs are not counted). */
  get threadCount(): number {
    return this.#threads.size;
  }

  /**
   * Threads were created while arming, and may be armed twice: the kernel's counts may be too high then, and only
   * samples tell.
   */
  get raced(): boolean {
    return this.#raced;
  }

  /** Bytes of each ring. */
  get ringBytes(): number {
    return this.#pages * 4096;
  }

  /** Open events: file descriptors held. */
  get eventCount(): number {
    return this.#armed.length + this.#news.length;
  }

  /**
   * Arms more watches. Throws the `KernelError` of the first event that is refused; what was armed by this call is
   * then taken back.
   */
  arm(watches: readonly PlannedWatch[]): void {
    const first = this.watches.length;
    this.watches.push(...watches);
    const numbers = this.watches.map((_, watch) => watch).slice(first);
    try {
      this.#arm(numbers.filter((number) => this.watches[number]?.waits === undefined));
    } catch (error) {
      this.watches.length = first;
      throw error;
    }
  }

  /**
   * Arms `watch` as number `number`, of which nothing is armed and no hit is still to come; or the next number. Throws as
   * {@link Armed.arm} does.
   */
  armAt(number: number, watch: PlannedWatch): void {
    if (this.#released.has(number)) {
      this.#drain.forgetWatch(number);
      this.#programs?.forget(number);
      this.#filter?.forget(number);
    }
    this.watches[number] = watch;
    this.#arm([number]);
  }

  /** The drain reads the rings from now on. */
  started(): void {
    this.#running = true;
  }

  /** Takes the breakpoints of one watch out for good. Its hits until now may still come. */
  release(number: number): void {
    const events: ArmedEvent[] = [];
    for (let i = this.#armed.length - 1; i >= 0; i--)
      if (this.#armed[i]?.watch === number) events.push(...this.#armed.splice(i, 1));
    for (const { event } of events) event.disable();
    const [own] = this.#countsOf(events, [number]);
    const before = this.#released.get(number);
    if (own !== undefined && before !== undefined) addCounts(own, before);
    if (own !== undefined) this.#released.set(number, own);
    for (const { event } of events) event.close();
  }

  #arm(numbers: readonly number[]): void {
    const events = this.#armed.length;
    this.#opensNews = this.#news.length === 0;
    try {
      switch (this.#scope.type) {
        case 'cpus':
          this.#armTarget(-1, this.#scope.cpus, numbers, false);
          break;
        case 'thread':
          this.#armThread(this.#scope.tid, numbers, false);
          break;
        case 'process':
          this.#armProcess(this.#scope.pid, numbers);
          break;
      }
    } catch (error) {
      for (const { event } of this.#armed.splice(events)) event.close();
      throw error;
    }
  }

  /**
   * Every thread there is, and those created meanwhile, until a pass finds none. A thread that is found later may have
   * inherited from a creator that was armed in part. Then it is armed nevertheless, the last watch first: what it has
   * already is refused with ENOSPC when registers run out, or makes a second sample of a hit, which the drain drops.
   */
  #armProcess(pid: number, numbers: readonly number[]): void {
    const done = new Set<number>();
    const refused: { readonly watch: number; readonly target: EventTarget }[] = [];
    let ended: unknown;
    for (let pass = 0; pass < mostPasses; pass++) {
      const inherited = pass === 0 || this.#running ? new Set<number>() : this.#inheritedThreads();
      const fresh = this.#tasks.threads(pid).filter((tid) => !done.has(tid) && !inherited.has(tid));
      if (fresh.length === 0) break;
      if (pass > 0) {
        this.#round = Math.min(pass, 0xff);
        this.#raced = true;
        this.#drain.dropDoubles();
      }
      for (const tid of fresh) {
        done.add(tid);
        try {
          this.#armThread(tid, numbers, pass > 0, refused);
        } catch (error) {
          if (!isKernelError(error, 'ESRCH')) throw error;
          ended = error; // a thread that ended meanwhile; no failure while there are others
        }
      }
    }
    if (this.#threads.size === 0) throw ended;
    // Others who try registers out hold them for a moment: what was refused because of them is there to have now.
    for (const { watch, target } of refused)
      try {
        this.#armWatch(watch, target);
      } catch (error) {
        if (!isKernelError(error, 'ENOSPC', 'ESRCH')) throw error;
      }
  }

  #armThread(
    tid: number,
    numbers: readonly number[],
    mayHaveInherited: boolean,
    refused?: { readonly watch: number; readonly target: EventTarget }[],
  ): void {
    this.#armTarget(tid, this.#tasks.cpus, numbers, mayHaveInherited, refused);
    this.#threads.add(tid);
    this.#armedAtNs.set(tid, this.#now());
  }

  #armTarget(
    pid: number,
    cpus: readonly number[],
    numbers: readonly number[],
    mayHaveInherited: boolean,
    refused?: { readonly watch: number; readonly target: EventTarget }[],
  ): void {
    const onCpus = this.#options.sampling || pid === -1;
    const inOrder = mayHaveInherited ? [...numbers].reverse() : numbers;
    for (const cpu of onCpus ? cpus : [-1]) {
      for (const watch of inOrder) {
        try {
          this.#armWatch(watch, { pid, cpu });
        } catch (error) {
          if (!mayHaveInherited || !isKernelError(error, 'ENOSPC')) throw error;
          refused?.push({ watch, target: { pid, cpu } });
        }
      }
    }
    if (!this.#opensNews) return;
    for (const cpu of cpus) {
      const event = this.#open(newsAttr(this.#options), { pid, cpu });
      this.#news.push(event);
      this.#output(event, cpu);
      event.enable();
    }
  }

  /** Opened disabled, and enabled when its samples have a ring to go to: none is thrown away. */
  #armWatch(watch: number, target: EventTarget): void {
    const planned = this.watches[watch]!; // a number of a watch
    const event = this.#open(breakpointAttr(planned, this.#options), target);
    this.#armed.push({ event, watch });
    const isPointer = planned.isPointer === true;
    const attaches = isPointer ? undefined : (this.#filter ?? this.#programs);
    attaches?.attach(event, planned, watch, this.#round); // before any copy is inherited
    if (this.#options.sampling) {
      if (isPointer) this.#outputUrgent(event, target.cpu);
      else this.#output(event, target.cpu);
      this.#drain.addWatch(event, watch);
    }
    event.enable();
  }

  #open(attr: Parameters<Events['open']>[0], target: EventTarget): PerfEvent {
    return this.#events.open(attr, target);
  }

  /**
   * Lets `event` write to its CPU's ring. The ring belongs to an event of this process that counts nothing: so it
   * outlives the watched tasks, and a breakpoint that is closed gives its slot back although the ring is still read.
   */
  #output(event: PerfEvent, cpu: number): void {
    let holder = this.#ringHolders.get(cpu);
    if (holder === undefined) {
      holder = this.#open(ringHolderAttr(this.#options), { pid: 0, cpu });
      this.#ringHolders.set(cpu, holder);
      this.#mapRing(holder);
      this.#drain.addRing(holder);
      this.#programs?.addRing(cpu, holder, this.#drain, this.#options);
    }
    event.setOutput(holder);
  }

  /** The same for a ring of its own that wakes its reader at once, where there is memory for one. */
  #outputUrgent(event: PerfEvent, cpu: number): void {
    let holder = this.#urgentHolders.get(cpu);
    if (holder === undefined) {
      holder = this.#open(ringHolderAttr({ ...this.#options, wakeupBytes: 1 }), { pid: 0, cpu });
      try {
        holder.mapRing(urgentRingPages);
      } catch (error) {
        holder.close();
        if (!isKernelError(error, 'EPERM', 'ENOMEM')) throw error;
        this.#output(event, cpu);
        return;
      }
      this.#urgentHolders.set(cpu, holder);
      this.#drain.addRing(holder, { urgent: true });
    }
    event.setOutput(holder);
  }

  #mapRing(holder: PerfEvent): void {
    for (;;) {
      try {
        const ring = holder.mapRing(this.#pages);
        this.#rings.push(new RingView(ring.memory, ring.pageBytes));
        return;
      } catch (error) {
        if (!isKernelError(error, 'EPERM', 'ENOMEM') || this.#pages <= leastRingPages) throw error;
        this.#pages /= 2;
      }
    }
  }

  /**
   * Threads that have certainly inherited everything: a news event has told of their creation, and their creator was
   * armed some time before, or has itself inherited. Looks at the rings without taking.
   */
  #inheritedThreads(): Set<number> {
    const newsIds = new Set(this.#news.map((event) => event.id()));
    const forks = this.#rings.flatMap((view) => forksIn(view)).filter((fork) => newsIds.has(fork.eventId));
    forks.sort((a, b) => a.timeNs - b.timeNs);
    const threads = new Set<number>();
    for (const { tid, parentTid, timeNs } of forks) {
      const armedAtNs = this.#armedAtNs.get(parentTid);
      const creatorWasArmed = armedAtNs !== undefined && timeNs - Number(armedAtNs) > settledNs;
      if (creatorWasArmed || threads.has(parentTid)) threads.add(tid);
    }
    return threads;
  }

  /** The counts of each watch; until `disarm`. */
  counts(): WatchCounts[] {
    const sums = this.#countsOf(
      this.#armed,
      this.watches.map((_, number) => number),
    );
    // Programs write the hits of all watches of a CPU through one event.
    const [first] = sums;
    if (first?.lost !== undefined) first.lost += this.#programs?.lost() ?? 0n;
    for (const [number, released] of this.#released) addCounts(sums[number]!, released); // one a watch
    return sums;
  }

  /** What `events` counted, by the watches `numbers`. */
  #countsOf(events: readonly ArmedEvent[], numbers: readonly number[]): Sum[] {
    const sums = numbers.map(() => ({
      hits: 0n,
      lost: this.#options.features.lost ? 0n : undefined,
      timeEnabledNs: 0n,
      timeRunningNs: 0n,
    }));
    for (const { event, watch } of events) {
      const counts = event.read();
      const sum = sums[numbers.indexOf(watch)]!; // one a watch
      sum.hits += counts.value;
      if (sum.lost !== undefined) sum.lost += counts.lost ?? 0n;
      sum.timeEnabledNs += counts.timeEnabledNs ?? 0n;
      sum.timeRunningNs += counts.timeRunningNs ?? 0n;
    }
    // Events of one thread on several CPUs are enabled together while the thread runs on any of them, so their sum is
    // too large; what was in a register was enabled.
    if (this.#options.sampling && this.#scope.type !== 'cpus') {
      for (const sum of sums) {
        const share = sum.timeEnabledNs / BigInt(this.#tasks.cpus.length);
        sum.timeEnabledNs = share > sum.timeRunningNs ? share : sum.timeRunningNs;
      }
    }
    return sums;
  }

  /** Resolves when no task of the scope is left that a breakpoint is armed on. */
  waitEnd(): HangupWait {
    const stays = ({ watch }: ArmedEvent): boolean => this.watches[watch]?.moves !== true;
    const events = this.#options.sampling ? this.#armed.filter(stays).map(({ event }) => event) : this.#news;
    return this.#events.waitHangup(events);
  }

  /**
   * Takes all breakpoints out of the registers and gives their slots back. The rings can still be read.
   * @returns the final counts of each watch.
   */
  disarm(): WatchCounts[] {
    for (const { event } of this.#armed) event.disable();
    const counts = this.counts();
    this.#programs?.finish();
    for (const { event } of this.#armed.splice(0)) event.close();
    for (const event of this.#news.splice(0)) event.close();
    return counts;
  }

  /** Gives everything back, the rings too. */
  close(): void {
    for (const { event } of this.#armed.splice(0)) event.close();
    for (const event of this.#news.splice(0)) event.close();
    for (const holders of [this.#ringHolders, this.#urgentHolders]) {
      for (const event of holders.values()) event.close();
      holders.clear();
    }
    this.#programs?.finish();
  }
}

type Sum = { -readonly [Key in keyof WatchCounts]: WatchCounts[Key] };

function addCounts(sum: Sum, more: WatchCounts): void {
  sum.hits += more.hits;
  if (sum.lost !== undefined) sum.lost += more.lost ?? 0n;
  sum.timeEnabledNs += more.timeEnabledNs;
  sum.timeRunningNs += more.timeRunningNs;
}

/** The creation of a thread, as a ring tells it. */
interface Fork {
  readonly tid: number;
  readonly parentTid: number;
  readonly timeNs: number;
  /** The event that told it. */
  readonly eventId: bigint;
}

function forksIn(view: RingView): Fork[] {
  const { words, wordMask } = view;
  const word = (index: number): number => words[index & wordMask]!; // masked
  const forks: Fork[] = [];
  const head = view.headLow();
  for (let at = view.tailLow; at !== head; ) {
    const w = at >>> 2;
    const sizeBytes = word(w + 1) >>> 16;
    assert(sizeBytes >= PERF_EVENT_HEADER_BYTES, 'a record has a header');
    if (word(w) === PERF_RECORD_FORK) {
      const end = w + sizeBytes / 4;
      const time = end - sampleIdTimeWordsFromEnd;
      forks.push({
        tid: word(w + 4),
        parentTid: word(w + 5),
        timeNs: word(time + 1) * 0x1_0000_0000 + word(time),
        eventId: joinPair(word(end - 2), word(end - 1)), // the identifier ends the record
      });
    }
    at = (at + sizeBytes) >>> 0;
  }
  return forks;
}
