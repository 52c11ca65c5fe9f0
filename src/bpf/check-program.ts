import { assert } from '../base/assert.ts';
import {
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_END,
  BPF_EXIT,
  BPF_FETCH,
  BPF_JA,
  BPF_JEQ,
  BPF_JMP,
  BPF_JMP32,
  BPF_JNE,
  BPF_LDX,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_MAP_FD,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_X,
  x86PerfEventContext,
} from '../uapi/bpf.ts';
import { type HelperArgument, helperShapes } from './helper.ts';
import { type BpfInstruction, wideLoad } from './instruction.ts';
import type { InterpretedMap } from './map.ts';
import { accessBytesOf, checkStructure, classOf, isJump, jumpTarget, refuseProgram } from './structure.ts';

/** Bytes of a program's stack. */
export const stackBytes: number = 512;
/** Instructions that are looked at, over all paths, before a program is too complex. Source: Linux says so in its log. */
const mostLookedAt = 1_000_000;

/** What is known of a register at a place of the program. */
type Known =
  | { readonly is: 'nothing' }
  | { readonly is: 'number'; readonly value?: bigint }
  | { readonly is: 'context' | 'stack'; readonly offset: bigint }
  | { readonly is: 'map'; readonly map: number }
  | { readonly is: 'value?'; readonly map: number; readonly lookup: number }
  | { readonly is: 'value'; readonly map: number; readonly offset: bigint };

const nothing: Known = { is: 'nothing' };
const number: Known = { is: 'number' };

/** Registers, and pointers that lie on the stack by their offset from its end. */
interface State {
  at: number;
  readonly registers: Known[];
  readonly spilled: Map<number, Known>;
}

/**
 * Proves that a perf event program accesses only what it may on every path: registers that were written, its context,
 * its stack, values of maps that were found to be there, helpers with fitting arguments. Stricter than Linux where that
 * needs ranges of numbers: offsets and sizes must be constants. Throws `KernelError` as BPF_PROG_LOAD does: E2BIG,
 * EINVAL, EACCES.
 *
 * @param maps by the immediate of the instruction that loads one.
 */
export function checkProgram(
  instructions: readonly BpfInstruction[],
  maps: ReadonlyMap<number, InterpretedMap>,
): void {
  checkStructure(instructions);
  new Prover(instructions, maps).prove();
}

class Prover {
  readonly #instructions: readonly BpfInstruction[];
  readonly #maps: ReadonlyMap<number, InterpretedMap>;
  readonly #seen: Set<string> = new Set();
  #todo: State[] = [];
  #lookups = 0;
  #lookedAt = 0;

  constructor(instructions: readonly BpfInstruction[], maps: ReadonlyMap<number, InterpretedMap>) {
    this.#instructions = instructions;
    this.#maps = maps;
  }

  prove(): void {
    const registers: Known[] = Array.from({ length: 11 }, () => nothing);
    registers[1] = { is: 'context', offset: 0n };
    registers[10] = { is: 'stack', offset: 0n };
    this.#todo = [{ at: 0, registers, spilled: new Map() }];
    for (;;) {
      const state = this.#todo.pop();
      if (state === undefined) return;
      while (this.#step(state)) {
        // goes on until the path ends or meets one that was seen
      }
    }
  }

