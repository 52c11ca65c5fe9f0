import { describe, expect, it } from 'vitest';
import { PlainRegisters } from '../../../test/support/plain-registers.ts';
import type { SlotHolder } from '../architecture.ts';
import type { TrapFrame } from '../trap-frame.ts';
import { dr6Reserved, flagsResume, flagsTrap, x86Len, x86Type } from './debug-register-bits.ts';
import { X86Architecture } from './x86-architecture.ts';
import { X86Breakpoint } from './x86-breakpoint.ts';

const data = (): SlotHolder => ({
  record: new X86Breakpoint({ address: 0x1000n, len: x86Len.one, type: x86Type.write }),
  handledByClient: false,
});
const code = (): SlotHolder => ({
  record: new X86Breakpoint({ address: 0x3000n, len: x86Len.execute, type: x86Type.execute }),
  handledByClient: false,
});

function exception(options: {
  holders: SlotHolder[];
  status: number;
  userMode?: boolean;
  flags?: number;
  onHit?: (frame: TrapFrame) => void;
}) {
  const registers = new PlainRegisters();
  const arch = new X86Architecture({ cpus: 1 });
  const image = arch.createImage(registers);
  for (const holder of options.holders) arch.install(image, holder);
  registers.write(6, options.status ^ dr6Reserved, 0);
  const frame: TrapFrame = {
    ipLow: 0,
    ipHigh: 0,
    userMode: options.userMode ?? true,
    flags: options.flags ?? 0,
    status: 0xf,
    syndrome: 0,
    faultLow: 0,
    faultHigh: 0,
    registers: null,
  };
  const hits: number[] = [];
  const signal = arch.claim(image, frame, (holder) => {
    hits.push(options.holders.indexOf(holder));
    expect(registers.low(6)).toBe(dr6Reserved);
    if (!frame.userMode) expect(registers.low(7)).toBe(0x400);
    options.onHit?.(frame);
  });
  expect(image.difference()).toBeUndefined();
  return { hits, signal, flags: frame.flags, status: frame.status };
}

describe('the debug exception', () => {
  it('184: a breakpoint that nobody traces is swallowed', () => {
    expect(exception({ holders: [data()], status: 1 })).toMatchObject({ hits: [0], signal: 0, status: 0 });
  });

  it('184: a handler that sets the virtual status gets the task a SIGTRAP of code 4', () => {
    const onHit = (frame: TrapFrame): void => {
      frame.status |= 1;
    };
    expect(exception({ holders: [data()], status: 1, onHit })).toMatchObject({ signal: 4, status: 1 });
  });

  it('180: step and data breakpoint give one SIGTRAP of code 2 and a status with both', () => {
    const onHit = (frame: TrapFrame): void => {
      frame.status |= 1;
    };
    expect(exception({ holders: [data()], status: 0x4001, onHit })).toMatchObject({
      hits: [0],
      signal: 2,
      status: 0x4001,
    });
  });

  it('179: two registers of one store are told in ascending order', () => {
    expect(exception({ holders: [data(), data(), data()], status: 5 }).hits).toEqual([0, 2]);
  });

  it('181: an execution breakpoint together with a step waits for the next exception', () => {
    expect(exception({ holders: [code()], status: 0x4001 })).toMatchObject({ hits: [], flags: 0, signal: 2 });
    expect(exception({ holders: [code()], status: 1 })).toMatchObject({
      hits: [0],
      flags: flagsResume,
      signal: 0,
    });
  });

  it('182: a bit of an empty register touches nothing, and the others are told', () => {
    expect(exception({ holders: [data()], status: 0b1001 }).hits).toEqual([0]);
    expect(exception({ holders: [], status: 8 })).toMatchObject({ hits: [], signal: 0 });
  });

  it('183: no reason given is ICEBP from user mode, and nothing from kernel mode', () => {
    expect(exception({ holders: [data()], status: 0 }).signal).toBe(1);
    expect(exception({ holders: [data()], status: 0, userMode: false }).signal).toBe(0);
  });

  it('186: a hit from kernel mode is told with the hardware off, and never signals', () => {
    const onHit = (frame: TrapFrame): void => {
      frame.status |= 1;
    };
    expect(exception({ holders: [data()], status: 1, userMode: false, onHit })).toMatchObject({
      hits: [0],
      signal: 0,
    });
  });

  it('a step in the kernel that nobody wanted clears TF', () => {
    expect(exception({ holders: [], status: 0x4000, userMode: false, flags: flagsTrap }).flags).toBe(0);
  });
});
