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
 *
 * A debugger in that NMI may install, uninstall and restore itself. So nothing is carried over a step in a local copy; a
 * register is free again only when nothing of its holder is left, and what a restore brought back meanwhile is taken away
 * again.
 */
export class X86Image implements RegisterImage {
  readonly slots: Slot[] = [null, null, null, null];
  /** Last address written to each register, as words; never cleared by an uninstall. */
  readonly addressLow: Uint32Array = new Uint32Array(breakpointRegisters);
  readonly addressHigh: Uint32Array = new Uint32Array(breakpointRegisters);
  readonly registers: DebugRegisters;
  /** Kept as a signed word: it is only ever masked, and stays a small integer. */
  #control = 0;

  /** How often DR7 was written from the image as a whole: an uninstall sees that it was interrupted by that. */
  #refreshes = 0;
  /** Exceptions, NMIs and debuggers that keep the hardware off. */
  #suspended = 0;
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
    this.addressLow[n] = record.addressLow;
    this.addressHigh[n] = record.addressHigh;
    registers.write(n, record.addressLow, record.addressHigh);
    registers.point();
    this.#control |= (record.nibble << (16 + 4 * n)) | (2 << (2 * n)) | dr7GlobalExact;
    registers.point();
    this.#enable();
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
    const gone = (record.nibble << (16 + 4 * n)) | (2 << (2 * n)) | this.#takenWithEach;
    const refreshes = this.#refreshes;
    registers.point();
    if (this.#suspended === 0) registers.write(dr7, this.#control & ~gone, 0);
    if (record.masked) registers.write(addressMask0 + n, 0, 0);
    this.#control &= ~gone;
    slots[n] = null;
    if (this.#refreshes !== refreshes) this.#enable();
    registers.point();
    return true;
  }

  restore(): void {
    const { registers } = this;
    for (let n = 0; n < breakpointRegisters; n++)
      registers.write(n, this.addressLow[n]!, this.addressHigh[n]!); // four of each
    registers.write(dr6, dr6Reserved, 0);
    this.#refresh();
  }

  #refresh(): void {
    this.#refreshes++;
    this.#enable();
  }

  /** Writes DR7, unless the hardware is to be off. */
  #enable(): void {
    if (this.#suspended === 0) this.registers.write(dr7, this.#control, 0);
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

  /** Control first, then the addresses. docs/spec/04 section 3. */
  disable(): void {
    this.#suspended++; // an NMI that comes now switches nothing on when it ends
    this.registers.write(dr7, dr7Fixed, 0);
    for (let n = 0; n < breakpointRegisters; n++) this.registers.write(n, 0, 0);
  }

  suspend(): void {
    this.#suspended++;
    this.registers.write(dr7, dr7Fixed, 0);
  }

  resume(): void {
    assert(this.#suspended > 0, 'what is resumed was suspended');
    this.#suspended--;
    this.#refresh();
  }

  /** Nothing: a thread's status is no matter of the hardware. */
  switchThread(_status: number): void {}

  difference(): string | undefined {
    const { registers, slots } = this;
    if (this.#suspended > 0) return undefined;
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
