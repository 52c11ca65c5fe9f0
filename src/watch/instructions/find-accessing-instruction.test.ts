import { createRequire } from 'node:module';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { CodeReader } from './code-reader.ts';
import { type AccessQuery, findAccessingInstruction } from './find-accessing-instruction.ts';
import { FunctionSweeps } from './function-sweeps.ts';
import { createIcedDecoder, type IcedModule } from './iced-decoder.ts';

const iced: IcedModule = createRequire(import.meta.url)('iced-x86');
const decoder = createIcedDecoder(iced);
afterAll(() => decoder.close());

const functionStart = 0x401000n;
/** What RIP-relative operands of these tests point at. */
const variable = 0x404028n;

const nop = [0x90];
/** `bytes` are one RIP-relative instruction whose 4 displacement bytes are at `displacementOffset`. */
function toVariable(
  address: bigint,
  bytes: number[],
  displacementOffset: number,
  target: bigint = variable,
): number[] {
  const patched = Uint8Array.from(bytes);
  const displacement = Number(target - (address + BigInt(bytes.length)));
  new DataView(patched.buffer).setInt32(displacementOffset, displacement, true);
  return [...patched];
}

/** Readable code at `start` and nothing else. */
function readerOf(bytes: ArrayLike<number>, start: bigint = functionStart): CodeReader & { calls: number } {
  const code = Uint8Array.from(bytes);
  return {
    calls: 0,
    code(address, lengthBytes) {
      this.calls++;
      const offset = address - start;
      if (offset < 0n || offset >= BigInt(code.length)) return undefined;
      return code.subarray(Number(offset), Number(offset) + lengthBytes);
    },
  };
}

function watching(
  access: 'w' | 'rw' | 'x',
  lenBytes: number = 4,
  address: bigint = variable,
): AccessQuery['watch'] {
  return { address, lenBytes, access };
}

function hexBytes(text: string): number[] {
  return (text.match(/[0-9a-f]{2}/g) ?? []).map((byte) => Number.parseInt(byte, 16));
}

/** Asks with ip behind `bytes`, which stand behind one nop and before another. */
function findBehind(bytes: number[], access: 'w' | 'rw') {
  const reader = readerOf([...nop, ...bytes, ...nop]);
  const ip = functionStart + BigInt(1 + bytes.length);
  return findAccessingInstruction({ ip, functionStart, watch: watching(access) }, reader, decoder);
}

