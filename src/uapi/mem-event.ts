import { parseUnsigned } from '../base/hex.ts';
import {
  HW_BREAKPOINT_R,
  HW_BREAKPOINT_W,
  HW_BREAKPOINT_X,
  PERF_TYPE_BREAKPOINT,
  type PerfEventAttr,
} from './perf-event-attr.ts';

const letterBits: Readonly<Record<string, number>> = {
  r: HW_BREAKPOINT_R,
  w: HW_BREAKPOINT_W,
  x: HW_BREAKPOINT_X,
};
const defaultLenBytes = 4n;
/** sizeof(long). */
const executeLenBytes = 8n;

/**
 * The attr that the perf tool makes of its breakpoint event; `undefined`: the tool refuses the text (EINVAL). What the
 * hardware can is not asked. docs/spec/03 section 14.
 *
 *     event     = "mem:" address [ "/" length ] [ ":" access ] [ ":" modifiers ]
 *     access    = one to three of r, w, x, each once
 *     modifiers = one or more of u, k, h, p
 *     address, length: decimal or 0x hexadecimal
 */
export function parseMemEvent(text: string): PerfEventAttr | undefined {
  const match = /^mem:(\w+)(?:\/(\w+))?(?::([rwx]{1,3}))?(?::([ukhp]+))?$/.exec(text);
  if (match === null) return undefined;
  const [, address = '', length, access = 'rw', modifiers = ''] = match;
  const bpAddr = parseUnsigned(address);
  const given = length === undefined ? undefined : parseUnsigned(length);
  if (bpAddr === undefined || (length !== undefined && given === undefined)) return undefined;
  if (new Set(access).size !== access.length) return undefined;
  const bpType = [...access].reduce((bits, letter) => bits | (letterBits[letter] ?? 0), 0);
  const bpLen = given ?? (bpType === HW_BREAKPOINT_X ? executeLenBytes : defaultLenBytes);
  return {
    ...{ type: PERF_TYPE_BREAKPOINT, bpType, bpAddr, bpLen, samplePeriod: 1n },
    ...modifierFields(modifiers),
  };
}

/** The first of u, k and h excludes everything else, each further one lets its own level in again. */
function modifierFields(modifiers: string): Partial<PerfEventAttr> {
  const levels = [...modifiers].filter((letter) => letter !== 'p');
  const preciseIp = modifiers.length - levels.length;
  const only = (letter: string): boolean => levels.length > 0 && !levels.includes(letter);
  return {
    ...(only('u') ? { excludeUser: true } : {}),
    ...(only('k') ? { excludeKernel: true } : {}),
    ...(only('h') ? { excludeHv: true } : {}),
    ...(preciseIp > 0 ? { preciseIp } : {}),
  };
}
