import { assert } from '../../base/assert.ts';
import type {
  Architecture,
  ArchRecord,
  BreakpointRequest,
  HitHandler,
  RegisterImage,
  SlotHolder,
  SlotKind,
} from '../architecture.ts';
import type { DebugRegisters } from '../debug-registers.ts';
import type { TrapFrame } from '../trap-frame.ts';
import { Arm64Breakpoint } from './arm64-breakpoint.ts';
import { Arm64Image } from './arm64-image.ts';
import { type DebugFeatures, decodeDebugFeatures } from './arm64-register-bits.ts';
import { handleArm64Exception } from './debug-exception.ts';
import { parseArm64 } from './parse.ts';

/** x0 to x30, sp and pc: bits 0 to 32 of `sample_regs_*`. Source: asm/perf_regs.h. */
const sampledRegisters = (1n << 33n) - 1n;

/** The processors and the kernel that an {@link Arm64Architecture} speaks for. */
export interface Arm64Options {
  /** ID_AA64DFR0_EL1 of each CPU, low word. */
  readonly debugFeatures: readonly number[];
  /** The kernel runs at EL2; default no. */
  readonly vhe?: boolean;
  /** Self-hosted debug; default yes. */
  readonly monitors?: boolean;
  /** Takes the one-time warnings of the kernel log. */
  readonly warn?: (message: string) => void;
}

/** arm64: two pools of registers, as many as the CPU with the fewest has. docs/spec/05. */
export class Arm64Architecture implements Architecture {
  readonly name = 'arm64';
  readonly mixedSlots = false;
  readonly sampledRegisters: bigint = sampledRegisters;
  /** What all CPUs have: the least of each. */
  readonly features: DebugFeatures;
  readonly #options: Arm64Options;
  readonly #warn: (message: string) => void;
  #warnedInstall = false;
  #warnedUninstall = false;

  constructor(options: Arm64Options) {
    this.#options = options;
    this.#warn = options.warn ?? (() => undefined);
    const all = options.debugFeatures.map(decodeDebugFeatures);
    const least = (field: keyof DebugFeatures): number => Math.min(...all.map((features) => features[field]));
    this.features = {
      version: least('version'),
      breakpoints: least('breakpoints'),
      watchpoints: least('watchpoints'),
      contextAware: least('contextAware'),
    };
    if (new Set(options.debugFeatures).size > 1)
      this.#warn(
        `CPUs differ in ID_AA64DFR0_EL1: all use ${this.features.breakpoints} breakpoints, ${this.features.watchpoints} watchpoints`,
      );
  }

  slots(kind: SlotKind): number {
    return kind === 'inst' ? this.features.breakpoints : this.features.watchpoints;
  }

  parse(request: BreakpointRequest): Arm64Breakpoint {
    return parseArm64(request);
  }

  inKernelSpace(record: ArchRecord): boolean {
    assert(record instanceof Arm64Breakpoint, 'a record of another architecture');
    return record.kernel;
  }

  install(image: RegisterImage, holder: SlotHolder): boolean {
    if (ours(image).install(holder)) return true;
    if (!this.#warnedInstall) {
      this.#warnedInstall = true;
      this.#warn("can't find any breakpoint slot");
    }
    return false;
  }

  uninstall(image: RegisterImage, holder: SlotHolder): void {
    if (ours(image).uninstall(holder) || this.#warnedUninstall) return;
    this.#warnedUninstall = true;
    this.#warn('uninstall of a breakpoint that is in no register');
  }

  claim(image: RegisterImage, frame: TrapFrame, hit: HitHandler): number {
    return handleArm64Exception(ours(image), frame, hit);
  }

  /** Nothing: debug registers do not count, the exception does. */
  read(_image: RegisterImage, _holder: SlotHolder): void {}

  createImage(registers: DebugRegisters): Arm64Image {
    const { breakpoints, watchpoints } = this.features;
    const image = new Arm64Image(registers, {
      breakpoints,
      watchpoints,
      vhe: this.#options.vhe ?? false,
      monitors: this.#options.monitors ?? true,
    });
    image.reset();
    return image;
  }
}

function ours(image: RegisterImage): Arm64Image {
  assert(image instanceof Arm64Image, 'an image of another architecture');
  return image;
}