describe('one instruction that may access memory', () => {
  // bytes, text, what a w watch reports, what an rw watch reports; '-': not this instruction.
  const cases: [bytes: string, text: string, w: string, rw: string][] = [
    ['89 07', 'mov %eax,(%rdi)', 'w', 'w'],
    ['8b 07', 'mov (%rdi),%eax', '-', 'r'],
    ['83 07 01', 'addl $0x1,(%rdi)', 'rw', 'rw'],
    ['f0 ff 07', 'lock incl (%rdi)', 'rw', 'rw'],
    ['87 07', 'xchg %eax,(%rdi)', 'rw', 'rw'],
    ['f0 0f b1 0f', 'lock cmpxchg %ecx,(%rdi)', 'rw', 'rw'],
    ['f0 48 0f c7 0f', 'lock cmpxchg16b (%rdi)', 'rw', 'rw'],
    ['f0 0f c1 07', 'lock xadd %eax,(%rdi)', 'rw', 'rw'],
    ['f0 0f ab 07', 'lock bts %eax,(%rdi)', 'rw', 'rw'],
    ['39 07', 'cmp %eax,(%rdi)', '-', 'r'],
    ['85 07', 'test %eax,(%rdi)', '-', 'r'],
    ['0f 44 07', 'cmove (%rdi),%eax', '-', 'r'],
    ['0f 95 07', 'setne (%rdi)', 'w', 'w'],
    ['a5', 'movsl (%rsi),(%rdi)', 'w', 'rw'],
    ['f3 a4', 'rep movsb (%rsi),(%rdi)', 'w', 'rw'],
    ['f3 48 ab', 'rep stos %rax,(%rdi)', 'w', 'w'],
    ['f2 ae', 'repne scas (%rdi),%al', '-', 'r'],
    ['f3 a6', 'repe cmpsb (%rdi),(%rsi)', '-', 'r'],
    ['ac', 'lods (%rsi),%al', '-', 'r'],
    ['ff 37', 'pushq (%rdi)', 'w', 'rw'],
    ['8f 07', 'popq (%rdi)', 'w', 'rw'],
    ['50', 'push %rax', 'w', 'w'],
    ['58', 'pop %rax', '-', 'r'],
    ['9c', 'pushf', 'w', 'w'],
    ['c8 10 00 00', 'enter $0x10,$0x0', 'w', 'w'],
    ['c8 10 00 02', 'enter $0x10,$0x2', 'w', 'rw'],
    ['c9', 'leave', '-', 'r'],
    ['d7', 'xlat (%rbx)', '-', 'r'],
    ['0f ae 00', 'fxsave (%rax)', 'w', 'w'],
    ['48 0f ae 20', 'xsave64 (%rax)', 'rw', 'rw'],
    ['48 0f c7 20', 'xsavec64 (%rax)', 'w', 'w'],
    ['48 0f ae 28', 'xrstor64 (%rax)', '-', 'r'],
    ['0f 29 07', 'movaps %xmm0,(%rdi)', 'w', 'w'],
    ['0f e7 07', 'movntq %mm0,(%rdi)', 'w', 'w'],
    ['0f c3 07', 'movnti %eax,(%rdi)', 'w', 'w'],
    ['c4 e2 6d 2e 07', 'vmaskmovps %ymm0,%ymm2,(%rdi)', 'w', 'w'],
    ['62 f1 fe 29 7f 07', 'vmovdqu64 %ymm0,(%rdi){%k1}', 'w', 'w'],
    ['62 f2 7d 29 a0 04 07', 'vpscatterdd %ymm0,(%rdi,%ymm0){%k1}', 'w', 'w'],
    ['c4 e2 6d 90 04 0f', 'vpgatherdd %ymm2,(%rdi,%ymm1),%ymm0', '-', 'r'],
    ['66 0f f7 c1', 'maskmovdqu %xmm1,%xmm0', 'w', 'w'],
    ['66 0f 38 f8 01', 'movdir64b (%rcx),%rax', 'w', 'rw'],
    ['0f 38 f9 01', 'movdiri %eax,(%rcx)', 'w', 'w'],
    ['dd 1f', 'fstpl (%rdi)', 'w', 'w'],
    ['0f 01 07', 'sgdt (%rdi)', 'w', 'w'],
    ['64 89 04 25 fc ff ff ff', 'mov %eax,%fs:0xfffffffffffffffc', 'w', 'w'],
    ['65 ff 05 00 10 00 00', 'incl %gs:0x402008', 'rw', 'rw'],
    ['0f ae 3f', 'clflush (%rdi)', '-', 'r'],
    ['e8 00 00 00 00', 'call 0x401006', 'w', 'w'],
    // These access no memory.
    ['48 8d 07', 'lea', '-', '-'],
    ['0f 1f 44 00 00', 'nop', '-', '-'],
    ['66 2e 0f 1f 84 00 00 00 00 00', 'nop', '-', '-'],
    ['0f 18 07', 'prefetchnta', '-', '-'],
    ['0f 0d 0f', 'prefetchw', '-', '-'],
    ['f3 0f 1e fa', 'endbr64', '-', '-'],
    ['0f 01 3f', 'invlpg', '-', '-'],
    ['0f 05', 'syscall', '-', '-'],
    ['89 c3', 'mov', '-', '-'],
    ['75 02', 'jne', '-', '-'],
    ['0f ae f0', 'mfence', '-', '-'],
    // ip is not behind these when they have accessed memory.
    ['c3', 'ret', '-', '-'],
    ['eb 02', 'jmp', '-', '-'],
    ['ff 27', 'jmp *(%rdi)', '-', '-'],
    ['ff 17', 'call *(%rdi)', '-', '-'],
    ['e8 00 01 00 00', 'call', '-', '-'],
    ['48 cf', 'iretq', '-', '-'],
    ['0f 0b', 'ud2', '-', '-'],
    ['f4', 'hlt', '-', '-'],
    ['cd 80', 'int', '-', '-'],
  ];
  for (const access of ['w', 'rw'] as const) {
    for (const [bytes, text, w, rw] of cases) {
      const expected = access === 'w' ? w : rw;
      it(`${access} watch, ${text}: ${expected === '-' ? 'not the one' : expected}`, () => {
        const code = hexBytes(bytes);
        const found = findBehind(code, access);
        if (expected === '-') expect(found).toBeUndefined();
        else {
          expect(found).toMatchObject({
            address: functionStart + 1n,
            lengthBytes: code.length,
            text,
            access: expected,
            certain: false,
          });
          expect(found?.operands.length).toBeGreaterThan(0);
        }
      });
    }
  }
});

