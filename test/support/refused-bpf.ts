import type { Assembler } from '../../src/bpf/assembler.ts';
import { type BpfInstruction, wideLoad } from '../../src/bpf/instruction.ts';
import {
  BPF_ALU64,
  BPF_EXIT,
  BPF_FUNC_get_smp_processor_id,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_probe_read_user,
  BPF_JMP,
  BPF_STX,
  BPF_XCHG,
} from '../../src/uapi/bpf.ts';

/** Ends a program. */
export const exit: BpfInstruction = { opcode: BPF_JMP | BPF_EXIT, dst: 0, src: 0, offset: 0, imm: 0 };
/** Looks element 0 of "array" up. */
export const lookup = (asm: Assembler): Assembler =>
  asm
    .store(4, 10, -4, 0)
    .loadMap(1, 'array')
    .mov(2, { reg: 10 })
    .alu('add', 2, -4)
    .call(BPF_FUNC_map_lookup_elem);

/** Programs that are refused, with the errno of Linux. "array" is an array of one value of 8 bytes, "ring" a ring. */
export const refusedPrograms: readonly {
  readonly why: string;
  readonly errno: string;
  readonly build: (asm: Assembler) => Assembler;
}[] = [
  { why: 'no instruction', errno: 'E2BIG', build: (asm) => asm },
  { why: 'a result that was never set', errno: 'EACCES', build: (asm) => asm.exit() },
  { why: 'no exit at the end', errno: 'EINVAL', build: (asm) => asm.mov(0, 0) },
  { why: 'code that is never reached', errno: 'EINVAL', build: (asm) => asm.mov(0, 0).exit().exit() },
  {
    why: 'an unknown opcode',
    errno: 'EINVAL',
    build: (asm) =>
      asm
        .mov(0, 0)
        .raw({ ...exit, opcode: 0xe7 })
        .exit(),
  },
  {
    why: 'register 11',
    errno: 'EINVAL',
    build: (asm) => asm.raw({ opcode: BPF_ALU64 | 0xb0, dst: 11, src: 0, offset: 0, imm: 0 }).exit(),
  },
  {
    why: 'a jump out of the program',
    errno: 'EINVAL',
    build: (asm) => asm.mov(0, 0).raw({ opcode: BPF_JMP, dst: 0, src: 0, offset: 9, imm: 0 }).exit(),
  },
  {
    why: 'a jump into a wide load',
    errno: 'EINVAL',
    build: (asm) =>
      asm
        .mov(0, 0)
        .raw({ opcode: BPF_JMP | 0x10, dst: 0, src: 0, offset: 1, imm: 0 })
        .load64(0, 1n << 40n)
        .exit(),
  },
  {
    why: 'half a wide load',
    errno: 'EINVAL',
    build: (asm) =>
      asm
        .mov(0, 0)
        .raw({ ...exit, opcode: wideLoad })
        .exit(),
  },
  {
    why: 'division by the constant 0',
    errno: 'EINVAL',
    build: (asm) => asm.mov(0, 0).alu('div', 0, 0).exit(),
  },
  { why: 'a shift by 64', errno: 'EINVAL', build: (asm) => asm.mov(0, 0).alu('lsh', 0, 64).exit() },
  { why: 'a reserved field', errno: 'EINVAL', build: (asm) => asm.mov(0, 0).raw({ ...exit, imm: 5 }) },
  { why: 'writing the frame pointer', errno: 'EACCES', build: (asm) => asm.mov(10, 0).mov(0, 0).exit() },
  { why: 'writing the context', errno: 'EACCES', build: (asm) => asm.store(8, 1, 0, 0).mov(0, 0).exit() },
  { why: 'reading behind the context', errno: 'EACCES', build: (asm) => asm.load(8, 0, 1, 184).exit() },
  {
    why: 'reading a part of a register of the trap',
    errno: 'EACCES',
    build: (asm) => asm.load(4, 0, 1, 80).exit(),
  },
  { why: 'reading behind the stack', errno: 'EACCES', build: (asm) => asm.load(8, 0, 10, 0).exit() },
  {
    why: 'writing below the stack',
    errno: 'EACCES',
    build: (asm) => asm.store(8, 10, -520, 0).mov(0, 0).exit(),
  },
  {
    why: 'a misaligned access to the stack',
    errno: 'EACCES',
    build: (asm) => asm.store(8, 10, -12, 0).mov(0, 0).exit(),
  },
  {
    why: 'a register that a call has taken',
    errno: 'EACCES',
    build: (asm) => lookup(asm).mov(0, { reg: 1 }).exit(),
  },
  {
    why: 'a value that may not be there',
    errno: 'EACCES',
    // The key is no constant: newer kernels know that an array has its elements.
    build: (asm) =>
      asm
        .call(BPF_FUNC_get_smp_processor_id)
        .store(4, 10, -4, { reg: 0 })
        .loadMap(1, 'array')
        .mov(2, { reg: 10 })
        .alu('add', 2, -4)
        .call(BPF_FUNC_map_lookup_elem)
        .load(8, 0, 0, 0)
        .exit(),
  },
  {
    why: 'reading behind a value',
    errno: 'EACCES',
    build: (asm) => {
      const none = asm.label();
      return lookup(asm).jumpIf('eq', 0, 0, none).load(8, 0, 0, 8).exit().at(none).exit();
    },
  },
  { why: 'a number as a pointer', errno: 'EACCES', build: (asm) => asm.mov(2, 0).load(8, 0, 2, 0).exit() },
  { why: 'a helper that is none', errno: 'EINVAL', build: (asm) => asm.call(100_000).mov(0, 0).exit() },
  {
    why: 'no map where one is wanted',
    errno: 'EACCES',
    build: (asm) => asm.mov(1, 0).mov(2, { reg: 10 }).call(BPF_FUNC_map_lookup_elem).mov(0, 0).exit(),
  },
  {
    why: 'a ring where keys are looked up',
    errno: 'EACCES',
    build: (asm) =>
      asm
        .store(4, 10, -4, 0)
        .loadMap(1, 'ring')
        .mov(2, { reg: 10 })
        .alu('add', 2, -4)
        .call(BPF_FUNC_map_lookup_elem)
        .mov(0, 0)
        .exit(),
  },
  {
    why: 'a helper that writes behind the stack',
    errno: 'EINVAL',
    build: (asm) =>
      asm
        .mov(1, { reg: 10 })
        .alu('add', 1, -8)
        .mov(2, 16)
        .mov(3, 0)
        .call(BPF_FUNC_probe_read_user)
        .mov(0, 0)
        .exit(),
  },
  {
    why: 'an exchange of the context',
    errno: 'EACCES',
    build: (asm) =>
      asm
        .mov(2, 0)
        .raw({ opcode: BPF_STX | 0xc0 | 0x18, dst: 1, src: 2, offset: 0, imm: BPF_XCHG })
        .mov(0, 0)
        .exit(),
  },
  {
    why: 'a helper that writes below the stack',
    errno: 'EACCES',
    build: (asm) =>
      asm
        .mov(1, { reg: 10 })
        .alu('add', 1, -520)
        .mov(2, 8)
        .mov(3, 0)
        .call(BPF_FUNC_probe_read_user)
        .mov(0, 0)
        .exit(),
  },
  {
    why: 'a key at the end of the stack',
    errno: 'EINVAL',
    build: (asm) =>
      asm
        .store(4, 10, -4, 0)
        .loadMap(1, 'array')
        .mov(2, { reg: 10 })
        .alu('add', 2, -2)
        .call(BPF_FUNC_map_lookup_elem)
        .mov(0, 0)
        .exit(),
  },
  {
    why: 'a negative size',
    errno: 'EACCES',
    build: (asm) =>
      asm
        .mov(1, { reg: 10 })
        .alu('add', 1, -8)
        .mov(2, -8)
        .mov(3, 0)
        .call(BPF_FUNC_probe_read_user)
        .mov(0, 0)
        .exit(),
  },
];
