import { hex } from '../base/hex.ts';
import type { WatchMove } from '../watch/follower.ts';
import type { Hit } from '../watch/hit-reader.ts';
import type { ArmedInfo, HitSource } from '../watch/hit-source.ts';
import { pointersText } from '../watch/plan-expression.ts';
import { shownWatches } from '../watch/shown-watches.ts';
import { codeText, inlinedText } from './code-text.ts';
import { printable } from './printable.ts';
import { valueFormats } from './value-formats.ts';

const taskWidth = 24;
const valueWidth = 18;

/** The lines above the hits: what is armed, what is left out, the titles of the columns. */
export function armedText(info: ArmedInfo): string[] {
  const where =
    info.remote !== undefined
      ? `in ${info.threads} ${info.threads === 1 ? info.remote.threads.slice(0, -1) : info.remote.threads}`
      : info.pid === undefined
        ? `on CPU ${info.cpus.join(', ')}`
        : `in ${printable(info.comm)}/${info.pid}${info.threads > 1 ? `, ${info.threads} threads` : ''}`;
  const lines = info.notes.map((note) => `# ${printable(note)}`);
  for (const { watch, numbers } of shownWatches(info.watches)) {
    if (watch.waits !== undefined) {
      lines.push(printable(`# ${watch.text}: not armed yet: ${watch.waits}`));
      continue;
    }
    const found = watch.symbol === undefined ? '' : ` (${watch.symbol} of ${watch.module ?? '?'})`;
    const length =
      watch.access === 'x'
        ? ''
        : `, ${watch.lenBytes} ${watch.lenBytes === 1 ? 'byte' : 'bytes'}${numbers.length > 1 ? ` in ${numbers.length} registers` : ''}`;
    lines.push(
      printable(
        `# ${watch.text}: ${accessWords[watch.access]} ${hex(watch.address)}${length}${found} ${where}`,
      ),
    );
  }
  lines.push(...judgingText(info));
  if (info.remote !== undefined) lines.push(`# ${info.kernel}`);
  else lines.push(`# ${info.kernel}, ${info.kernelMode ? 'user and kernel mode' : 'user mode'}`);
  return lines;
}

const judgeWords = {
  kernel: 'judged in the kernel',
  both: 'judged in the kernel and here',
  here: 'judged here',
} as const;
const keeperWords = { kernel: 'kept in the kernel', here: 'kept here' } as const;

/** Which hits are reported, and who sees to it. */
function judgingText({ judging, pid }: ArmedInfo): string[] {
  const { when, rate, maxHits, stop } = judging;
  const lines: string[] = [];
  if (when !== undefined)
    lines.push(
      printable(
        `# when ${when.text}: ${judgeWords[when.judge]}${when.why === undefined ? '' : ` (${when.why})`}`,
      ),
    );
  if (rate !== undefined)
    lines.push(`# at most ${rate.perSecond} hits a second and watch, ${keeperWords[rate.keeper]}`);
  if (maxHits !== undefined && when !== undefined)
    lines.push(`# ends after ${maxHits.hits} hits, ${keeperWords[maxHits.keeper]}`);
  if (stop !== undefined)
    lines.push(
      `# stops the process at each hit, ${stop === 'kernel' ? 'in the trap' : 'when the hit has come here'}: gdb -p ${pid ?? 'PID'} attaches, kill -CONT ${pid ?? 'PID'} lets it go on`,
    );
  return lines;
}

const accessWords = { w: 'writes to', rw: 'reads and writes of', x: 'execution of' } as const;

/** One line for a watch that has moved. */
export function movedText({ text, watches, pointers, why }: WatchMove): string {
  const held = pointers.length === 0 ? '' : ` (${pointersText(pointers)})`;
  if (why !== undefined) return printable(`${text}: not armed any more: ${why}`);
  const places = watches.map(({ address }) => hex(address)).join(', ');
  return printable(`${text}: moved to ${places}${held}`);
}

/** The titles of the columns of {@link HitText}. */
export function hitTitles(watchWidth: number, options: { readonly values?: boolean } = {}): string {
  return `# ${'seconds'.padStart(12)}  ${'cpu'.padStart(3)}  ${'thread'.padEnd(taskWidth)}  ${'mode'.padEnd(6)}  ${'acc'.padEnd(3)}  ${'watch'.padEnd(watchWidth)}  ${options.values === true ? `${'value'.padEnd(valueWidth)}  ` : ''}code`;
}

/** Builds the lines of hits as a person reads them. */
export class HitText {
  readonly #session: HitSource;
  readonly #startNs: bigint;
  readonly #asm: boolean;
  readonly #stacks: boolean;
  readonly #formats: ReturnType<typeof valueFormats>;
  /** Width of the column of watches. */
  readonly watchWidth: number;

  constructor(
    session: HitSource,
    options: {
      readonly startNs: bigint;
      readonly asm: boolean;
      readonly stacks: boolean;
      readonly raw?: boolean;
    },
  ) {
    this.#session = session;
    this.#startNs = options.startNs;
    this.#asm = options.asm;
    this.#stacks = options.stacks;
    this.#formats = valueFormats(session, options);
    this.watchWidth = Math.max(5, ...session.info.watches.map((watch) => printable(watch.text).length));
  }

  /**
   * "old -> new  ", and what is to be said of it: `?` is not known, `~` before what may not be exact, `!` a chain that
   * does not join. Nothing where values are not recorded.
   */
  #valueOf(hit: Hit): string {
    const { value, code } = hit;
    if (value === undefined || code.access === 'x') return '';
    const { text } = this.#formats(hit);
    const { before, after, exact, gap } = value;
    const is = after === undefined ? '?' : `${exact ? '' : '~'}${text(after)}`;
    const was = `${gap ? '!' : ''}${before === undefined ? '?' : text(before)} -> `;
    return `${printable(code.access === 'r' && after !== undefined ? is : was + is).padEnd(valueWidth)}  `;
  }

  /** One hit: a line, and a line a frame where stacks are recorded. No newline at the end. */
  line(hit: Hit): string {
    const { code } = hit;
    const task = `${hit.comm === '' ? '?' : printable(hit.comm)}/${hit.pid === hit.tid ? '' : `${hit.pid}:`}${hit.tid}`;
    let line = `  ${seconds(hit.timeNs - this.#startNs)}  ${(hit.cpu === undefined ? '?' : String(hit.cpu)).padStart(3)}  ${task.padEnd(taskWidth)}  ${code.kernel ? 'kernel' : 'user  '}  ${code.access.padEnd(3)}  ${printable((hit.element ?? hit.watch).text).padEnd(this.watchWidth)}  ${this.#valueOf(hit)}${codeText(code.location)}`;
    if (this.#asm && code.text !== undefined) line += `  [${code.text}]`;
    if (hit.count > 1) line += `  x${hit.count}`;
    if (!this.#stacks) return line;
    for (const [i, frame] of this.#session.sites.frames(hit.stack).entries()) {
      const { inlinedInto = [] } = frame.location;
      if (i > 0) line += `\n        ${codeText(frame.location)}`;
      // The hit's own line ends with where its code is, the frames that it was inlined into follow.
      for (const into of (i === 0 ? code.location.inlinedInto : inlinedInto) ?? []) {
        line += `\n        ${inlinedText(into)}`;
      }
    }
    return line;
  }
}

/** Nanoseconds as "    1.234567". */
export function seconds(ns: bigint): string {
  const micros = ns < 0n ? 0n : ns / 1000n;
  return `${String(micros / 1_000_000n).padStart(5)}.${String(micros % 1_000_000n).padStart(6, '0')}`;
}
