import { assert } from '../base/assert.ts';
import { isKernelError } from '../base/kernel-error.ts';
import { encodeUtf8 } from '../base/text.ts';
import {
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_AND,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_DIV,
  BPF_END,
  BPF_EXIT,
  BPF_FETCH,
  BPF_FUNC_get_current_comm,
  BPF_FUNC_get_current_pid_tgid,
  BPF_FUNC_get_smp_processor_id,
  BPF_FUNC_ktime_get_ns,
  BPF_FUNC_map_delete_elem,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_update_elem,
  BPF_FUNC_probe_read_kernel,
  BPF_FUNC_probe_read_user,
  BPF_FUNC_ringbuf_output,
  BPF_FUNC_send_signal,
  BPF_JA,
  BPF_JMP,
  BPF_JMP32,
  BPF_LDX,
  BPF_MEMSX,
  BPF_MOD,
  BPF_MOV,
  BPF_NEG,
  BPF_OR,
  BPF_PSEUDO_MAP_FD,
  BPF_ST,
  BPF_STX,
  BPF_X,
  BPF_XCHG,
  BPF_XOR,
} from '../uapi/bpf.ts';
import { compare, compute, swapBytes } from './arithmetic.ts';
import { stackBytes } from './check-program.ts';
import type { BpfWorld } from './helper.ts';
import type { BpfInstruction } from './instruction.ts';
import type { InterpretedMap } from './map.ts';
import type { InterpretedProgram } from './program.ts';
import { accessBytesOf, classOf, jumpTarget } from './structure.ts';

/**
 * Memory that a run can address lies in areas, each alone in the addresses with its upper half: context, stack, then
 * the values of maps as they are looked up. The first byte of an area is at {@link areaStart}.
 */
const firstArea = 0xffff_c900;
const areaStart = 0x1000n;
const EFAULT = 14n;
const EAGAIN = 11n;

/**
 * Runs a program of a perf event. Gives what it returns (the low word of register 0): 0 drops the sample.
 * @param context bytes of struct bpf_perf_event_data; not changed.
 */
export function runProgram(program: InterpretedProgram, context: Uint8Array, world: BpfWorld): number {
  return new Run(program, world).execute(context);
}

class Run {
  readonly #program: InterpretedProgram;
  readonly #world: BpfWorld;
  /** Wraps at 64 bits by itself. */
  readonly #registers: BigUint64Array = new BigUint64Array(11);
  readonly #areas: DataView[] = [];
  readonly #stack: Uint8Array = new Uint8Array(stackBytes);

  constructor(program: InterpretedProgram, world: BpfWorld) {
    this.#program = program;
    this.#world = world;
  }

