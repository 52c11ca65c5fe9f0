// Constants of bpf(2) and of the instruction set. Source: linux/bpf.h, linux/bpf_common.h, bpf(2); RFC 9669 for the
// instruction set.

/** Commands of bpf(2). */
export const BPF_MAP_CREATE = 0;
export const BPF_MAP_LOOKUP_ELEM = 1;
export const BPF_MAP_UPDATE_ELEM = 2;
export const BPF_MAP_DELETE_ELEM = 3;
export const BPF_PROG_LOAD = 5;
export const BPF_PROG_TEST_RUN = 10;

/** Map types. */
export const BPF_MAP_TYPE_HASH = 1;
export const BPF_MAP_TYPE_ARRAY = 2;
export const BPF_MAP_TYPE_PROG_ARRAY = 3;
export const BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4;
export const BPF_MAP_TYPE_PERCPU_ARRAY = 6;
export const BPF_MAP_TYPE_RINGBUF = 27;

/** Flags of an update: create or change; create only; change only. */
export const BPF_ANY = 0;
export const BPF_NOEXIST = 1;
export const BPF_EXIST = 2;

/** Program types. */
export const BPF_PROG_TYPE_SOCKET_FILTER = 1;
export const BPF_PROG_TYPE_PERF_EVENT = 7;

/** Instruction classes: the low three bits of an opcode. */
export const BPF_LD = 0x00;
export const BPF_LDX = 0x01;
export const BPF_ST = 0x02;
export const BPF_STX = 0x03;
export const BPF_ALU = 0x04;
export const BPF_JMP = 0x05;
export const BPF_JMP32 = 0x06;
export const BPF_ALU64 = 0x07;

/** Sizes of loads and stores: 4, 2, 1, 8 bytes. */
export const BPF_W = 0x00;
export const BPF_H = 0x08;
export const BPF_B = 0x10;
export const BPF_DW = 0x18;

/** Modes of loads and stores. */
export const BPF_IMM = 0x00;
export const BPF_MEM = 0x60;
export const BPF_MEMSX = 0x80;
export const BPF_ATOMIC = 0xc0;

/** The second operand of ALU and jump instructions: an immediate, or a register. */
export const BPF_K = 0x00;
export const BPF_X = 0x08;

/** Operations of ALU instructions. */
export const BPF_ADD = 0x00;
export const BPF_SUB = 0x10;
export const BPF_MUL = 0x20;
export const BPF_DIV = 0x30;
export const BPF_OR = 0x40;
export const BPF_AND = 0x50;
export const BPF_LSH = 0x60;
export const BPF_RSH = 0x70;
export const BPF_NEG = 0x80;
export const BPF_MOD = 0x90;
export const BPF_XOR = 0xa0;
export const BPF_MOV = 0xb0;
export const BPF_ARSH = 0xc0;
export const BPF_END = 0xd0;

/** Operations of jump instructions. */
export const BPF_JA = 0x00;
export const BPF_JEQ = 0x10;
export const BPF_JGT = 0x20;
export const BPF_JGE = 0x30;
export const BPF_JSET = 0x40;
export const BPF_JNE = 0x50;
export const BPF_JSGT = 0x60;
export const BPF_JSGE = 0x70;
export const BPF_CALL = 0x80;
export const BPF_EXIT = 0x90;
export const BPF_JLT = 0xa0;
export const BPF_JLE = 0xb0;
export const BPF_JSLT = 0xc0;
export const BPF_JSLE = 0xd0;

/** Atomic operations besides ADD, OR, AND and XOR: in the immediate. FETCH gives the old value. */
export const BPF_FETCH = 0x01;
export const BPF_XCHG = 0xe1;
export const BPF_CMPXCHG = 0xf1;

/** In `src` of a 16-byte load: the immediate is the fd of a map. */
export const BPF_PSEUDO_MAP_FD = 1;

/** Helpers. */
export const BPF_FUNC_map_lookup_elem = 1;
export const BPF_FUNC_map_update_elem = 2;
export const BPF_FUNC_map_delete_elem = 3;
export const BPF_FUNC_ktime_get_ns = 5;
export const BPF_FUNC_get_smp_processor_id = 8;
export const BPF_FUNC_tail_call = 12;
export const BPF_FUNC_get_current_pid_tgid = 14;
export const BPF_FUNC_get_current_comm = 16;
export const BPF_FUNC_perf_event_output = 25;
export const BPF_FUNC_send_signal = 109;
export const BPF_FUNC_probe_read_user = 112;
export const BPF_FUNC_probe_read_kernel = 113;
export const BPF_FUNC_ringbuf_output = 130;

/** Bits of a ringbuf record's length word: it is being written; it was given up. */
export const BPF_RINGBUF_BUSY_BIT = 0x8000_0000;
export const BPF_RINGBUF_DISCARD_BIT = 0x4000_0000;
/** Bytes of a ringbuf record's header: length u32, page offset u32. */
export const BPF_RINGBUF_HDR_SZ = 8;

/** Bytes of an instruction (struct bpf_insn). */
export const BPF_INSN_BYTES = 8;

/**
 * Offsets in the context of a perf event program on x86-64 (struct bpf_perf_event_data): the registers at the trap
 * (struct pt_regs, 8 bytes each), then the period and the address. Source: linux/bpf_perf_event.h, asm/ptrace.h.
 */
export const x86PerfEventContext = {
  r15: 0,
  r14: 8,
  r13: 16,
  r12: 24,
  bp: 32,
  bx: 40,
  r11: 48,
  r10: 56,
  r9: 64,
  r8: 72,
  ax: 80,
  cx: 88,
  dx: 96,
  si: 104,
  di: 112,
  origAx: 120,
  ip: 128,
  cs: 136,
  flags: 144,
  sp: 152,
  ss: 160,
  samplePeriod: 168,
  addr: 176,
  bytes: 184,
} as const;

/** In the flags of `perf_event_output`: to the event of the CPU it runs on. */
export const BPF_F_CURRENT_CPU = 0xffff_ffffn;
