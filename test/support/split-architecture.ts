import type {
  Architecture,
  ArchRecord,
  HitHandler,
  RegisterImage,
  Slot,
  SlotHolder,
  SlotKind,
} from '../../src/arch/architecture.ts';
import type { DebugRegisters } from '../../src/arch/debug-registers.ts';
import type { TrapFrame } from '../../src/arch/trap-frame.ts';

class SplitImage implements RegisterImage {
  readonly slots: Slot[];
  constructor(count: number) {
    this.slots = Array.from({ length: count }, () => null);
  }
  get active(): boolean {
    return this.slots.some((slot) => slot !== null);
  }
  restore(): void {}
  reset(): void {}
  disable(): number {
    return 0;
  }
  suspend(): number {
    return 0;
  }
  resume(): void {}
  switchThread(): void {}
  difference(): undefined {}
}

interface SplitRecord extends ArchRecord {
  readonly kind: SlotKind;
}

/**
 * An architecture of the tests' own: separate registers for code and data, everything is valid. That the layer runs
 * on it shows that it knows no x86.
 */
export class SplitArchitecture implements Architecture {
  readonly name = 'split';
  readonly mixedSlots = false;
  readonly sampledRegisters = 0n;
  readonly #counts: Record<SlotKind, number>;

  constructor(counts: Record<SlotKind, number>) {
    this.#counts = counts;
  }
  slots(kind: SlotKind): number {
    return this.#counts[kind];
  }
  parse(request: { bpType: number; bpAddr: bigint }): SplitRecord {
    return {
      addressLow: Number(request.bpAddr & 0xffff_ffffn),
      addressHigh: 0,
      kind: (request.bpType & 3) !== 0 ? 'data' : 'inst',
    };
  }
  inKernelSpace(): boolean {
    return false;
  }
  install(image: RegisterImage, holder: SlotHolder): boolean {
    const { kind } = holder.record as SplitRecord; // made by parse
    const from = kind === 'inst' ? 0 : this.#counts.inst;
    const to = kind === 'inst' ? this.#counts.inst : from + this.#counts.data;
    const slots = (image as SplitImage).slots; // made by createImage
    for (let n = from; n < to; n++)
      if (slots[n] === null) {
        slots[n] = holder;
        return true;
      }
    return false;
  }
  uninstall(image: RegisterImage, holder: SlotHolder): void {
    const slots = (image as SplitImage).slots; // made by createImage
    slots[slots.indexOf(holder)] = null;
  }
  claim(_image: RegisterImage, _frame: TrapFrame, _hit: HitHandler): number {
    return 0;
  }
  read(): void {}
  createImage(_registers: DebugRegisters): SplitImage {
    return new SplitImage(this.#counts.inst + this.#counts.data);
  }
}
