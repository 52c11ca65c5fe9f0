import { encodeUtf8 } from '../../base/text.ts';
import type { Assembler, JumpOperation, Label } from '../../bpf/assembler.ts';
import {
  BPF_FUNC_get_current_comm,
  BPF_FUNC_get_current_pid_tgid,
  BPF_FUNC_get_smp_processor_id,
  BPF_FUNC_probe_read_kernel,
  BPF_FUNC_probe_read_user,
} from '../../uapi/bpf.ts';
import { type BitField, type ComputedType, type Expression, type NumberType, visit } from './condition.ts';

/** Where a program goes when a condition is not true. */
export interface ConditionExits {
  /** It is false. */
  readonly no: Label;
  /** Something that it needs is not known to the program. */
  readonly unknown: Label;
}

// Registers 6 to 8 are given: the context, the watched value (the low bytes of a u64), and whether that is known (0, 1).
// The stack's end is left to what follows; comm, a variable that was read, and results that wait are below.
const commAt = -32;
const variableAt = -40;
const firstSlot = -48;
const lowestSlot = -496;
/** TASK_COMM_LEN, the terminator among them. */
const commBytes = 16;
const firstKernelAddress = 0x8000_0000_0000_0000n;

/** Why a condition cannot become a program; `undefined`: it can. */
export function whyNotCompiled(expression: Expression): string | undefined {
  let why: string | undefined;
  visit(expression, (each) => {
    if (each.type.kind === 'float' || (each.node === 'binary' && each.side.kind === 'float'))
      why = 'bpf has no floating point';
    if (each.node === 'value' && each.which === 'old')
      why =
        'the value before a hit is the one that the hit before left, which only the whole chain of hits tells';
  });
  return why ?? (depthOf(expression) > (firstSlot - lowestSlot) / 8 ? 'it is too deep' : undefined);
}

/** Whether a condition looks at the watched value. */
export function needsValue(expression: Expression): boolean {
  let needs = false;
  visit(expression, (each) => {
    if (each.node === 'value') needs = true;
  });
  return needs;
}

/** Whether a condition looks at other variables. */
export function needsMemory(expression: Expression): boolean {
  let needs = false;
  visit(expression, (each) => {
    if (each.node === 'variable') needs = true;
  });
  return needs;
}

function depthOf(expression: Expression): number {
  switch (expression.node) {
    case 'unary':
    case 'convert':
      return depthOf(expression.operand);
    case 'binary':
      return Math.max(depthOf(expression.left), 1 + depthOf(expression.right));
    default:
      return 0;
  }
}

/**
 * Instructions that go on behind them if the condition is true. What {@link evaluateCondition} gives is given here, but
 * that what is not known ends it at once. Registers 0 to 5 are lost. Only for what {@link whyNotCompiled} lets through.
 */
export function emitCondition(asm: Assembler, expression: Expression, exits: ConditionExits): void {
  new Emitter(asm, exits).value(expression, firstSlot);
  asm.jumpIf('eq', 0, 0, exits.no);
}

class Emitter {
  readonly #asm: Assembler;
  readonly #exits: ConditionExits;

  constructor(asm: Assembler, exits: ConditionExits) {
    this.#asm = asm;
    this.#exits = exits;
  }

  /** Puts the value into register 0, extended to 64 bits by its type. `slot`: stack that is free, downwards. */
  value(expression: Expression, slot: number): void {
    const asm = this.#asm;
    switch (expression.node) {
      case 'integer':
        asm.load64(0, wrapped(expression.value, expression.type));
        return;
      case 'value':
        asm.jumpIf('eq', 8, 0, this.#exits.unknown).mov(0, { reg: 7 });
        this.#narrow(expression.number, expression.bits);
        return;
      case 'variable':
        this.#variable(expression);
        return;
      case 'fact':
        if (expression.fact === 'cpu') asm.call(BPF_FUNC_get_smp_processor_id);
        else asm.call(BPF_FUNC_get_current_pid_tgid);
        if (expression.fact === 'pid') asm.alu('rsh', 0, 32);
        this.#extend(expression.type);
        return;
      case 'comm':
        this.#comm(expression.text, expression.equal);
        return;
      case 'convert':
        this.value(expression.operand, slot);
        this.#extend(expression.type);
        return;
      case 'unary':
        this.value(expression.operand, slot);
        if (expression.operator === '!') this.#truth('eq', 0);
        else if (expression.operator === '-') asm.neg(0);
        else if (expression.operator === '~') asm.alu('xor', 0, -1);
        this.#extend(expression.type);
        return;
      case 'binary':
        this.#binary(expression, slot);
        return;
      case 'float':
        asm.mov(0, 0); // let through by nobody
    }
  }

  /** Register 0 becomes 1 if it compares so with `operand`, else 0. */
  #truth(operation: JumpOperation, operand: { readonly reg: 1 } | number): void {
    const asm = this.#asm;
    const yes = asm.label('yes');
    const end = asm.label('end');
    asm.jumpIf(operation, 0, operand, yes).mov(0, 0).jump(end).at(yes).mov(0, 1).at(end);
  }

