import { errnoValues } from '../../base/errno.ts';
import { hex } from '../../base/hex.ts';
import { KernelError } from '../../base/kernel-error.ts';
import {
  HW_BREAKPOINT_R,
  HW_BREAKPOINT_RW,
  HW_BREAKPOINT_W,
  HW_BREAKPOINT_X,
} from '../../uapi/perf-event-attr.ts';
import type { BreakpointRequest } from '../architecture.ts';
import { Arm64Breakpoint } from './arm64-breakpoint.ts';
import {
  accessExecute,
  accessLoad,
  accessStore,
  privilegeKernel,
  privilegeUser,
} from './arm64-register-bits.ts';

/** First address that is not a user's: 48 bits of addresses. */
export const taskSize: bigint = 1n << 48n;
const addressMax = 0xffff_ffff_ffff_ffffn;
const executeLenBytes = 4n;
const lenBytesMax = 8n;

const types: ReadonlyMap<number, number> = new Map([
  [HW_BREAKPOINT_X, accessExecute],
  [HW_BREAKPOINT_R, accessLoad],
  [HW_BREAKPOINT_W, accessStore],
  [HW_BREAKPOINT_RW, accessLoad | accessStore],
]);

function refuse(request: BreakpointRequest, hint: string): never {
  const { bpType, bpAddr, bpLen } = request;
  throw new KernelError({
    errno: errnoValues.EINVAL,
    operation: `breakpoint of type ${bpType}, ${bpLen} bytes at ${hex(bpAddr)}`,
    hint,
  });
}

/**
 * The record for `request`: the checks of docs/spec/05 section 4, in its order. Throws `KernelError` EINVAL.
 */
export function parseArm64(request: BreakpointRequest): Arm64Breakpoint {
  const { bpType, bpAddr } = request;
  const compat = request.target === 'task32';
  const type = types.get(bpType);
  if (type === undefined) refuse(request, 'arm64 has X, R, W and RW');
  if (request.bpLen < 1n || request.bpLen > lenBytesMax) refuse(request, 'the length is 1 to 8 bytes');
  let bpLen = request.bpLen;
  if (type === accessExecute) {
    if (!compat) bpLen = executeLenBytes;
    else if (bpLen !== 2n && bpLen !== 4n)
      refuse(request, 'an execution breakpoint of a 32-bit task has 2 or 4 bytes');
  }
  const last = (bpAddr + bpLen - 1n) & addressMax;
  const kernel = bpAddr >= taskSize && last >= taskSize;
  const alignMask = compat ? (bpLen === lenBytesMax ? 7n : 3n) : type === accessExecute ? 3n : 7n;
  const offset = bpAddr & alignMask;
  if (!compat && type !== accessExecute && offset + bpLen > lenBytesMax)
    refuse(request, 'the bytes do not lie in one aligned doubleword');
  if (compat) checkCompatOffset(request, offset, bpLen);
  if (kernel && request.target !== 'cpu')
    refuse(request, 'kernel addresses are watched on CPUs, not on a task');
  return new Arm64Breakpoint({
    address: bpAddr & ~alignMask & addressMax,
    type,
    privilege: kernel ? privilegeKernel : privilegeUser,
    bytes: (((1 << Number(bpLen)) - 1) << Number(offset)) & 0xff,
  });
}

function checkCompatOffset(request: BreakpointRequest, offset: bigint, bpLen: bigint): void {
  const possible =
    offset === 0n || ((offset === 1n || offset === 2n) && bpLen <= 2n) || (offset === 3n && bpLen === 1n);
  if (!possible) refuse(request, `${bpLen} bytes do not lie in one word of a 32-bit task`);
}