  execute(context: Uint8Array): number {
    const { instructions } = this.#program;
    const registers = this.#registers;
    registers[1] = this.#area(context);
    registers[10] = this.#area(this.#stack) + BigInt(stackBytes);
    for (let at = 0; ; at++) {
      const instruction = instructions[at];
      assert(instruction !== undefined, 'the program was checked');
      const { opcode, dst, src, offset, imm } = instruction;
      switch (classOf(opcode)) {
        case BPF_ALU:
        case BPF_ALU64:
          this.#alu(instruction);
          break;
        case BPF_LDX: {
          const bytes = accessBytesOf(opcode);
          const value = this.#load(this.#register(src) + BigInt(offset), bytes);
          registers[dst] = (opcode & 0xe0) === BPF_MEMSX ? BigInt.asIntN(bytes * 8, value) : value;
          break;
        }
        case BPF_ST:
          this.#store(this.#register(dst) + BigInt(offset), accessBytesOf(opcode), BigInt(imm));
          break;
        case BPF_STX:
          if ((opcode & 0xe0) === BPF_ATOMIC) this.#atomic(instruction);
          else this.#store(this.#register(dst) + BigInt(offset), accessBytesOf(opcode), this.#register(src));
          break;
        case BPF_JMP:
        case BPF_JMP32: {
          const operation = opcode & 0xf0;
          if (operation === BPF_EXIT && classOf(opcode) === BPF_JMP)
            return Number(BigInt.asUintN(32, this.#register(0)));
          if (operation === BPF_CALL && classOf(opcode) === BPF_JMP) this.#call(imm);
          else if (this.#jumps(instruction)) at = jumpTarget(instruction, at) - 1;
          break;
        }
        default:
          registers[dst] =
            src === BPF_PSEUDO_MAP_FD
              ? BigInt(imm) // maps are used by helpers alone, which take them by this
              : (BigInt(instructions[at + 1]?.imm ?? 0) << 32n) | BigInt(imm >>> 0);
          at++;
      }
    }
  }

  #register(number: number): bigint {
    return this.#registers[number] ?? 0n;
  }

  /** Makes `bytes` addressable. */
  #area(bytes: Uint8Array): bigint {
    this.#areas.push(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    return (BigInt(firstArea + this.#areas.length - 1) << 32n) | areaStart;
  }

  #view(address: bigint, bytes: number): { readonly view: DataView; readonly at: number } {
    const at = BigInt.asUintN(64, address);
    const view = this.#areas[Number(at >> 32n) - firstArea];
    const offset = Number((at & 0xffff_ffffn) - areaStart);
    assert(
      view !== undefined && offset >= 0 && offset + bytes <= view.byteLength,
      'a program that was checked accesses what it may',
    );
    return { view, at: offset };
  }

