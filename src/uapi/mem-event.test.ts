import { describe, expect, it } from 'vitest';
import { parseMemEvent } from './mem-event.ts';
import { encodePerfEventAttr } from './perf-event-attr.ts';

const plain = { type: 5, bpAddr: 0n, samplePeriod: 1n };
const rw = { ...plain, bpType: 3, bpLen: 4n };

// Rows 258 to 262 of docs/spec/07 section R.
const table: readonly [string, object | undefined][] = [
  ['mem:0', rw],
  ['mem:0:x', { ...plain, bpType: 4, bpLen: 8n }],
  ['mem:0:r', { ...rw, bpType: 1 }],
  ['mem:0:w', { ...rw, bpType: 2 }],
  ['mem:0:rw', rw],
  ['mem:0:u', { ...rw, excludeKernel: true, excludeHv: true }],
  ['mem:0:x:k', { ...plain, bpType: 4, bpLen: 8n, excludeUser: true, excludeHv: true }],
  ['mem:0:r:hp', { ...rw, bpType: 1, excludeUser: true, excludeKernel: true, preciseIp: 1 }],
  ['mem:0:w:up', { ...rw, bpType: 2, excludeKernel: true, excludeHv: true, preciseIp: 1 }],
  ['mem:0:rw:kp', { ...rw, excludeUser: true, excludeHv: true, preciseIp: 1 }],
  ['mem:0/1', { ...rw, bpLen: 1n }],
  ['mem:0/2:w', { ...rw, bpType: 2, bpLen: 2n }],
  ['mem:0/4:rw:u', { ...rw, excludeKernel: true, excludeHv: true }],
  ['mem:0:rr', undefined],
  ['mem:0:wr', rw],
  ['mem:0x1000/8:w', { ...plain, bpAddr: 0x1000n, bpType: 2, bpLen: 8n }],
  ['mem:0x1000/512:w', { ...plain, bpAddr: 0x1000n, bpType: 2, bpLen: 512n }],
  ['mem:0:xw', { ...rw, bpType: 6 }],
  ['mem:', undefined],
  ['mem:0:rwxr', undefined],
  ['mem:0/', undefined],
  ['mem:0:q', undefined],
  ['mem:zero', undefined],
];

describe("the perf tool's mem: events", () => {
  for (const [text, attr] of table)
    it(`${text} ${attr === undefined ? 'is refused' : 'is the attr of the table'}`, () => {
      const parsed = parseMemEvent(text);
      expect(parsed).toEqual(attr);
      // config is 0, and nothing but what is said is set.
      if (parsed !== undefined)
        expect(new DataView(encodePerfEventAttr(parsed).buffer).getBigUint64(8, true)).toBe(0n);
    });
});
