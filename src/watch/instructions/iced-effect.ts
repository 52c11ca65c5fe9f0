import type * as Iced from 'iced-x86';
import type {
  EffectPlace,
  Operand,
  RegisterNumber,
  UpdateOperation,
  ValueAction,
  ValueEffect,
} from './value-effect.ts';

/** 64-bit registers in the order of a sample; flags (8) are no operand. */
const registerNames: readonly string[] = [
  ...['RAX', 'RBX', 'RCX', 'RDX', 'RSI', 'RDI', 'RBP', 'RSP', ''],
  ...['R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15'],
];
const [rax, rbx, rcx, rdx, rsi, rdi] = [0, 1, 2, 3, 4, 5];
const rsp = 7;

/** Conditions of `setcc` by the opcode's low four bits, in the names of the decoder. */
const setMnemonics: readonly string[] = [
  ...['Seto', 'Setno', 'Setb', 'Setae', 'Sete', 'Setne', 'Setbe', 'Seta'],
  ...['Sets', 'Setns', 'Setp', 'Setnp', 'Setl', 'Setge', 'Setle', 'Setg'],
];

/** Instructions whose result in memory is computed from what was there and from their second operand. */
const updates: Readonly<Record<string, UpdateOperation>> = {
  Add: 'add',
  Sub: 'sub',
  And: 'and',
  Or: 'or',
  Xor: 'xor',
  Shl: 'shl',
  Sal: 'shl',
  Shr: 'shr',
  Sar: 'sar',
  Rol: 'rol',
  Ror: 'ror',
};

/**
 * What the registers after `instruction` tell of the memory that it accessed; `undefined` where they tell nothing:
 * vector stores (a sample has no vector registers), `movs`, `pop` to memory, `adc` (the carry is gone), repeated string
 * instructions (how far one has come cannot be told), places given by a register that the instruction overwrote.
 */
export function effectOf(iced: typeof Iced, instruction: Iced.Instruction): ValueEffect | undefined {
  return new Reader(iced, instruction).effect();
}

class Reader {
  readonly #iced: typeof Iced;
  readonly #instruction: Iced.Instruction;
  readonly #name: string;

  constructor(iced: typeof Iced, instruction: Iced.Instruction) {
    this.#iced = iced;
    this.#instruction = instruction;
    this.#name = iced.Mnemonic[instruction.mnemonic] ?? '';
  }

  effect(): ValueEffect | undefined {
    const { OpKind } = this.#iced;
    const instruction = this.#instruction;
    if (instruction.isStringInstruction) return this.#string();
    if (this.#name === 'Push') return this.#push();
    if (this.#name === 'Pop') return this.#pop();
    if (instruction.op0Kind === OpKind.Memory) return this.#toMemory();
    if (instruction.opCount >= 2 && instruction.op1Kind === OpKind.Memory) return this.#fromMemory();
    return undefined;
  }

  /** Instructions whose first operand is the memory. */
  #toMemory(): ValueEffect | undefined {
    const instruction = this.#instruction;
    const source = instruction.opCount >= 2 ? this.#operand(1) : undefined;
    switch (this.#name) {
      case 'Mov':
      case 'Movnti':
      case 'Movdiri':
        return source === undefined ? undefined : this.#at({ type: 'store', value: source });
      case 'Movbe':
        if (source?.type !== 'register') return undefined;
        return this.#at({ type: 'store', value: { type: 'reversed', register: source.register } });
      case 'Xchg':
      case 'Xadd':
        if (source?.type !== 'register') return undefined;
        return this.#at({ type: 'exchange', old: source }, [source.register]);
      case 'Cmpxchg':
        if (source?.type !== 'register') return undefined;
        return this.#at(
          {
            type: 'compareExchange',
            accumulator: { type: 'register', register: rax, shiftBits: 0 },
            replacement: source,
          },
          [rax],
        );
      case 'Cmpxchg8b':
      case 'Cmpxchg16b':
        return this.#at(
          {
            type: 'compareExchange',
            accumulator: { type: 'pair', low: rax, high: rdx },
            replacement: { type: 'pair', low: rbx, high: rcx },
          },
          [rax, rdx],
        );
      case 'Inc':
      case 'Dec': {
        const operation = this.#name === 'Inc' ? 'add' : 'sub';
        return this.#update(operation, { type: 'immediate', value: 1n });
      }
      case 'Neg':
      case 'Not':
        return this.#update(this.#name === 'Neg' ? 'neg' : 'not', { type: 'immediate', value: 0n });
      case 'Bts':
      case 'Btr':
      case 'Btc':
        return this.#bit();
    }
    const condition = setMnemonics.indexOf(this.#name);
    if (condition >= 0) return this.#at({ type: 'store', value: { type: 'condition', condition } });
    const operation = updates[this.#name];
    return operation === undefined || source === undefined ? undefined : this.#update(operation, source);
  }

  #update(operation: UpdateOperation, source: Operand): ValueEffect | undefined {
    // Rotates leave the flags of the result alone, `not` all flags; a shift by 0, which a count in cl may be, too.
    const setsFlags = ['add', 'sub', 'and', 'or', 'xor', 'neg'].includes(operation);
    return this.#at({ type: 'update', operation, source, setsFlags });
  }

