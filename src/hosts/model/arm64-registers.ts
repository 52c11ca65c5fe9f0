import {
  breakpointControl0,
  breakpointValue0,
  type DebugFeatures,
  mdscr,
  osLock,
  watchpointControl0,
  watchpointValue0,
} from '../../arch/arm64/arm64-register-bits.ts';

/** The debug registers of an arm64 CPU by name: "bvr0", "bcr0", ..., "wvr0", "wcr0", ..., "mdscr", "oslock". */
export function arm64Registers(
  value: (register: number) => bigint,
  counts: Pick<DebugFeatures, 'breakpoints' | 'watchpoints'>,
): Readonly<Record<string, bigint>> {
  const result: Record<string, bigint> = {};
  for (let n = 0; n < counts.breakpoints; n++) {
    result[`bvr${n}`] = value(breakpointValue0 + n);
    result[`bcr${n}`] = value(breakpointControl0 + n);
  }
  for (let n = 0; n < counts.watchpoints; n++) {
    result[`wvr${n}`] = value(watchpointValue0 + n);
    result[`wcr${n}`] = value(watchpointControl0 + n);
  }
  result.mdscr = value(mdscr);
  result.oslock = value(osLock);
  return result;
}
