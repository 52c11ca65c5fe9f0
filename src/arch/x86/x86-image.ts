import { assert } from '../../base/assert.ts';
import type { RegisterImage, Slot, SlotHolder } from '../architecture.ts';
import type { DebugRegisters } from '../debug-registers.ts';
import {
  addressMask0,
  breakpointRegisters,
  dr6,
  dr6Reserved,
  dr7,
  dr7Fixed,
  dr7GlobalEnables,
  dr7GlobalExact,
} from './debug-register-bits.ts';
import { type X86Breakpoint, x86Record } from './x86-breakpoint.ts';

/**
 * The software image of one CPU: who holds which register, the addresses last written, and DR7 without its fixed bit.
 *
 * An NMI may come between any two steps. It never sees the hardware enabled while {@link cpuDr7} says "none": on
 * install `cpuDr7` is written before DR7, on uninstall after it. docs/spec/01 section 4, docs/spec/04 section 3.
 */
export class X86Image implements RegisterImage {
  readonly slots: Slot[] = [null, null, null, null];
  /** Last address written to each register, as words; never cleared by an uninstall. */
  readonly addressLow: Uint32Array = new Uint32Array(breakpointRegisters);
  readonly addressHigh: Uint32Array = new Uint32Array(breakpointRegisters);
  readonly registers: DebugRegisters;
  /** Kept as a signed word: it is only ever masked, and stays a small integer. */
  #control = 0;

  /** Bits that an uninstall takes away besides the entry's own: none today. */
  readonly #takenWithEach: number;

  /** @param options.losesExact uninstall also clears GE, as it did until 2009-11-26. docs/spec/04 section 3. */
  constructor(registers: DebugRegisters, options: { readonly losesExact?: boolean } = {}) {
    this.registers = registers;
    this.#takenWithEach = options.losesExact === true ? dr7GlobalExact : 0;
  }

  /** The software copy of DR7 without the fixed bit 10, u32. */
  get cpuDr7(): number {
    return this.#control >>> 0;
  }

  get active(): boolean {
    return (this.#control & dr7GlobalEnables) !== 0;
  }

  /** Installs into the lowest free register; false: there is none. */
  install(holder: SlotHolder): boolean {
    const { slots, registers } = this;
    let n = 0;
    while (n < breakpointRegisters && slots[n] !== null) n++;
    if (n === breakpointRegisters) return false;
    const record = x86Record(holder);
    slots[n] = holder;
    registers.point();
    registers.write(n, record.addressLow, record.addressHigh);
    this.addressLow[n] = record.addressLow;
    this.addressHigh[n] = record.addressHigh;
    registers.point();
    this.#control |= (record.nibble << (16 + 4 * n)) | (2 << (2 * n)) | dr7GlobalExact;
    registers.point();
    registers.write(dr7, this.#control, 0);
    if (record.masked) registers.write(addressMask0 + n, record.maskLow, record.maskHigh);
    return true;
  }

  /** Takes a holder out of its register; false: it was in none. GE stays set. */
  uninstall(holder: SlotHolder): boolean {
    const { slots, registers } = this;
    let n = 0;
    while (n < breakpointRegisters && slots[n] !== holder) n++;
    if (n === breakpointRegisters) return false;
    const record = x86Record(holder);
    slots[n] = null;
    registers.point();
    const control = this.#control & ~((record.nibble << (16 + 4 * n)) | (2 << (2 * n)) | this.#takenWithEach);
    registers.write(dr7, control, 0);
    if (record.masked) registers.write(addressMask0 + n, 0, 0);
    this.#control = control;
    registers.point();
    return true;
  }

  restore(): void {
    const { registers } = this;
    for (let n = 0; n < breakpointRegisters; n++)
      registers.write(n, this.addressLow[n]!, this.addressHigh[n]!); // four of each
    registers.write(dr6, dr6Reserved, 0);
    registers.write(dr7, this.#control, 0);
  }

  reset(): void {
    assert(
      this.slots.every((slot) => slot === null),
      'reset of a CPU that has breakpoints installed',
    );
    const { registers } = this;
    this.#control = 0;
    registers.write(dr7, dr7Fixed, 0);
    registers.write(dr6, dr6Reserved, 0);
    for (let n = breakpointRegisters - 1; n >= 0; n--) {
      registers.write(n, 0, 0);
      this.addressLow[n] = 0;
      this.addressHigh[n] = 0;
    }
  }

  /** Before a jump into another kernel: control first, then the addresses. docs/spec/04 section 3. */
  disable(): void {
    this.registers.write(dr7, dr7Fixed, 0);
    for (let n = 0; n < breakpointRegisters; n++) this.registers.write(n, 0, 0);
  }

  suspend(): number {
    const saved = this.registers.low(dr7);
    this.registers.write(dr7, dr7Fixed, 0);
    return saved;
  }

  resume(saved: number): void {
    this.registers.write(dr7, saved, 0);
  }

  difference(): string | undefined {
    const { registers, slots } = this;
    if (registers.low(dr7) >>> 0 !== (this.#control | dr7Fixed) >>> 0)
      return `DR7 is ${registers.low(dr7).toString(16)}, the image says ${this.cpuDr7.toString(16)}`;
    let expected = this.#control & dr7GlobalExact;
    for (let n = 0; n < breakpointRegisters; n++) {
      const holder = slots[n];
      if (holder === null || holder === undefined) continue;
      const record: X86Breakpoint = x86Record(holder);
      expected |= (record.nibble << (16 + 4 * n)) | (2 << (2 * n));
      if (registers.low(n) !== record.addressLow || registers.high(n) !== record.addressHigh)
        return `DR${n} is not its holder's address`;
      if (registers.low(addressMask0 + n) !== record.maskLow)
        return `the address mask of DR${n} is not its holder's`;
    }
    return expected >>> 0 === this.cpuDr7
      ? undefined
      : `DR7 enables ${this.cpuDr7.toString(16)}, the holders ${(expected >>> 0).toString(16)}`;
  }
}
