import { createRequire } from 'node:module';
import { afterAll, describe, expect, it } from 'vitest';
import { createIcedDecoder, type IcedModule } from './iced-decoder.ts';
import type { ValueEffect } from './value-effect.ts';

const decoder = createIcedDecoder(createRequire(import.meta.url)('iced-x86') as IcedModule); // as its types say
afterAll(() => decoder.close());

function effectOf(...bytes: number[]): ValueEffect | undefined {
  return decoder.decode(Uint8Array.from([...bytes, ...new Array<number>(15).fill(0x90)]), 0x401000n)?.effect;
}

const place = {
  base: undefined,
  index: undefined,
  scale: 1,
  displacement: 0n,
  is32Bit: false,
  fs: false,
  stringStep: 0,
};

describe('what registers tell of an access', () => {
  it('mov of a register: that register', () => {
    expect(effectOf(0x89, 0x43, 0x08)).toEqual({
      place: { ...place, base: 1, displacement: 8n },
      lenBytes: 4,
      action: { type: 'store', value: { type: 'register', register: 0, shiftBits: 0 } },
    });
  });

  it('mov of ah: the second byte of rax', () => {
    expect(effectOf(0x88, 0x23)?.action).toEqual({
      type: 'store',
      value: { type: 'register', register: 0, shiftBits: 8 },
    });
  });

  it('mov of an immediate: sign-extended to its operand', () => {
    expect(effectOf(0x48, 0xc7, 0x03, 0xfe, 0xff, 0xff, 0xff)?.action).toEqual({
      type: 'store',
      value: { type: 'immediate', value: 0xffff_ffff_ffff_fffen },
    });
  });

  it('movbe: the bytes in reverse order', () => {
    expect(effectOf(0x0f, 0x38, 0xf1, 0x03)?.action).toEqual({
      type: 'store',
      value: { type: 'reversed', register: 0 },
    });
  });

  it('an operand relative to ip: its absolute address', () => {
    expect(effectOf(0x89, 0x05, 0x10, 0x00, 0x00, 0x00)?.place).toEqual({
      ...place,
      displacement: 0x401016n,
    });
  });

  it('an operand relative to fs: told so', () => {
    expect(effectOf(0x64, 0x89, 0x04, 0x25, 0xf8, 0xff, 0xff, 0xff)?.place).toMatchObject({
      fs: true,
      displacement: 0xffff_ffff_ffff_fff8n,
    });
  });

  it('an address-size prefix: cut to 32 bits', () => {
    expect(effectOf(0x67, 0x89, 0x03)?.place.is32Bit).toBe(true);
  });

  it.each([
    ['xchg of its own base', [0x48, 0x87, 0x00]],
    ['a load into its own base', [0x48, 0x8b, 0x00]],
    ['cmpxchg at rax', [0x0f, 0xb1, 0x18]],
    ['an operand relative to gs', [0x65, 0x89, 0x03]],
    ['adc', [0x11, 0x03]],
    ['movs', [0xa5]],
    ['rep stos', [0xf3, 0xab]],
    ['pop to memory', [0x8f, 0x03]],
    ['push of memory', [0xff, 0x33]],
    ['push of rsp', [0x54]],
    ['push of a segment register', [0x0f, 0xa0]],
    ['movups', [0x0f, 0x11, 0x03]],
    ['vmovdqu', [0xc5, 0xfe, 0x7f, 0x03]],
    ['a store of a segment register', [0x8c, 0x1b]],
    ['bts by a register', [0x0f, 0xab, 0x03]],
    ['fstp', [0xd9, 0x1b]],
    ['scatter', [0x62, 0xf2, 0x7d, 0x49, 0xa0, 0x04, 0x03]],
    ['add from memory', [0x03, 0x03]],
    ['cmp', [0x39, 0x03]],
    ['lea', [0x8d, 0x03]],
    ['nop of memory', [0x0f, 0x1f, 0x03]],
    ['call of a pointer', [0xff, 0x13]],
  ])('%s: nothing', (_, bytes) => {
    expect(effectOf(...bytes)).toBeUndefined();
  });
});