  /** Does one instruction; false: the path has ended. */
  #step(state: State): boolean {
    if (++this.#lookedAt > mostLookedAt) refuseProgram('E2BIG', 'BPF program is too large');
    const instruction = this.#instructions[state.at];
    assert(instruction !== undefined, 'the structure was checked');
    const { opcode, dst, src, offset } = instruction;
    switch (classOf(opcode)) {
      case BPF_ALU:
      case BPF_ALU64:
        this.#alu(state, instruction);
        break;
      case BPF_LDX:
        this.#write(
          state,
          dst,
          this.#memory(state, { base: src, offset, bytes: accessBytesOf(opcode), store: false }),
        );
        break;
      case BPF_ST:
        this.#memory(state, { base: dst, offset, bytes: accessBytesOf(opcode), store: true });
        break;
      case BPF_STX:
        if ((opcode & 0xe0) === BPF_ATOMIC) this.#atomic(state, instruction);
        else {
          const value = this.#read(state, src);
          this.#memory(state, { base: dst, offset, bytes: accessBytesOf(opcode), store: true, value });
        }
        break;
      case BPF_JMP:
      case BPF_JMP32:
        return this.#jump(state, instruction);
      default: {
        // The only one that is left: a load of 64 bits.
        const value = this.#wide(instruction, state.at);
        this.#write(state, dst, value);
        state.at++;
      }
    }
    state.at++;
    return true;
  }

  #wide({ opcode, src, imm }: BpfInstruction, at: number): Known {
    assert(opcode === wideLoad, 'the structure was checked');
    if (src === BPF_PSEUDO_MAP_FD) {
      if (!this.#maps.has(imm)) refuseProgram('EBADF', `fd ${imm} is not pointing to valid bpf_map`);
      return { is: 'map', map: imm };
    }
    const high = this.#instructions[at + 1]?.imm ?? 0;
    return { is: 'number', value: BigInt.asUintN(64, (BigInt(high) << 32n) | BigInt(imm >>> 0)) };
  }

  #read(state: State, register: number): Known {
    const known = state.registers[register] ?? nothing;
    if (known.is === 'nothing') refuseProgram('EACCES', `R${register} !read_ok`);
    return known;
  }

  #write(state: State, register: number, known: Known): void {
    if (register === 10) refuseProgram('EACCES', 'frame pointer is read only');
    state.registers[register] = known;
  }

  #alu(state: State, { opcode, dst, src, offset, imm }: BpfInstruction): void {
    const wide = classOf(opcode) === BPF_ALU64;
    const operation = opcode & 0xf0;
    const isRegister = (opcode & BPF_X) !== 0 && operation !== BPF_END && operation !== BPF_NEG;
    const operand: Known = isRegister
      ? this.#read(state, src)
      : { is: 'number', value: BigInt.asUintN(64, BigInt(imm)) };
    if (operation === BPF_MOV) {
      if (wide && offset === 0) this.#write(state, dst, operand);
      else if (operand.is !== 'number') refuseProgram('EACCES', `R${src} partial copy of pointer`);
      else if (offset !== 0 || operand.value === undefined) this.#write(state, dst, number);
      else this.#write(state, dst, { is: 'number', value: BigInt.asUintN(32, operand.value) });
      return;
    }
    const target = this.#read(state, dst);
    if (target.is === 'number' && operand.is === 'number') {
      this.#write(state, dst, number);
      return;
    }
    const moves = wide && (operation === BPF_ADD || operation === BPF_SUB);
    if (moves && operand.is === 'number' && 'offset' in target) {
      if (operand.value === undefined)
        refuseProgram('EACCES', `R${dst} is moved by a number that is not a constant`);
      const by = BigInt.asIntN(64, operand.value);
      this.#write(state, dst, { ...target, offset: target.offset + (operation === BPF_ADD ? by : -by) });
      return;
    }
    refuseProgram('EACCES', `R${dst} pointer arithmetic prohibited`);
  }

  /** A load or store; gives what is known of the value that is loaded. */
  #memory(
    state: State,
    access: {
      readonly base: number;
      readonly offset: number;
      readonly bytes: number;
      readonly store: boolean;
      readonly value?: Known;
    },
  ): Known {
    const { base, bytes, store, value } = access;
    const pointer = this.#read(state, base);
    const invalid = (what: string): never =>
      refuseProgram('EACCES', `R${base} invalid mem access '${what}' of ${bytes} bytes at insn ${state.at}`);
    if (!('offset' in pointer)) return invalid(pointer.is);
    const at = pointer.offset + BigInt(access.offset);
    switch (pointer.is) {
      case 'context':
        if (store || !contextReadable(at, bytes)) invalid('context');
        return number;
      case 'value': {
        const size = this.#maps.get(pointer.map)?.shape.valueBytes ?? 0;
        if (at < 0n || at + BigInt(bytes) > BigInt(size)) invalid('value');
        if (value !== undefined && value.is !== 'number') invalid('a pointer in a map');
        return number;
      }
      case 'stack': {
        if (at < -BigInt(stackBytes) || at + BigInt(bytes) > 0n || at % BigInt(bytes) !== 0n)
          invalid('stack');
        const from = Number(at);
        const whole = bytes === 8 ? state.spilled.get(from) : undefined;
        if (!store) {
          if (whole !== undefined) return whole;
          for (const slot of state.spilled.keys())
            if (slot < from + bytes && from < slot + 8) invalid('a part of a pointer');
          return number;
        }
        clearSpilled(state, from, bytes);
        if (value !== undefined && value.is !== 'number') {
          if (bytes !== 8) invalid('a part of a pointer');
          state.spilled.set(from, value);
        }
        return number;
      }
    }
  }

  #atomic(state: State, { opcode, dst, src, offset, imm }: BpfInstruction): void {
    const bytes = accessBytesOf(opcode);
    if (this.#read(state, src).is !== 'number') refuseProgram('EACCES', `R${src} leaks addr into mem`);
    if (this.#read(state, dst).is === 'context')
      refuseProgram('EACCES', `BPF_ATOMIC stores into R${dst} ctx is not allowed`);
    if (this.#memory(state, { base: dst, offset, bytes, store: false }).is !== 'number')
      refuseProgram('EACCES', `R${dst} leaks addr into mem`);
    this.#memory(state, { base: dst, offset, bytes, store: true });
    if (imm === BPF_CMPXCHG) {
      if (this.#read(state, 0).is !== 'number') refuseProgram('EACCES', 'R0 leaks addr into mem');
      this.#write(state, 0, number);
    } else if ((imm & BPF_FETCH) !== 0) this.#write(state, src, number);
  }

  #jump(state: State, instruction: BpfInstruction): boolean {
    const { opcode, dst, src, imm } = instruction;
    const operation = opcode & 0xf0;
    if (!isJump(instruction)) {
      if (operation === BPF_EXIT) {
        this.#read(state, 0);
        return false;
      }
      assert(operation === BPF_CALL, 'the structure was checked');
      this.#call(state, imm);
      state.at++;
      return true;
    }
    const target = jumpTarget(instruction, state.at);
    if (operation === BPF_JA) return this.#arrive(state, target);
    const left = this.#read(state, dst);
    if ((opcode & BPF_X) !== 0) this.#read(state, src);
    const other: State = {
      at: target,
      registers: [...state.registers],
      spilled: new Map(state.spilled),
    };
    const isNullTest =
      left.is === 'value?' &&
      classOf(opcode) === BPF_JMP &&
      (opcode & BPF_X) === 0 &&
      imm === 0 &&
      (operation === BPF_JEQ || operation === BPF_JNE);
    if (isNullTest && left.is === 'value?') {
      const [isNull, isValue] = operation === BPF_JEQ ? [other, state] : [state, other];
      settle(isNull, left, { is: 'number', value: 0n });
      settle(isValue, left, { is: 'value', map: left.map, offset: 0n });
    }
    if (this.#arrive(other, target)) this.#todo.push(other);
    return this.#arrive(state, state.at + 1);
  }

  /** Goes on at `at`, unless a path came there with the same knowledge. */
  #arrive(state: State, at: number): boolean {
    state.at = at;
    const key = keyOf(state);
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    return true;
  }

  #call(state: State, helper: number): void {
    const shape = helperShapes.get(helper);
    if (shape === undefined) refuseProgram('EINVAL', `program of this type cannot use helper #${helper}`);
    let map: number | undefined;
    for (const [index, wanted] of shape.arguments.entries()) {
      const register = index + 1;
      const given = this.#read(state, register);
      if (wanted === 'map') {
        if (given.is !== 'map') refuseProgram('EACCES', `R${register} type=${given.is} expected=map_ptr`);
        map = given.map;
        this.#checkMapOf(helper, map);
      } else this.#checkArgument(state, { register, wanted, given, map, sizeIn: register + 1 });
    }
    const lookup = shape.result === 'number' || map === undefined ? undefined : ++this.#lookups;
    for (let register = 0; register <= 5; register++) state.registers[register] = nothing;
    state.registers[0] = lookup === undefined || map === undefined ? number : { is: 'value?', map, lookup };
  }

  #checkMapOf(helper: number, map: number): void {
    const isRing = this.#maps.get(map)?.shape.type === BPF_MAP_TYPE_RINGBUF;
    const wantsRing = helperShapes.get(helper)?.name.startsWith('ringbuf') === true;
    if (isRing && !wantsRing) refuseProgram('EACCES', 'invalid zero-sized read');
    if (!isRing && wantsRing) refuseProgram('EINVAL', `cannot pass this map into func #${helper}`);
  }

  #checkArgument(
    state: State,
    argument: {
      readonly register: number;
      readonly wanted: HelperArgument;
      readonly given: Known;
      readonly map: number | undefined;
      readonly sizeIn: number;
    },
  ): void {
    const { register, wanted, given, map, sizeIn } = argument;
    const shape = map === undefined ? undefined : this.#maps.get(map)?.shape;
    switch (wanted) {
      case 'number':
        if (given.is !== 'number') refuseProgram('EACCES', `R${register} type=${given.is} expected=scalar`);
        return;
      case 'size':
        if (given.is !== 'number' || given.value === undefined)
          refuseProgram('EACCES', `R${register} unbounded memory access: the size is not a constant`);
        if (given.value > 0xffff_ffffn) refuseProgram('EACCES', `R${register} is a negative size`);
        return;
      case 'key':
        this.#area(state, register, given, shape?.keyBytes ?? 0, false);
        return;
      case 'value':
        this.#area(state, register, given, shape?.valueBytes ?? 0, false);
        return;
      default: {
        const size = this.#read(state, sizeIn);
        const bytes = size.is === 'number' ? size.value : undefined;
        if (bytes === undefined) refuseProgram('EACCES', `R${sizeIn} unbounded memory access`);
        if (bytes > 0xffff_ffffn) refuseProgram('EACCES', `R${sizeIn} is a negative size`);
        this.#area(state, register, given, Number(bytes), wanted === 'writable');
      }
    }
  }

  /** Memory that a helper uses. */
  #area(state: State, register: number, given: Known, bytes: number, store: boolean): void {
    if (given.is === 'stack') {
      if (bytes === 0) return;
      if (given.offset >= 0n || given.offset < -BigInt(stackBytes))
        refuseProgram('EACCES', `invalid access to stack R${register} off=${given.offset} size=${bytes}`);
      if (given.offset + BigInt(bytes) > 0n)
        refuseProgram('EINVAL', `invalid access to stack R${register} off=${given.offset} size=${bytes}`);
      if (store) clearSpilled(state, Number(given.offset), bytes);
      return;
    }
    if (given.is === 'value') {
      const size = BigInt(this.#maps.get(given.map)?.shape.valueBytes ?? 0);
      if (given.offset >= 0n && given.offset + BigInt(bytes) <= size) return;
    }
    refuseProgram('EACCES', `R${register} invalid access of ${bytes} bytes to ${given.is}`);
  }
}