describe('operands whose address is known', () => {
  const behind = (bytes: number[], displacementOffset: number, target?: bigint) =>
    toVariable(functionStart + 1n, bytes, displacementOffset, target);

  it('proves a RIP-relative store that overlaps the watch, and writes its address', () => {
    const found = findBehind(behind([0x89, 0x05, 0, 0, 0, 0], 2), 'w');
    expect(found).toMatchObject({ text: 'mov %eax,0x404028', access: 'w', certain: true });
    expect(found?.operands).toEqual([
      {
        access: 'w',
        conditional: false,
        address: variable,
        lenBytes: 4,
        base: undefined,
        index: undefined,
        scale: 1,
        displacement: variable,
        segment: undefined,
        bitIndexed: false,
      },
    ]);
  });
  it('proves one that overlaps in its last byte, refuses one that ends before or begins behind', () => {
    const store8 = [0x48, 0x89, 0x05, 0, 0, 0, 0];
    expect(findBehind(behind(store8, 3, variable - 7n), 'w')?.certain).toBe(true);
    expect(findBehind(behind(store8, 3, variable - 8n), 'w')).toBeUndefined();
    expect(findBehind(behind(store8, 3, variable + 3n), 'w')?.certain).toBe(true);
    expect(findBehind(behind(store8, 3, variable + 4n), 'w')).toBeUndefined();
  });
  it('proves absolute operands, with 32 and with 64 bits', () => {
    expect(findBehind([0x89, 0x04, 0x25, 0x28, 0x40, 0x40, 0], 'w')?.certain).toBe(true);
    expect(findBehind([0xa3, 0x28, 0x40, 0x40, 0, 0, 0, 0, 0], 'w')?.certain).toBe(true);
    expect(findBehind([0x89, 0x04, 0x25, 0x20, 0x40, 0x40, 0], 'w')).toBeUndefined();
  });
  it('takes only the operand that overlaps: push and pop of the variable', () => {
    expect(findBehind(behind([0xff, 0x35, 0, 0, 0, 0], 2), 'rw')).toMatchObject({
      access: 'r',
      certain: true,
    });
    expect(findBehind(behind([0x8f, 0x05, 0, 0, 0, 0], 2), 'rw')).toMatchObject({
      access: 'w',
      certain: true,
    });
    // The load cannot fire a w watch; the store to the stack could.
    expect(findBehind(behind([0xff, 0x35, 0, 0, 0, 0], 2), 'w')).toMatchObject({
      access: 'w',
      certain: false,
    });
    expect(findBehind(behind([0xff, 0x35, 0, 0, 0, 0], 2, 0x405000n), 'rw')).toMatchObject({ access: 'w' });
  });
  it('does not know where a bit index in a register points', () => {
    expect(findBehind(behind([0xf0, 0x0f, 0xab, 0x05, 0, 0, 0, 0], 4), 'w')?.certain).toBe(false);
    expect(findBehind(behind([0xf0, 0x0f, 0xab, 0x05, 0, 0, 0, 0], 4, 0x403000n), 'w')?.certain).toBe(false);
    expect(findBehind(behind([0x0f, 0xba, 0x2d, 0, 0, 0, 0, 5], 3), 'w')?.certain).toBe(true);
  });
  it('does not know how far xsave goes, but where it does not reach', () => {
    expect(findBehind(behind([0x48, 0x0f, 0xae, 0x25, 0, 0, 0, 0], 4, variable - 576n), 'w')?.certain).toBe(
      false,
    );
    expect(findBehind(behind([0x48, 0x0f, 0xae, 0x25, 0, 0, 0, 0], 4, variable + 4n), 'w')).toBeUndefined();
  });
  it('counts the whole line for a flush', () => {
    expect(findBehind(behind([0x0f, 0xae, 0x3d, 0, 0, 0, 0], 3, 0x404000n), 'rw')?.certain).toBe(true);
    expect(findBehind(behind([0x0f, 0xae, 0x3d, 0, 0, 0, 0], 3, 0x403fffn), 'rw')).toBeUndefined();
  });
  it('does not take the base of gs for 0', () => {
    expect(findBehind(behind([0x65, 0xff, 0x05, 0, 0, 0, 0], 3), 'w')?.certain).toBe(false);
  });
});

