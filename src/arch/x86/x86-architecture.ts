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
import { handleDebugException } from './debug-exception.ts';
import { breakpointRegisters } from './debug-register-bits.ts';
import { modelKernelLayout, type X86KernelLayout } from './kernel-layout.ts';
import { X86Parser } from './parse.ts';
import { X86Breakpoint } from './x86-breakpoint.ts';
import { X86Image } from './x86-image.ts';

/** The processor and the kernel that an {@link X86Architecture} speaks for. */
export interface X86Options {
  /** Possible CPUs; decides the default layout. */
  readonly cpus: number;
  readonly layout?: X86KernelLayout;
  /** The CPU has AMD's address masks; default no. */
  readonly bpext?: boolean;
  /** The kernel has kprobes; default yes. */
  readonly kprobes?: boolean;
  /** Dated rules: "2010-06", "2009-11-10", "2009-11-08"; default today's. */
  readonly era?: string;
  /** Takes the one-time warnings of the kernel log. */
  readonly warn?: (message: string) => void;
}

/** The general registers but the data segments (12 to 15). Source: asm/perf_regs.h. */
const sampledRegisters = 0xff0fffn;

/** x86-64: four registers that code and data breakpoints share. docs/spec/04. */
export class X86Architecture implements Architecture {
  readonly name = 'x86';
  readonly mixedSlots = true;
  readonly sampledRegisters: bigint = sampledRegisters;
  readonly layout: X86KernelLayout;
  readonly #parser: X86Parser;
  readonly #warn: (message: string) => void;
  readonly #losesExact: boolean;
  #warnedInstall = false;
  #warnedUninstall = false;

  constructor(options: X86Options) {
    this.layout = options.layout ?? modelKernelLayout({ cpus: options.cpus });
    const of2009 = options.era?.startsWith('2009') ?? false;
    this.#parser = new X86Parser({
      alignedExecute: options.era === '2010-06',
      refuseNull: of2009,
      layout: this.layout,
      bpext: options.bpext ?? false,
      kprobes: options.kprobes ?? true,
    });
    this.#losesExact = of2009;
    this.#warn = options.warn ?? (() => undefined);
  }

  slots(_kind: SlotKind): number {
    return breakpointRegisters;
  }

  parse(request: BreakpointRequest): X86Breakpoint {
    return this.#parser.parse(request);
  }

  inKernelSpace(record: ArchRecord): boolean {
    assert(record instanceof X86Breakpoint, 'a record of another architecture');
    return record.kernelSpace;
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
    return handleDebugException(ours(image), frame, hit);
  }

  /** Nothing: debug registers do not count, the exception does. */
  read(_image: RegisterImage, _holder: SlotHolder): void {}

  createImage(registers: DebugRegisters): X86Image {
    const image = new X86Image(registers, { losesExact: this.#losesExact });
    image.reset();
    return image;
  }
}

function ours(image: RegisterImage): X86Image {
  assert(image instanceof X86Image, 'an image of another architecture');
  return image;
}
