import type * as Iced from 'iced-x86';
import { assert } from '../../base/assert.ts';
import { effectOf } from './iced-effect.ts';
import {
  type DecodedInstruction,
  type InstructionDecoder,
  type InstructionFlow,
  type InstructionScan,
  type MemoryAccess,
  type MemoryOperand,
  maxInstructionBytes,
} from './instruction-decoder.ts';

/** The npm package iced-x86, as `createRequire(...)('iced-x86')` or `await import('iced-x86')` gives it. */
export type IcedModule = typeof Iced;

/** How instructions are written. */
export interface IcedDecoderOptions {
  /** `att` (default): as gdb, objdump and perf write them. `intel`: as the manuals do. */
  readonly syntax?: 'att' | 'intel';
}

/**
 * A decoder over iced-x86. Given a function, it is called at the first instruction decoded: loading the package
 * compiles its WebAssembly (25 to 60 ms), so a caller that may never decode passes `() => require('iced-x86')`.
 *
 * RIP-relative operands are written as the absolute address (`mov %eax,0x404028`), which objdump puts in a comment.
 */
export function createIcedDecoder(
  iced: IcedModule | (() => IcedModule),
  options: IcedDecoderOptions = {},
): InstructionDecoder {
  return new IcedDecoder(iced, options.syntax ?? 'att');
}

/** What lives in WebAssembly memory for as long as the decoder. */
interface Parts {
  readonly iced: IcedModule;
  readonly formatter: Iced.Formatter;
  readonly infoFactory: Iced.InstructionInfoFactory;
  /** Reused for every instruction. */
  readonly instruction: Iced.Instruction;
}

class IcedDecoder implements InstructionDecoder {
  readonly #iced: IcedModule | (() => IcedModule);
  readonly #syntax: 'att' | 'intel';
  #parts: Parts | undefined;
  #closed = false;

  constructor(iced: IcedModule | (() => IcedModule), syntax: 'att' | 'intel') {
    this.#iced = iced;
    this.#syntax = syntax;
  }

  decode(code: Uint8Array, address: bigint): DecodedInstruction | undefined {
    const parts = this.#load();
    const decoder = openDecoder(parts.iced, code.subarray(0, maxInstructionBytes));
    try {
      decoder.ip = address;
      decoder.decodeOut(parts.instruction);
      return parts.instruction.isInvalid ? undefined : describe(parts, address);
    } finally {
      decoder.free();
    }
  }

  scan(code: Uint8Array): InstructionScan {
    const { iced, instruction } = this.#load();
    const none = iced.DecoderError.None;
    const starts = new Uint32Array(code.length);
    let count = 0;
    let offset = 0;
    let stopped: 'end' | 'invalid' = 'end';
    const decoder = openDecoder(iced, code);
    try {
      while (offset < code.length) {
        decoder.decodeOut(instruction);
        const error = decoder.lastError;
        if (error !== none) {
          // Near the end, bytes that are missing and bytes that are wrong look alike: not wrong until seen whole.
          const cutShort =
            error === iced.DecoderError.NoMoreBytes && code.length - offset < maxInstructionBytes;
          stopped = cutShort ? 'end' : 'invalid';
          break;
        }
        starts[count++] = offset;
        offset = decoder.position;
      }
    } finally {
      decoder.free();
    }
    return { starts: starts.slice(0, count), endOffset: offset, stopped };
  }

  lengths(code: Uint8Array): Uint8Array {
    const { iced, instruction } = this.#load();
    const none = iced.DecoderError.None;
    const lengths = new Uint8Array(code.length);
    const decoder = openDecoder(iced, code);
    try {
      for (let offset = 0; offset < code.length; offset++) {
        decoder.position = offset;
        decoder.decodeOut(instruction);
        if (decoder.lastError === none) lengths[offset] = decoder.position - offset;
      }
    } finally {
      decoder.free();
    }
    return lengths;
  }

