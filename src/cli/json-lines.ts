import { hex } from '../base/hex.ts';
import type { CodeLocation } from '../symbols/code-location.ts';
import type { WatchCounts } from '../watch/arm.ts';
import type { CodeAccess } from '../watch/code-sites.ts';
import type { WatchMove } from '../watch/follower.ts';
import type { Hit } from '../watch/hit-reader.ts';
import type { ArmedInfo, EndReason, HitSites, HitSource } from '../watch/hit-source.ts';
import type { PlannedWatch } from '../watch/plan.ts';
import { type ShownWatch, shownWatches, sumCounts, watchName } from '../watch/shown-watches.ts';
import type { SiteTotal } from '../watch/totals.ts';
import { shortFile } from './code-text.ts';
import { valueFormats } from './value-formats.ts';

// JSON lines of `--json`. The schema is docs/hit.schema.json. 64-bit values are "0x…", times decimal nanoseconds of
// CLOCK_MONOTONIC as strings. Hits are built from parts that are kept per site, thread and watch: a line costs a
// concatenation.

/** What a line of a hit needs of where the hit comes from: a session, or a recording. */
export interface HitOrigin {
  readonly info: { readonly watches: readonly PlannedWatch[] };
  readonly sites: Pick<HitSites, 'frames'>;
  nameOf(address: bigint): string | undefined;
}

/** Builds the lines of hits. */
export class HitJson {
  readonly #session: HitOrigin;
  readonly #code: WeakMap<CodeAccess, string> = new WeakMap();
  readonly #watches: WeakMap<PlannedWatch, string> = new WeakMap();
  readonly #comms: Map<string, string> = new Map();
  readonly #stacks: Map<number, string> = new Map();
  readonly #asm: boolean;
  readonly #formats: ReturnType<typeof valueFormats>;

  constructor(session: HitOrigin, options: { readonly asm: boolean; readonly raw?: boolean }) {
    this.#session = session;
    this.#asm = options.asm;
    this.#formats = valueFormats(session, options);
  }

  /** One line, without the newline. */
  line(hit: Hit): string {
    const count = hit.count > 1 ? `,"count":${hit.count}` : '';
    return `{"type":"hit","timeNs":"${hit.timeNs}","pid":${hit.pid},"tid":${hit.tid},"comm":${this.#comm(hit.comm)},"cpu":${hit.cpu ?? null},${this.#watchOf(hit)},${this.#codeOf(hit.code)}${this.#valueOf(hit)},"stack":${this.#stack(hit.stack)}${count}}`;
  }

  #watchOf({ watch, element }: Hit): string {
    if (element !== undefined)
      return `"watch":${JSON.stringify(watchName(watch))},"element":${JSON.stringify(element.text)},"address":"${hex(element.address)}"`;
    let text = this.#watches.get(watch);
    if (text === undefined) {
      text = `"watch":${JSON.stringify(watch.text)},"address":"${hex(watch.address)}"`;
      this.#watches.set(watch, text);
    }
    return text;
  }

  /** The fields of a hit's value; none where values are not recorded. */
  #valueOf(hit: Hit): string {
    const { value } = hit;
    if (value === undefined) return '';
    const { json, typeName } = this.#formats(hit);
    const { before, after, from, exact, gap } = value;
    return `,"old":${before === undefined ? 'null' : json(before)},"new":${after === undefined ? 'null' : json(after)},"valueType":${typeName === undefined ? 'null' : JSON.stringify(typeName)},"valueFrom":${from === undefined ? 'null' : `"${from}"`},"exact":${exact}${gap ? ',"gap":true' : ''}`;
  }

  #comm(comm: string): string {
    let text = this.#comms.get(comm);
    if (text === undefined) {
      text = JSON.stringify(comm);
      this.#comms.set(comm, text);
    }
    return text;
  }

  #codeOf(code: CodeAccess): string {
    let text = this.#code.get(code);
    if (text === undefined) {
      const fields = {
        access: code.access,
        kernel: code.kernel,
        ...frameFields(code.ip, code.location),
        sampleIp: hex(code.sampleIp),
        ...(this.#asm && code.text !== undefined ? { asm: code.text } : {}),
      };
      text = JSON.stringify(fields).slice(1, -1);
      this.#code.set(code, text);
    }
    return text;
  }

  #stack(stack: number): string {
    let text = this.#stacks.get(stack);
    if (text === undefined) {
      const frames = this.#session.sites.frames(stack);
      text = JSON.stringify(
        frames.map(({ address, kernel, location }) => ({ ...frameFields(address, location), kernel })),
      );
      this.#stacks.set(stack, text);
    }
    return text;
  }
}

