import type { HitBatch, RingNotice } from '../ring/hit-columns.ts';
import type { LaunchedTask } from '../surface/tasks.ts';
import type { AddressSpace } from '../symbols/address-space.ts';
import type { CodeLocation } from '../symbols/code-location.ts';
import type { WatchCounts } from './arm.ts';
import type { CodeAccess } from './code-sites.ts';
import type { JudgingInfo } from './conditions/judging.ts';
import type { WatchMove } from './follower.ts';
import type { PlannedWatch } from './plan.ts';

/** Why a session ended. */
export type EndReason = 'target ended' | 'max hits' | 'time' | 'stopped' | 'stub gone';

/** What is armed, and what had to be left out. */
export interface ArmedInfo {
  /** Who answers: "Linux 6.1.0 x86_64", "i386:x86-64 at unix:/run/stub". */
  readonly kernel: string;
  /** With a remote stub: how many threads are watched, and what they are. */
  readonly remote?: { readonly threads: 'threads' | 'CPUs' };
  readonly watches: readonly PlannedWatch[];
  /** Process, thread or launched program; absent for whole CPUs. */
  readonly pid: number | undefined;
  /** Its name. */
  readonly comm: string;
  /** When arming began (CLOCK_MONOTONIC): no hit is older. */
  readonly sinceNs: bigint;
  /** Threads armed at the start; 0 for whole CPUs. */
  readonly threads: number;
  readonly cpus: readonly number[];
  /** Hits in kernel mode are seen. */
  readonly kernelMode: boolean;
  /** What a user should know: one sentence each. */
  readonly notes: readonly string[];
  /** Which hits are reported. */
  readonly judging: JudgingInfo;
}

/** What is known of the code that batches name by numbers. */
export interface HitSites {
  /** The address space of a process; absent where nothing is known of processes. */
  space?(pid: number): AddressSpace;
  /** The code behind hits of `watch` at `site`. */
  access(site: number, watch: PlannedWatch, watchNumber: number): CodeAccess;
  /** The frames of a stack, innermost first; 0 has none. */
  frames(
    stack: number,
  ): readonly { readonly address: bigint; readonly kernel: boolean; readonly location: CodeLocation }[];
}

/** Names of threads. */
export interface HitNames {
  /** "" where it is not known. */
  name(tid: number, pid?: number): string;
  /** Takes note of what a batch tells, in the order of time. */
  apply(notice: RingNotice): void;
}

/**
 * Armed watches, and the hits that come of them, in batches of columns: perf events ({@link WatchSession}), a remote stub.
 * What prints, counts or records hits is written against this.
 */
export interface HitSource {
  readonly info: ArmedInfo;
  readonly sites: HitSites;
  readonly names: HitNames;
  /** The started program, where a command was given. */
  readonly launched: LaunchedTask | undefined;
  /** Whether hits carry values. */
  readonly hasValues: boolean;
  /** Hits whose condition could not be judged; they are not reported. */
  readonly undecided: number;
  /** Hits given so far. */
  readonly delivered: number;
  /** Why it ended; `undefined` while it runs. */
  readonly endReason: EndReason | undefined;
  /** What went wrong, in one line, where the source ended by it. */
  readonly problem?: string | undefined;
  /** The next batch, `undefined` after the last, when nothing is armed any more. Recycle it when done. */
  next(): Promise<HitBatch | undefined>;
  /** Watches that have moved since the last call, up to the batch that has just been given; absent where none move. */
  takeMoves?(): readonly WatchMove[];
  /** The number that stands for a watch's in totals: one that moves has several. */
  groupOf?(watch: number): number;
  /** Gives a batch back; its columns must not be read any more. */
  recycle(batch: HitBatch): void;
  /** Ends the watch; `next` still gives what is left. The first reason counts. */
  stop(reason?: EndReason): void;
  /** Hits of each watch. */
  counts(): readonly WatchCounts[];
  /** Hits that were lost. */
  lost(): number;
  /** What lies at an address of the target: "table+0x8"; `undefined` where no name is known. */
  nameOf(address: bigint): string | undefined;
  /** Disarms, lets the target go on, and gives everything back. May be called twice. */
  close(): void | Promise<void>;
}
