import type { Architecture } from '../../arch/architecture.ts';
import { Arm64Architecture } from '../../arch/arm64/arm64-architecture.ts';
import { encodeDebugFeatures } from '../../arch/arm64/arm64-register-bits.ts';
import type { X86KernelLayout } from '../../arch/x86/kernel-layout.ts';
import { X86Architecture } from '../../arch/x86/x86-architecture.ts';
import type { Era } from '../../kernel/pmu/admission.ts';
import type { Arm64Processors } from '../../machines/sim/sim-machine.ts';

/** Registers of arm64 processors, CPU by CPU; the last one is that of all CPUs behind. */
export interface Arm64Counts {
  /** Breakpoints, 1 to 16 each. */
  readonly brps: readonly number[];
  /** Watchpoints, 1 to 16 each. */
  readonly wrps: readonly number[];
}

/** The processors of a model, and the kernel's view of them. */
export interface ModelProcessors {
  readonly arch: Architecture;
  /** Absent: x86. */
  readonly arm64?: Arm64Processors;
  /** Names of places in the kernel. */
  readonly symbols: Readonly<Record<string, bigint>>;
}

/** What decides them. */
export interface ProcessorOptions {
  readonly cpus: number;
  readonly features: readonly string[];
  readonly era: Era;
  readonly warn: (message: string) => void;
}

/** x86 processors. */
export function x86Processors(options: ProcessorOptions): ModelProcessors {
  const { features } = options;
  const arch = new X86Architecture({
    cpus: options.cpus,
    era: options.era,
    bpext: features.includes('bpext'),
    kprobes: features.includes('kprobes'),
    warn: options.warn,
  });
  return { arch, symbols: layoutSymbols(arch.layout) };
}

/** DebugVer of Armv8.0, and of Armv8.4. */
const debugVersion = 6;
const debugVersion84 = 9;
const contextAwareMax = 2;

/** arm64 processors, which may differ from each other. */
export function arm64Processors(counts: Arm64Counts, options: ProcessorOptions): ModelProcessors {
  const { features } = options;
  const at = (list: readonly number[], cpu: number): number => list[cpu] ?? list.at(-1) ?? 1;
  const debugFeatures = Array.from({ length: options.cpus }, (_, cpu) => {
    const breakpoints = at(counts.brps, cpu);
    return encodeDebugFeatures({
      version: features.includes('debug-v8.4') ? debugVersion84 : debugVersion,
      breakpoints,
      watchpoints: at(counts.wrps, cpu),
      contextAware: Math.min(contextAwareMax, breakpoints),
    });
  });
  return {
    arch: new Arm64Architecture({
      debugFeatures,
      vhe: features.includes('vhe'),
      monitors: !features.includes('nodebugmon'),
      warn: options.warn,
    }),
    arm64: { debugFeatures, reportsWatched: features.includes('watched-far') },
    symbols: { kernel_text: 0xffff_8000_0800_0000n, kernel_data: 0xffff_8000_0a00_0000n },
  };
}

/** Names for the places that no breakpoint may touch, and for some kernel text. */
function layoutSymbols(layout: X86KernelLayout): Record<string, bigint> {
  const symbols: Record<string, bigint> = {
    cpu_entry_area: layout.entryArea.start,
    per_cpu_offset: layout.perCpuOffsets.start,
    kernel_text: 0xffff_ffff_8100_0000n,
    kernel_data: 0xffff_ffff_8300_0000n,
    noprobe_text: layout.noProbeText[0]?.start ?? 0n,
  };
  for (const [cpu, areas] of layout.perCpu.entries()) {
    symbols[`cpu${cpu}_gdt`] = areas.gdt.start;
    symbols[`cpu${cpu}_tss`] = areas.tss.start;
    symbols[`cpu${cpu}_tlbstate`] = areas.tlbState.start;
    symbols[`cpu${cpu}_dr7`] = areas.cpuDr7.start;
  }
  return symbols;
}
