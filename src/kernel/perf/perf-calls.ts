import type { Task } from '../../machine/task.ts';
import type {
  IoctlArgument,
  MappedRing,
  PerfEventOpenCall,
  PerfSystemCalls,
  RingMapCall,
} from '../../surface/perf-calls.ts';
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
  PERF_EVENT_IOC_PAUSE_OUTPUT,
  PERF_EVENT_IOC_PERIOD,
  PERF_EVENT_IOC_QUERY_BPF,
  PERF_EVENT_IOC_REFRESH,
  PERF_EVENT_IOC_RESET,
  PERF_EVENT_IOC_SET_BPF,
  PERF_EVENT_IOC_SET_FILTER,
  PERF_EVENT_IOC_SET_OUTPUT,
  PERF_IOC_FLAG_GROUP,
} from '../../uapi/perf-event-ioctl.ts';
import { checkAttr, mayCountKernel, readAttr } from './attr-check.ts';
import { ModelBpfCalls } from './bpf-calls.ts';
import { attachProgram } from './bpf-filter.ts';
import { eventStates } from './event-state.ts';
import { failure } from './failure.ts';
import { FileTable } from './file-table.ts';
import { openEvent } from './open.ts';
import type { PerfEvent } from './perf-event.ts';
import type { PerfKernel } from './perf-kernel.ts';
import { readEvent } from './read-format.ts';

const pollErr = 0x08;
const pollHup = 0x10;
const periodSign = 1n << 63n;

/** The system calls of one process on our kernel. docs/spec/03 sections 7, 9, 10, 11. */
export class ModelPerfCalls implements PerfSystemCalls {
  readonly files: FileTable<PerfEvent>;
  readonly bpf: ModelBpfCalls;
  readonly #kernel: PerfKernel;
  readonly #caller: () => Task;
  /** Closed, but still mapped. */
  readonly #unlinked: Set<PerfEvent> = new Set();

  /** @param caller who calls, asked at each call: its rights may change. */
  constructor(kernel: PerfKernel, options: { readonly caller: () => Task; readonly fdsMax?: number }) {
    this.#kernel = kernel;
    this.#caller = options.caller;
    this.files = new FileTable(options.fdsMax ?? 1024 * 1024);
    this.bpf = new ModelBpfCalls({
      files: this.files,
      caller: options.caller,
      possibleCpus: kernel.machine.cpus.length,
    });
  }