describe('rep, gather and scatter with work left', () => {
  const at = (bytes: number[], access: 'w' | 'rw', before: number[] = nop) => {
    const ip = functionStart + BigInt(before.length);
    return findAccessingInstruction(
      { ip, functionStart, watch: watching(access) },
      readerOf([...before, ...bytes, ...nop]),
      decoder,
    );
  };
  it('names the rep instruction that ip points at', () => {
    expect(at([0xf3, 0xaa], 'w')).toMatchObject({ address: functionStart + 1n, access: 'w', certain: false });
    expect(at([0xf3, 0xa4], 'rw')?.access).toBe('rw');
    expect(at([0xf3, 0xa6], 'rw')?.access).toBe('r');
    expect(at([0xf3, 0x6c], 'w')?.text).toContain('rep ins');
  });
  it('also as the first instruction of a function', () => {
    const query = { ip: functionStart, functionStart, watch: watching('w') };
    expect(findAccessingInstruction(query, readerOf([0xf3, 0xaa, 0xc3]), decoder)?.lengthBytes).toBe(2);
  });
  it('does not name one that does not store, nor a string instruction without rep', () => {
    expect(at([0xf2, 0xae], 'w')).toBeUndefined();
    expect(at([0xaa], 'w')).toBeUndefined();
    // `rep ret` is no string instruction.
    expect(at([0xf3, 0xc3], 'rw')).toBeUndefined();
  });
  it('names the scatter that ip points at', () => {
    expect(at(hexBytes('62 f2 7d 29 a0 04 07'), 'w')?.address).toBe(functionStart + 1n);
  });
  it('prefers a store before it that is proven, and itself to one that is not', () => {
    const store = toVariable(functionStart, [0x89, 0x05, 0, 0, 0, 0], 2);
    expect(at([0xf3, 0xaa], 'w', store)).toMatchObject({ address: functionStart, certain: true });
    expect(at([0xf3, 0xaa], 'w', [0x89, 0x07])).toMatchObject({
      address: functionStart + 2n,
      certain: false,
    });
    expect(at([0xf2, 0xae], 'w', [0x89, 0x07])).toMatchObject({ address: functionStart });
  });
});

describe('execute watches', () => {
  it('names the instruction at ip', () => {
    const query = { ip: functionStart + 1n, functionStart, watch: watching('x', 8, functionStart + 1n) };
    expect(findAccessingInstruction(query, readerOf([0x90, 0x89, 0x07, 0x90]), decoder)).toEqual({
      address: functionStart + 1n,
      lengthBytes: 2,
      text: 'mov %eax,(%rdi)',
      access: 'x',
      certain: true,
      operands: [],
    });
  });
});

describe('what gives no answer', () => {
  const query: AccessQuery = { ip: functionStart + 2n, functionStart, watch: watching('rw') };
  it('ip at the start of a function: the access was a branch elsewhere', () => {
    const reader = readerOf([0x89, 0x07, 0xc3], functionStart - 2n);
    expect(findAccessingInstruction({ ...query, ip: functionStart }, reader, decoder)).toBeUndefined();
  });
  it('the same behind a run of code, but names a store above that is proven', () => {
    const above = (bytes: number[]) =>
      readerOf([...Array(120).fill(0x90), ...bytes, 0x90], functionStart - 120n - BigInt(bytes.length));
    const entry = { ...query, ip: functionStart };
    expect(findAccessingInstruction(entry, above([0x89, 0x07]), decoder)).toBeUndefined();
    const store = toVariable(functionStart - 6n, [0x89, 0x05, 0, 0, 0, 0], 2);
    expect(findAccessingInstruction(entry, above(store), decoder)).toMatchObject({
      address: functionStart - 6n,
      certain: true,
    });
  });
  it('code that cannot be read', () => {
    expect(findAccessingInstruction(query, { code: () => undefined }, decoder)).toBeUndefined();
    expect(
      findAccessingInstruction({ ...query, functionStart: undefined }, readerOf([]), decoder),
    ).toBeUndefined();
  });
  it('an ip before the function, or below all windows', () => {
    expect(
      findAccessingInstruction({ ...query, ip: functionStart - 1n }, readerOf([0x90]), decoder),
    ).toBeUndefined();
    expect(findAccessingInstruction({ ...query, ip: 0n }, readerOf([0x90]), decoder)).toBeUndefined();
  });
  it('an ip inside an instruction', () => {
    const reader = readerOf([...nop, ...toVariable(functionStart + 1n, [0x89, 0x05, 0, 0, 0, 0], 2), ...nop]);
    expect(findAccessingInstruction({ ...query, ip: functionStart + 3n }, reader, decoder)).toBeUndefined();
  });
  it('bytes that are no instruction', () => {
    expect(findAccessingInstruction(query, readerOf([0x06, 0x06, 0x90]), decoder)).toBeUndefined();
  });
  it('an instruction whose first byte a debugger replaced by int3', () => {
    // 48 83 07 01 is addq; behind the int3 what is left decodes as another instruction.
    for (const start of [functionStart, undefined]) {
      const filler = Array.from({ length: 120 }, (_, i) => (i % 3 === 0 ? 0x89 : i % 3 === 1 ? 0xc3 : 0x90));
      const reader = readerOf([...filler, 0xcc, 0x83, 0x07, 0x01, 0x90]);
      const ip = functionStart + 124n;
      expect(
        findAccessingInstruction({ ...query, ip, functionStart: start }, reader, decoder),
      ).toBeUndefined();
    }
  });
});

