import { describe, expect, it } from 'vitest';
import { PlainRegisters } from '../../../test/support/plain-registers.ts';
import { x86Len, x86Type } from './debug-register-bits.ts';
import { X86Architecture } from './x86-architecture.ts';
import { X86Breakpoint } from './x86-breakpoint.ts';
import type { X86Image } from './x86-image.ts';

const holder = (record: X86Breakpoint) => ({ record, handledByClient: false });
const w4 = holder(new X86Breakpoint({ address: 0x1000n, len: x86Len.four, type: x86Type.write }));
const rw8 = holder(new X86Breakpoint({ address: 0x2000n, len: x86Len.eight, type: x86Type.readWrite }));
const x3 = holder(new X86Breakpoint({ address: 0x3000n, len: x86Len.execute, type: x86Type.execute }));
const range = holder(
  new X86Breakpoint({ address: 0x1000n, len: x86Len.one, type: x86Type.write, mask: 0x1ffn }),
);

function machine(): {
  arch: X86Architecture;
  registers: PlainRegisters;
  image: X86Image;
  warnings: string[];
} {
  const warnings: string[] = [];
  const arch = new X86Architecture({ cpus: 1, warn: (message) => warnings.push(message) });
  const registers = new PlainRegisters();
  const image = arch.createImage(registers);
  registers.writes.length = 0;
  return { arch, registers, image, warnings };
}

describe('install and uninstall', () => {
  it('167-171: the worked numbers', () => {
    const { arch, registers, image } = machine();
    arch.install(image, w4);
    expect([registers.low(0), image.cpuDr7, registers.low(7)]).toEqual([0x1000, 0xd0202, 0xd0602]);
    arch.install(image, rw8);
    expect([registers.low(1), image.cpuDr7]).toEqual([0x2000, 0xbd020a]);
    arch.install(image, x3);
    expect([registers.low(2), image.cpuDr7]).toEqual([0x3000, 0xbd022a]);
    arch.uninstall(image, x3);
    arch.uninstall(image, w4);
    expect(image.cpuDr7).toBe(0xb00208);
    arch.uninstall(image, rw8);
    expect([image.cpuDr7, image.active]).toEqual([0x200, false]);
    expect(image.addressLow[1]).toBe(0x2000);
  });

  it('174: refuses a fifth install, and warns once', () => {
    const { arch, image, warnings } = machine();
    const holders = Array.from({ length: 4 }, () => holder(w4.record));
    expect(holders.map((holder) => arch.install(image, holder))).toEqual([true, true, true, true]);
    expect([arch.install(image, x3), arch.install(image, x3)]).toEqual([false, false]);
    expect(warnings).toHaveLength(1);
    arch.uninstall(image, x3);
    arch.uninstall(image, x3);
    expect(warnings).toHaveLength(2);
    arch.uninstall(image, holders[2]!); // four of them
    expect(arch.install(image, x3)).toBe(true);
    expect(image.slots[2]).toBe(x3);
  });

  it('14: writes the address mask of a range and takes it back', () => {
    const { arch, registers, image } = machine();
    arch.install(image, range);
    expect([registers.low(8), registers.low(7) >>> 16]).toEqual([0x1ff, 1]);
    arch.uninstall(image, range);
    expect(registers.low(8)).toBe(0);
  });

  it('175: restores addresses, DR6 and DR7 in this order', () => {
    const { arch, registers, image } = machine();
    arch.install(image, w4);
    registers.writes.length = 0;
    image.restore();
    expect(registers.writes).toEqual(['0=1000', '1=0', '2=0', '3=0', '6=ffff0ff0', '7=d0202']);
    expect(image.difference()).toBeUndefined();
  });

  it('270: disables control before the addresses', () => {
    const { arch, registers, image } = machine();
    arch.install(image, w4);
    registers.writes.length = 0;
    image.disable();
    expect(registers.writes).toEqual(['7=400', '0=0', '1=0', '2=0', '3=0']);
    image.suspend();
    image.resume();
    expect(registers.low(7), 'an NMI on the way switches nothing on').toBe(0x400);
  });

  it('138: no interruption point sees the hardware enabled while the image says "none"', () => {
    const { arch, registers, image } = machine();
    let points = 0;
    let softwareAhead = 0;
    registers.onPoint = () => {
      points++;
      const hardware = registers.low(7) & 0xaa;
      const software = image.cpuDr7 & 0xaa;
      expect(hardware & ~software, `point ${points}`).toBe(0);
      if (software !== hardware) softwareAhead++;
    };
    for (const holder of [w4, rw8, x3, range]) arch.install(image, holder);
    for (const holder of [rw8, range, w4, x3]) arch.uninstall(image, holder);
    expect(points).toBeGreaterThan(30);
    // On install software is ahead of hardware at one point, on uninstall hardware is behind at one (two with a mask).
    expect(softwareAhead).toBeGreaterThanOrEqual(8);
  });

  it('tells a register that was overwritten behind its back', () => {
    const { arch, registers, image } = machine();
    arch.install(image, w4);
    registers.write(0, 0x5000, 0);
    expect(image.difference()).toMatch(/DR0/);
    image.restore();
    expect(image.difference()).toBeUndefined();
  });
});
