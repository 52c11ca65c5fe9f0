import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
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
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_RINGBUF,
  x86PerfEventContext,
} from '../uapi/bpf.ts';
import { type AluOperation, type AssembledProgram, Assembler, type JumpOperation } from './assembler.ts';
import type { BpfWorld } from './helper.ts';
import { decodeInstructions, encodeInstructions } from './instruction.ts';
import { InterpretedMap } from './map.ts';
import { InterpretedProgram } from './program.ts';
import { runProgram } from './run-program.ts';

const memory = new Map<bigint, Uint8Array>([[0x1000n, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)]]);
const signals: number[] = [];
const world: BpfWorld = {
  cpu: 1,
  nowNs: () => 123_456_789_012n,
  pid: 7,
  tid: 8,
  comm: 'a thread of long name',
  readUser: (address, lengthBytes) => memory.get(address)?.slice(0, lengthBytes),
  readKernel: (address, lengthBytes) =>
    address === 0xffff_8000_0000_0000n ? new Uint8Array(lengthBytes).fill(9) : undefined,
  sendSignal: (signal) => {
    signals.push(signal);
    return 0;
  },
};

function load(program: AssembledProgram, maps: Record<string, InterpretedMap> = {}): InterpretedProgram {
  const names = Object.keys(maps);
  const instructions = decodeInstructions(program.bytes);
  for (const [name, uses] of program.mapUses)
    for (const at of uses) instructions[at] = { ...instructions[at]!, imm: 100 + names.indexOf(name) };
  return InterpretedProgram.load(encodeInstructions(instructions), (fd) => maps[names[fd - 100] ?? '']);
}

/** The whole of a register at the end, by way of a map. */
function result(build: (asm: Assembler) => Assembler): bigint {
  const out = new InterpretedMap(
    { type: BPF_MAP_TYPE_ARRAY, keyBytes: 4, valueBytes: 8, maxEntries: 1 },
    { cpus: 2 },
  );
  const asm = build(new Assembler());
  const none = asm.label();
  asm.mov(6, { reg: 0 }).store(4, 10, -4, 0).loadMap(1, 'out').mov(2, { reg: 10 }).alu('add', 2, -4);
  asm.call(BPF_FUNC_map_lookup_elem).jumpIf('eq', 0, 0, none).store(8, 0, 0, { reg: 6 });
  asm.at(none).mov(0, 1).exit();
  runProgram(load(asm.assemble(), { out }), context(), world);
  return new DataView(out.lookup(new Uint8Array(4)).buffer).getBigUint64(0, true);
}

function context(fields: Partial<Record<keyof typeof x86PerfEventContext, bigint>> = {}): Uint8Array {
  const bytes = new Uint8Array(x86PerfEventContext.bytes);
  const view = new DataView(bytes.buffer);
  for (const [name, value] of Object.entries(fields))
    view.setBigUint64(x86PerfEventContext[name as keyof typeof x86PerfEventContext], value, true);
  return bytes;
}

/** What C would give, by machine words of JavaScript's own. */
function reference(operation: AluOperation, a: bigint, b: bigint, wide: boolean): bigint {
  const unsigned = wide
    ? new BigUint64Array([a, b])
    : new Uint32Array([Number(a & 0xffff_ffffn), Number(b & 0xffff_ffffn)]);
  const signed = wide ? new BigInt64Array(unsigned.buffer) : new Int32Array(unsigned.buffer);
  const [ua = 0n, ub = 0n] = [...unsigned].map(BigInt);
  const [sa = 0n] = [...signed].map(BigInt);
  const sb = BigInt(signed[1] ?? 0);
  const width = wide ? 64n : 32n;
  const modulus = 1n << width;
  const wrap = (value: bigint): bigint => ((value % modulus) + modulus) % modulus;
  const shift = ub % width;
  switch (operation) {
    case 'add':
      return wrap(ua + ub);
    case 'sub':
      return wrap(ua - ub);
    case 'mul':
      return wrap(ua * ub);
    case 'div':
      return ub === 0n ? 0n : ua / ub;
    case 'mod':
      return ub === 0n ? ua : ua % ub;
    case 'sdiv':
      return ub === 0n ? 0n : wrap(sa / sb);
    case 'smod':
      return ub === 0n ? ua : wrap(sa % sb);
    case 'or':
      return wrap(sa | sb);
    case 'and':
      return wrap(sa & sb);
    case 'xor':
      return wrap(sa ^ sb);
    case 'lsh':
      return wrap(ua * 2n ** shift);
    case 'rsh':
      return ua / 2n ** shift;
    case 'arsh':
      return wrap((sa - (((sa % 2n ** shift) + 2n ** shift) % 2n ** shift)) / 2n ** shift);
    case 'mov':
      return ub;
  }
}

const words = fc.oneof(
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  fc.constantFrom(0n, 1n, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 63n, (1n << 64n) - 1n),
);
const aluOperations: readonly AluOperation[] = [
  ...([
    'add',
    'sub',
    'mul',
    'div',
    'or',
    'and',
    'lsh',
    'rsh',
    'mod',
    'xor',
    'mov',
    'arsh',
    'sdiv',
    'smod',
  ] as const),
];

