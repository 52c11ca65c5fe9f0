import { assert } from '../../base/assert.ts';
import { joinPair } from '../../base/pair.ts';
import { PeerError } from '../../gdb/errors.ts';
import type {
  GdbTarget,
  MemoryAbility,
  MonitorCommands,
  RegisterAbility,
  ResumeAbility,
  Stop,
  TargetThread,
  WatchStop,
} from '../../gdb/target.ts';
import { registerNumber, type TargetDescription } from '../../gdb/target-description.ts';
import { x8664Description } from '../../gdb/x86-64-description.ts';
import { Kgdb, type KgdbRequest, type KgdbStop, kgdbEntries } from '../../kernel/kgdb/kgdb.ts';
import { kgdbBreakpoints } from '../../kernel/kgdb/kgdb-abilities.ts';
import { x86KgdbRecord } from '../../kernel/kgdb/x86-record.ts';
import type { AddressSpace } from '../../machines/sim/address-space.ts';
import { memoryAt } from './memory-at.ts';
import type { ModelHost } from './model-host.ts';

const sigtrap = 5;
/** The machine is one process of GDB's, its CPUs are the threads. */
const machineProcess = 1;
/** Kernel data that nobody minds: the debugger's entries are made there. */
const harmlessSymbol = 'kernel_data';

const watchStops: Readonly<Record<KgdbRequest['kind'], WatchStop | undefined>> = {
  hardware: undefined,
  write: 'watch',
  read: 'rwatch',
  access: 'awatch',
};

/** Abilities that the target's user adds. */
export interface ModelGdbTargetOptions {
  /** Lets the machine run until something stops it; absent: the machine is run by others. */
  readonly resume?: ResumeAbility;
  readonly monitor?: MonitorCommands;
}

/**
 * A simulated machine as a kernel debugger sees it: CPUs are threads, memory is that of the task that the CPU executes,
 * breakpoints are the kernel debugger's. Simulated instructions have an address and flags, so these two registers are
 * there; the others are not available.
 */
export class ModelGdbTarget implements GdbTarget {
  readonly description: TargetDescription = x8664Description;
  readonly watchpointSlots: number = kgdbEntries;
  readonly kgdb: Kgdb;
  readonly breakpoints: NonNullable<GdbTarget['breakpoints']>;
  readonly registers: RegisterAbility;
  readonly memory: MemoryAbility;
  readonly resume?: ResumeAbility;
  readonly monitor?: MonitorCommands;
  readonly #host: ModelHost;
  readonly #ip: number = registerNumber(x8664Description, 'rip');
  readonly #flags: number = registerNumber(x8664Description, 'eflags');
  #stop: Stop | undefined;
  /** Where a CPU stands in the kernel, by number, since the last stop. */
  readonly #stoppedIps: Map<number, bigint> = new Map();

  constructor(host: ModelHost, options: ModelGdbTargetOptions = {}) {
    this.#host = host;
    this.kgdb = new Kgdb({
      kernel: host.kernel,
      core: host.core,
      record: x86KgdbRecord,
      harmlessAddress: host.machine.symbol(harmlessSymbol) ?? 0n,
      onStop: (stop) => this.#stopAt(stop),
    });
    this.breakpoints = kgdbBreakpoints(this.kgdb);
    this.registers = {
      read: (thread, register) => this.#readRegister(thread, register),
      write: () => {
        throw new PeerError('EPERM', 'registers of a simulated CPU are not written');
      },
    };
    if (options.resume !== undefined) this.resume = options.resume;
    if (options.monitor !== undefined) this.monitor = options.monitor;
    this.memory = {
      read: (thread, address, lenBytes) => this.#memory(thread, address).read(address, lenBytes),
      write: (thread, address, bytes) => this.#memory(thread, address).write(address, bytes),
    };
  }

  threads(): readonly TargetThread[] {
    return this.#host.machine.cpus
      .filter(({ online }) => online)
      .map(({ number, current }) => ({
        process: machineProcess,
        thread: number + 1,
        name: `CPU ${number}${current === null ? ', idle' : `, ${current.name}`}`,
      }));
  }

  lastStop(): Stop {
    return this.#stop ?? { type: 'signal', signal: sigtrap, thread: this.#thread(0) };
  }

  /** Stops every CPU, if they do not stand already. */
  enter(): void {
    if (!this.kgdb.inside) this.kgdb.enter();
  }

  /** Gives a function that tells the stop that came since this call. */
  nextStop(): () => Stop {
    this.#stop = undefined;
    return () => {
      assert(this.#stop !== undefined, 'the machine stands because something stopped it');
      return this.#stop;
    };
  }

  /** The machine stands because of a signal of the debugger's own. */
  stopBy(signal: number): Stop {
    const { currentCpu } = this.#host.machine;
    this.#stop = { type: 'signal', signal, thread: this.#thread(currentCpu.number) };
    this.#stoppedIps.clear();
    return this.#stop;
  }

  /** The client lets go: what it set is gone. The machine waits for the next client. */
  detach(): void {
    if (!this.kgdb.inside) this.kgdb.enter();
    this.kgdb.removeAll();
    this.kgdb.leave();
    this.enter();
  }

  close(): void {
    if (this.kgdb.inside) this.kgdb.leave();
    this.kgdb.close();
  }

  #stopAt({ cpu, request, ip }: KgdbStop): void {
    this.#stoppedIps.clear();
    this.#stoppedIps.set(cpu.number, ip);
    const kind = watchStops[request.kind];
    const thread = this.#thread(cpu.number);
    this.#stop = {
      type: 'signal',
      signal: sigtrap,
      thread,
      ...(kind === undefined
        ? { breakpoint: 'hardware' as const }
        : { watch: { kind, address: request.address } }),
    };
    this.kgdb.enter();
  }

  #thread(cpu: number): TargetThread {
    const threads = this.threads();
    const thread = threads.find((each) => each.thread === cpu + 1) ?? threads[0];
    assert(thread !== undefined, 'some CPU is online');
    return thread;
  }

  #memory(thread: TargetThread, address: bigint): AddressSpace {
    const cpu = this.#host.machine.cpus[thread.thread - 1];
    const memory = cpu === undefined ? undefined : memoryAt(this.#host.machine, cpu, address);
    if (memory === undefined)
      throw new PeerError('EFAULT', 'the CPU executes no task, whose memory that would be');
    return memory;
  }

  #readRegister(thread: TargetThread, register: number): Uint8Array | undefined {
    const task = this.#host.machine.cpus[thread.thread - 1]?.current ?? null;
    if (register === this.#ip) {
      const bytes = new Uint8Array(8);
      const own = task === null ? 0n : joinPair(task.ipLow, task.ipHigh);
      const ip = this.#stoppedIps.get(thread.thread - 1) ?? own;
      new DataView(bytes.buffer).setBigUint64(0, ip, true);
      return bytes;
    }
    if (register !== this.#flags) return undefined;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, task?.processorFlags ?? 0, true);
    return bytes;
  }
}
