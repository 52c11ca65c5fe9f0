import type { RegisterNumber, ValueEffect } from '../instructions/value-effect.ts';

/** Code that stores the whole watched value out of a register, or a constant. */
export interface StoreSite {
  /** The address that the kernel reports. */
  readonly ip: bigint;
  /** The address that is stored to: base + index * scale + displacement. */
  readonly base: RegisterNumber | undefined;
  readonly index: RegisterNumber | undefined;
  readonly scale: number;
  readonly displacement: bigint;
  readonly value:
    | { readonly type: 'register'; readonly register: RegisterNumber; readonly shiftBits: 0 | 8 }
    | { readonly type: 'immediate'; readonly value: bigint };
}

/**
 * The store of a site, if a program can tell its value by the registers: one plain store as wide as the watch.
 * `undefined`: it cannot.
 */
export function storeSite(
  ip: bigint,
  effect: ValueEffect | undefined,
  watch: { readonly lenBytes: number },
): StoreSite | undefined {
  if (effect === undefined || effect.action.type !== 'store' || effect.lenBytes !== watch.lenBytes)
    return undefined;
  const { value } = effect.action;
  const { base, index, scale, displacement, is32Bit, fs, stringStep } = effect.place;
  if (is32Bit || fs || stringStep !== 0) return undefined;
  if (value.type !== 'register' && value.type !== 'immediate') return undefined;
  return { ip, base, index, scale, displacement, value };
}