  #load(address: bigint, bytes: number): bigint {
    const { view, at } = this.#view(address, bytes);
    switch (bytes) {
      case 1:
        return BigInt(view.getUint8(at));
      case 2:
        return BigInt(view.getUint16(at, true));
      case 4:
        return BigInt(view.getUint32(at, true));
      default:
        return view.getBigUint64(at, true);
    }
  }

  #store(address: bigint, bytes: number, value: bigint): void {
    const { view, at } = this.#view(address, bytes);
    switch (bytes) {
      case 1:
        view.setUint8(at, Number(value & 0xffn));
        break;
      case 2:
        view.setUint16(at, Number(value & 0xffffn), true);
        break;
      case 4:
        view.setUint32(at, Number(value & 0xffff_ffffn), true);
        break;
      default:
        view.setBigUint64(at, BigInt.asUintN(64, value), true);
    }
  }

  #bytes(address: bigint, bytes: number): Uint8Array {
    const { view, at } = this.#view(address, bytes);
    return new Uint8Array(view.buffer, view.byteOffset + at, bytes);
  }

  #alu({ opcode, dst, src, offset, imm }: BpfInstruction): void {
    const wide = classOf(opcode) === BPF_ALU64;
    const bits = wide ? 64 : 32;
    const operation = opcode & 0xf0;
    const registers = this.#registers;
    if (operation === BPF_END) {
      const swaps = wide || (opcode & BPF_X) !== 0;
      registers[dst] = swaps ? swapBytes(this.#register(dst), imm) : BigInt.asUintN(imm, this.#register(dst));
      return;
    }
    let operand = (opcode & BPF_X) === 0 || operation === BPF_NEG ? BigInt(imm) : this.#register(src);
    if (operation === BPF_MOV && offset !== 0) operand = BigInt.asIntN(offset, operand);
    const signed = (operation === BPF_DIV || operation === BPF_MOD) && offset === 1;
    registers[dst] = compute(operation, this.#register(dst), operand, { bits, signed });
  }

  #jumps({ opcode, dst, src, imm }: BpfInstruction): boolean {
    const operation = opcode & 0xf0;
    if (operation === BPF_JA) return true;
    const operand = (opcode & BPF_X) === 0 ? BigInt(imm) : this.#register(src);
    return compare(operation, this.#register(dst), operand, classOf(opcode) === BPF_JMP ? 64 : 32);
  }

  #atomic({ opcode, dst, src, offset, imm }: BpfInstruction): void {
    const bytes = accessBytesOf(opcode);
    const address = this.#register(dst) + BigInt(offset);
    const old = this.#load(address, bytes);
    const operand = this.#register(src);
    switch (imm) {
      case BPF_XCHG:
        this.#store(address, bytes, operand);
        break;
      case BPF_CMPXCHG:
        if (old === BigInt.asUintN(bytes * 8, this.#register(0))) this.#store(address, bytes, operand);
        this.#registers[0] = old;
        return;
      default:
        this.#store(address, bytes, atomicResult(imm & ~BPF_FETCH, old, operand));
    }
    if ((imm & BPF_FETCH) !== 0) this.#registers[src] = old;
  }

  #call(helper: number): void {
    this.#registers[0] = this.#help(helper);
  }

  #map(register: number): InterpretedMap {
    return this.#program.map(Number(this.#register(register)));
  }

  #help(helper: number): bigint {
    const world = this.#world;
    const size = (register: number): number => Number(BigInt.asUintN(32, this.#register(register)));
    switch (helper) {
      case BPF_FUNC_map_lookup_elem: {
        const map = this.#map(1);
        const value = map.find(this.#bytes(this.#register(2), map.shape.keyBytes), world.cpu);
        return value === undefined ? 0n : this.#area(value);
      }
      case BPF_FUNC_map_update_elem: {
        const map = this.#map(1);
        const key = this.#bytes(this.#register(2), map.shape.keyBytes);
        const value = this.#bytes(this.#register(3), map.shape.valueBytes);
        const flags = Number(this.#register(4));
        return attempt(() => map.update(key, value, flags, world.cpu));
      }
      case BPF_FUNC_map_delete_elem: {
        const map = this.#map(1);
        const key = this.#bytes(this.#register(2), map.shape.keyBytes);
        return attempt(() => map.delete(key));
      }
      case BPF_FUNC_ktime_get_ns:
        return world.nowNs();
      case BPF_FUNC_get_smp_processor_id:
        return BigInt(world.cpu);
      case BPF_FUNC_get_current_pid_tgid:
        return (BigInt(world.pid) << 32n) | BigInt(world.tid);
      case BPF_FUNC_get_current_comm: {
        const bytes = this.#bytes(this.#register(1), size(2));
        bytes.fill(0);
        bytes.set(encodeUtf8(world.comm).subarray(0, Math.min(15, bytes.length - 1)));
        return 0n;
      }
      case BPF_FUNC_send_signal:
        return BigInt(world.sendSignal(size(1)));
      case BPF_FUNC_probe_read_user:
      case BPF_FUNC_probe_read_kernel: {
        const into = this.#bytes(this.#register(1), size(2));
        const address = this.#register(3);
        const bytes =
          helper === BPF_FUNC_probe_read_user
            ? world.readUser(address, into.length)
            : world.readKernel(address, into.length);
        into.fill(0);
        if (bytes === undefined) return -EFAULT;
        into.set(bytes);
        return 0n;
      }
      default: {
        assert(helper === BPF_FUNC_ringbuf_output, 'the program was checked');
        return this.#map(1).output(this.#bytes(this.#register(2), size(3))) ? 0n : -EAGAIN;
      }
    }
  }
}

function atomicResult(operation: number, old: bigint, operand: bigint): bigint {
  switch (operation) {
    case BPF_ADD:
      return old + operand;
    case BPF_OR:
      return old | operand;
    case BPF_AND:
      return old & operand;
    default:
      assert(operation === BPF_XOR, 'the program was checked');
      return old ^ operand;
  }
}

/** 0, or what a helper gives for a refusal. */
function attempt(work: () => void): bigint {
  try {
    work();
    return 0n;
  } catch (error) {
    if (isKernelError(error)) return BigInt(-error.errno);
    throw error;
  }
}
