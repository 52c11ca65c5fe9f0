import type { Memory } from '../surface/memory.ts';
import type { System } from './system.ts';

/** Bytes of one process_vm_readv(2). */
const chunkBytes = 64 * 1024;

/** Memory of processes of the machine's Linux. */
export class LinuxMemory implements Memory {
  readonly #system: System;

  constructor(system: System) {
    this.#system = system;
  }

  read(pid: number, address: bigint, lengthBytes: number): Uint8Array {
    const result = new Uint8Array(lengthBytes);
    let done = 0;
    while (done < lengthBytes) {
      const wanted = Math.min(chunkBytes, lengthBytes - done);
      const got = this.#chunk(pid, address + BigInt(done), wanted, result, done);
      done += got;
      if (got < wanted) return result.subarray(0, done);
    }
    return result;
  }

  #chunk(pid: number, address: bigint, lengthBytes: number, into: Uint8Array, at: number): number {
    const { ffi } = this.#system;
    return this.#system.scratch((scratch) => {
      const local = scratch.alloc(lengthBytes);
      const vectors = scratch.alloc(32);
      vectors.view.setBigUint64(0, BigInt(local.address), true);
      vectors.view.setBigUint64(8, BigInt(lengthBytes), true);
      vectors.view.setBigUint64(16, BigInt.asUintN(64, address), true);
      vectors.view.setBigUint64(24, BigInt(lengthBytes), true);
      const got = ffi.processVmReadv(pid, vectors.address, 1, vectors.address + 16, 1);
      if (got < 0) {
        if (at > 0) return 0; // what follows is not mapped
        this.#system.fail(`process_vm_readv(${pid}, 0x${address.toString(16)})`);
      }
      into.set(local.bytes.subarray(0, got), at);
      return got;
    });
  }
}
