import { describe, expect, it } from 'vitest';
import { Assembler } from '../../bpf/assembler.ts';
import {
  BPF_FUNC_get_current_pid_tgid,
  BPF_FUNC_map_lookup_elem,
  BPF_FUNC_map_update_elem,
  BPF_MAP_TYPE_HASH,
  x86PerfEventContext,
} from '../../uapi/bpf.ts';
import { HW_BREAKPOINT_W, PERF_TYPE_BREAKPOINT } from '../../uapi/perf-event-attr.ts';
import { ModelHost } from './model-host.ts';
import { ModelSurface } from './model-surface.ts';

const keep = new Assembler().mov(0, 1).exit().assemble();

describe('bpf of the model', () => {
  it('counts hits by thread in a map that this process reads', () => {
    const host = new ModelHost({ verify: true });
    const surface = new ModelSurface(host);
    const task = host.machine.spawn({ name: 'a' });
    const map = surface.bpf.createMap({ type: BPF_MAP_TYPE_HASH, keyBytes: 8, valueBytes: 8, maxEntries: 4 });
    const asm = new Assembler();
    const absent = asm.label('absent');
    asm.load(8, 6, 1, x86PerfEventContext.addr).call(BPF_FUNC_get_current_pid_tgid);
    asm
      .alu32('mov', 0, { reg: 0 })
      .store(8, 10, -8, { reg: 0 })
      .loadMap(1, 'm')
      .mov(2, { reg: 10 })
      .alu('add', 2, -8);
    asm.call(BPF_FUNC_map_lookup_elem).jumpIf('eq', 0, 0, absent).mov(3, 1).atomic('add', 8, 0, 0, 3);
    asm
      .mov(0, 0)
      .exit()
      .at(absent)
      .store(8, 10, -16, 1)
      .loadMap(1, 'm')
      .mov(2, { reg: 10 })
      .alu('add', 2, -8);
    asm.mov(3, { reg: 10 }).alu('add', 3, -16).mov(4, 0).call(BPF_FUNC_map_update_elem).mov(0, 0).exit();
    const { bytes, mapUses } = asm.assemble();
    const program = surface.bpf.load({ bytes, maps: mapUses, mapOf: { m: map } });
    const event = surface.events.open(
      { type: PERF_TYPE_BREAKPOINT, bpType: HW_BREAKPOINT_W, bpAddr: 0x1000n, bpLen: 8n, samplePeriod: 1n },
      { pid: task.tid, cpu: -1 },
    );
    program.attach(event);
    program.close();
    program.close();
    for (let n = 0; n < 5; n++)
      host.machine.perform(task, { type: 'store', at: 0x1000n, lenBytes: 8, value: 1n });
    const key = new Uint8Array(8);
    new DataView(key.buffer).setBigUint64(0, BigInt(task.tid), true);
    expect(new DataView(map.lookup(key).buffer).getBigUint64(0, true)).toBe(5n);
    expect(event.read().value).toBe(5n);
    map.close();
    expect(() => map.lookup(key)).toThrow(/EBADF/);
    event.close();
    surface.close();
  });

  it('takes no program without CAP_BPF and CAP_PERFMON', () => {
    const host = new ModelHost();
    const surface = new ModelSurface(host);
    const withCapabilities = (...names: ('BPF' | 'PERFMON' | 'SYS_ADMIN')[]): void => {
      host.self.credentials = { uid: 1000, capabilities: new Set(names) };
    };
    const load = (): void => surface.bpf.load({ bytes: keep.bytes }).close();
    withCapabilities();
    expect(load).toThrow(/EPERM/);
    withCapabilities('BPF');
    expect(load).toThrow(/EPERM/);
    withCapabilities('BPF', 'PERFMON');
    load();
    withCapabilities('SYS_ADMIN');
    load();
    surface.close();
  });
});
