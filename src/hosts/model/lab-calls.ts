import type {
  IoctlArgument,
  MappedRing,
  PerfEventOpenCall,
  PerfSystemCalls,
  RingMapCall,
} from '../../surface/perf-calls.ts';
import { PERF_EVENT_IOC_PERIOD } from '../../uapi/perf-event-ioctl.ts';
import type { ModelHost } from './model-host.ts';

/**
 * The system calls of a scenario's runner. While it makes them it runs, and the tasks that it gives orders to sleep.
 * That is of consequence for IOC_PERIOD alone, which acts at once on an event that is in a register; for the others tasks
 * stay where they are, so that a scenario can look at registers.
 */
export class LabCalls implements PerfSystemCalls {
  readonly #host: ModelHost;

  constructor(host: ModelHost) {
    this.#host = host;
  }

  perfEventOpen(call: PerfEventOpenCall): number {
    return this.#host.calls.perfEventOpen(call);
  }

  ioctl(fd: number, request: number, argument: IoctlArgument): number {
    if (request === PERF_EVENT_IOC_PERIOD) this.#sleepOthers();
    return this.#host.calls.ioctl(fd, request, argument);
  }

  read(fd: number, lengthBytes: number): Uint8Array {
    return this.#host.calls.read(fd, lengthBytes);
  }

  poll(fd: number): number {
    return this.#host.calls.poll(fd);
  }

  fcntl(...call: Parameters<PerfSystemCalls['fcntl']>): number {
    return this.#host.calls.fcntl(...call);
  }

  mmap(fd: number, call: RingMapCall): MappedRing {
    return this.#host.calls.mmap(fd, call);
  }

  munmap(ring: MappedRing): void {
    this.#host.calls.munmap(ring);
  }

  close(fd: number): void {
    this.#host.calls.close(fd);
  }

  #sleepOthers(): void {
    const { machine, self } = this.#host;
    for (const cpu of machine.cpus) if (cpu.online) machine.switchTo(cpu, cpu === self.home ? self : null);
  }
}
