import { expect, test } from 'vitest';
import { Btf } from './btf/btf.ts';
import { BtfWriter } from './btf/btf-writer.test-support.ts';
import { Kallsyms } from './kallsyms.ts';
import { resolveKernelName } from './kernel-names.ts';

const kallsyms = Kallsyms.parse(`ffffffff81000000 T start_kernel
ffffffff82000000 D jiffies
ffffffff82000100 d state
ffffffff82000200 d state
ffffffff83000000 D placed
0000000000021000 A runqueue
`);
const btf = Btf.parse(
  new BtfWriter()
    .type('int', { kind: 1, size: 4, more: [0x0100_0020] }) // 1
    .type('runqueue', { kind: 14, size: 1, more: [1] }) // 2
    .type('nowhere', { kind: 14, size: 1, more: [1] }) // 3
    .type('placed', { kind: 14, size: 1, more: [1] }) // 4
    .type('.data..percpu', { kind: 15, count: 2, size: 8, more: [2, 0, 4, 3, 4, 4] })
    .type('.data', { kind: 15, count: 1, size: 4, more: [4, 0, 4] })
    .bytes(),
  'test',
);
const sources = { kallsyms, btf: () => btf };
const why = (name: string, more: Partial<Parameters<typeof resolveKernelName>[1]> = {}): string => {
  const found = resolveKernelName(name, { ...sources, ...more });
  return 'why' in found ? found.why : 'found';
};

test('a symbol has its address, a variable of BTF its type and size too', () => {
  expect(resolveKernelName('jiffies', sources)).toEqual({
    address: 0xffff_ffff_8200_0000n,
    isFunction: false,
  });
  expect(resolveKernelName('start_kernel', sources)).toMatchObject({ isFunction: true });
  expect(resolveKernelName('placed', sources)).toMatchObject({
    address: 0xffff_ffff_8300_0000n,
    sizeBytes: 4,
    type: { name: 'int' },
  });
});

test('a per-CPU variable has no address of its own, and the refusal says its type', () => {
  expect(why('runqueue')).toBe(
    "a per-CPU variable of the kernel (int, 4 bytes), a copy for each CPU: the symbol's 0x21000 is the place in every copy, not an address; give the address of a copy",
  );
  expect(why('nowhere')).toContain('this kernel does not tell where it is');
});

test('what cannot be told says why', () => {
  expect(why('jiffie')).toMatch(/^no kernel symbol 'jiffie' in \/proc\/kallsyms \(/);
  expect(why('state')).toMatch(/^2 kernel symbols have this name: 0xffffffff82000100 0xffffffff82000200;/);
  expect(why('jiffies', { kallsyms: undefined })).toContain('cannot be read');
  expect(why('jiffies', { kallsyms: Kallsyms.parse(`0000000000000000 D jiffies\n`) })).toContain(
    'kptr_restrict',
  );
  expect(why('runqueue', { btf: () => undefined })).toMatch(/^0x21000 is no address/);
});

test('types are asked for only where a name may need them', () => {
  const btfOnce = (): never => {
    throw new Error('asked');
  };
  expect(resolveKernelName('start_kernel', { kallsyms, btf: btfOnce })).toMatchObject({ isFunction: true });
});
