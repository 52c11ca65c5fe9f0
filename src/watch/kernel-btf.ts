import { KernelError } from '../base/kernel-error.ts';
import type { Files } from '../surface/files.ts';
import { Btf } from '../symbols/btf/btf.ts';
import { ElfError } from '../symbols/elf-error.ts';

/** The running kernel's types (/sys/kernel/btf/vmlinux); `undefined` where there are none that can be read. */
export function readKernelBtf(files: Files): Btf | undefined {
  try {
    const file = files.open(path);
    try {
      return Btf.parse(file.read(0, file.sizeBytes), path);
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof KernelError || error instanceof ElfError) return undefined;
    throw error;
  }
}

const path = '/sys/kernel/btf/vmlinux';
