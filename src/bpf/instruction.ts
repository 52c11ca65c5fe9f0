import { BPF_DW, BPF_IMM, BPF_INSN_BYTES, BPF_LD } from '../uapi/bpf.ts';

/**
 * One 8-byte instruction. Source: RFC 9669 "Instruction Encoding".
 *
 *     | opcode u8 | dst 4 bits, src 4 bits | offset s16 | imm s32 |
 */
export interface BpfInstruction {
  readonly opcode: number;
  /** Registers, 0 to 15 as encoded; 0 to 10 exist. */
  readonly dst: number;
  readonly src: number;
  /** -32768 to 32767. */
  readonly offset: number;
  /** Signed 32 bits. */
  readonly imm: number;
}

/** The opcode of the only instruction that takes two places: a load of a 64-bit immediate. */
export const wideLoad: number = BPF_LD | BPF_IMM | BPF_DW;

/** Instructions as bytes, little endian. */
export function encodeInstructions(instructions: readonly BpfInstruction[]): Uint8Array {
  const bytes = new Uint8Array(instructions.length * BPF_INSN_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, { opcode, dst, src, offset, imm }] of instructions.entries()) {
    const at = index * BPF_INSN_BYTES;
    bytes[at] = opcode;
    bytes[at + 1] = (src << 4) | dst;
    view.setInt16(at + 2, offset, true);
    view.setInt32(at + 4, imm, true);
  }
  return bytes;
}

/** The instructions that whole groups of 8 of `bytes` hold. */
export function decodeInstructions(bytes: Uint8Array): BpfInstruction[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const instructions: BpfInstruction[] = [];
  for (let at = 0; at + BPF_INSN_BYTES <= bytes.length; at += BPF_INSN_BYTES) {
    const registers = view.getUint8(at + 1);
    instructions.push({
      opcode: view.getUint8(at),
      dst: registers & 15,
      src: registers >> 4,
      offset: view.getInt16(at + 2, true),
      imm: view.getInt32(at + 4, true),
    });
  }
  return instructions;
}