  close(): void {
    this.#closed = true;
    const parts = this.#parts;
    this.#parts = undefined;
    if (parts === undefined) return;
    parts.formatter.free();
    parts.infoFactory.free();
    parts.instruction.free();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #load(): Parts {
    assert(!this.#closed, 'an instruction decoder is used after close()');
    if (this.#parts === undefined) {
      const iced = typeof this.#iced === 'function' ? this.#iced() : this.#iced;
      this.#parts = {
        iced,
        formatter: createFormatter(iced, this.#syntax),
        infoFactory: new iced.InstructionInfoFactory(),
        instruction: new iced.Instruction(),
      };
    }
    return this.#parts;
  }
}

function openDecoder(iced: IcedModule, code: Uint8Array): Iced.Decoder {
  return new iced.Decoder(64, code, iced.DecoderOptions.None);
}

/** As objdump writes: `0x` in front of every number, lower case, no blank after a comma. */
function createFormatter(iced: IcedModule, syntax: 'att' | 'intel'): Iced.Formatter {
  const formatter = new iced.Formatter(
    syntax === 'att' ? iced.FormatterSyntax.Gas : iced.FormatterSyntax.Intel,
  );
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.uppercaseHex = false;
  formatter.smallHexNumbersInDecimal = false;
  formatter.branchLeadingZeros = false;
  formatter.spaceAfterOperandSeparator = false;
  formatter.ripRelativeAddresses = false;
  return formatter;
}

function describe(parts: Parts, address: bigint): DecodedInstruction {
  const { iced, instruction, formatter } = parts;
  const direct = instruction.isCallNear || instruction.isJmpShortOrNear;
  const repeated =
    instruction.isStringInstruction && (instruction.hasRepPrefix || instruction.hasRepnePrefix);
  return {
    address,
    lengthBytes: instruction.length,
    text: formatter.format(instruction),
    flow: flowOf(iced, instruction),
    target: direct ? instruction.nearBranchTarget : undefined,
    resumable: repeated || instruction.isVsib,
    operands: memoryOperands(parts),
    effect: effectOf(iced, instruction),
  };
}

function flowOf(iced: IcedModule, instruction: Iced.Instruction): InstructionFlow {
  if (instruction.mnemonic === iced.Mnemonic.Hlt) return 'stop';
  switch (instruction.flowControl) {
    case iced.FlowControl.Next:
    case iced.FlowControl.ConditionalBranch:
    case iced.FlowControl.XbeginXabortXend:
      return 'next';
    case iced.FlowControl.UnconditionalBranch:
    case iced.FlowControl.IndirectBranch:
      return 'jump';
    case iced.FlowControl.Call:
    case iced.FlowControl.IndirectCall:
      return 'call';
    case iced.FlowControl.Return:
      return 'return';
    default:
      return 'stop';
  }
}

function memoryOperands(parts: Parts): MemoryOperand[] {
  const operands: MemoryOperand[] = [];
  const info = parts.infoFactory.info(parts.instruction);
  try {
    // The package declares these lists as `any[]`; its documentation gives the element.
    const usedMemory = info.usedMemory() as Iced.UsedMemory[];
    for (const used of usedMemory) {
      try {
        const operand = memoryOperand(parts, used);
        if (operand !== undefined) operands.push(operand);
      } finally {
        used.free();
      }
    }
  } finally {
    info.free();
  }
  return operands;
}

function memoryOperand(parts: Parts, used: Iced.UsedMemory): MemoryOperand | undefined {
  const { iced, instruction } = parts;
  const kind = accessOf(iced, used.access);
  if (kind === undefined) return undefined;
  const segment =
    used.segment === iced.Register.FS ? 'fs' : used.segment === iced.Register.GS ? 'gs' : undefined;
  const base = registerName(iced, used.base);
  const index = registerName(iced, used.index);
  const displacement = used.displacement;
  const bitIndexed = isBitIndexed(iced, instruction);
  const fixed = base === undefined && index === undefined && segment === undefined && !bitIndexed;
  const flushed = isCacheFlush(iced, instruction.mnemonic);
  let lenBytes = iced.MemorySizeExt.size(used.memorySize);
  // A `rep` has no fixed size of its own; its elements have.
  if (lenBytes === 0 && instruction.isStringInstruction)
    lenBytes = iced.MemorySizeExt.size(instruction.memorySize);
  if (flushed) lenBytes = cacheLineBytes;
  return {
    ...kind,
    address: !fixed ? undefined : flushed ? displacement - (displacement % cacheLineBigint) : displacement,
    lenBytes,
    base,
    index,
    scale: used.scale,
    displacement,
    segment,
    bitIndexed,
  };
}

function accessOf(
  iced: IcedModule,
  access: Iced.OpAccess,
): { access: MemoryAccess; conditional: boolean } | undefined {
  switch (access) {
    case iced.OpAccess.Read:
      return { access: 'r', conditional: false };
    case iced.OpAccess.CondRead:
      return { access: 'r', conditional: true };
    case iced.OpAccess.Write:
      return { access: 'w', conditional: false };
    case iced.OpAccess.CondWrite:
      return { access: 'w', conditional: true };
    case iced.OpAccess.ReadWrite:
      return { access: 'rw', conditional: false };
    case iced.OpAccess.ReadCondWrite:
      // A compare-exchange that fails stores the old value again and fires a write watch.
      return { access: 'rw', conditional: true };
    default:
      return undefined;
  }
}

function registerName(iced: IcedModule, register: Iced.Register): string | undefined {
  return register === iced.Register.None ? undefined : iced.Register[register]?.toLowerCase();
}

function isBitIndexed(iced: IcedModule, instruction: Iced.Instruction): boolean {
  switch (instruction.mnemonic) {
    case iced.Mnemonic.Bt:
    case iced.Mnemonic.Bts:
    case iced.Mnemonic.Btr:
    case iced.Mnemonic.Btc:
      return instruction.op0Kind === iced.OpKind.Memory && instruction.op1Kind === iced.OpKind.Register;
    default:
      return false;
  }
}

/** Flushing a line counts as a load of it. Source: Intel SDM vol. 2, "CLFLUSH", "CLFLUSHOPT", "CLWB". */
function isCacheFlush(iced: IcedModule, mnemonic: Iced.Mnemonic): boolean {
  return (
    mnemonic === iced.Mnemonic.Clflush ||
    mnemonic === iced.Mnemonic.Clflushopt ||
    mnemonic === iced.Mnemonic.Clwb
  );
}

const cacheLineBytes = 64;
const cacheLineBigint = BigInt(cacheLineBytes);
