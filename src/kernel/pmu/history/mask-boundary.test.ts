import { describe, expect, it } from 'vitest';
import { MaskBoundary } from './mask-boundary.ts';

const ENOSPC = 28;
const EINVAL = 22;

describe('the mechanics of the cpumask RFC', () => {
  it('91: vacancies are reused; the boundary stops at a register that a thread uses', () => {
    const machine = new MaskBoundary<string>({ cpus: 2, registers: 4 });
    machine.userRefcount[0] = 1;
    expect(['a', 'b', 'c'].map((name) => machine.register(name, [0]))).toEqual([0, 0, 0]);
    expect([machine.boundary, machine.register('d', [0])]).toEqual([1, ENOSPC]);
    expect(['e', 'f', 'g'].map((name) => machine.register(name, [1]))).toEqual([0, 0, 0]);
    expect([machine.boundary, machine.register('h', [1]), machine.register('i', [0, 1])]).toEqual([
      1,
      ENOSPC,
      ENOSPC,
    ]);
    expect(machine.table(1)).toEqual([null, 'g', 'f', 'e']);
  });

  it('92: removal moves the entries below up, and the boundary goes back', () => {
    const machine = new MaskBoundary<string>({ cpus: 2, registers: 4 });
    machine.register('P', [0]);
    machine.register('Q', [0, 1]);
    expect([machine.table(0), machine.table(1), machine.boundary]).toEqual([
      [null, null, 'Q', 'P'],
      [null, null, null, 'Q'],
      2,
    ]);
    machine.unregister('P');
    expect([machine.table(0), machine.boundary]).toEqual([[null, null, null, 'Q'], 3]);
  });

  it('93, 94: refuses an empty mask, and removing what is not there changes nothing', () => {
    const machine = new MaskBoundary<string>({ cpus: 2, registers: 4 });
    machine.register('P');
    machine.unregister('nobody');
    expect([machine.register('Q', []), machine.boundary, machine.table(1)]).toEqual([
      EINVAL,
      3,
      [null, null, null, 'P'],
    ]);
  });
});
