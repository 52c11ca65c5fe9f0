/** Addresses [start, start + lengthBytes), u64. */
export interface AddressRange {
  readonly start: bigint;
  readonly lengthBytes: bigint;
}

/** Where a kernel keeps what an x86 breakpoint must not touch. docs/spec/04 section 6. */
export interface X86KernelLayout {
  /** The first address that is not user space (TASK_SIZE_MAX): 0x7FFFFFFFF000 with 4-level paging. */
  readonly taskSizeMax: bigint;
  /** The CPU entry area. */
  readonly entryArea: AddressRange;
  /** Table of per-CPU offsets. */
  readonly perCpuOffsets: AddressRange;
  /** Per possible CPU: writable GDT, TSS, TLB state, and the `cpu_dr7` variable. */
  readonly perCpu: readonly {
    readonly gdt: AddressRange;
    readonly tss: AddressRange;
    readonly tlbState: AddressRange;
    readonly cpuDr7: AddressRange;
  }[];
  /** Kernel text in which no probe may be placed. */
  readonly noProbeText: readonly AddressRange[];
}

const pageBytes = 4096n;

/**
 * The layout of the model's kernel with `cpus` possible CPUs. With `fiveLevel` paging user space is larger. The
 * addresses are the model's own choice but for the entry area and the end of user space.
 */
export function modelKernelLayout(options: {
  readonly cpus: number;
  readonly fiveLevel?: boolean;
}): X86KernelLayout {
  const perCpuBase = 0xffff_8880_7f00_0000n;
  const stride = 0x4_0000n;
  return {
    taskSizeMax: options.fiveLevel === true ? 0xff_ffff_ffff_f000n : 0x7fff_ffff_f000n,
    entryArea: { start: 0xffff_fe00_0000_0000n, lengthBytes: 1n << 39n },
    perCpuOffsets: { start: 0xffff_ffff_8220_0000n, lengthBytes: 8n * BigInt(options.cpus) },
    perCpu: Array.from({ length: options.cpus }, (_, cpu) => {
      const base = perCpuBase + stride * BigInt(cpu);
      return {
        gdt: { start: base + 0x2000n, lengthBytes: pageBytes },
        tss: { start: base + 0x4000n, lengthBytes: 0x1100n },
        tlbState: { start: base + 0x1_9000n, lengthBytes: 0x80n },
        cpuDr7: { start: base + 0x1_a008n, lengthBytes: 8n },
      };
    }),
    noProbeText: [{ start: 0xffff_ffff_8200_0000n, lengthBytes: 0x2000n }],
  };
}

/** All the areas that no breakpoint may overlap, whoever asks. */
export function forbiddenAreas(layout: X86KernelLayout): AddressRange[] {
  return [
    layout.entryArea,
    layout.perCpuOffsets,
    ...layout.perCpu.flatMap((cpu) => [cpu.gdt, cpu.tss, cpu.tlbState, cpu.cpuDr7]),
  ];
}
