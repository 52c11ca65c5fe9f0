import type { RingNotice } from '../ring/hit-columns.ts';
import type { SampleLayout } from '../ring/sample-layout.ts';

/** What the drain's worker is started with. */
export interface DrainStart {
  readonly layout: SampleLayout;
  /** Written to wake the worker up from poll(2). */
  readonly wakeFd: number;
}

/** To the worker. */
export type DrainRequest =
  | {
      readonly type: 'ring';
      readonly fd: number;
      readonly address: number;
      readonly lengthBytes: number;
      readonly urgent: boolean;
    }
  /** Three words an entry: id low, id high, watch number. */
  | { readonly type: 'watches'; readonly ids: Uint32Array }
  /** Id low and high of an event whose samples are hits as a bpf program writes them. */
  | { readonly type: 'rawHits'; readonly ids: Uint32Array }
  /** No sample of this watch will come any more. */
  | { readonly type: 'forgetWatch'; readonly watch: number }
  /** Threads may be armed twice from now on. */
  | { readonly type: 'dropDoubles' }
  /** Columns that may be filled (again): a credit for one batch. */
  | { readonly type: 'columns'; readonly buffer: ArrayBuffer }
  /** Read what is there, then end. */
  | { readonly type: 'finish' };

/** From the worker. */
export type DrainReply =
  | {
      readonly type: 'batch';
      readonly buffer: ArrayBuffer;
      readonly length: number;
      readonly firstSite: number;
      readonly newSites: Uint32Array;
      readonly firstStack: number;
      readonly newStacks: Uint32Array;
      readonly notices: readonly RingNotice[];
      readonly cpuTimeNs: number;
    }
  /** An urgent ring has been written to. */
  | { readonly type: 'urgent'; readonly cpuTimeNs: number }
  | { readonly type: 'finished'; readonly cpuTimeNs: number };

/** Rows of one batch. Rows with values are six times as long, and so that a batch stays in a cache there are fewer. */
export function batchRowsOf(layout: SampleLayout): number {
  return layout.values !== undefined ? 4096 : 16384;
}
/** Batches that may be under way; when all are, the rings fill up and the kernel counts what is lost. */
export const batchCredits = 8;
