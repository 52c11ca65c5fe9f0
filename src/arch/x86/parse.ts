import { type ErrnoName, errnoValues } from '../../base/errno.ts';
import { hex } from '../../base/hex.ts';
import { KernelError } from '../../base/kernel-error.ts';
import { HW_BREAKPOINT_RW, HW_BREAKPOINT_W, HW_BREAKPOINT_X } from '../../uapi/perf-event-attr.ts';
import type { BreakpointRequest } from '../architecture.ts';
import { x86Len, x86Type } from './debug-register-bits.ts';
import { type AddressRange, forbiddenAreas, type X86KernelLayout } from './kernel-layout.ts';
import { X86Breakpoint } from './x86-breakpoint.ts';

const addressMax = 0xffff_ffff_ffff_ffffn;
/** The only length of an execution breakpoint: sizeof(long). */
const executeLenBytes = 8n;

/** What decides whether a request is possible on an x86 machine. */
export interface X86ParseOptions {
  readonly layout: X86KernelLayout;
  /** The CPU has AMD's address masks (BPEXT). */
  readonly bpext: boolean;
  /** The kernel is built with kprobes; without, all kernel text refuses execution breakpoints. */
  readonly kprobes: boolean;
  /** Rules of 2010-06: an execution breakpoint is aligned to its length. */
  readonly alignedExecute?: boolean;
  /** Rules of 2009: address 0 is refused. */
  readonly refuseNull?: boolean;
}

function refuse(errno: ErrnoName, request: BreakpointRequest, hint: string): never {
  const { bpType, bpAddr, bpLen } = request;
  throw new KernelError({
    errno: errnoValues[errno],
    operation: `breakpoint of type ${bpType}, ${bpLen} bytes at ${hex(bpAddr)}`,
    hint,
  });
}

function overlaps(first: bigint, last: bigint, area: AddressRange): boolean {
  return first <= area.start + area.lengthBytes - 1n && last >= area.start;
}

function contains(area: AddressRange, address: bigint): boolean {
  return address >= area.start && address < area.start + area.lengthBytes;
}

/** Validates requests against one machine: the checks and errnos of docs/spec/04 section 6, in its order. */
export class X86Parser {
  readonly #options: X86ParseOptions;
  readonly #forbidden: readonly AddressRange[];
  readonly #lowestForbidden: bigint;

  constructor(options: X86ParseOptions) {
    this.#options = options;
    this.#forbidden = forbiddenAreas(options.layout);
    this.#lowestForbidden = this.#forbidden.reduce(
      (lowest, area) => (area.start < lowest ? area.start : lowest),
      addressMax,
    );
  }

  /** The record for `request`. Throws `KernelError` EINVAL, or EOPNOTSUPP for a range without BPEXT. */
  parse(request: BreakpointRequest): X86Breakpoint {
    const { bpType, bpAddr, bpLen } = request;
    // As u64: with bpLen 0 and an address above 0 the end lies below the start; with address 0 it is the last byte.
    const last = (bpAddr + bpLen - 1n) & addressMax;
    if (last < bpAddr) refuse('EINVAL', request, 'the end wraps below the start');
    if (last >= this.#lowestForbidden && this.#forbidden.some((area) => overlaps(bpAddr, last, area)))
      refuse('EINVAL', request, 'the debug exception itself touches these bytes');
    if (this.#options.refuseNull === true && bpAddr === 0n) refuse('EINVAL', request, 'address 0');
    if (bpType === HW_BREAKPOINT_X) return this.#parseExecute(request);
    if (bpType !== HW_BREAKPOINT_W && bpType !== HW_BREAKPOINT_RW)
      refuse('EINVAL', request, 'x86 has W, RW and X');
    return this.#parseData(request, bpType === HW_BREAKPOINT_W ? x86Type.write : x86Type.readWrite);
  }

  #parseExecute(request: BreakpointRequest): X86Breakpoint {
    const { bpAddr, bpLen } = request;
    const { layout, kprobes } = this.#options;
    if (
      bpAddr >= layout.taskSizeMax &&
      (!kprobes || layout.noProbeText.some((area) => contains(area, bpAddr)))
    )
      refuse('EINVAL', request, 'no probe may be placed there');
    if (bpLen !== executeLenBytes) refuse('EINVAL', request, 'the length of an execution breakpoint is 8');
    if (this.#options.alignedExecute === true && bpAddr % executeLenBytes !== 0n)
      refuse('EINVAL', request, 'the address is no multiple of 8');
    const len = x86Len.execute;
    return new X86Breakpoint({
      address: bpAddr,
      len,
      type: x86Type.execute,
      kernelSpace: this.#inKernelSpace(bpAddr, len),
    });
  }

  #parseData(request: BreakpointRequest, type: number): X86Breakpoint {
    const { bpAddr, bpLen } = request;
    let len: number = x86Len.one;
    let mask = 0n;
    switch (bpLen) {
      case 1n:
        break;
      case 2n:
        len = x86Len.two;
        break;
      case 4n:
        len = x86Len.four;
        break;
      case 8n:
        len = x86Len.eight;
        break;
      default:
        if ((bpLen & (bpLen - 1n)) !== 0n) refuse('EINVAL', request, 'the length is no power of two');
        if ((bpAddr & (bpLen - 1n)) !== 0n)
          refuse('EINVAL', request, 'the address is no multiple of the length');
        if (!this.#options.bpext) refuse('EOPNOTSUPP', request, 'this processor watches at most 8 bytes');
        mask = bpLen - 1n;
    }
    if ((bpAddr & (bpLen - 1n)) !== 0n) refuse('EINVAL', request, 'the address is no multiple of the length');
    return new X86Breakpoint({
      address: bpAddr,
      len,
      type,
      mask,
      kernelSpace: this.#inKernelSpace(bpAddr, len),
    });
  }

  /** Whether a breakpoint reaches into kernel space; its length counts by the length code. docs/spec/04 section 6. */
  #inKernelSpace(address: bigint, len: number): boolean {
    const lenBytes = len === x86Len.one ? 1n : len === x86Len.two ? 2n : len === x86Len.four ? 4n : 8n;
    const { taskSizeMax } = this.#options.layout;
    return address >= taskSizeMax || address + lenBytes - 1n >= taskSizeMax;
  }
}
