import { HW_BREAKPOINT_R, HW_BREAKPOINT_RW, HW_BREAKPOINT_W } from '../../uapi/perf-event-attr.ts';

/** One hit in the trace. */
export interface KsymRecord {
  readonly task: string;
  readonly pid: number;
  readonly cpu: number;
  /** The watched symbol and the instruction, as "name+0x0/0x4". */
  readonly data: string;
  readonly bpType: number;
  readonly function: string;
}

/** How often an entry was hit. */
export interface KsymCount {
  readonly bpType: number;
  readonly data: string | undefined;
  readonly hits: number;
}

const taskWidth = 11;
const pidWidth = 5;
const cpuDigits = 3;
const profileSymbolWidth = 36;
const profileCountWidth = 15;

const names: ReadonlyMap<number, string> = new Map([
  [HW_BREAKPOINT_R, 'R'],
  [HW_BREAKPOINT_W, 'W'],
  [HW_BREAKPOINT_RW, 'RW'],
]);

/** The first lines of the trace. */
export const traceHeader: string = [
  '#       TASK-PID   CPU#      Symbol                    Type    Function',
  '#          | |       |          |                       |         |',
  '',
].join('\n');

/** A line of the trace. docs/spec/04 section 9. */
export function traceLine(record: KsymRecord): string {
  const { task, pid, cpu, data, bpType } = record;
  const who = `${task.padStart(taskWidth)}-${String(pid).padEnd(pidWidth)}`;
  const type = (names.get(bpType) ?? '').padEnd(3);
  return `${who} [${String(cpu).padStart(cpuDigits, '0')}] ${data} ${type}${record.function}\n`;
}

/** The profile: every entry with its count. docs/spec/04 section 9. */
export function profileText(counts: readonly KsymCount[]): string {
  const row = (type: string, symbol: string, count: string): string =>
    `  ${type.padEnd(11)} ${symbol.padEnd(profileSymbolWidth)} ${count.padStart(profileCountWidth)}\n`;
  const header = row('Access Type', 'Symbol', 'Counter') + row('-----------', '------', '-------');
  return counts.reduce(
    (text, { bpType, data, hits }) => text + row(names.get(bpType) ?? 'NA', data ?? '<NA>', String(hits)),
    header,
  );
}

/** An access as the filter spells it: "r--", "-w-", "rw-". */
export function accessText(bpType: number): string {
  const read = (bpType & HW_BREAKPOINT_R) !== 0;
  const write = (bpType & HW_BREAKPOINT_W) !== 0;
  return `${read ? 'r' : '-'}${write ? 'w' : '-'}-`;
}
