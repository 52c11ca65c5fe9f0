import { describe, expect, it } from 'vitest';
import { outcome } from '../../../test/support/model.ts';
import { sampleRegsIntrOf, sampleTypeOf } from '../../ring/sample-layout.ts';
import { ModelHost } from './model-host.ts';
import { ModelSurface } from './model-surface.ts';

const attr = { type: 5, bpType: 2, bpAddr: 0x1000n, bpLen: 8n, samplePeriod: 1n, readFormat: 7 };

function start(): { host: ModelHost; surface: ModelSurface } {
  const host = new ModelHost({ verify: true });
  return { host, surface: new ModelSurface(host) };
}

describe('the surface of the model', () => {
  it('opens, counts, modifies and closes as Linux does', () => {
    const { host, surface } = start();
    const task = host.machine.spawn({ name: 'A', cpu: 1 });
    const event = surface.events.open(attr, { pid: task.tid, cpu: -1 });
    host.machine.perform(task, { type: 'store', at: 0x1004n, lenBytes: 4 });
    expect(event.read()).toMatchObject({ value: 1n, id: event.id() });
    event.disable();
    host.machine.perform(task, { type: 'store', at: 0x1004n, lenBytes: 4 });
    event.enable();
    event.modify({ ...attr, bpAddr: 0x2000n });
    host.machine.perform(task, { type: 'store', at: 0x2000n, lenBytes: 4 });
    expect(event.read().value).toBe(2n);
    expect(outcome(() => event.modify({ ...attr, bpLen: 3n }))).toBe('EINVAL');
    expect(outcome(() => surface.events.open(attr, { pid: 99, cpu: -1 }))).toBe('ESRCH');
    event.close();
    event.close();
    expect(outcome(() => event.read())).toBe('EBADF');
    surface.close();
  });

  it('loses what a ring has no room for, and tells how much', async () => {
    const { host, surface } = start();
    const task = host.machine.spawn({ name: 'A', cpu: 1 });
    const layout = { stacks: true, copyRegisters: true };
    const sampled = {
      ...attr,
      readFormat: 0x10,
      sampleType: sampleTypeOf(layout),
      sampleRegsIntr: sampleRegsIntrOf(layout),
      sampleIdAll: true,
    };
    const event = surface.events.open(sampled, { pid: task.tid, cpu: -1 });
    event.mapRing(1);
    const store = () => host.machine.perform(task, { type: 'store', at: 0x1000n, lenBytes: 4 });
    for (let i = 0; i < 100; i++) store();
    // A sample has 48 bytes, a call chain of a mark and an address, and two registers with their abi.
    const fitting = Math.floor(4095 / (48 + 24 + 24));
    expect(event.read()).toMatchObject({ value: 100n, lost: BigInt(100 - fitting) });
    const drain = surface.events.drain(layout);
    drain.addRing(event);
    drain.addWatch(event, 0);
    const before = await drain.next();
    expect([before?.columns.length, before?.notices]).toEqual([fitting, []]);
    store();
    const after = await drain.next();
    expect(after?.columns.length).toBe(1);
    expect(after?.notices).toMatchObject([{ type: 'lost', lost: BigInt(100 - fitting) }]);
    expect(await drain.next()).toBeUndefined();
    expect(event.read()).toMatchObject({ value: 101n, lost: BigInt(100 - fitting) });
    drain.close();
    event.close();
    surface.close();
  });

  it('gives hits as columns, and waiting for them lets the programs run', async () => {
    const { host, surface } = start();
    const pid = host.machine.spawn({
      name: 'A',
      cpu: 1,
      *program() {
        for (let i = 0n; i < 10_000n; i++)
          yield { type: 'store', at: 0x1000n, lenBytes: 8, value: i, ip: 0x40_0100n };
        yield { type: 'kernelStore', at: 0x1000n, bytes: new Uint8Array([7]) };
      },
    }).pid;
    const layout = { stacks: false, copyRegisters: false };
    const sampled = { ...attr, readFormat: 0x17, sampleType: sampleTypeOf(layout), sampleIdAll: true };
    const event = surface.events.open(sampled, { pid, cpu: -1 });
    event.mapRing(4);
    const drain = surface.events.drain(layout);
    drain.addRing(event);
    drain.addWatch(event, 3);
    const { ended } = surface.tasks.waitEnd(pid);
    void ended.then(() => drain.finish());
    let hits = 0;
    let kernel = 0;
    let sites = 0;
    let last = -1;
    for (let batch = await drain.next(); batch !== undefined; batch = await drain.next()) {
      const { columns } = batch;
      for (let row = 0; row < columns.length; row++) {
        expect([columns.watch[row], columns.tid[row], columns.cpu[row]]).toEqual([3, pid, 1]);
        expect(columns.timeLow[row]).toBeGreaterThanOrEqual(last);
        last = columns.timeLow[row] ?? 0;
        if (columns.flags[row] === 1) kernel++;
        hits++;
      }
      sites += batch.newSites.length / 3;
      drain.recycle(batch);
    }
    expect([hits, kernel, sites]).toEqual([10_001, 1, 2]);
    expect(event.read()).toMatchObject({ value: 10_001n, lost: 0n });
    expect(surface.memory.read(pid, 0x1000n, 2)).toEqual(new Uint8Array([7, 0x27]));
    drain.close();
    surface.close();
  });
});