  /** Brings register 0 into the range of a type. */
  #extend(type: ComputedType): void {
    if (type.bits === 64) return;
    if (type.signed) this.#asm.alu('lsh', 0, 32).alu('arsh', 0, 32);
    else this.#asm.alu32('mov', 0, { reg: 0 });
  }

  /** The low bytes of memory in register 0 become a number. */
  #narrow(type: NumberType, bits: BitField | undefined): void {
    const size = bits?.size ?? type.bits;
    const asm = this.#asm;
    if (bits !== undefined && bits.offset > 0) asm.alu('rsh', 0, bits.offset);
    if (size === 64) return;
    const isSigned = type.kind === 'integer' && type.signed;
    asm.alu('lsh', 0, 64 - size).alu(isSigned ? 'arsh' : 'rsh', 0, 64 - size);
  }

  #variable({ address, number, bits }: Expression & { readonly node: 'variable' }): void {
    const asm = this.#asm;
    asm
      .store(8, 10, variableAt, 0)
      .mov(1, { reg: 10 })
      .alu('add', 1, variableAt)
      .mov(2, number.bits / 8);
    asm.load64(3, address);
    asm.call(address < firstKernelAddress ? BPF_FUNC_probe_read_user : BPF_FUNC_probe_read_kernel);
    asm.jumpIf('ne', 0, 0, this.#exits.unknown).load(8, 0, 10, variableAt);
    this.#narrow(number, bits);
  }

  #comm(text: string, equal: boolean): void {
    const asm = this.#asm;
    const bytes = encodeUtf8(text);
    if (bytes.length >= commBytes || bytes.includes(0)) {
      asm.mov(0, equal ? 0 : 1); // no name is so long
      return;
    }
    const padded = new Uint8Array(commBytes);
    padded.set(bytes);
    const view = new DataView(padded.buffer);
    const differs = asm.label('differs');
    const end = asm.label('end');
    asm.store(8, 10, commAt, 0).store(8, 10, commAt + 8, 0);
    asm.mov(1, { reg: 10 }).alu('add', 1, commAt).mov(2, commBytes).call(BPF_FUNC_get_current_comm);
    for (const at of [0, 8])
      asm
        .load(8, 1, 10, commAt + at)
        .load64(2, view.getBigUint64(at, true))
        .jumpIf('ne', 1, { reg: 2 }, differs);
    asm
      .mov(0, equal ? 1 : 0)
      .jump(end)
      .at(differs)
      .mov(0, equal ? 0 : 1)
      .at(end);
  }

  #binary(expression: Expression & { readonly node: 'binary' }, slot: number): void {
    const asm = this.#asm;
    const { operator, left, right, side, type } = expression;
    if (operator === '&&' || operator === '||') {
      const decided = asm.label('decided');
      const end = asm.label('end');
      this.value(left, slot);
      asm.jumpIf(operator === '&&' ? 'eq' : 'ne', 0, 0, decided);
      this.value(right, slot);
      this.#truth('ne', 0);
      asm
        .jump(end)
        .at(decided)
        .mov(0, operator === '&&' ? 0 : 1)
        .at(end);
      return;
    }
    this.value(left, slot);
    asm.store(8, 10, slot, { reg: 0 });
    this.value(right, slot - 8);
    asm.mov(1, { reg: 0 }).load(8, 0, 10, slot);
    const signed = side.kind === 'integer' && side.signed;
    switch (operator) {
      case '==':
        this.#truth('eq', { reg: 1 });
        break;
      case '!=':
        this.#truth('ne', { reg: 1 });
        break;
      case '<':
        this.#truth(signed ? 'slt' : 'lt', { reg: 1 });
        break;
      case '<=':
        this.#truth(signed ? 'sle' : 'le', { reg: 1 });
        break;
      case '>':
        this.#truth(signed ? 'sgt' : 'gt', { reg: 1 });
        break;
      case '>=':
        this.#truth(signed ? 'sge' : 'ge', { reg: 1 });
        break;
      case '/':
      case '%':
        this.#divide(operator === '/' ? 'div' : 'mod', signed);
        break;
      case '<<':
        asm.alu('and', 1, side.bits - 1).alu('lsh', 0, { reg: 1 });
        break;
      case '>>':
        asm.alu('and', 1, side.bits - 1).alu(signed ? 'arsh' : 'rsh', 0, { reg: 1 });
        break;
      default: {
        const operations = { '+': 'add', '-': 'sub', '*': 'mul', '&': 'and', '|': 'or', '^': 'xor' } as const;
        asm.alu(operations[operator], 0, { reg: 1 });
      }
    }
    this.#extend(type);
  }

  /** Signed division of older kernels too: by what the numbers are without their signs. */
  #divide(operation: 'div' | 'mod', signed: boolean): void {
    const asm = this.#asm;
    asm.jumpIf('eq', 1, 0, this.#exits.no);
    if (!signed) {
      asm.alu(operation, 0, { reg: 1 });
      return;
    }
    asm.mov(2, { reg: 0 });
    if (operation === 'div') asm.alu('xor', 2, { reg: 1 });
    for (const register of [0, 1] as const) {
      const positive = asm.label('positive');
      asm.jumpIf('sge', register, 0, positive).neg(register).at(positive);
    }
    const end = asm.label('end');
    asm.alu(operation, 0, { reg: 1 }).jumpIf('sge', 2, 0, end).neg(0).at(end);
  }
}

function wrapped(value: bigint, type: ComputedType): bigint {
  if (type.kind === 'float') return 0n;
  return type.signed ? BigInt.asIntN(type.bits, value) : BigInt.asUintN(type.bits, value);
}
