import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Assembler } from '../../bpf/assembler.ts';
import { InterpretedProgram } from '../../bpf/program.ts';
import { runProgram } from '../../bpf/run-program.ts';
import { WatchError } from '../errors.ts';
import { emitCondition, needsMemory, needsValue, whyNotCompiled } from './compile-condition.ts';
import { type ConditionScope, makeCondition, type NumberType } from './condition.ts';
import { evaluateCondition, type HitFacts, type Verdict } from './evaluate-condition.ts';

const s32: NumberType = { kind: 'integer', bits: 32, signed: true };
const types: Readonly<Record<string, NumberType>> = {
  s8: { kind: 'integer', bits: 8, signed: true },
  u8: { kind: 'integer', bits: 8, signed: false },
  s16: { kind: 'integer', bits: 16, signed: true },
  u16: { kind: 'integer', bits: 16, signed: false },
  s32,
  u32: { kind: 'integer', bits: 32, signed: false },
  s64: { kind: 'integer', bits: 64, signed: true },
  u64: { kind: 'integer', bits: 64, signed: false },
};
const variableAddress = 0x5000n;

function scope(value: NumberType = s32, variable: NumberType = s32): ConditionScope {
  return {
    value: { number: value },
    resolve: (text) => {
      if (text === 'limit' || text === 'cfg->limits[2].max')
        return { type: 'variable', address: variableAddress, number: variable };
      if (text === 'flags')
        return {
          type: 'variable',
          address: variableAddress,
          number: types.u32 ?? s32,
          bits: { offset: 4, size: 3 },
        };
      if (text === 'OPEN') return { type: 'constant', value: 3n };
      if (text === 'CLOSED') return { type: 'constant', value: -1n };
      if (text === 'ratio')
        return { type: 'variable', address: variableAddress, number: { kind: 'float', bits: 64 } };
      return { type: 'error', why: `there is no '${text}'` };
    },
  };
}

const hit: HitFacts = {
  new: 75n,
  old: 70n,
  tid: 12,
  pid: 10,
  cpu: 1,
  comm: 'worker',
  read: (address) => (address === variableAddress ? 100n : undefined),
};

const verdict = (text: string, some: Partial<HitFacts> = {}, at: ConditionScope = scope()): Verdict =>
  evaluateCondition(makeCondition(text, at).expression, { ...hit, ...some });

/** What the compiled condition says. */
function compiled(text: string, facts: HitFacts, at: ConditionScope): Verdict {
  const { expression } = makeCondition(text, at);
  expect(whyNotCompiled(expression)).toBeUndefined();
  const asm = new Assembler();
  const exits = { no: asm.label('no'), unknown: asm.label('unknown') };
  asm
    .mov(6, { reg: 1 })
    .load64(7, facts.new ?? 0n)
    .mov(8, facts.new === undefined ? 0 : 1);
  asm.jumpIf('eq', 8, 7, exits.unknown); // never, but the checker wants every instruction to have a way to it
  emitCondition(asm, expression, exits);
  asm.mov(0, 1).exit().at(exits.no).mov(0, 0).exit().at(exits.unknown).mov(0, 2).exit();
  const { bytes } = asm.assemble();
  const result = runProgram(
    InterpretedProgram.load(bytes, () => undefined),
    new Uint8Array(184),
    {
      cpu: facts.cpu,
      nowNs: () => 0n,
      pid: facts.pid,
      tid: facts.tid,
      comm: facts.comm,
      readUser: (address, lengthBytes) => {
        const value = facts.read(address, lengthBytes);
        if (value === undefined) return undefined;
        const bytes8 = new Uint8Array(8);
        new DataView(bytes8.buffer).setBigUint64(0, value, true);
        return bytes8.subarray(0, lengthBytes);
      },
      readKernel: () => undefined,
      sendSignal: () => 0,
    },
  );
  return result === 2 ? 'unknown' : result === 1;
}

