import { assert } from '../../base/assert.ts';
import { highWord, lowWord } from '../../base/pair.ts';
import type { ArchRecord, SlotHolder } from '../architecture.ts';
import { accessExecute, privilegeKernel } from './arm64-register-bits.ts';

/** The arm64 arch record: the aligned address and what goes into the control register. docs/spec/01 section 3.2. */
export class Arm64Breakpoint implements ArchRecord {
  readonly addressLow: number;
  readonly addressHigh: number;
  /** 0: execute, 1: load, 2: store, 3: both. */
  readonly type: number;
  /** 1: kernel, 2: user. */
  readonly privilege: number;
  /** BAS, 8 bits. */
  readonly bytes: number;

  constructor(fields: {
    readonly address: bigint;
    readonly type: number;
    readonly privilege: number;
    readonly bytes: number;
  }) {
    this.addressLow = lowWord(fields.address);
    this.addressHigh = highWord(fields.address);
    this.type = fields.type;
    this.privilege = fields.privilege;
    this.bytes = fields.bytes;
  }

  /** Whether it fires before an instruction; it sits in a breakpoint register then, otherwise in a watchpoint register. */
  get execute(): boolean {
    return this.type === accessExecute;
  }

  /** Whether it is the kernel that it watches. */
  get kernel(): boolean {
    return this.privilege === privilegeKernel;
  }
}

/** The record of `holder`, which this architecture made. */
export function arm64Record(holder: SlotHolder): Arm64Breakpoint {
  const { record } = holder;
  assert(record instanceof Arm64Breakpoint, 'a record of another architecture');
  return record;
}
