import { SIGKILL } from '../../uapi/signal.ts';
import {
  capabilityBits,
  capabilityNumbers,
  capabilityVersion3,
  nobodyUid,
  PR_SET_DUMPABLE,
} from './own-credentials.ts';
import type { Puppet } from './puppet-control.ts';
import type { PuppetStage } from './puppet-stage.ts';
import { syscalls } from './syscalls.ts';

const PR_SET_PDEATHSIG = 1;
const PR_SET_KEEPCAPS = 8;
/** Bytes of the kernel's structures: a version and a pid; three u32 for 32 capabilities each. */
const headerBytes = 8;
const dataBytes = 24;
/** Effective, permitted, inheritable. */
const effective = 0;
const permitted = 4;

/**
 * Credentials of puppets. Permitted capabilities are kept, which is the way back; only effective ones count for what the
 * kernel allows. Source: setresuid(2), capset(2), prctl(2).
 */
export class PuppetCredentials {
  readonly #stage: PuppetStage;

  constructor(stage: PuppetStage) {
    this.#stage = stage;
  }

  /** An unprivileged user with these capabilities only. Throws `StepError` for names that are not known. */
  drop(puppet: Puppet, user: string, caps: readonly string[]): void {
    const numbers = capabilityNumbers(user, caps);
    this.#prctl(puppet, PR_SET_KEEPCAPS, 1);
    this.#become(puppet, nobodyUid);
    this.#setEffective(puppet, (half) => capabilityBits(numbers, half));
  }

  /** Root again, with every capability. Throws `KernelError` EPERM if it executed something since. */
  restore(puppet: Puppet): void {
    this.#setEffective(puppet, (_half, all) => all);
    this.#become(puppet, 0);
    this.#setEffective(puppet, (_half, all) => all);
  }

  #become(puppet: Puppet, uid: number): void {
    this.#stage.syscall(puppet, syscalls.setresuid, uid, uid, uid);
    // A change of the user takes both of these away.
    this.#prctl(puppet, PR_SET_PDEATHSIG, SIGKILL);
    this.#prctl(puppet, PR_SET_DUMPABLE, 1);
  }

  #setEffective(puppet: Puppet, choose: (half: number, all: number) => number): void {
    const bytes = new Uint8Array(headerBytes + dataBytes);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, capabilityVersion3, true);
    const place = (address: bigint): [bigint, bigint] => [address, address + BigInt(headerBytes)];
    this.#stage.syscallShowing(puppet, syscalls.capget, bytes, place);
    bytes.set(this.#stage.shown(puppet, bytes.length));
    for (const half of [0, 1]) {
      const at = headerBytes + 12 * half;
      view.setUint32(at + effective, choose(half, view.getUint32(at + permitted, true)), true);
    }
    this.#stage.syscallShowing(puppet, syscalls.capset, bytes, place);
  }

  #prctl(puppet: Puppet, option: number, value: number): void {
    this.#stage.syscall(puppet, syscalls.prctl, option, value);
  }
}
