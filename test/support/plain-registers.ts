import type { DebugRegisters } from '../../src/arch/debug-registers.ts';
import { dr7, dr7Fixed } from '../../src/arch/x86/debug-register-bits.ts';

/** Debug registers that only remember, and call `onPoint` at each interruption point. */
export class PlainRegisters implements DebugRegisters {
  readonly words: { readonly low: Uint32Array; readonly high: Uint32Array } = {
    low: new Uint32Array(12),
    high: new Uint32Array(12),
  };
  readonly writes: string[] = [];
  onPoint: () => void = () => undefined;

  write(register: number, low: number, high: number): void {
    this.words.low[register] = register === dr7 ? low | dr7Fixed : low;
    this.words.high[register] = high;
    this.writes.push(`${register}=${(low >>> 0).toString(16)}`);
    this.onPoint();
  }

  low(register: number): number {
    return this.words.low[register] ?? 0;
  }

  high(register: number): number {
    return this.words.high[register] ?? 0;
  }

  point(): void {
    this.onPoint();
  }
}
