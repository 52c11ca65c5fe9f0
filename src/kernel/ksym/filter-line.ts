import { errnoValues } from '../../base/errno.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { HW_BREAKPOINT_R, HW_BREAKPOINT_W } from '../../uapi/perf-event-attr.ts';

/** What a line written to the filter asks for. */
export type FilterLine =
  | { readonly type: 'clear' }
  | {
      readonly type: 'watch';
      readonly symbol: string;
      /** HW_BREAKPOINT_R, HW_BREAKPOINT_W, or both. */
      readonly bpType: number;
    };

const clearing: readonly string[] = ['', '0', '*:---'];

/** A line that is none. */
export function badLine(line: string, hint: string): KernelError {
  return new KernelError({
    errno: errnoValues.EINVAL,
    operation: `write ${JSON.stringify(line)} to ksym_trace_filter`,
    hint,
  });
}

/**
 * Reads a line of the filter. Throws `KernelError` EINVAL. docs/spec/04 section 9.
 *
 *   LINE   ::= "" | "0" | "*:---"          everything is removed
 *            | SYMBOL ":" ACCESS
 *   ACCESS ::= three characters: "r" in the first place, "w" in the second, "x" in the third; anything else is "-"
 *
 * Execution is no access to data, and nothing at all is none either: both are refused.
 */
export function parseFilterLine(written: string): FilterLine {
  const line = written.trim();
  if (clearing.includes(line)) return { type: 'clear' };
  const colon = line.indexOf(':');
  if (colon < 1) throw badLine(line, 'a symbol, ":" and an access are needed');
  const access = line.slice(colon + 1);
  if (access.length !== 3) throw badLine(line, 'an access has three characters, as "rw-"');
  if (access[2] === 'x') throw badLine(line, 'data is not executed');
  const bpType = (access[0] === 'r' ? HW_BREAKPOINT_R : 0) | (access[1] === 'w' ? HW_BREAKPOINT_W : 0);
  if (bpType === 0) throw badLine(line, 'no access is asked for');
  return { type: 'watch', symbol: line.slice(0, colon), bpType };
}
