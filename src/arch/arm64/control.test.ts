import { describe, expect, it } from 'vitest';
import { KernelError } from '../../base/kernel-error.ts';
import { decodeDebugFeatures, encodeDebugFeatures } from './arm64-register-bits.ts';
import { decodeControl, encodeControl, genericControl } from './control.ts';

describe('a control register', () => {
  it('reads as it was written, for every type, level and BAS', () => {
    for (let bytes = 0; bytes < 256; bytes++)
      for (let type = 0; type < 4; type++)
        for (let privilege = 0; privilege < 4; privilege++)
          for (const enabled of [false, true]) {
            const control = { bytes, type, privilege, enabled };
            expect(decodeControl(encodeControl(control, { vhe: true }))).toEqual(control);
          }
  });

  it('231: has one of 36 runs of bytes; everything else is EINVAL', () => {
    let runs = 0;
    for (let bytes = 0; bytes < 256; bytes++) {
      const text = bytes.toString(2).padStart(8, '0');
      const [, run] = /^0*(1+)0*$/.exec(text) ?? [];
      const control = { bytes, type: 2, privilege: 2, enabled: true };
      if (run === undefined) {
        expect(() => genericControl(control)).toThrow(KernelError);
        continue;
      }
      runs++;
      const offset = 8 - text.lastIndexOf('1') - 1;
      expect(genericControl(control)).toEqual({ bpType: 2, bpLen: BigInt(run.length), offset });
    }
    expect(runs).toBe(36);
  });
});

describe('ID_AA64DFR0_EL1', () => {
  it('233: tells counts minus 1', () => {
    const features = { version: 6, breakpoints: 6, watchpoints: 4, contextAware: 2 };
    expect(decodeDebugFeatures(0x1030_5106)).toEqual(features);
    expect(encodeDebugFeatures(features)).toBe(0x1030_5006);
  });
});