/** What is stored over a pointer on the stack destroys it. */
function clearSpilled(state: State, from: number, bytes: number): void {
  for (const slot of [...state.spilled.keys()])
    if (slot < from + bytes && from < slot + 8) state.spilled.delete(slot);
}

/** All copies of the result of one lookup are now known to be `known`. */
function settle(state: State, of: Known & { is: 'value?' }, known: Known): void {
  const same = (each: Known): boolean => each.is === 'value?' && each.lookup === of.lookup;
  for (const [index, each] of state.registers.entries()) if (same(each)) state.registers[index] = known;
  for (const [slot, each] of state.spilled) if (same(each)) state.spilled.set(slot, known);
}

function keyOf(state: State): string {
  const text = (known: Known): string => Object.values(known).join(':');
  const slots = [...state.spilled].sort(([a], [b]) => a - b).map(([slot, known]) => `${slot}=${text(known)}`);
  return `${state.at}|${state.registers.map(text).join(' ')}|${slots.join(' ')}`;
}

/** The registers are read whole; period and address also in parts. */
function contextReadable(at: bigint, bytes: number): boolean {
  const { samplePeriod, bytes: end } = x86PerfEventContext;
  if (at < 0n || at + BigInt(bytes) > BigInt(end) || at % BigInt(bytes) !== 0n) return false;
  return bytes === 8 || at >= BigInt(samplePeriod);
}
