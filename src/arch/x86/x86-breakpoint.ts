import { assert } from '../../base/assert.ts';
import { highWord, lowWord } from '../../base/pair.ts';
import type { ArchRecord, SlotHolder } from '../architecture.ts';
import { controlNibble } from './debug-control.ts';
import { x86Type } from './debug-register-bits.ts';

/** The x86 arch record: address, length and type codes, and the address mask of a range. docs/spec/01 section 3.2. */
export class X86Breakpoint implements ArchRecord {
  readonly addressLow: number;
  readonly addressHigh: number;
  /** LEN and R/W at the place of breakpoint 0's nibble, not shifted. */
  readonly nibble: number;
  /** Address bits that an AMD range ignores, u64 as two words; 0: no range. */
  readonly maskLow: number;
  readonly maskHigh: number;
  /** It reaches into the kernel's addresses. */
  readonly kernelSpace: boolean;

  constructor(fields: {
    readonly address: bigint;
    readonly len: number;
    readonly type: number;
    readonly mask?: bigint;
    readonly kernelSpace?: boolean;
  }) {
    this.addressLow = lowWord(fields.address);
    this.addressHigh = highWord(fields.address);
    this.nibble = controlNibble(fields.len, fields.type);
    this.maskLow = lowWord(fields.mask ?? 0n);
    this.maskHigh = highWord(fields.mask ?? 0n);
    this.kernelSpace = fields.kernelSpace ?? false;
  }

  /** Length code, 0x40 and two bits. */
  get len(): number {
    return (this.nibble & 0xc) | 0x40;
  }

  /** Type code, 0x80 and two bits. */
  get type(): number {
    return (this.nibble & 3) | 0x80;
  }

  /** Whether it fires before an instruction. */
  get execute(): boolean {
    return this.type === x86Type.execute;
  }

  /** Whether it covers a range by an address mask. */
  get masked(): boolean {
    return (this.maskLow | this.maskHigh) !== 0;
  }
}

/** The record of `holder`, which this architecture made. */
export function x86Record(holder: SlotHolder): X86Breakpoint {
  const { record } = holder;
  assert(record instanceof X86Breakpoint, 'a record of another architecture');
  return record;
}