  /** A bit by an immediate; with the bit in a register the place depends on it. */
  #bit(): ValueEffect | undefined {
    const source = this.#operand(1);
    if (source?.type !== 'immediate') return undefined;
    const bits = BigInt(8 * this.#lenBytes());
    if (bits === 0n) return undefined;
    const mask = 1n << (source.value % bits);
    const operation = this.#name === 'Bts' ? 'or' : this.#name === 'Btr' ? 'and' : 'xor';
    const value = BigInt.asUintN(64, operation === 'and' ? ~mask : mask);
    return this.#at({ type: 'update', operation, source: { type: 'immediate', value }, setsFlags: false });
  }

  /** Loads into a register of what was read, however it is extended. */
  #fromMemory(): ValueEffect | undefined {
    switch (this.#name) {
      case 'Mov':
      case 'Movzx':
      case 'Movsx':
      case 'Movsxd':
      case 'Movbe': {
        const value = this.#operand(0);
        if (value?.type !== 'register') return undefined;
        const reversed = this.#name === 'Movbe';
        const read: Operand = reversed ? { type: 'reversed', register: value.register } : value;
        return this.#at({ type: 'load', value: read }, [value.register]);
      }
      case 'Xchg':
      case 'Xadd': {
        const old = this.#operand(0); // decoders put either operand first
        return old?.type === 'register' ? this.#at({ type: 'exchange', old }, [old.register]) : undefined;
      }
      default:
        return undefined;
    }
  }

  /** One `stos` or `lods`. */
  #string(): ValueEffect | undefined {
    const instruction = this.#instruction;
    if (instruction.hasRepPrefix || instruction.hasRepnePrefix) return undefined;
    const isStore = this.#name.startsWith('Stos');
    if (!isStore && !this.#name.startsWith('Lods')) return undefined;
    const { MemorySizeExt, OpKind, Register } = this.#iced;
    if (instruction.memorySegment === Register.FS || instruction.memorySegment === Register.GS)
      return undefined;
    const lenBytes = MemorySizeExt.size(instruction.memorySize);
    const kind = isStore ? instruction.op0Kind : instruction.op1Kind;
    const value: Operand = { type: 'register', register: rax, shiftBits: 0 };
    return {
      place: {
        ...nowhere,
        base: isStore ? rdi : rsi,
        is32Bit: kind === OpKind.MemoryESEDI || kind === OpKind.MemorySegESI,
        stringStep: lenBytes,
      },
      lenBytes,
      action: isStore ? { type: 'store', value } : { type: 'load', value },
    };
  }

  #push(): ValueEffect | undefined {
    const value = this.#operand(0);
    if (value === undefined || (value.type === 'register' && value.register === rsp)) return undefined;
    const lenBytes = -this.#instruction.stackPointerIncrement;
    return { place: { ...nowhere, base: rsp }, lenBytes, action: { type: 'store', value } };
  }

  /** A `pop` into a register, a read of the stack. */
  #pop(): ValueEffect | undefined {
    const value = this.#operand(0);
    if (value?.type !== 'register' || value.register === rsp) return undefined;
    const lenBytes = this.#instruction.stackPointerIncrement;
    const displacement = BigInt.asUintN(64, BigInt(-lenBytes));
    return { place: { ...nowhere, base: rsp, displacement }, lenBytes, action: { type: 'load', value } };
  }

  /** The effect at the operand in memory, unless its place depends on a register of `overwritten`. */
  #at(action: ValueAction, overwritten: readonly RegisterNumber[] = []): ValueEffect | undefined {
    const { MemorySizeExt, Register, RegisterExt } = this.#iced;
    const instruction = this.#instruction;
    const lenBytes = this.#lenBytes();
    if (![1, 2, 4, 8, 16].includes(lenBytes) || MemorySizeExt.isBroadcast(instruction.memorySize))
      return undefined;
    const { memoryBase, memoryIndex } = instruction;
    if (memoryIndex !== Register.None && RegisterExt.isVectorRegister(memoryIndex)) return undefined;
    if (instruction.memorySegment === Register.GS) return undefined;
    const ofInstruction = memoryBase === Register.RIP || memoryBase === Register.EIP;
    const base = ofInstruction ? undefined : this.#number(memoryBase);
    const index = this.#number(memoryIndex);
    if (base === 'other' || index === 'other') return undefined;
    if (overwritten.some((register) => register === base || register === index)) return undefined;
    return {
      place: {
        base,
        index,
        scale: instruction.memoryIndexScale,
        displacement: BigInt.asUintN(64, instruction.memoryDisplacement),
        is32Bit: [memoryBase, memoryIndex].some(
          (register) => register !== Register.None && !ofInstruction && RegisterExt.size(register) === 4,
        ),
        fs: instruction.memorySegment === Register.FS,
        stringStep: 0,
      },
      lenBytes,
      action,
    };
  }

  #lenBytes(): number {
    return this.#iced.MemorySizeExt.size(this.#instruction.memorySize);
  }

  /** The number of a general register's 64-bit whole; `undefined` for none. */
  #number(register: Iced.Register): RegisterNumber | undefined | 'other' {
    const { Register, RegisterExt } = this.#iced;
    if (register === Register.None) return undefined;
    const number = registerNames.indexOf(Register[RegisterExt.fullRegister(register)] ?? '?');
    return number < 0 ? 'other' : number;
  }

  /** Operand `n`, where it is a general register or an immediate. */
  #operand(n: number): Operand | undefined {
    const { OpKind, Register } = this.#iced;
    const instruction = this.#instruction;
    switch (instruction.opKind(n)) {
      case OpKind.Register: {
        const part = instruction.opRegister(n);
        const register = this.#number(part);
        if (register === undefined || register === 'other') return undefined;
        const isHigh = [Register.AH, Register.BH, Register.CH, Register.DH].includes(part);
        return { type: 'register', register, shiftBits: isHigh ? 8 : 0 };
      }
      case OpKind.Immediate8:
      case OpKind.Immediate16:
      case OpKind.Immediate32:
      case OpKind.Immediate64:
      case OpKind.Immediate8to16:
      case OpKind.Immediate8to32:
      case OpKind.Immediate8to64:
      case OpKind.Immediate32to64:
        return { type: 'immediate', value: BigInt.asUintN(64, instruction.immediate(n)) };
      default:
        return undefined;
    }
  }
}

/** Address 0. */
const nowhere: EffectPlace = {
  base: undefined,
  index: undefined,
  scale: 1,
  displacement: 0n,
  is32Bit: false,
  fs: false,
  stringStep: 0,
};