describe('int3 elsewhere in the function', () => {
  const filler = (length: number) =>
    Array.from({ length }, (_, i) => (i % 3 === 0 ? 0x48 : i % 3 === 1 ? 0x89 : 0xc3));
  it('goes on behind padding', () => {
    for (const padding of [
      [0xc3, 0xcc],
      [0xeb, 0x10, 0xcc],
      [0x90, 0xcc, 0xcc, 0xcc],
    ]) {
      const code = [...padding, 0x89, 0x07];
      const ip = functionStart + BigInt(code.length);
      const found = findAccessingInstruction(
        { ip, functionStart, watch: watching('w') },
        readerOf([...code, 0x90]),
        decoder,
      );
      expect(found?.text).toBe('mov %eax,(%rdi)');
    }
  });
  it('finds what lies well behind a patched instruction', () => {
    const code = [0x90, 0xcc, 0x05, 0x22, 0x30, 0, 0, ...filler(150), 0x89, 0x07];
    const ip = functionStart + BigInt(code.length);
    const found = findAccessingInstruction(
      { ip, functionStart, watch: watching('w') },
      readerOf([...code, 0x90]),
      decoder,
    );
    expect(found).toMatchObject({ address: ip - 2n, access: 'w' });
  });
});

describe('readers', () => {
  const stores = Array.from({ length: 3000 }, () => [0x48, 0x89, 0x47, 0x08]).flat();
  it('reads a hot function once for many sites', () => {
    const reader = readerOf(stores);
    const sweeps = new FunctionSweeps(reader, decoder);
    for (let i = 1; i < 3000; i++) {
      const answer = sweeps.boundaryBefore(functionStart, functionStart + BigInt(i * 4));
      expect(answer).toEqual({ kind: 'after', start: functionStart + BigInt(i * 4 - 4) });
    }
    expect(reader.calls).toBeLessThan(60);
    const calls = reader.calls;
    sweeps.boundaryBefore(functionStart, functionStart + 8n);
    expect(reader.calls).toBe(calls);
  });
  it('goes as far as a reader that refuses ranges it cannot read whole', () => {
    const inner = readerOf(stores);
    const reader: CodeReader = {
      code(address, lengthBytes) {
        const bytes = inner.code(address, lengthBytes);
        return bytes?.length === lengthBytes ? bytes : undefined;
      },
    };
    const ip = functionStart + 8192n;
    const found = findAccessingInstruction({ ip, functionStart, watch: watching('w') }, reader, decoder);
    expect(found?.address).toBe(ip - 4n);
  });
  it('notices code that was replaced under a sweep', () => {
    let current = readerOf([0x90, 0x90, 0x90, 0x89, 0x07, 0x90, 0x90]);
    const reader: CodeReader = { code: (address, lengthBytes) => current.code(address, lengthBytes) };
    const sweeps = new FunctionSweeps(reader, decoder);
    const query: AccessQuery = { ip: functionStart + 5n, functionStart, watch: watching('w') };
    expect(findAccessingInstruction(query, reader, decoder, sweeps)?.lengthBytes).toBe(2);
    current = readerOf([0x90, 0x90, 0x83, 0x07, 0x01, 0x90, 0x90]);
    expect(findAccessingInstruction(query, reader, decoder, sweeps)).toMatchObject({ lengthBytes: 3 });
  });
  it('does not sweep more than 1 MiB from the start of a function', () => {
    const sweeps = new FunctionSweeps(readerOf(stores), decoder);
    expect(sweeps.boundaryBefore(functionStart, functionStart + (1n << 20n) + 1n)).toEqual({ kind: 'lost' });
  });
});