  perfEventOpen(call: PerfEventOpenCall): number {
    const bytes = call.attr;
    const event = openEvent(this.#kernel, {
      attr: () => {
        if (bytes === 'bad') throw failure('EFAULT', 'the attr cannot be read');
        return readAttr(bytes);
      },
      caller: this.#caller(),
      pid: call.pid,
      cpu: call.cpu,
      flags: call.flags,
      group: () => {
        if (this.files.full) throw failure('EMFILE', 'no fd is left');
        if (call.groupFd === -1) return null;
        return this.#event(call.groupFd, 'perf_event_open');
      },
    });
    return this.files.add(event);
  }

  ioctl(fd: number, request: number, argument: IoctlArgument): number {
    const event = this.#event(fd, 'ioctl');
    if (event.state === eventStates.dead) throw failure('ENODEV', 'the event is gone', 'ioctl');
    const { control } = this.#kernel;
    switch (request) {
      case PERF_EVENT_IOC_ENABLE:
        this.#each(event, argument, (member) => control.enable(member));
        return 0;
      case PERF_EVENT_IOC_DISABLE:
        this.#each(event, argument, (member) => control.disable(member));
        return 0;
      case PERF_EVENT_IOC_RESET:
        this.#each(event, argument, (member) => control.reset(member));
        return 0;
      case PERF_EVENT_IOC_REFRESH:
        this.#kernel.call(() => control.refresh(event, number(argument) | 0));
        return 0;
      case PERF_EVENT_IOC_SET_OUTPUT: {
        const fd = number(argument) | 0;
        const output = fd === -1 ? null : this.#event(fd, 'PERF_EVENT_IOC_SET_OUTPUT');
        this.#kernel.rings.setOutput(event, output);
        return 0;
      }
      case PERF_EVENT_IOC_PAUSE_OUTPUT:
        this.#kernel.rings.pause(event, number(argument) !== 0);
        return 0;
      case PERF_EVENT_IOC_PERIOD:
        this.#setPeriod(event, pointed(argument, 8));
        return 0;
      case PERF_EVENT_IOC_ID: {
        const bytes = pointed(argument, 8);
        new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(0, BigInt(event.top.id), true);
        return 0;
      }
      case PERF_EVENT_IOC_MODIFY_ATTRIBUTES: {
        const { credentials } = this.#caller();
        const sysAdmin = credentials.capabilities.has('SYS_ADMIN');
        const attr = readAttr(pointed(argument, 0));
        checkAttr(attr, mayCountKernel(credentials, this.#kernel.limits), this.#kernel.limits);
        this.#kernel.call(() => control.modifyAttributes(event, attr, { sysAdmin }));
        return 0;
      }
      case PERF_EVENT_IOC_SET_BPF:
        attachProgram(event, this.bpf.program(typeof argument === 'number' ? argument | 0 : -1));
        return 0;
      case PERF_EVENT_IOC_SET_FILTER:
        // The text is copied before the event is asked whether it takes one.
        pointed(argument, 0);
        throw failure('EINVAL', 'not for breakpoints', 'ioctl');
      case PERF_EVENT_IOC_QUERY_BPF:
        throw failure('EINVAL', 'not for breakpoints', 'ioctl');
      default:
        throw failure('ENOTTY', `request 0x${request.toString(16)}`, 'ioctl');
    }
  }

  fcntl(fd: number, command: number, argument: IoctlArgument): number {
    const event = this.#event(fd, 'fcntl');
    return this.#kernel.signals.fcntl(event, { fd, command, argument }, this.#caller());
  }

  read(fd: number, lengthBytes: number): Uint8Array {
    return readEvent(this.#kernel.control, this.#event(fd, 'read'), lengthBytes);
  }

  poll(fd: number): number {
    const event = this.#event(fd, 'poll');
    const { ring, state } = event;
    if (state <= eventStates.exit && (event.children === null || event.children.size === 0)) return pollHup;
    if (state === eventStates.error && event.pinned) return pollErr;
    if (ring === null) return pollHup;
    const events = ring.pollEvents;
    ring.pollEvents = 0;
    return events;
  }

  mmap(fd: number, call: RingMapCall): MappedRing {
    const event = this.#event(fd, 'mmap');
    return this.#kernel.rings.map(event, call, this.#caller().credentials);
  }

  munmap(ring: MappedRing): void {
    const mapped = this.#kernel.rings.mapped(ring);
    this.#kernel.rings.unmap(mapped);
    if (mapped.event.mappings > 0 || !this.#unlinked.delete(mapped.event)) return;
    this.#kernel.control.destroy(mapped.event);
  }

  close(fd: number): void {
    const file = this.files.remove(fd);
    if (file === undefined) throw failure('EBADF', `fd ${fd} is not open`, 'close');
    if (file.type !== 'event') return;
    // A mapping holds the file.
    if (file.event.mappings > 0) this.#unlinked.add(file.event);
    else this.#kernel.control.destroy(file.event);
  }

  /** Closes whatever is open, as the end of the process does. */
  closeAll(): void {
    this.#kernel.rings.unmapAll();
    for (const event of this.#unlinked) this.#kernel.control.destroy(event);
    this.#unlinked.clear();
    for (const fd of this.files.open()) this.close(fd);
  }

  /** The event behind an fd. Throws `KernelError` EBADF, also for an fd of something else. */
  event(fd: number): PerfEvent {
    return this.#event(fd, 'perf event');
  }

  #event(fd: number, operation: string): PerfEvent {
    const file = this.files.get(fd);
    if (file === undefined) throw failure('EBADF', `fd ${fd} is not open`, operation);
    if (file.type !== 'event')
      throw failure(operation === 'ioctl' ? 'ENOTTY' : 'EBADF', `fd ${fd} is no perf event`, operation);
    return file.event;
  }

  #each(event: PerfEvent, argument: IoctlArgument, work: (member: PerfEvent) => void): void {
    const group = typeof argument === 'number' && (argument & PERF_IOC_FLAG_GROUP) !== 0;
    this.#kernel.call(() => {
      if (group) event.leader.forGroup(work);
      else work(event);
    });
  }

  #setPeriod(event: PerfEvent, bytes: Uint8Array): void {
    const value = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
    if (event.period === 0) throw failure('EINVAL', 'the event only counts', 'PERF_EVENT_IOC_PERIOD');
    if (value === 0n || (value & periodSign) !== 0n)
      throw failure('EINVAL', 'a period is 1 to 2^63 - 1', 'PERF_EVENT_IOC_PERIOD');
    if (event.attr.freq === true && value > this.#kernel.limits.maxSampleRate)
      throw failure(
        'EINVAL',
        `at most ${this.#kernel.limits.maxSampleRate} a second`,
        'PERF_EVENT_IOC_PERIOD',
      );
    this.#kernel.control.setPeriod(event, value);
  }
}

function number(argument: IoctlArgument): number {
  // Where a number is wanted, a pointer is one that nobody knows.
  return typeof argument === 'number' ? argument : 0x7fff_0000;
}

/** The memory that an argument points to, at least `lengthBytes` of it. Throws `KernelError` EFAULT. */
function pointed(argument: IoctlArgument, lengthBytes: number): Uint8Array {
  if (typeof argument === 'number' || argument === 'bad' || argument.byteLength < lengthBytes)
    throw failure('EFAULT', 'the argument is no readable pointer', 'ioctl');
  return argument;
}
