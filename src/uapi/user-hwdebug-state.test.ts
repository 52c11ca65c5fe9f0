import { describe, expect, it } from 'vitest';
import { decodeHwdebugState, encodeHwdebugState } from './user-hwdebug-state.ts';

describe('user_hwdebug_state', () => {
  it('has its fields where asm/ptrace.h has them', () => {
    const bytes = encodeHwdebugState({
      info: 0x604,
      entries: [
        { addr: 0x1122_3344_5566_7788n, ctrl: 0x1e5 },
        { addr: 1n, ctrl: 2 },
      ],
    });
    expect(bytes).toHaveLength(264);
    expect([...bytes.subarray(0, 26)]).toEqual([
      ...[4, 6, 0, 0, 0, 0, 0, 0],
      ...[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xe5, 1, 0, 0, 0, 0, 0, 0],
      ...[1, 0],
    ]);
    expect(decodeHwdebugState(bytes).entries[1]).toEqual({ addr: 1n, ctrl: 2 });
    expect(decodeHwdebugState(bytes.subarray(0, 24)).entries).toHaveLength(1);
    expect(decodeHwdebugState(new Uint8Array(0))).toEqual({ info: 0, entries: [] });
  });
});