describe('conditions', () => {
  it.each([
    ['new > 70', true],
    ['new > 75', false],
    ['new > 70 && old <= 70', true],
    ['changed', true],
    ['!changed || new == old', false],
    ['new - old == 5', true],
    ['new == 0x4b', true],
    ['(new & 0xf) == 11', true],
    ['new / 2 == 37 && new % 2 == 1', true],
    ['-new < 0', true],
    ['~new == -76', true],
    ['new << 1 == 150', true],
    ['new | 4 == 4', true],
    ['tid == 12 && pid == 10 && cpu == 1', true],
    ['comm == "worker"', true],
    ['comm != "worker"', false],
    ['"worker" == comm', true],
    ['new < limit', true],
    ['new < cfg->limits[2].max', true],
    ['flags == 6', true],
    ['OPEN == 3 && CLOSED < 0', true],
    ["'A' == 65", true],
    ['new > 74.5', true],
    ['new / 2.0 == 37.5', true],
    ['1 / 0 || 1', false],
    ['new', true],
    ['1 || 1 / 0', true],
  ])('%s is %s', (text, expected) => {
    expect(verdict(text)).toBe(expected);
  });

  it('computes as C does where signs and sizes meet', () => {
    const u32 = scope(types.u32);
    expect(verdict('new - 76 > 0', {}, u32)).toBe(true); // unsigned
    expect(verdict('new - 76 > 0')).toBe(false);
    expect(verdict('new > -1', {}, u32)).toBe(false); // -1 becomes the largest unsigned
    expect(verdict('new < 0', { new: 0xffff_fffen })).toBe(true);
    expect(verdict('new + 1 == 256', { new: 255n }, scope(types.u8))).toBe(true); // promoted to int
    expect(verdict('new * 2 == 0', { new: 0x8000_0000n }, u32)).toBe(true);
    expect(verdict('new > 18446744073709551614', { new: (1n << 64n) - 1n }, scope(types.u64))).toBe(true);
  });

  it('says unknown where it needs what is not known, and not otherwise', () => {
    expect(verdict('new > 1', { new: undefined })).toBe('unknown');
    expect(verdict('new > 1 && tid == 5', { new: undefined })).toBe(false);
    expect(verdict('new > 1 || tid == 12', { new: undefined })).toBe(true);
    expect(verdict('limit == 1', { read: () => undefined })).toBe('unknown');
  });

  it.each([
    ['', 'something is missing', 0],
    ['new >', 'something is missing', 5],
    ['new > 7x', "'7x' is no number", 6],
    ['new = 5', "write '=='", 4],
    ['(new > 5', "'(' is not closed", 0],
    ['new > 5)', 'expected an operator or the end', 7],
    ['new > nothing', "there is no 'nothing'", 6],
    ['comm > "a"', '== and != only', 5],
    ['comm', 'comm is a text', 0],
    ['"a"', 'a text can only be compared', 0],
    ['1 < new < 5', 'do not chain', 8],
    ['ratio % 2 == 0', "'%' is for integers", 6],
    ['new > 99999999999999999999', 'does not fit 64 bits', 6],
    ['new @ 5', 'expected an operator or the end', 4],
    [`${'('.repeat(100)}1`, 'nested too deep', 64],
    [Array.from({ length: 5000 }, () => '1').join('+'), 'too long', undefined],
  ])('refuses %j with a caret under the place', (text, why, at) => {
    const refusal = (() => {
      try {
        return void makeCondition(text, scope());
      } catch (error) {
        return error instanceof WatchError ? error : undefined;
      }
    })();
    expect(refusal?.message).toContain(why);
    const [shown, caret] = refusal?.details ?? [];
    expect(shown).toBe(text);
    if (at !== undefined) expect(caret).toBe(`${' '.repeat(at)}^`);
  });

  it('says why a value is no number', () => {
    expect(() => makeCondition('new > 1', { ...scope(), value: 'struct point is no number' })).toThrow(
      /struct point is no number/,
    );
  });

  it('is not compiled where bpf cannot tell', () => {
    const why = (text: string): string | undefined => whyNotCompiled(makeCondition(text, scope()).expression);
    expect(why('old > 1')).toMatch(/chain/);
    expect(why('changed')).toMatch(/chain/);
    expect(why('new > 1.5')).toMatch(/floating/);
    expect(why('ratio > 1')).toMatch(/floating/);
    expect(why('new > 1 && limit == 2')).toBeUndefined();
    const { expression } = makeCondition('tid == 1 && limit', scope());
    expect([needsValue(expression), needsMemory(expression)]).toEqual([false, true]);
  });

  it('says compiled what it says evaluated', () => {
    const word = fc.oneof(
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      fc.bigInt({ min: 0n, max: 5n }),
      fc.constantFrom(0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 1n << 63n, (1n << 64n) - 1n),
    );
    const leaf = fc.oneof(
      fc.constantFrom('new', 'new', 'limit', 'tid', 'pid', 'cpu', 'flags', 'OPEN', 'CLOSED'),
      fc.constantFrom('(comm == "worker")', '(comm != "other")'),
      fc.integer({ min: 0, max: 70 }).map(String),
      word.map(String),
      word.map((value) => `0x${value.toString(16)}`),
    );
    const operators = [
      '||',
      '&&',
      '|',
      '^',
      '&',
      '==',
      '!=',
      '<',
      '<=',
      '>',
      '>=',
      '<<',
      '>>',
      '+',
      '-',
      '*',
      '/',
      '%',
    ];
    const expression = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        leaf,
        fc
          .tuple(fc.constantFrom('!', '-', '~'), tie('tree'))
          .map(([operator, operand]) => `${operator}(${operand})`),
        fc
          .tuple(tie('tree'), fc.constantFrom(...operators), tie('tree'))
          .map(([left, operator, right]) => `(${left}) ${operator} (${right})`),
      ),
    })).tree;
    const type = fc.constantFrom(...Object.values(types));
    fc.assert(
      fc.property(
        expression,
        type,
        type,
        word,
        word,
        fc.boolean(),
        (text, value, variable, now, limit, known) => {
          const at = scope(value, variable);
          const facts: HitFacts = {
            ...hit,
            new: known ? now : undefined,
            read: (_address, lenBytes) => BigInt.asUintN(8 * lenBytes, limit),
          };
          const evaluated = verdict(text, facts, at);
          const said = compiled(text, facts, at);
          // A program ends at what it does not know, where the other side might decide.
          if (said !== 'unknown' || known) expect([text, said]).toEqual([text, evaluated]);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
