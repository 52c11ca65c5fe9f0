import { assert } from '../../base/assert.ts';
import { PeerError } from '../../gdb/errors.ts';
import type {
  GdbTarget,
  MemoryAbility,
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
import type { SimTask } from '../../machines/sim/sim-task.ts';
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

/** What a target leaves to its user. */
export interface ModelGdbTargetOptions {
  /** The machine may go on: whoever drives it does. */
  readonly onContinue?: () => void;
  /** Ctrl-C of the debugger, while the machine goes on. */
  readonly onInterrupt?: () => void;
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
  readonly resume: ResumeAbility;
  readonly #host: ModelHost;
  readonly #ip: number = registerNumber(x8664Description, 'rip');
  readonly #flags: number = registerNumber(x8664Description, 'eflags');
  #stop: Stop | undefined;
  /** Whoever waits for the next stop. */
  #stopped: ((stop: Stop) => void) | undefined;

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
    this.resume = {
      steps: false,
      run: () => {
        const stop = this.leave();
        options.onContinue?.();
        return stop;
      },
      interrupt: () => options.onInterrupt?.(),
    };
    this.memory = {
      read: (thread, address, lenBytes) => this.#task(thread).memory.read(address, lenBytes),
      write: (thread, address, bytes) => this.#task(thread).memory.write(address, bytes),
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

  /** Lets every CPU go on; gives the next stop, when it comes. */
  leave(): Promise<Stop> {
    assert(this.#stopped === undefined, 'one client waits at a time');
    if (this.kgdb.inside) this.kgdb.leave();
    return new Promise((resolve) => {
      this.#stopped = resolve;
    });
  }

  /** The client lets go: what it set is gone, and the machine goes on. */
  detach(): void {
    if (!this.kgdb.inside) this.kgdb.enter();
    this.kgdb.removeAll();
    this.kgdb.leave();
    this.#stopped = undefined;
  }

  close(): void {
    if (this.kgdb.inside) this.kgdb.leave();
    this.kgdb.close();
  }

  #stopAt({ cpu, request }: KgdbStop): void {
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
    const stopped = this.#stopped;
    this.#stopped = undefined;
    stopped?.(this.#stop);
  }

  #thread(cpu: number): TargetThread {
    const threads = this.threads();
    const thread = threads.find((each) => each.thread === cpu + 1) ?? threads[0];
    assert(thread !== undefined, 'some CPU is online');
    return thread;
  }

  #task(thread: TargetThread): SimTask {
    const task = this.#host.machine.cpus[thread.thread - 1]?.current ?? null;
    if (task === null)
      throw new PeerError('EFAULT', 'the CPU executes nothing, and has no memory of its own');
    return task;
  }

  #readRegister(thread: TargetThread, register: number): Uint8Array | undefined {
    const task = this.#host.machine.cpus[thread.thread - 1]?.current ?? null;
    if (register === this.#ip) {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setUint32(0, task?.ipLow ?? 0, true);
      new DataView(bytes.buffer).setUint32(4, task?.ipHigh ?? 0, true);
      return bytes;
    }
    if (register !== this.#flags) return undefined;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, task?.processorFlags ?? 0, true);
    return bytes;
  }
}