/** Code in JSON: what is not known is null. */
export function frameFields(address: bigint, location: CodeLocation): object {
  return {
    ip: hex(address),
    symbol: location.symbol ?? null,
    offset: location.offset === undefined ? null : hex(location.offset),
    module: location.module ?? null,
    ...(location.moduleOffset === undefined ? {} : { moduleOffset: hex(location.moduleOffset) }),
    ...(location.function === undefined ? {} : { function: location.function }),
    ...(location.file === undefined ? {} : { file: shortFile(location.file) }),
    ...(location.line === undefined ? {} : { line: location.line }),
    ...(location.column === undefined ? {} : { column: location.column }),
    ...(location.inlinedInto === undefined ? {} : { inlined: location.inlinedInto }),
  };
}

/** The first line; its time is when arming began. */
export function armedJson(info: ArmedInfo): string {
  return JSON.stringify({
    type: 'armed',
    timeNs: String(info.sinceNs),
    kernel: info.kernel,
    pid: info.pid ?? null,
    threads: info.threads,
    cpus: info.cpus,
    kernelMode: info.kernelMode,
    notes: info.notes,
    ...info.judging,
    watches: shownWatches(info.watches).map(watchFields),
  });
}

function watchFields({ watch, numbers }: ShownWatch): object {
  const isArmed = watch.waits === undefined;
  return {
    watch: watch.text,
    address: isArmed ? hex(watch.address) : null,
    lenBytes: isArmed ? watch.lenBytes : null,
    access: watch.access,
    symbol: watch.symbol ?? null,
    module: watch.module ?? null,
    ...(numbers.length > 1 ? { registers: numbers.length } : {}),
    ...(isArmed ? {} : { waits: watch.waits }),
  };
}

/** A watch is somewhere else (`--follow`), or not armed. */
export function movedJson({ timeNs, text, watches, pointers, why }: WatchMove): string {
  return JSON.stringify({
    type: 'moved',
    timeNs: String(timeNs),
    watch: text,
    places: watches.map(({ address, lenBytes }) => ({ address: hex(address), lenBytes })),
    pointers: pointers.map(({ text: pointer, value }) => ({ pointer, value: hex(value) })),
    ...(why === undefined ? {} : { why }),
  });
}

/** Hits lost so far, when more have been lost. */
export function lostJson(timeNs: bigint, lost: number): string {
  return JSON.stringify({ type: 'lost', timeNs: String(timeNs), lost });
}

/** The watch ended: of one process that executed another program (`pid`), or the whole session. */
export function endedJson(
  timeNs: bigint,
  ended:
    | { readonly reason: 'exec'; readonly pid: number; readonly comm: string }
    | { readonly reason: EndReason },
): string {
  return JSON.stringify({ type: 'ended', timeNs: String(timeNs), ...ended });
}

/** What the last line holds. */
export interface SummaryFields {
  readonly session: HitSource;
  readonly hits: number;
  readonly sites: readonly SiteTotal[];
  readonly names: ReadonlyMap<number, string>;
}

/** The last line. */
export function summaryJson(fields: SummaryFields): string {
  const { session, hits, sites, names } = fields;
  return JSON.stringify({
    type: 'summary',
    hits,
    lost: session.lost(),
    ...(session.undecided > 0 ? { undecided: session.undecided } : {}),
    sites: sites.map(({ site, watch, hits: siteHits, tids }) => {
      const planned = session.info.watches[watch]!; // totals count watches of the session
      const code = session.sites.access(site, planned, watch);
      return {
        watch: watchName(planned),
        access: code.access,
        kernel: code.kernel,
        ...frameFields(code.ip, code.location),
        hits: siteHits,
        share: hits === 0 ? 0 : siteHits / hits,
        threads: tids.map((tid) => ({ tid, comm: names.get(tid) ?? '' })),
      };
    }),
  });
}

/** One object for `stat --json`: a watch, its counts, and hits a thread where asked for. */
export function countsJson(
  session: HitSource,
  counts: readonly WatchCounts[],
  more: object,
  threads?: (watch: number) => object[],
): string {
  return JSON.stringify({
    type: 'counts',
    kernel: session.info.kernel,
    kernelMode: session.info.kernelMode,
    notes: session.info.notes,
    ...more,
    watches: shownWatches(session.info.watches).map((shown) => {
      const { watch } = shown;
      const count = sumCounts(counts, shown);
      return {
        watch: watch.text,
        address: hex(watch.address),
        lenBytes: watch.lenBytes,
        access: watch.access,
        hits: Number(count.hits),
        timeEnabledNs: String(count.timeEnabledNs),
        timeRunningNs: String(count.timeRunningNs),
        ...(threads === undefined ? {} : { threads: threads(shown.numbers[0] ?? -1) }),
      };
    }),
  });
}