describe('running a program', () => {
  it('computes as the machine words of C do', () => {
    fc.assert(
      fc.property(fc.constantFrom(...aluOperations), words, words, fc.boolean(), (operation, a, b, wide) => {
        const got = result((asm) => {
          asm.load64(0, a).load64(3, b);
          return wide ? asm.alu(operation, 0, { reg: 3 }) : asm.alu32(operation, 0, { reg: 3 });
        });
        expect(got).toBe(reference(operation, a, b, wide));
      }),
      { numRuns: 2000 },
    );
  });

  it('extends immediates by their sign', () => {
    expect(result((asm) => asm.mov(0, -1))).toBe(0xffff_ffff_ffff_ffffn);
    expect(result((asm) => asm.alu32('mov', 0, -1))).toBe(0xffff_ffffn);
    expect(result((asm) => asm.load64(0, 0x1234_5678_9abc_def0n))).toBe(0x1234_5678_9abc_def0n);
  });

  it('jumps as the comparison of C says', () => {
    const holds: Readonly<Record<JumpOperation, (a: bigint, b: bigint, bits: number) => boolean>> = {
      eq: (a, b) => a === b,
      ne: (a, b) => a !== b,
      gt: (a, b) => a > b,
      ge: (a, b) => a >= b,
      lt: (a, b) => a < b,
      le: (a, b) => a <= b,
      set: (a, b) => (a & b) !== 0n,
      sgt: (a, b, bits) => BigInt.asIntN(bits, a) > BigInt.asIntN(bits, b),
      sge: (a, b, bits) => BigInt.asIntN(bits, a) >= BigInt.asIntN(bits, b),
      slt: (a, b, bits) => BigInt.asIntN(bits, a) < BigInt.asIntN(bits, b),
      sle: (a, b, bits) => BigInt.asIntN(bits, a) <= BigInt.asIntN(bits, b),
    };
    const operations = Object.keys(holds) as JumpOperation[]; // keys of a Record of them
    fc.assert(
      fc.property(fc.constantFrom(...operations), words, words, fc.boolean(), (operation, a, b, wide) => {
        const asm = new Assembler();
        const yes = asm.label('yes');
        asm.load64(2, a).load64(3, b).mov(0, 1);
        if (wide) asm.jumpIf(operation, 2, { reg: 3 }, yes);
        else asm.jumpIf32(operation, 2, { reg: 3 }, yes);
        const program = load(asm.mov(0, 0).at(yes).exit().assemble());
        const low = (value: bigint): bigint => (wide ? value : value & 0xffff_ffffn);
        expect(runProgram(program, context(), world) === 1).toBe(
          holds[operation](low(a), low(b), wide ? 64 : 32),
        );
      }),
      { numRuns: 2000 },
    );
  });

  it('loads and stores parts of the stack, little endian', () => {
    const value = result((asm) =>
      asm
        .load64(3, 0x1122_3344_5566_7788n)
        .store(8, 10, -8, { reg: 3 })
        .store(1, 10, -7, 0xff)
        .store(2, 10, -4, -2)
        .load(8, 0, 10, -8),
    );
    expect(value).toBe(0x1122_fffe_5566_ff88n);
    expect(result((asm) => asm.store(8, 10, -8, -1).load(4, 0, 10, -8))).toBe(0xffff_ffffn);
  });

  it('operates on memory atomically and gives the old value', () => {
    const on = (build: (asm: Assembler) => void): bigint =>
      result((asm) => {
        asm.load64(3, 0xffff_ffffn).store(8, 10, -8, { reg: 3 }).mov(4, 3).mov(0, 0);
        build(asm);
        return asm;
      });
    expect(on((asm) => asm.atomic('fetchAdd', 8, 10, -8, 4).mov(0, { reg: 4 }))).toBe(0xffff_ffffn);
    expect(on((asm) => asm.atomic('add', 8, 10, -8, 4).load(8, 0, 10, -8))).toBe(0x1_0000_0002n);
    expect(on((asm) => asm.atomic('add', 4, 10, -8, 4).load(8, 0, 10, -8))).toBe(2n);
    expect(on((asm) => asm.atomic('xchg', 8, 10, -8, 4).load(8, 0, 10, -8))).toBe(3n);
    expect(on((asm) => asm.atomic('cmpxchg', 8, 10, -8, 4))).toBe(0xffff_ffffn);
    expect(on((asm) => asm.atomic('cmpxchg', 8, 10, -8, 4).load(8, 0, 10, -8))).toBe(0xffff_ffffn);
    expect(on((asm) => asm.load64(0, 0xffff_ffffn).atomic('cmpxchg', 8, 10, -8, 4).load(8, 0, 10, -8))).toBe(
      3n,
    );
  });

  it('reads registers, period and address of the trap', () => {
    const asm = new Assembler().load(8, 2, 1, x86PerfEventContext.ax).load(8, 3, 1, x86PerfEventContext.addr);
    const program = load(
      asm
        .load(4, 0, 1, x86PerfEventContext.samplePeriod)
        .alu('add', 0, { reg: 2 })
        .alu('add', 0, { reg: 3 })
        .exit()
        .assemble(),
    );
    expect(runProgram(program, context({ ax: 1000n, samplePeriod: 1n, addr: 20n }), world)).toBe(1021);
  });

  it('keeps values of maps between runs, of a per-CPU array by CPU', () => {
    for (const type of [BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_ARRAY]) {
      const map = new InterpretedMap({ type, keyBytes: 4, valueBytes: 8, maxEntries: 4 }, { cpus: 2 });
      const asm = new Assembler();
      const absent = asm.label('absent');
      asm.store(4, 10, -4, 2).loadMap(1, 'm').mov(2, { reg: 10 }).alu('add', 2, -4);
      asm.call(BPF_FUNC_map_lookup_elem).jumpIf('eq', 0, 0, absent).mov(3, 1).atomic('add', 8, 0, 0, 3);
      asm
        .mov(0, 1)
        .exit()
        .at(absent)
        .store(8, 10, -16, 1)
        .loadMap(1, 'm')
        .mov(2, { reg: 10 })
        .alu('add', 2, -4);
      asm.mov(3, { reg: 10 }).alu('add', 3, -16).mov(4, 0).call(BPF_FUNC_map_update_elem).mov(0, 0).exit();
      const program = load(asm.assemble(), { m: map });
      for (let n = 0; n < 3; n++) runProgram(program, context(), world);
      const bytes = map.lookup(Uint8Array.of(2, 0, 0, 0));
      const at = type === BPF_MAP_TYPE_PERCPU_ARRAY ? 8 : 0;
      expect([type, new DataView(bytes.buffer).getBigUint64(at, true)]).toEqual([type, 3n]);
    }
  });

  it('asks the world for time, task, CPU, memory and signals', () => {
    expect(result((asm) => asm.call(BPF_FUNC_ktime_get_ns))).toBe(123_456_789_012n);
    expect(result((asm) => asm.call(BPF_FUNC_get_current_pid_tgid))).toBe((7n << 32n) | 8n);
    expect(result((asm) => asm.call(BPF_FUNC_get_smp_processor_id))).toBe(1n);
    const read = (helper: number, address: bigint): bigint =>
      result((asm) =>
        asm
          .store(8, 10, -8, -1)
          .mov(1, { reg: 10 })
          .alu('add', 1, -8)
          .mov(2, 8)
          .load64(3, address)
          .call(helper)
          .load(8, 3, 10, -8)
          .alu('add', 0, { reg: 3 }),
      );
    expect(read(BPF_FUNC_probe_read_user, 0x1000n)).toBe(0x0807_0605_0403_0201n);
    expect(read(BPF_FUNC_probe_read_kernel, 0xffff_8000_0000_0000n)).toBe(0x0909_0909_0909_0909n);
    expect(read(BPF_FUNC_probe_read_user, 0x5000n)).toBe(BigInt.asUintN(64, -14n)); // EFAULT, and the memory is zeroed
    expect(result((asm) => asm.mov(1, 19).call(BPF_FUNC_send_signal))).toBe(0n);
    expect(signals).toEqual([19]);
    const comm = result((asm) =>
      asm
        .mov(1, { reg: 10 })
        .alu('add', 1, -16)
        .mov(2, 16)
        .call(BPF_FUNC_get_current_comm)
        .load(8, 0, 10, -8),
    );
    expect(comm).toBe(0x006e_6f6c_2066_6f20n); // " of lon" and a NUL
  });

  it('appends records to a ring until it is full', () => {
    const ring = new InterpretedMap(
      { type: BPF_MAP_TYPE_RINGBUF, keyBytes: 0, valueBytes: 0, maxEntries: 4096 },
      { cpus: 2 },
    );
    const asm = new Assembler().store(8, 10, -8, 5).loadMap(1, 'ring').mov(2, { reg: 10 }).alu('add', 2, -8);
    const program = load(asm.mov(3, 8).mov(4, 0).call(BPF_FUNC_ringbuf_output).exit().assemble(), { ring });
    const results = Array.from({ length: 257 }, () => runProgram(program, context(), world));
    expect(results.filter((each) => each === 0)).toHaveLength(256);
    expect(results[256]).toBe(0xffff_ffff - 10); // -EAGAIN
    expect(ring.takeRecords()).toHaveLength(256);
    expect(runProgram(program, context(), world)).toBe(0);
  });

  it('deletes what is there and says ENOENT otherwise', () => {
    const map = new InterpretedMap(
      { type: BPF_MAP_TYPE_HASH, keyBytes: 8, valueBytes: 4, maxEntries: 1 },
      { cpus: 1 },
    );
    map.update(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0), new Uint8Array(4), 0);
    const asm = new Assembler().store(8, 10, -8, 1).loadMap(1, 'm').mov(2, { reg: 10 }).alu('add', 2, -8);
    const program = load(asm.call(BPF_FUNC_map_delete_elem).exit().assemble(), { m: map });
    expect(runProgram(program, context(), world)).toBe(0);
    expect(runProgram(program, context(), world) | 0).toBe(-2);
  });
});
