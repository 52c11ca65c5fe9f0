import { describe, expect, it } from 'vitest';
import { expectNoLeak, outcome, type TestModel, testModel } from '../../../test/support/model.ts';
import { parseFilterLine } from './filter-line.ts';
import { KsymTracer } from './ksym-tracer.ts';

const symbols = { dummy: 0xffff_ffff_8300_0100n, other: 0xffff_ffff_8300_0200n };

function tracer(model: TestModel): KsymTracer {
  return new KsymTracer({ core: model.core, machine: model.machine, place: () => undefined });
}

function access(model: TestModel, address: bigint, kind: 'load' | 'rmw'): void {
  const cpu = model.machine.currentCpu;
  cpu.kernelAccess(Number(address & 0xffff_ffffn), Number(address >> 32n), 4, {
    store: kind === 'rmw',
    ip: 0xffff_ffff_8100_0000n,
  });
}

describe('the tracer of kernel symbols', () => {
  it('passes its self-test: a read and an increment are two records', () => {
    const model = testModel({ symbols });
    const ksym = tracer(model);
    expect(ksym.selfTest('dummy', (address, kind) => access(model, address, kind))).toBe(2);
    expect(ksym.filter()).toBe('');
    expectNoLeak(model);
  });

  it('fails its self-test with the type of breakpoint that was wrong once: a write watch misses the read', () => {
    const model = testModel({ symbols });
    const ksym = tracer(model);
    ksym.start();
    ksym.write('dummy:-w-');
    access(model, symbols.dummy, 'load');
    access(model, symbols.dummy, 'rmw');
    expect(ksym.records.length).toBe(1);
    ksym.stop();
    expectNoLeak(model);
  });

  it('gives the bytes that were written', () => {
    const model = testModel({ symbols });
    const ksym = tracer(model);
    expect(ksym.write('dummy:rw-\n')).toBe(10);
    expect(ksym.write('0\n')).toBe(2);
    expectNoLeak(model);
  });

  it('tells addresses as they are where no symbol covers them', () => {
    const model = testModel({ symbols });
    const ksym = tracer(model);
    ksym.start();
    ksym.write('other:rw-');
    access(model, symbols.other, 'rmw');
    expect(ksym.trace().split('\n').at(-2)).toBe(
      '     <idle>-0     [000] 0xffffffff83000200 RW 0xffffffff81000000',
    );
    expect(ksym.profile()).toContain('<NA>');
    ksym.stop();
  });

  it('reads a line by places', () => {
    expect(parseFilterLine(' a_b:rw- ')).toEqual({
      type: 'watch',
      symbol: 'a_b',
      bpType: 3,
    });
    for (const line of ['a', 'a:', ':rw-', 'a:rw', 'a:--x', 'a:wr-', 'a:---'])
      expect(
        outcome(() => parseFilterLine(line)),
        line,
      ).toBe('EINVAL');
  });
});
