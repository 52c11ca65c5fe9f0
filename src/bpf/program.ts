import { assert } from '../base/assert.ts';
import { checkProgram } from './check-program.ts';
import { type BpfInstruction, decodeInstructions } from './instruction.ts';
import type { InterpretedMap } from './map.ts';
import { refuseProgram } from './structure.ts';

/** A perf event program that was proved to be harmless, for {@link runProgram}. */
export class InterpretedProgram {
  readonly instructions: readonly BpfInstruction[];
  /** By the immediate of the instruction that loads one. */
  readonly maps: ReadonlyMap<number, InterpretedMap>;

  private constructor(instructions: readonly BpfInstruction[], maps: ReadonlyMap<number, InterpretedMap>) {
    this.instructions = instructions;
    this.maps = maps;
  }

  /**
   * BPF_PROG_LOAD. Throws `KernelError`: E2BIG, EINVAL, EACCES, EBADF (a map that is none).
   * @param mapOf the map behind an fd.
   */
  static load(bytes: Uint8Array, mapOf: (fd: number) => InterpretedMap | undefined): InterpretedProgram {
    if (bytes.length % 8 !== 0) refuseProgram('EINVAL', 'instructions have 8 bytes');
    const instructions = decodeInstructions(bytes);
    const maps = new Map<number, InterpretedMap>();
    for (const { opcode, src, imm } of instructions) {
      if (opcode !== 0x18 || src !== 1) continue;
      const map = mapOf(imm);
      if (map !== undefined) maps.set(imm, map);
    }
    checkProgram(instructions, maps);
    return new InterpretedProgram(instructions, maps);
  }

  /** The map that an instruction loads. */
  map(imm: number): InterpretedMap {
    const map = this.maps.get(imm);
    assert(map !== undefined, 'the program was checked');
    return map;
  }
}
