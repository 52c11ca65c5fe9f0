import { afterAll, describe, expect, it } from 'vitest';
import { isKernelError } from '../../src/base/kernel-error.ts';
import { SeededRandom } from '../../src/base/random.ts';
import { type AssembledProgram, Assembler } from '../../src/bpf/assembler.ts';
import { InterpretedMap } from '../../src/bpf/map.ts';
import { InterpretedProgram } from '../../src/bpf/program.ts';
import { runProgram } from '../../src/bpf/run-program.ts';
import { openLinuxSurface } from '../../src/linux/linux-surface.ts';
import type { BpfMap, BpfProgram } from '../../src/surface/bpf.ts';
import {
  BPF_FUNC_ringbuf_output,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_RINGBUF,
  BPF_NOEXIST,
  BPF_PROG_TYPE_SOCKET_FILTER,
} from '../../src/uapi/bpf.ts';
import { randomProgram } from '../support/random-bpf.ts';
import { refusedPrograms } from '../support/refused-bpf.ts';

// The interpreter of src/bpf against the kernel's own: the same programs, the same results and refusals.

const { bpf } = openLinuxSurface();
const array = { type: BPF_MAP_TYPE_ARRAY, keyBytes: 4, valueBytes: 32, maxEntries: 1 };

function lacking(): string | undefined {
  try {
    bpf.load({ bytes: new Assembler().mov(0, 1).exit().assemble().bytes }).close();
    bpf.createMap(array).close();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
const reason = lacking();
if (reason !== undefined) console.log(`skipped: bpf(2): ${reason}`);

const world = {
  cpu: 0,
  nowNs: () => 0n,
  pid: 0,
  tid: 0,
  comm: '',
  readUser: () => undefined,
  readKernel: () => undefined,
  sendSignal: () => 0,
};

function codeOf(work: () => unknown): string {
  try {
    work();
    return 'done';
  } catch (error) {
    if (isKernelError(error)) return error.code;
    throw error;
  }
}

describe.skipIf(reason !== undefined)('bpf of this machine', () => {
  const open: { close(): void }[] = [];
  afterAll(() => {
    for (const each of open) each.close();
  });
  const own = <T extends { close(): void }>(it: T): T => {
    open.push(it);
    return it;
  };
  const load = (program: AssembledProgram, mapOf: Record<string, BpfMap>, type?: number): BpfProgram =>
    own(
      bpf.load({
        bytes: program.bytes,
        maps: program.mapUses,
        mapOf,
        ...(type === undefined ? {} : { type }),
      }),
    );

  it('computes what the interpreter computes', () => {
    const out = own(bpf.createMap(array));
    const newer =
      codeOf(() => load(new Assembler().mov(0, 1).alu('sdiv', 0, 1).exit().assemble(), {})) === 'done';
    if (!newer) console.log('not compared: newer instructions, which this kernel lacks');
    for (let seed = 1; seed <= 400; seed++) {
      const program = randomProgram(new SeededRandom(seed), { length: 40, newer });
      const live = bpf.load({
        type: BPF_PROG_TYPE_SOCKET_FILTER,
        bytes: program.bytes,
        maps: program.mapUses,
        mapOf: { out },
      });
      out.update(new Uint8Array(4), new Uint8Array(32));
      expect(bpf.testRun(live, new Uint8Array(64))).toBe(0);
      live.close();
      const map = new InterpretedMap(array, { cpus: 1 });
      runProgram(
        InterpretedProgram.load(program.bytes, () => map),
        new Uint8Array(184),
        world,
      );
      expect([seed, [...out.lookup(new Uint8Array(4))]]).toEqual([seed, [...map.lookup(new Uint8Array(4))]]);
    }
  });

  it.each(refusedPrograms)('refuses $why with $errno', ({ errno, build }) => {
    const mapOf = {
      array: own(bpf.createMap({ ...array, valueBytes: 8 })),
      ring: own(bpf.createMap({ type: BPF_MAP_TYPE_RINGBUF, keyBytes: 0, valueBytes: 0, maxEntries: 4096 })),
    };
    expect(codeOf(() => load(build(new Assembler()).assemble(), mapOf))).toBe(errno);
  });

  it('tells what the verifier said', () => {
    expect(() => load(new Assembler().exit().assemble(), {})).toThrow(/EACCES \(.*R0 !read_ok/);
  });

  it('answers for maps as the interpreter does', () => {
    const shapes = [
      array,
      { ...array, keyBytes: 8 },
      { ...array, valueBytes: 0 },
      { ...array, maxEntries: 0 },
      { ...array, type: BPF_MAP_TYPE_HASH, keyBytes: 8, maxEntries: 2 },
      { ...array, type: BPF_MAP_TYPE_HASH, keyBytes: 0 },
      { ...array, type: BPF_MAP_TYPE_PERCPU_ARRAY, valueBytes: 12, maxEntries: 3 },
      { type: BPF_MAP_TYPE_RINGBUF, keyBytes: 0, valueBytes: 0, maxEntries: 4096 },
      { type: BPF_MAP_TYPE_RINGBUF, keyBytes: 0, valueBytes: 0, maxEntries: 12288 },
      { type: BPF_MAP_TYPE_RINGBUF, keyBytes: 0, valueBytes: 8, maxEntries: 4096 },
    ];
    const number = (index: number, length: number): Uint8Array => {
      const bytes = new Uint8Array(length);
      bytes[0] = index;
      return bytes;
    };
    const tell = (make: () => BpfMap | InterpretedMap, keyBytes: number): string[] => {
      const said: string[] = [];
      let map: BpfMap | InterpretedMap | undefined;
      said.push(codeOf(() => (map = make())));
      if (map === undefined) return said;
      const there = map;
      const size = (() => {
        try {
          return there.lookup(number(0, keyBytes)).length;
        } catch {
          return 32;
        }
      })();
      const key = (index: number): Uint8Array => number(index, keyBytes);
      const value = number(7, size);
      const steps: (() => unknown)[] = [
        () => there.lookup(key(0)),
        () => there.lookup(key(9)),
        () => there.update(key(0), value, 0),
        () => there.update(key(0), value, BPF_NOEXIST),
        () => there.update(key(1), value, 2),
        () => there.update(key(1), value, BPF_NOEXIST),
        () => there.update(key(2), value, 0),
        () => there.update(key(9), value, 0),
        () => there.update(key(0), value, 77),
        () => there.delete(key(0)),
        () => there.delete(key(9)),
      ];
      if (keyBytes > 0) for (const step of steps) said.push(codeOf(step));
      return said;
    };
    for (const shape of shapes) {
      const cpus =
        1 + Number(/(\d+)\s*$/.exec(openLinuxSurface().files.text('/sys/devices/system/cpu/possible'))?.[1]);
      expect([shape, tell(() => own(bpf.createMap(shape)), shape.keyBytes)]).toEqual([
        shape,
        tell(() => new InterpretedMap(shape, { cpus }), shape.keyBytes),
      ]);
    }
  });

  it('gives the records of a ring once, and says EBADF when closed', () => {
    const ring = own(
      bpf.createMap({ type: BPF_MAP_TYPE_RINGBUF, keyBytes: 0, valueBytes: 0, maxEntries: 4096 }),
    );
    const asm = new Assembler().store(8, 10, -8, 5).loadMap(1, 'ring').mov(2, { reg: 10 }).alu('add', 2, -8);
    const program = bpf.load({
      type: BPF_PROG_TYPE_SOCKET_FILTER,
      ...(({ bytes, mapUses }) => ({ bytes, maps: mapUses }))(
        asm.mov(3, 8).mov(4, 0).call(BPF_FUNC_ringbuf_output).exit().assemble(),
      ),
      mapOf: { ring },
    });
    own(program);
    for (let round = 0; round < 200; round++) {
      for (let n = 0; n < 3; n++) expect(bpf.testRun(program, new Uint8Array(64))).toBe(0);
      expect(ring.takeRecords()).toEqual(
        Array.from({ length: 3 }, () => Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0)),
      );
    }
    let full = 0;
    while (full < 1000 && bpf.testRun(program, new Uint8Array(64)) === 0) full++;
    expect(full).toBe(255);
    ring.close();
    ring.close();
    expect(codeOf(() => ring.update(new Uint8Array(0), new Uint8Array(0)))).toBe('EBADF');
  });
});
