import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectNoLeak, outcome, RW, reg, type TestModel, testModel } from '../../../test/support/model.ts';
import type { SimTask } from '../../machines/sim/sim-task.ts';
import { X86_64_USER_DEBUGREG_OFFSET } from '../../uapi/ptrace.ts';
import { Ptrace } from './ptrace.ts';

const fresh = 0xffff_0ff0n;
const word = (n: number) => ({ offset: BigInt(X86_64_USER_DEBUGREG_OFFSET + 8 * n) });

interface Traced {
  readonly model: TestModel;
  readonly ptrace: Ptrace;
  readonly task: SimTask;
  peek(n: number): bigint;
  poke(n: number, value: bigint): void;
  cont(step?: boolean): void;
  store(at: bigint): void;
  end(): void;
}

function traced(): Traced {
  const model = testModel();
  const { machine, self } = model;
  const ptrace = new Ptrace(model.kernel, model.core);
  const task = machine.spawn({ name: 'A', cpu: 0 });
  ptrace.attach(self, task);
  const resume = (step = false): void => ptrace.resume(self, task, { step });
  return {
    ...{ model, ptrace, task },
    peek: (n) => ptrace.peekUser(self, task, word(n)),
    poke: (n, value) => ptrace.pokeUser(self, task, word(n), value),
    cont: resume,
    store: (at) => {
      if (task.stop !== null) resume();
      machine.perform(task, { type: 'store', at, lenBytes: 4, ip: 0x40_0000n });
      if (task.stop === null) ptrace.interrupt(self, task);
    },
    end: () => {
      machine.exit(task);
      expectNoLeak(model);
    },
  };
}

describe('a tracer', () => {
  it('holds a task of another process, once, until it lets it go', () => {
    const { model, ptrace, task, cont, end } = traced();
    const { self, machine } = model;
    expect(task.stop).toMatchObject({ signal: 5, code: 0x8005 });
    expect(outcome(() => ptrace.attach(self, task))).toBe('EPERM');
    expect(outcome(() => ptrace.attach(self, self))).toBe('EPERM');
    const other = machine.spawn({ name: 'B' });
    expect(outcome(() => ptrace.attach(other, task))).toBe('EPERM');
    expect(outcome(() => ptrace.peekUser(other, task, word(0)))).toBe('ESRCH');
    cont();
    // It runs: nothing can be asked, not even where nothing is.
    expect(outcome(() => ptrace.peekUser(self, task, { offset: 849n }))).toBe('ESRCH');
    expect(outcome(() => cont())).toBe('ESRCH');
    ptrace.interrupt(self, task);
    ptrace.detach(self, task);
    expect([task.traced, task.stop, outcome(() => ptrace.detach(self, task))]).toEqual([
      false,
      null,
      'ESRCH',
    ]);
    machine.exit(other);
    expect(outcome(() => ptrace.attach(self, other))).toBe('ESRCH');
    end();
  });

  it('stops a task with every signal, one at a time, and drops it', () => {
    const { model, ptrace, task, cont, end } = traced();
    model.machine.signal(task, { signal: 10, code: 0, address: 0n });
    model.machine.signal(task, { signal: 12, code: 0, address: 0n });
    const signals: number[] = [];
    for (let n = 0; n < 2; n++) {
      cont();
      model.machine.deliverSignals(task);
      signals.push(task.stop?.signal ?? 0);
    }
    cont();
    model.machine.deliverSignals(task);
    expect([signals, task.stop, task.received]).toEqual([[10, 12], null, []]);
    ptrace.interrupt(model.self, task);
    end();
  });

  it('191: a step over int3 reports the int3 and no step', () => {
    const { model, task, cont, end } = traced();
    cont(true);
    model.machine.perform(task, { type: 'int3', ip: 0x40_0000n });
    expect([task.stop?.code, task.pending.length, task.debugStatus]).toEqual([0x80, 0, 0]);
    end();
  });
});

describe('debug registers through ptrace', () => {
  it('207, 263: leave no event when the task ends or executes a program', () => {
    const { model, peek, poke, task, end } = traced();
    for (let n = 0; n < 4; n++) poke(n, BigInt(0x1000 + 8 * n));
    poke(7, 0xdddd_0055n);
    expect([...model.kernel.all].length).toBe(4);
    model.machine.exec(task);
    expect([[...model.kernel.all].length, peek(0), peek(6), peek(7)]).toEqual([0, 0n, fresh, 0n]);
    poke(0, 0x1000n);
    end();
    expect([...model.kernel.all].length).toBe(0);
  });

  it('205: name the register of the tracer, whichever of the hardware it is in', () => {
    const { model, peek, poke, store, end } = traced();
    const other = reg(model, 0, null, { bpType: RW, bpAddr: 0x9000n, bpLen: 4n });
    poke(3, 0x1000n);
    poke(7, 0xd000_0080n);
    store(0x1000n);
    expect(peek(6)).toBe(fresh | 8n);
    model.kernel.control.destroy(other);
    end();
  });

  it('206: a status of 64 bits lasts until the next exception from user mode', () => {
    const { peek, poke, store, end } = traced();
    poke(0, 0x1000n);
    poke(7, 0xd0001n);
    poke(6, 0xdead_beef_0000_000fn);
    expect(peek(6)).toBe(0xdead_beef_0000_000fn);
    store(0x1000n);
    expect(peek(6)).toBe(fresh | 1n);
    end();
  });

  it('208: go to a child as values that arm nothing', () => {
    const { model, ptrace, poke, peek, store, task, end } = traced();
    poke(0, 0x1000n);
    poke(7, 0xd0001n);
    store(0x1000n);
    const child = model.machine.clone(task, { thread: false });
    ptrace.attach(model.self, child);
    const asked = [0, 6, 7].map((n) => ptrace.peekUser(model.self, child, word(n)));
    expect(asked).toEqual([0n, fresh | 1n, 0xd0001n]);
    expect([[...model.kernel.all].length, peek(0)]).toEqual([1, 0x1000n]);
    model.machine.exit(child);
    end();
  });

  it('any sequence of pokes: what is refused changes nothing that is armed, and slots come back at the end', () => {
    const address = fc.constantFrom(0n, 0x1000n, 0x1001n, 0x1004n, 0x2000n, 0x7fff_ffff_f000n, 1n << 63n);
    const control = fc.oneof(
      fc.bigInt({ min: 0n, max: 0xffff_ffffn }),
      fc.constantFrom(0n, 0xd0001n, 0x10001n),
    );
    const write = fc.oneof(
      fc.tuple(fc.integer({ min: 0, max: 3 }), address),
      fc.tuple(fc.constant(7), control),
    );
    fc.assert(
      fc.property(fc.array(write, { maxLength: 12 }), (writes) => {
        const { model, peek, poke, end } = traced();
        const armed = (): string[] =>
          [...model.kernel.all]
            .filter(({ attr }) => attr.disabled !== true)
            .map(({ attr }) => `${attr.bpType} ${attr.bpAddr ?? 0n} ${attr.bpLen}`)
            .sort();
        for (const [n, value] of writes) {
          const before = { armed: armed(), value: peek(n) };
          if (outcome(() => poke(n, value)) === 'ok') expect(peek(n)).toBe(value);
          else expect({ armed: armed(), value: peek(n) }).toEqual(before);
        }
        end();
      }),
      { numRuns: 300 },
    );
  });
});
