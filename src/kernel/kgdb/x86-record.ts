import type { ArchRecord } from '../../arch/architecture.ts';
import { x86Len, x86Type } from '../../arch/x86/debug-register-bits.ts';
import { X86Breakpoint } from '../../arch/x86/x86-breakpoint.ts';
import type { KgdbRequest } from './kgdb.ts';

const lenCodes: ReadonlyMap<number, number> = new Map([
  [1, x86Len.one],
  [2, x86Len.two],
  [4, x86Len.four],
  [8, x86Len.eight],
]);

/**
 * What a request of the debugger is in x86 registers; `undefined`: x86 has no such breakpoint. The address is taken as it
 * is: an operator may watch what nobody else may. The length of an execution breakpoint is ignored.
 */
export function x86KgdbRecord(request: KgdbRequest): ArchRecord | undefined {
  const { kind, address } = request;
  if (kind === 'read') return undefined;
  if (kind === 'hardware') return new X86Breakpoint({ address, len: x86Len.execute, type: x86Type.execute });
  const len = lenCodes.get(request.lenBytes);
  if (len === undefined) return undefined;
  return new X86Breakpoint({ address, len, type: kind === 'write' ? x86Type.write : x86Type.readWrite });
}
