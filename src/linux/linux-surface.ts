import os from 'node:os';
import type { KernelIdentity, Surface } from '../surface/surface.ts';
import { LinuxBpf } from './bpf.ts';
import { linuxFiles } from './files.ts';
import { launchedDebugRegisters } from './launch.ts';
import { LinuxMemory } from './memory.ts';
import { LinuxEvents } from './perf-events.ts';
import { System } from './system.ts';
import { LinuxTasks } from './tasks.ts';

/** The machine's own kernel as a {@link Surface}, with what of this machine a program may need besides. */
export interface LinuxSurface extends Surface {
  readonly events: LinuxEvents;
  readonly tasks: LinuxTasks;
  readonly memory: LinuxMemory;
  readonly files: typeof linuxFiles;
  readonly bpf: LinuxBpf;
  readonly system: System;
}

/**
 * Opens the machine's Linux. Throws an `Error` that says so where this is no 64-bit x86 or arm64 Linux, or the FFI
 * cannot be loaded.
 */
export function openLinuxSurface(): LinuxSurface {
  const machine = os.machine();
  if (os.platform() !== 'linux' || (machine !== 'x86_64' && machine !== 'aarch64')) {
    throw new Error(`Trapline needs a 64-bit x86 or arm64 Linux; this is ${os.platform()} on ${machine}`);
  }
  const system = new System();
  const kernel: KernelIdentity = {
    description: `Linux ${os.release()} ${machine}`,
    machine,
    live: true,
  };
  return {
    kernel,
    now: () => process.hrtime.bigint(),
    events: new LinuxEvents(system, machine),
    tasks: new LinuxTasks(system, machine),
    memory: new LinuxMemory(system),
    files: linuxFiles,
    bpf: new LinuxBpf(system, machine, possibleCpus),
    ...(machine === 'x86_64' ? { debugRegisters: launchedDebugRegisters } : {}),
    system,
    close: () => {},
  };
}

/** CPUs that could ever be there: "0-3" is 4. */
function possibleCpus(): number {
  const last = /(\d+)\s*$/.exec(linuxFiles.text('/sys/devices/system/cpu/possible'))?.[1];
  return last === undefined ? os.cpus().length : Number(last) + 1;
}
