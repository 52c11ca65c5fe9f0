import type { RegisterDescription, TargetDescription } from './target-description.ts';

const general = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi'];
const numbered = ['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const segments = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'];
const floatControl = ['fctrl', 'fstat', 'ftag', 'fiseg', 'fioff', 'foseg', 'fooff', 'fop'];

const flagBits: readonly (readonly [name: string, bit: number])[] = [
  ['CF', 0],
  ['PF', 2],
  ['AF', 4],
  ['ZF', 6],
  ['SF', 7],
  ['TF', 8],
  ['IF', 9],
  ['DF', 10],
  ['OF', 11],
  ['RF', 16],
];

const core: readonly RegisterDescription[] = [
  ...general.map((name) => ({ name, bits: 64, type: 'int64' })),
  { name: 'rbp', bits: 64, type: 'data_ptr' },
  { name: 'rsp', bits: 64, type: 'data_ptr' },
  ...numbered.map((name) => ({ name, bits: 64, type: 'int64' })),
  { name: 'rip', bits: 64, type: 'code_ptr' },
  { name: 'eflags', bits: 32, type: 'i386_eflags' },
  ...segments.map((name) => ({ name, bits: 32, type: 'int32' })),
  ...Array.from({ length: 8 }, (_, n) => ({ name: `st${n}`, bits: 80, type: 'i387_ext' })),
  ...floatControl.map((name) => ({ name, bits: 32, type: 'int', group: 'float' })),
];

/**
 * x86-64 as GDB's feature "org.gnu.gdb.i386.core" has it, which is the least that GDB takes. Source: GDB manual, "i386
 * Features".
 */
export const x8664Description: TargetDescription = {
  architecture: 'i386:x86-64',
  features: [
    {
      name: 'org.gnu.gdb.i386.core',
      types: [
        '<flags id="i386_eflags" size="4">',
        ...flagBits.map(([name, bit]) => `<field name="${name}" start="${bit}" end="${bit}"/>`),
        '</flags>',
      ],
      registers: core,
    },
  ],
  programCounter: 'rip',
  stackPointer: 'rsp',
  framePointer: 'rbp',
  flags: 'eflags',
  triple: 'x86_64-unknown-linux-gnu',
  pointerBytes: 8,
};
