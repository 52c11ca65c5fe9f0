import type { TargetDescription } from './target-description.ts';

/** arm64 as GDB's feature "org.gnu.gdb.aarch64.core" has it. Source: GDB manual, "AArch64 Features". */
export const arm64Description: TargetDescription = {
  architecture: 'aarch64',
  features: [
    {
      name: 'org.gnu.gdb.aarch64.core',
      types: [
        '<flags id="cpsr_flags" size="4">',
        ...['V', 'C', 'Z', 'N'].map((name, n) => `<field name="${name}" start="${28 + n}" end="${28 + n}"/>`),
        '</flags>',
      ],
      registers: [
        ...Array.from({ length: 31 }, (_, n) => ({ name: `x${n}`, bits: 64, type: 'int' })),
        { name: 'sp', bits: 64, type: 'data_ptr' },
        { name: 'pc', bits: 64, type: 'code_ptr' },
        { name: 'cpsr', bits: 32, type: 'cpsr_flags' },
      ],
    },
  ],
  programCounter: 'pc',
  stackPointer: 'sp',
  framePointer: 'x29',
  flags: 'cpsr',
  triple: 'aarch64-unknown-linux-gnu',
  pointerBytes: 8,
};