describe('the decoder', () => {
  it('writes Intel syntax when asked', () => {
    using intel = createIcedDecoder(iced, { syntax: 'intel' });
    expect(intel.decode(Uint8Array.of(0x89, 0x47, 0x08), 0n)?.text).toBe('mov [rdi+0x8],eax');
  });
  it('loads the package when the first instruction is decoded, not before', () => {
    let loads = 0;
    const lazy = createIcedDecoder(() => {
      loads++;
      return iced;
    });
    expect(loads).toBe(0);
    lazy.scan(Uint8Array.of(0x90));
    lazy.decode(Uint8Array.of(0x90), 0n);
    expect(loads).toBe(1);
    lazy.close();
    lazy.close();
    expect(() => lazy.decode(Uint8Array.of(0x90), 0n)).toThrow('close()');
  });
  it('tells bytes that are missing from bytes that are wrong', () => {
    expect(decoder.scan(Uint8Array.of(0x90, 0x48, 0x89))).toMatchObject({ endOffset: 1, stopped: 'end' });
    const wrong = Uint8Array.from([0x90, 0x06, ...Array(20).fill(0x90)]);
    expect(decoder.scan(wrong)).toMatchObject({ endOffset: 1, stopped: 'invalid' });
  });
});

describe('random streams of instructions', () => {
  const encodings = [
    '90',
    '50',
    '58',
    'c9',
    'a4',
    'f3 a4',
    '89 07',
    '8b 07',
    '48 89 c3',
    'f0 ff 07',
    '48 8d 44 24 10',
    'ff 37',
    '8f 07',
    'c7 45 fc 01 00 00 00',
    '48 b8 88 77 66 55 44 33 22 11',
    '0f 1f 44 00 00',
    '66 2e 0f 1f 84 00 00 00 00 00',
    'f3 0f 1e fa',
    '74 05',
    'e8 10 00 00 00',
    'c4 e2 6d 2e 07',
    '62 f1 fe 29 7f 07',
    '66 0f 38 f8 01',
    '0f 29 07',
    '64 89 04 25 fc ff ff ff',
    '89 05 22 30 00 00',
    'c3',
    '0f b6 c0',
    '85 c0',
    '83 7f 08 00',
    '48 0f c7 0f',
    'd7',
  ].map(hexBytes);
  const stream = fc.array(fc.constantFrom(...encodings), { minLength: 1, maxLength: 200 });

  it('every boundary is found exactly, and nothing else is one', () => {
    fc.assert(
      fc.property(stream, (instructions) => {
        const reader = readerOf(instructions.flat());
        const sweeps = new FunctionSweeps(reader, decoder);
        let offset = 0;
        for (const instruction of instructions) {
          const start = functionStart + BigInt(offset);
          const end = start + BigInt(instruction.length);
          expect(sweeps.boundaryBefore(functionStart, end)).toEqual({ kind: 'after', start });
          for (let inside = start + 1n; inside < end; inside++) {
            expect(sweeps.boundaryBefore(functionStart, inside)).toEqual({ kind: 'lost' });
          }
          offset += instruction.length;
        }
      }),
      { numRuns: 60 },
    );
  });
  it('any bytes and any ip: an answer ends at ip or begins there, and fits the watch', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        fc.nat(310),
        fc.boolean(),
        fc.constantFrom('w' as const, 'rw' as const),
        (bytes, offset, known, access) => {
          const ip = functionStart + BigInt(offset);
          const query = { ip, functionStart: known ? functionStart : undefined, watch: watching(access) };
          const found = findAccessingInstruction(query, readerOf(bytes), decoder);
          if (found === undefined) return;
          expect(found.address === ip || found.address + BigInt(found.lengthBytes) === ip).toBe(true);
          expect(access === 'rw' || found.access !== 'r').toBe(true);
          expect(found.operands.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 500 },
    );
  });
});

it('gives back the WebAssembly memory it takes', () => {
  const leaky = createIcedDecoder(iced);
  const code = Uint8Array.from(hexBytes('66 0f 38 f8 01 90'));
  // Not in the package's types: the WebAssembly instance's exports.
  const { __wasm } = iced as unknown as { __wasm: { memory: { buffer: ArrayBuffer } } };
  const memory = () => __wasm.memory.buffer.byteLength;
  const round = (times: number) => {
    for (let i = 0; i < times; i++) {
      leaky.decode(code, 0n);
      leaky.lengths(code);
      leaky.scan(code);
    }
  };
  round(2000);
  const before = memory();
  round(20_000);
  expect(memory()).toBe(before);
  leaky.close();
});
