import type { System } from '../../linux/system.ts';
import { StepError } from '../../scenario/values.ts';
import { syscalls } from './syscalls.ts';

export const nobodyUid = 65534;
export const PR_SET_DUMPABLE = 4;
export const capabilityVersion3 = 0x2008_0522;
/** Numbers of the capabilities that perf events ask for. Source: capabilities(7), linux/capability.h. */
const capabilities: Readonly<Record<string, number>> = {
  KILL: 5,
  IPC_LOCK: 14,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
  PERFMON: 38,
  BPF: 39,
};

/** Numbers of capabilities. Throws {@link StepError} for names that are not known. */
export function capabilityNumbers(user: string, caps: readonly string[]): number[] {
  if (user !== 'nobody') throw new StepError('"user" is "nobody"');
  return caps.map((name) => {
    const number = capabilities[name];
    if (number === undefined)
      throw new StepError(`"caps" are of ${Object.keys(capabilities).join(', ')}, not ${name}`);
    return number;
  });
}

/** The u32 of `half` (0 or 1) of a set of capabilities. */
export function capabilityBits(numbers: readonly number[], half: number): number {
  return numbers
    .filter((number) => number >> 5 === half)
    .reduce((sum, number) => sum + 2 ** (number & 31), 0);
}

/**
 * Credentials of the runner's own thread. The system calls themselves act on one thread only, unlike the C library's
 * functions; root is kept as the saved user, so that there is a way back. Source: setresuid(2), capset(2).
 */
export class OwnCredentials {
  readonly #system: System;
  #dropped: boolean = false;

  constructor(system: System) {
    this.#system = system;
  }

  /** An unprivileged user with these capabilities only. Throws {@link StepError} for names that are not known. */
  drop(user: string, caps: readonly string[]): void {
    const numbers = capabilityNumbers(user, caps);
    this.restore();
    this.#dropped = true;
    this.#setUsers(nobodyUid, nobodyUid, 0);
    this.#setEffective(numbers);
  }

  restore(): void {
    if (!this.#dropped) return;
    this.#setUsers(0, 0, 0);
    this.#dropped = false;
    this.#system.ffi.syscall(syscalls.prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
  }

  #setUsers(real: number, effective: number, saved: number): void {
    const result = this.#system.ffi.syscall(syscalls.setresuid, real, effective, saved, 0, 0);
    this.#system.check(result, `setresuid(${real}, ${effective}, ${saved})`);
  }

  /** Permitted ones stay. The kernel's structure: three u32 (effective, permitted, inheritable) for 32 each. */
  #setEffective(numbers: readonly number[]): void {
    this.#system.scratch((scratch) => {
      const header = scratch.alloc(8);
      header.view.setUint32(0, capabilityVersion3, true);
      const data = scratch.alloc(24);
      const { ffi } = this.#system;
      this.#system.check(ffi.syscall(syscalls.capget, header.address, data.address, 0, 0, 0), 'capget');
      for (const half of [0, 1]) data.view.setUint32(12 * half, capabilityBits(numbers, half), true);
      this.#system.check(ffi.syscall(syscalls.capset, header.address, data.address, 0, 0, 0), 'capset');
    });
  }
}
