import type { AddressSpace } from '../../machines/sim/address-space.ts';
import type { SimCpu } from '../../machines/sim/sim-cpu.ts';
import type { SimMachine } from '../../machines/sim/sim-machine.ts';

const kernelSpaceStart = 1n << 63n;

/** The memory that an address is in for kernel code on a CPU; `undefined`: a user address, and no task is there. */
export function memoryAt(machine: SimMachine, cpu: SimCpu, address: bigint): AddressSpace | undefined {
  return address >= kernelSpaceStart ? machine.kernelMemory : cpu.current?.memory;
}
